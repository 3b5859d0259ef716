"""Independent float64 NumPy references, written step by step and gate by gate from the papers.

A recurrent layer is a pair of functions: ``forward(p, x)`` gives the states (B, T, H) of inputs
(B, T, D) and what each step leaves behind; ``backward(p, steps, dstates)`` gives the gradients of
its parameters and inputs by back-propagation through time.
"""

import re

import ml_dtypes
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nearest_bfloat16(x):
    """Each number as the nearest bfloat16 has it, ties to even."""
    return np.asarray(np.asarray(x).astype(ml_dtypes.bfloat16), np.float64)


class RoundedOperands(np.ndarray):
    """An array whose products round both operands to bfloat16.

    So does a sum, which is the gradient of a bias: it adds up what the kernel's product is given.
    """

    __array_priority__ = 1.0  # what is joined with others stays of this kind

    def __matmul__(self, other):
        return (nearest_bfloat16(self) @ nearest_bfloat16(other)).view(RoundedOperands)

    def __rmatmul__(self, other):
        return (nearest_bfloat16(other) @ nearest_bfloat16(self)).view(RoundedOperands)

    def sum(self, axis):
        return nearest_bfloat16(self).sum(axis=axis)


# What arrays are in a precision of products.
PRECISIONS = {"float32": np.ndarray, "bfloat16": RoundedOperands}


# ---- recurrent layers ----


def bias_of(p, name):
    """The bias of this name, or the sum of PyTorch's two."""
    return p[name] if name in p else p[f"{name}_ih"] + p[f"{name}_hh"]


def with_both_biases(p, grads):
    """The gradient of a sum is that of either term."""
    return {name: grads[name] if name in grads else grads[name[: -len("_ih")]] for name in p}


def rnn_forward(p, x):
    """Elman (1990)."""
    h = np.zeros((len(x), p["kernel"].shape[1]))
    steps = []
    for t in range(x.shape[1]):
        xh = np.concatenate([x[:, t], h], axis=1)
        h = np.tanh(xh @ p["kernel"] + bias_of(p, "bias"))
        steps.append((xh, h))
    return np.stack([h for _, h in steps], axis=1), steps


def rnn_backward(p, steps, dstates):
    grads = {"kernel": np.zeros_like(p["kernel"]), "bias": 0}
    n_features = len(p["kernel"]) - dstates.shape[2]
    dh, dx = 0, []
    for t, (xh, h) in reversed(list(enumerate(steps))):
        da = (dh + dstates[:, t]) * (1 - h**2)
        grads["kernel"] += xh.T @ da
        grads["bias"] += da.sum(axis=0)
        dxh = da @ p["kernel"].T
        dx.insert(0, dxh[:, :n_features])
        dh = dxh[:, n_features:]
    return with_both_biases(p, grads), np.stack(dx, axis=1)


def lstm_layer_forward(p, x, forget_bias):
    """Gers, Schmidhuber and Cummins (2000), without peepholes."""
    n_hidden = p["kernel"].shape[1] // 4
    h, c = np.zeros((len(x), n_hidden)), np.zeros((len(x), n_hidden))
    states, steps = [], []
    for t in range(x.shape[1]):
        xh = np.concatenate([x[:, t], h], axis=1)
        gates = xh @ p["kernel"] + bias_of(p, "bias")
        i = sigmoid(gates[:, :n_hidden])
        j = np.tanh(gates[:, n_hidden : 2 * n_hidden])
        f = sigmoid(gates[:, 2 * n_hidden : 3 * n_hidden] + forget_bias)
        o = sigmoid(gates[:, 3 * n_hidden :])
        c_before = c
        c = f * c_before + i * j
        h = o * np.tanh(c)
        states.append(h)
        steps.append((xh, i, j, f, o, c_before, c))
    return np.stack(states, axis=1), steps


def lstm_layer_backward(p, steps, dstates):
    grads = {"kernel": np.zeros_like(p["kernel"]), "bias": 0}
    n_features = len(p["kernel"]) - dstates.shape[2]
    dh, dc, dx = 0, 0, []
    for t, (xh, i, j, f, o, c_before, c) in reversed(list(enumerate(steps))):
        dh = dh + dstates[:, t]
        do = dh * np.tanh(c)
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        di, dj, df = dc * j, dc * i, dc * c_before
        dgates = np.concatenate(
            [di * i * (1 - i), dj * (1 - j**2), df * f * (1 - f), do * o * (1 - o)], axis=1
        )
        grads["kernel"] += xh.T @ dgates
        grads["bias"] += dgates.sum(axis=0)
        dxh = dgates @ p["kernel"].T
        dx.insert(0, dxh[:, :n_features])
        dh, dc = dxh[:, n_features:], dc * f
    return with_both_biases(p, grads), np.stack(dx, axis=1)


def gru_forward(p, x):
    """Cho et al. (2014), equations 5 to 8: the reset gate multiplies the state."""
    n_hidden = p["candidate_kernel"].shape[1]
    h, states, steps = np.zeros((len(x), n_hidden)), [], []
    for t in range(x.shape[1]):
        xh = np.concatenate([x[:, t], h], axis=1)
        gates = sigmoid(xh @ p["gate_kernel"] + bias_of(p, "gate_bias"))
        r, u = gates[:, :n_hidden], gates[:, n_hidden:]
        xrh = np.concatenate([x[:, t], r * h], axis=1)
        c = np.tanh(xrh @ p["candidate_kernel"] + bias_of(p, "candidate_bias"))
        steps.append((xh, xrh, r, u, c, h))
        h = u * h + (1 - u) * c
        states.append(h)
    return np.stack(states, axis=1), steps


def gru_backward(p, steps, dstates):
    grads = {name: np.zeros_like(p[name]) for name in ("gate_kernel", "candidate_kernel")}
    grads |= {"gate_bias": 0, "candidate_bias": 0}
    n_features = len(p["gate_kernel"]) - dstates.shape[2]
    dh, dx = 0, []
    for t, (xh, xrh, r, u, c, h) in reversed(list(enumerate(steps))):
        dh = dh + dstates[:, t]
        dcandidate = dh * (1 - u) * (1 - c**2)
        dxrh = dcandidate @ p["candidate_kernel"].T
        dr, du = dxrh[:, n_features:] * h, dh * (h - c)
        dgates = np.concatenate([dr * r * (1 - r), du * u * (1 - u)], axis=1)
        dxh = dgates @ p["gate_kernel"].T
        grads["gate_kernel"] += xh.T @ dgates
        grads["gate_bias"] += dgates.sum(axis=0)
        grads["candidate_kernel"] += xrh.T @ dcandidate
        grads["candidate_bias"] += dcandidate.sum(axis=0)
        dx.insert(0, dxh[:, :n_features] + dxrh[:, :n_features])
        dh = dh * u + dxrh[:, n_features:] * r + dxh[:, n_features:]
    return with_both_biases(p, grads), np.stack(dx, axis=1)


def gru_after_forward(p, x):
    """The equations of PyTorch's documentation of GRU: the reset gate multiplies the product."""
    n_hidden = p["candidate_kernel_hh"].shape[1]
    h, states, steps = np.zeros((len(x), n_hidden)), [], []
    for t in range(x.shape[1]):
        xh = np.concatenate([x[:, t], h], axis=1)
        gates = sigmoid(xh @ p["gate_kernel"] + bias_of(p, "gate_bias"))
        r, z = gates[:, :n_hidden], gates[:, n_hidden:]
        of_state = h @ p["candidate_kernel_hh"] + p["candidate_bias_hh"]
        of_input = x[:, t] @ p["candidate_kernel_ih"] + p["candidate_bias_ih"]
        n = np.tanh(of_input + r * of_state)
        steps.append((xh, r, z, n, of_state, h))
        h = (1 - z) * n + z * h
        states.append(h)
    return np.stack(states, axis=1), steps


def gru_after_backward(p, steps, dstates):
    grads = {name: np.zeros_like(value) for name, value in p.items() if "kernel" in name}
    grads |= {"gate_bias": 0, "candidate_bias_ih": 0, "candidate_bias_hh": 0}
    n_features = len(p["candidate_kernel_ih"])
    dh, dx = 0, []
    for t, (xh, r, z, n, of_state, h) in reversed(list(enumerate(steps))):
        dh = dh + dstates[:, t]
        dn = dh * (1 - z) * (1 - n**2)
        dr, dz, dof_state = dn * of_state, dh * (h - n), dn * r
        dgates = np.concatenate([dr * r * (1 - r), dz * z * (1 - z)], axis=1)
        dxh = dgates @ p["gate_kernel"].T
        grads["gate_kernel"] += xh.T @ dgates
        grads["gate_bias"] += dgates.sum(axis=0)
        grads["candidate_kernel_ih"] += xh[:, :n_features].T @ dn
        grads["candidate_bias_ih"] += dn.sum(axis=0)
        grads["candidate_kernel_hh"] += h.T @ dof_state
        grads["candidate_bias_hh"] += dof_state.sum(axis=0)
        dx.insert(0, dxh[:, :n_features] + dn @ p["candidate_kernel_ih"].T)
        dh = dh * z + dof_state @ p["candidate_kernel_hh"].T + dxh[:, n_features:]
    return with_both_biases(p, grads), np.stack(dx, axis=1)


RECURRENT_LAYERS = {
    "rnn": (rnn_forward, rnn_backward),
    "gru": (gru_forward, gru_backward),
    "gru_after": (gru_after_forward, gru_after_backward),
    "lstm": (lstm_layer_forward, lstm_layer_backward),
}


# ---- recurrent networks ----


def recurrent_forward(params, x, cell, returns="last", **options):
    """Outputs of stacked layers in one or two directions, and everything that backward needs.

    Layers and directions are told by the prefixes of the parameters' names.
    """
    forward, _ = RECURRENT_LAYERS[cell]
    tapes, states = [], x
    for passes in layers_of(params):
        read = [forward(p, flipped(states, from_end), **options) for from_end, p in passes]
        tapes.append([steps for _, steps in read])
        parts = [flipped(out, from_end) for from_end, (out, _) in enumerate(read)]
        states = np.concatenate(parts, axis=2)
    # The pass from the end has read everything when it is at the first step.
    last = np.concatenate([parts[0][:, -1], *(part[:, 0] for part in parts[1:])], axis=1)
    read_out = states if returns == "every" else last
    return read_out @ params["output_kernel"] + params["output_bias"], (states, read_out, tapes)


def recurrent_gradients(params, x, labels, cell, returns="last", **options):
    """Mean cross-entropy over all outputs, and the gradient of every parameter."""
    outputs, (states, read_out, tapes) = recurrent_forward(params, x, cell, returns, **options)
    n_outputs, n_read = outputs.shape[-1], read_out.shape[-1]
    loss, doutputs = cross_entropy(outputs.reshape(-1, n_outputs), labels.reshape(-1))
    dread = (doutputs @ params["output_kernel"].T).reshape(read_out.shape)
    grads = {
        "output_kernel": read_out.reshape(-1, n_read).T @ doutputs,
        "output_bias": doutputs.sum(axis=0),
    }
    dstates = dread if returns == "every" else np.zeros_like(states)
    layers = layers_of(params)
    if returns == "last":
        n_hidden = n_read // len(layers[-1])
        dstates[:, -1, :n_hidden] = dread[:, :n_hidden]
        dstates[:, 0, n_hidden:] = dread[:, n_hidden:]
    for number in reversed(range(len(layers))):
        parts = np.split(dstates, len(layers[number]), axis=2)
        dstates = 0
        for (from_end, p), steps, part in zip(layers[number], tapes[number], parts, strict=True):
            of_pass, dx = RECURRENT_LAYERS[cell][1](p, steps, flipped(part, from_end))
            dstates = dstates + flipped(dx, from_end)
            prefix = (f"layer{number + 1}_" if number else "") + ("backward_" if from_end else "")
            grads |= {prefix + name: value for name, value in of_pass.items()}
    return loss, grads


def layers_of(params):
    """For each layer its passes, as pairs (from the end?, its own parameters)."""
    found = {}
    for name, value in params.items():
        number, from_end, own = re.fullmatch(r"(?:layer(\d+)_)?(backward_)?(.+)", name).groups()
        if not own.startswith("output_"):
            passes = found.setdefault(int(number or 1), {})
            passes.setdefault(from_end is not None, {})[own] = value
    return [sorted(passes.items(), key=lambda item: item[0]) for _, passes in sorted(found.items())]


def flipped(x, from_end):
    return x[:, ::-1] if from_end else x


def lstm_forward(params, x, forget_bias):
    """Outputs (B, C) of study 1's network on x (B, T, D), and everything that backward needs."""
    return recurrent_forward(params, x, "lstm", forget_bias=forget_bias)


# ---- loss ----


def cross_entropy(logits, labels):
    """Mean softmax cross-entropy and its gradient by the logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    dlogits = probabilities.copy()
    dlogits[rows, labels] -= 1
    return loss, dlogits / len(labels)


# ---- update rules ----


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
