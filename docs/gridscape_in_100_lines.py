"""Gridscape in 100 lines: train a grid of small networks at once, with replicates and intervals.

A lesson that imports nothing of the package: python docs/gridscape_in_100_lines.py
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats
from sklearn.datasets import load_digits

WIDTHS, RATES, REPLICATES = (4, 16, 64), (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e38), 5
UPDATES, BATCH, N_TRAIN, SEED = 300, 50, 1347, 0
WEIGHTS, ORDER = 0, 1  # what random numbers are for

images, labels = load_digits(return_X_y=True)
shuffled = np.random.RandomState(0).permutation(len(images))
x, y = jnp.asarray(images[shuffled] / 16, jnp.float32), jnp.asarray(labels[shuffled])


# 1. Common random numbers: they come from seed, replicate and purpose, never from a cell's place.
#    All cells of a replicate see the same batches, so that comparing two cells compares pairs.
def random(replicate, purpose):
    return np.random.default_rng([SEED, replicate, purpose])


def batches(replicate):  # the examples of every update, (UPDATES, BATCH)
    draw, n_epochs = random(replicate, ORDER), -(-UPDATES * BATCH // N_TRAIN)
    order = np.concatenate([draw.permutation(N_TRAIN) for _ in range(n_epochs)])
    return order[: UPDATES * BATCH].reshape(UPDATES, BATCH)


# 2. Everything is written for ONE network; the grid is added from outside.
def init(replicate, width):
    draw = random(replicate, WEIGHTS)
    shapes = {"w": (64, width), "v": (width, 10)}
    weights = {name: draw.normal(0, shape[0] ** -0.5, shape) for name, shape in shapes.items()}
    return jax.tree.map(np.float32, {**weights, "b": np.zeros(width)})


def outputs(params, x):
    return jax.nn.relu(x @ params["w"] + params["b"]) @ params["v"]


def loss(params, x, y):
    return -(jax.nn.one_hot(y, 10) * jax.nn.log_softmax(outputs(params, x))).sum(axis=1).mean()


def train(rate, start, order):
    """One trial from its first update to its status: (test accuracy, diverged, collapsed)."""

    def update(state, batch):
        params, diverged = state
        value, slope = jax.value_and_grad(loss)(params, x[batch], y[batch])
        new = jax.tree.map(lambda p, g: p - rate * g, params, slope)
        finite = [jnp.isfinite(leaf).all() for leaf in (value, *jax.tree.leaves(new))]
        diverged |= ~jnp.stack(finite).all()
        # 3. Every trial ends with a status: a diverged one stands still, and stops no other.
        return (jax.tree.map(partial(jnp.where, diverged), params, new), diverged), None

    (params, diverged), _ = jax.lax.scan(update, (start, jnp.array(False)), order)
    answers = outputs(params, x[N_TRAIN:]).argmax(axis=1)
    return (answers == y[N_TRAIN:]).mean(), diverged, (answers == answers[0]).all()


# 4. What changes no shape is data: all rates and replicates of a width train in one program, and
#    the batches, which no rate changes, are gathered once for all rates. A width compiles anew.
@jax.jit
def row(rates, starts, orders):
    return jax.vmap(jax.vmap(train, (None, 0, 0)), (0, None, None))(rates, starts, orders)


# 5. Numbers with intervals: the mean over replicates, and half of Student's 95 % interval.
def cell(accuracy, diverged, collapsed):
    if diverged.mean() >= 0.5:
        return "diverged"
    mark = "=" if collapsed.mean() >= 0.5 else ""
    half = stats.t.ppf(0.975, REPLICATES - 1) * stats.sem(accuracy)
    return f"{mark}{100 * accuracy.mean():.1f} ±{100 * half:.1f}"


def main():
    print("test accuracy in %, mean ± half of its 95 % interval; = collapsed to one answer")
    print("width \\ rate" + "".join(f"{rate:>12g}" for rate in RATES))
    orders = np.stack([batches(r) for r in range(REPLICATES)])
    for width in WIDTHS:
        starts = jax.tree.map(lambda *r: np.stack(r), *(init(r, width) for r in range(REPLICATES)))
        cells = list(zip(*map(np.asarray, row(jnp.array(RATES), starts, orders)), strict=True))
        print(f"{width:12}" + "".join(f"{cell(*one):>12}" for one in cells))
        # Pairs: the same replicate in two cells. What a paired test cannot tell from the best rate:
        best = max(cells, key=lambda one: one[0].mean())[0]
        pairs = [stats.ttest_1samp(one[0] - best, 0).pvalue for one in cells]
        alike = [f"{rate:g}" for rate, p in zip(RATES, pairs, strict=True) if not p < 0.05]
        print(f"{'':12}  best, or not told from the best: {', '.join(alike)}")


if __name__ == "__main__":
    main()
