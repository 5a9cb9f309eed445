"""Pretrained networks of the package: parameters and description of each, in ``networks/``."""
