"""Measurements of the theorems."""
