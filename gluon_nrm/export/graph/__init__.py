"""Inference graphs: operators with constant arrays, rewriting, and shapes of entries."""
