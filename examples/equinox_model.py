"""An Equinox module as the model: depth x learning rate on the embedded digits.

``from_equinox`` takes a function that builds the module; its options (here ``depth``) may become
axes. The module is written for one example, as always in Equinox. Prints accuracy by depth and
learning rate, and the number of parameters.
"""

import argparse

import equinox as eqx
import jax

import gridscape as gs


def build(key, *, depth=1):
    """64 pixels -> 10 classes, with ``depth`` hidden layers of 32."""
    return eqx.nn.MLP(64, 10, width_size=32, depth=depth, activation=jax.nn.relu, key=key)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
parser.add_argument("--dir", default="runs/mlp-depth")
options = parser.parse_args()

study = gs.Study(
    name="mlp-depth",
    task="digits-flat",
    model=gs.from_equinox(build),
    axes={"depth": [1, 3], "learning_rate": [1e-4, 1e-3, 1e-2, 0.1]},
    updates=options.updates,
)
land = gs.run(study, directory=options.dir)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
print(land.data.n_parameters.max(["learning_rate", "replicate"]).to_series().astype(int))
