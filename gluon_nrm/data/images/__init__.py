"""One image file: the formats that are read, decoding, orientation, truncation."""
