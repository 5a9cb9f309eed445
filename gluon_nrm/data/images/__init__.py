"""Image files: formats, decoding, orientation, damage."""
