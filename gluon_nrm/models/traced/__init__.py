"""Networks made from the traced graph of any CNN: as a classifier, or as an NRM."""
