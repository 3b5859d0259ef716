"""Independent float64 NumPy references of the feed-forward networks, written pixel by pixel."""

import numpy as np


def conv_forward(x, kernel, bias):
    """Cross-correlation, stride 1, zeros around: every output pixel is summed by itself."""
    n_batch, height, width, _ = x.shape
    rows, columns, _, n_out = kernel.shape
    y = np.zeros((n_batch, height, width, n_out))
    for row in range(height):
        for column in range(width):
            y[:, row, column] = bias
            for i, j, r, c in _window(row, column, height, width, rows, columns):
                y[:, row, column] += x[:, r, c] @ kernel[i, j]
    return y


def conv_backward(x, kernel, dy):
    """Gradients by x, kernel and bias."""
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    _, height, width, _ = x.shape
    for row in range(height):
        for column in range(width):
            for i, j, r, c in _window(row, column, height, width, *kernel.shape[:2]):
                dkernel[i, j] += x[:, r, c].T @ dy[:, row, column]
                dx[:, r, c] += dy[:, row, column] @ kernel[i, j].T
    return dx, dkernel, dy.sum(axis=(0, 1, 2))


def _window(row, column, height, width, rows, columns):
    """(place in the kernel, pixel of the image) of an output pixel, those outside left out."""
    for i in range(rows):
        for j in range(columns):
            r, c = row + i - (rows - 1) // 2, column + j - (columns - 1) // 2
            if 0 <= r < height and 0 <= c < width:
                yield i, j, r, c


def pool_forward(x):
    """Maxima of windows of 2 x 2, and the pixel of each: the first where several are equal."""
    n_batch, height, width, n_channels = x.shape
    y = np.zeros((n_batch, -(-height // 2), -(-width // 2), n_channels))
    where = {}
    for index in np.ndindex(y.shape):
        b, row, column, channel = index
        best = None
        for r in range(2 * row, min(2 * row + 2, height)):
            for c in range(2 * column, min(2 * column + 2, width)):
                if best is None or x[b, r, c, channel] > x[(b, *best, channel)]:
                    best = (r, c)
        where[index] = (b, *best, channel)
        y[index] = x[where[index]]
    return y, where


def pool_backward(x, where, dy):
    dx = np.zeros_like(x)
    for index, pixel in where.items():
        dx[pixel] += dy[index]
    return dx


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# name -> (function of x, derivative as a function of x)
ACTIVATIONS = {
    "relu": (lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "linear": (lambda x: x, np.ones_like),
    # The report's program: the derivative left out, one more division by the size of the batch.
    "relu_scaled": (lambda x: np.where(x > 0, x, 0), lambda x: np.ones_like(x) / len(x)),
}


def cross_entropy(logits, labels):
    """Mean softmax cross-entropy and its gradient by the logits."""
    loss, gradient = 0.0, np.zeros_like(logits)
    for k, label in enumerate(labels):
        e = np.exp(logits[k] - logits[k].max())
        p = e / e.sum()
        loss -= np.log(p[label])
        gradient[k] = p - np.eye(len(p))[label]
    return loss / len(labels), gradient / len(labels)


def squared_error(outputs, labels):
    """Squared distance to the one-hot label, mean over examples, and its gradient."""
    difference = outputs - np.eye(outputs.shape[1])[labels]
    return (difference**2).sum() / len(labels), 2 * difference / len(labels)


LOSSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}


def mlp_gradients(params, x, labels, hidden, output, loss):
    """Outputs, loss and the gradient of every parameter, named as "dense1/kernel"."""
    names = sorted(n[:-7] for n in params if n.startswith("dense") and n.endswith("/kernel"))
    h, seen = x.reshape(len(x), -1), []
    for name in [*names, "output"]:
        function, _ = ACTIVATIONS[output if name == "output" else hidden]
        z = h @ params[f"{name}/kernel"] + params.get(f"{name}/bias", 0)
        seen.append((name, h, z))
        h = function(z)
    value, dh = LOSSES[loss](h, labels)
    grads = {}
    for name, below, z in reversed(seen):
        dz = dh * ACTIVATIONS[output if name == "output" else hidden][1](z)
        grads[f"{name}/kernel"] = below.T @ dz
        if f"{name}/bias" in params:
            grads[f"{name}/bias"] = dz.sum(axis=0)
        dh = dz @ params[f"{name}/kernel"].T
    return h, value, grads


def lenet_gradients(params, x, labels, mask):
    """Outputs, loss and gradients; mask (B, H) multiplies the hidden units (ones: no dropout)."""
    grads = {}
    z1 = conv_forward(x, params["conv1/kernel"], params["conv1/bias"])
    p1, where1 = pool_forward(np.maximum(z1, 0))
    z2 = conv_forward(p1, params["conv2/kernel"], params["conv2/bias"])
    p2, where2 = pool_forward(np.maximum(z2, 0))
    flat = p2.reshape(len(x), -1)
    z3 = flat @ params["dense1/kernel"] + params["dense1/bias"]
    h = np.maximum(z3, 0) * mask
    logits = h @ params["output/kernel"] + params["output/bias"]
    loss, dlogits = cross_entropy(logits, labels)
    grads["output/kernel"], grads["output/bias"] = h.T @ dlogits, dlogits.sum(axis=0)
    dz3 = dlogits @ params["output/kernel"].T * mask * (z3 > 0)
    grads["dense1/kernel"], grads["dense1/bias"] = flat.T @ dz3, dz3.sum(axis=0)
    dp2 = (dz3 @ params["dense1/kernel"].T).reshape(p2.shape)
    dz2 = pool_backward(z2, where2, dp2) * (z2 > 0)
    dp1, grads["conv2/kernel"], grads["conv2/bias"] = conv_backward(p1, params["conv2/kernel"], dz2)
    dz1 = pool_backward(z1, where1, dp1) * (z1 > 0)
    _, grads["conv1/kernel"], grads["conv1/bias"] = conv_backward(x, params["conv1/kernel"], dz1)
    return logits, loss, grads
