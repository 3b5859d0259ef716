"""A Flax NNX module as the model: with and without BatchNorm, on the embedded digits.

``from_flax`` takes a module's class, or a function that builds one with ``rngs``; its options (here
``norm``) may become axes. Running statistics are state: training moves them, evaluation reads them,
and they are stored with the parameters. Prints accuracy by norm and learning rate.
"""

import argparse

from flax import nnx

import gridscape as gs


class Net(nnx.Module):
    """64 pixels -> 10 classes, with one hidden layer of 32."""

    def __init__(self, rngs: nnx.Rngs, norm: str = "batch") -> None:
        self.first = nnx.Linear(64, 32, rngs=rngs)
        self.norm = nnx.BatchNorm(32, rngs=rngs) if norm == "batch" else None
        self.last = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        x = self.first(x)
        x = x if self.norm is None else self.norm(x)
        return self.last(nnx.relu(x))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
parser.add_argument("--dir", default="runs/norms")
options = parser.parse_args()

study = gs.Study(
    name="norms",
    task="digits-flat",
    model=gs.from_flax(Net),
    axes={"norm": ["none", "batch"], "learning_rate": [1e-3, 1e-2, 0.1]},
    updates=options.updates,
)
land = gs.run(study, directory=options.dir)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
