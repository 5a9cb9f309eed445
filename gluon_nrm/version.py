"""The package's version, readable without importing MXNet."""

__version__ = "0.1.0"
