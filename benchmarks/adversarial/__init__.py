"""Measurements of the methods with a generator or a discriminator, and of what they generate."""
