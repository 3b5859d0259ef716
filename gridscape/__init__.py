"""Gridscape trains a whole grid of small neural networks at once and shows the landscape."""

__version__ = "0.1.0"
