"""Independent float64 NumPy references, written step by step and gate by gate from the papers."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_forward(params, x, forget_bias):
    """Logits (B, C) of study 1's network on x (B, T, D), and everything that backward needs."""
    kernel, bias = params["kernel"], params["bias"]
    n_batch, n_steps, _ = x.shape
    n_hidden = kernel.shape[1] // 4
    h, c = np.zeros((n_batch, n_hidden)), np.zeros((n_batch, n_hidden))
    steps = []
    for t in range(n_steps):
        xh = np.concatenate([x[:, t], h], axis=1)
        gates = xh @ kernel + bias
        i = sigmoid(gates[:, :n_hidden])
        j = np.tanh(gates[:, n_hidden : 2 * n_hidden])
        f = sigmoid(gates[:, 2 * n_hidden : 3 * n_hidden] + forget_bias)
        o = sigmoid(gates[:, 3 * n_hidden :])
        c_before = c
        c = f * c_before + i * j
        h = o * np.tanh(c)
        steps.append((xh, i, j, f, o, c_before, c))
    return h @ params["output_kernel"] + params["output_bias"], (h, steps)


def cross_entropy(logits, labels):
    """Mean softmax cross-entropy and its gradient by the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    dlogits = probabilities.copy()
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)


def lstm_gradients(params, x, labels, forget_bias):
    """Loss and the gradient of every parameter, by back-propagation through time."""
    logits, (h_last, steps) = lstm_forward(params, x, forget_bias)
    loss, dlogits = cross_entropy(logits, labels)
    grads = {
        "kernel": np.zeros_like(params["kernel"]),
        "bias": np.zeros_like(params["bias"]),
        "output_kernel": h_last.T @ dlogits,
        "output_bias": dlogits.sum(axis=0),
    }
    n_features = x.shape[2]
    dh = dlogits @ params["output_kernel"].T
    dc = np.zeros_like(dh)
    for xh, i, j, f, o, c_before, c in reversed(steps):
        do = dh * np.tanh(c)
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        di, dj, df = dc * j, dc * i, dc * c_before
        dgates = np.concatenate(
            [di * i * (1 - i), dj * (1 - j**2), df * f * (1 - f), do * o * (1 - o)], axis=1
        )
        grads["kernel"] += xh.T @ dgates
        grads["bias"] += dgates.sum(axis=0)
        dh = (dgates @ params["kernel"].T)[:, n_features:]
        dc = dc * f
    return loss, grads


class Adam:
    """Adam of the paper (Kingma and Ba 2015, Algorithm 1)."""

    def __init__(self, learning_rate, b1=0.9, b2=0.999, eps=1e-8):
        self.learning_rate, self.b1, self.b2, self.eps = learning_rate, b1, b2, eps
        self.m, self.v, self.t = {}, {}, 0

    def step(self, params, grads):
        self.t += 1
        new = {}
        for name, g in grads.items():
            self.m[name] = self.b1 * self.m.get(name, 0) + (1 - self.b1) * g
            self.v[name] = self.b2 * self.v.get(name, 0) + (1 - self.b2) * g**2
            m_hat = self.m[name] / (1 - self.b1**self.t)
            v_hat = self.v[name] / (1 - self.b2**self.t)
            new[name] = params[name] - self.learning_rate * m_hat / (np.sqrt(v_hat) + self.eps)
        return new
