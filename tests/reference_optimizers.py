"""Float64 NumPy references of the update rules.

Each is the step of one array, from its gradient, what it keeps (s) and the rule's numbers.
"""

import numpy as np


def sgd(g, s, *, learning_rate):
    return -learning_rate * g


def momentum(g, s, *, learning_rate, momentum):
    """Report: dw_n = -eta g_n + alpha dw_(n-1)."""
    s["step"] = -learning_rate * g + momentum * s.get("step", 0)
    return s["step"]


def nesterov(g, s, *, learning_rate, momentum):
    """PyTorch: the buffer has no rate in it, and the gradient is added once more."""
    s["buffer"] = momentum * s.get("buffer", 0) + g
    return -learning_rate * (g + momentum * s["buffer"])


def adagrad(g, s, *, learning_rate, initial_accumulator_value):
    s["sum"] = s.get("sum", initial_accumulator_value) + g**2
    return -learning_rate * g / np.sqrt(s["sum"])


def adagrad_pytorch(g, s, *, learning_rate, initial_accumulator_value, eps):
    s["sum"] = s.get("sum", initial_accumulator_value) + g**2
    return -learning_rate * g / (np.sqrt(s["sum"]) + eps)


def mean_square(g, s, decay, start):
    s["mean"] = decay * s.get("mean", start) + (1 - decay) * g**2
    return s["mean"]


def rmsprop(g, s, *, learning_rate, decay, eps, initial_mean_square):
    return -learning_rate * g / np.sqrt(mean_square(g, s, decay, initial_mean_square) + eps)


def rmsprop_pytorch(g, s, *, learning_rate, decay, eps, initial_mean_square):
    return -learning_rate * g / (np.sqrt(mean_square(g, s, decay, initial_mean_square)) + eps)


def adam(g, s, *, learning_rate, b1, b2, eps):
    s["t"] = s.get("t", 0) + 1
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    m, v = s["m"] / (1 - b1 ** s["t"]), s["v"] / (1 - b2 ** s["t"])
    return -learning_rate * m / (np.sqrt(v) + eps)


REFERENCES = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "adagrad-pytorch": adagrad_pytorch,
    "rmsprop": rmsprop,
    "rmsprop-pytorch": rmsprop_pytorch,
    "adam": adam,
    "adamw": adam,  # and a decay, which ``expected`` adds
}
