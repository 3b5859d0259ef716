"""Simulated landscapes of known truth, and what Gridscape says of them."""
