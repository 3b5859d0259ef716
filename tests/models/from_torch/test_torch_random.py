"""A hundred modules of random layers, depths and sizes agree with PyTorch."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from against_torch import assert_agrees  # noqa: E402
from torch import nn  # noqa: E402

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.ELU, nn.SiLU, nn.Identity)


def picked(random, makers):
    return makers[random.integers(len(makers))]()


class Recurrent(nn.Module):
    """A recurrent layer, of which every state, the last or the hidden state is read."""

    def __init__(self, random, n_inputs):
        super().__init__()
        kind, depth = (nn.RNN, nn.GRU, nn.LSTM)[random.integers(3)], int(random.integers(1, 4))
        self.layer = kind(
            n_inputs,
            int(random.integers(1, 9)),
            depth,
            batch_first=True,
            bidirectional=bool(random.integers(2)),
            bias=bool(random.integers(2)),
            dropout=0.3 if depth > 1 else 0.0,
        )
        self.reads = ("every", "last", "hidden")[random.integers(3)]

    def forward(self, x):
        out, state = self.layer(x)
        if self.reads == "hidden":
            return (state[0] if isinstance(state, tuple) else state)[-1]
        return out if self.reads == "every" else out[:, -1]


class Residual(nn.Module):
    """x + block(x), of the same sizes."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return x + self.block(x)


def pictures(random, shape):
    """A layer of (channels, height, width)."""
    C, Y, X = shape
    kernel = int(random.integers(1, min(Y, X, 5) + 1))
    n = int(random.integers(1, 6))
    options = {
        "stride": int(random.choice([1, 1, 2])),
        "padding": int(random.integers(0, kernel)),
        "bias": bool(random.integers(2)),
    }
    same = nn.Conv2d(C, C, 3, padding=1)
    return picked(
        random,
        [
            lambda: nn.Sequential(nn.Conv2d(C, n, kernel, **options), activation(random)),
            lambda: nn.Sequential(
                nn.Conv2d(C, n, kernel), nn.ReLU(), nn.MaxPool2d(min(2, Y - kernel + 1))
            ),
            lambda: nn.MaxPool2d(min(2, Y, X)),
            lambda: nn.AvgPool2d(min(3, Y, X), stride=1),
            lambda: Residual(nn.Sequential(same, activation(random))),
            lambda: nn.GroupNorm(1, C) if C * Y * X > 1 else nn.Identity(),
            lambda: nn.Dropout2d(0.2),
        ],
    )


def rows(random, shape):
    """A layer of (steps, features)."""
    T, D = shape
    width = int(random.integers(1, 9))
    return picked(
        random,
        [
            lambda: Recurrent(random, D),
            lambda: Recurrent(random, D),
            lambda: nn.Sequential(nn.Linear(D, width), activation(random)),
            lambda: nn.LayerNorm(D) if D > 1 else nn.Identity(),  # of one number all is rounding
            lambda: nn.Conv1d(T, width, min(3, D)),
            lambda: Residual(nn.Linear(D, D)),
        ],
    )


def numbers(random, shape):
    """A layer of (features,)."""
    (D,) = shape
    width = int(random.integers(1, 20))
    return picked(
        random,
        [
            lambda: nn.Sequential(
                nn.Linear(D, width, bias=bool(random.integers(2))), activation(random)
            ),
            lambda: nn.LayerNorm(D) if D > 1 else nn.Identity(),  # of one number all is rounding
            lambda: nn.Dropout(0.5),
            lambda: Residual(nn.Sequential(nn.Linear(D, D), activation(random))),
        ],
    )


def activation(random):
    return picked(random, ACTIVATIONS)


LAYERS = {1: numbers, 2: rows, 3: pictures}


def grown(seed, depth, shape):
    """A module of about so many layers, the same for the same numbers."""
    random = np.random.default_rng(seed)
    layers = []
    x = torch.zeros(2, *shape)
    for _ in range(depth):
        if x.ndim > 2 and random.random() < 0.15:
            layers.append(nn.Flatten())
        else:
            layers.append(LAYERS[x.ndim - 1](random, tuple(x.shape[1:])))
        x = layers[-1](x)
    n_left = x[0].numel()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_left, 3))


SHAPES = st.one_of(
    st.tuples(st.integers(1, 12)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(3, 9), st.integers(3, 9), st.integers(1, 3)),
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 6), shape=SHAPES)
def test_random_modules_agree(seed, depth, shape):
    images = len(shape) == 3
    of_torch = (shape[2], *shape[:2]) if images else shape

    assert_agrees(lambda: grown(seed, depth, of_torch), shape, images=images)
