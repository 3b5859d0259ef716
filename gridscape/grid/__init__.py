"""Axes and cells, trials and how they end, names of what is measured: plain data, no JAX."""
