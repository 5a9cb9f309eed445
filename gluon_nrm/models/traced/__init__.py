"""Networks built from the traced graph of any CNN: Max-Min, classifier, NRM."""
