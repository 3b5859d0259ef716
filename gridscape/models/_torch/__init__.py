"""PyTorch modules read into Gridscape's layers; who needs them imports PyTorch.

trace reads a module, program runs what was read, check compares it with PyTorch; ``registry`` holds
what functions compute, the files beside it are their kinds.
"""
