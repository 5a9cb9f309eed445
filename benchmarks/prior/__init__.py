"""Measurements of the prior that each form of path normalisation (RPN) trains."""
