"""A task, a loss and an optimizer of your own, as objects: does sign descent stand outliers?

The task has targets of its own kind, a class and whether it was flipped; its fingerprint, by which
results are told apart, is made from its data and code. The optimizer declares its numbers and what
they may be. Prints the best learning rate for each loss.
"""

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gridscape as gs


class Labels(NamedTuple):
    """The class of each example (N,), and whether it was flipped (N,)."""

    label: np.ndarray
    flipped: np.ndarray


def blobs(n_points, share_flipped, seed):
    """Points (N, 4) around two centers, some with the label of the other."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n_points).astype(np.int32)
    points = rng.normal(size=(n_points, 4)) + 2 * label[:, None]
    flipped = rng.random(n_points) < share_flipped
    return gs.Split(points.astype(np.float32), Labels(np.where(flipped, 1 - label, label), flipped))


def log_loss(outputs, targets):
    """Outputs (B, 2) -> (B,)."""
    return optax.losses.softmax_cross_entropy_with_integer_labels(outputs, targets.label)


def distance(outputs, targets):
    """Of the probabilities from the label, which an outlier cannot make large: (B, 2) -> (B,)."""
    return jnp.abs(jax.nn.softmax(outputs) - jax.nn.one_hot(targets.label, 2)).sum(axis=-1)


def accuracy(outputs, targets):
    """1 where the class is right: (B, 2) -> (B,)."""
    return (outputs.argmax(axis=-1) == targets.label).astype(jnp.float32)


task = gs.Task(
    name="blobs",
    train=blobs(400, 0.2, seed=0),
    test=blobs(400, 0.0, seed=1),
    input_shape=(4,),
    n_outputs=2,
    loss=log_loss,
    metrics={"accuracy": accuracy},
    truth=lambda targets: targets.label,
)
sign_descent = gs.Optimizer(
    lambda hyper: optax.sign_sgd(hyper["learning_rate"]),
    hyperparameters={"learning_rate": 0.01},
    limits={"learning_rate": gs.Limit(gt=0, le=10)},
)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
parser.add_argument("--dir", default="runs/blobs")
options = parser.parse_args()

for name, loss in {"log_loss": None, "distance": distance}.items():
    study = gs.Study(
        name=f"blobs-{name}",
        task=task,
        model="mlp",
        optimizer=sign_descent,
        loss=loss,
        axes={"learning_rate": [1e-3, 1e-2, 0.1, 1.0]},
        updates=options.updates,
    )
    land = gs.run(study, directory=f"{options.dir}-{name}")
    print(name, land.data.test_accuracy.mean("replicate").to_pandas().round(3).to_dict())
