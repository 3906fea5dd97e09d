"""Submeter Gateway: meters in, every reading at the platform, once."""

__version__ = "0.1.0"
