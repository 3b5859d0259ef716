"""The version of Gridscape."""

__version__ = "0.1.0"
