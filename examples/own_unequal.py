"""Classes of unequal sizes: what accuracy hides, and what weights of the classes do about it.

Makes measurements of 3,000 patients, of whom 6 in 100 are ill, and trains a small network with and
without class weights, chosen by balanced accuracy. Prints accuracy beside the line of chance,
balanced accuracy, and the recall of each class.
"""

import argparse
import tempfile
import warnings

import numpy as np
import pandas as pd

import gridscape as gs


def patients(n=3_000, seed=0):
    """Three measurements each, of which two say a little about who is ill."""
    rng = np.random.default_rng(seed)
    is_ill = rng.random(n) < 0.06
    shift = 1.1 * is_ill
    columns = {name: rng.normal(size=n) + shift for name in "ab"} | {"c": rng.normal(size=n)}
    return pd.DataFrame({**columns, "state": np.where(is_ill, "ill", "healthy")})


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=200)
options = parser.parse_args()

task = gs.Task.from_table(patients(), "state")
found = {}
for weights in ("none", "balanced"):
    study = gs.Study(
        name="patients",
        task=task,
        model="mlp",
        metrics=["balanced_accuracy", "accuracy", "recall"],
        class_weights=weights,
        axes={"hidden_size": [8], "learning_rate": [0.001, 0.01]},
        updates=options.updates,
        batch_size=100,
        replicates=3,
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        land = gs.run(study, directory=folder)
    best = land.best_cells()[0]
    place = land.grid.places(best)
    names = ("balanced_accuracy", "accuracy", "recall_healthy", "recall_ill")
    found[weights] = {name: land.finished(f"test_{name}")[place].mean() for name in names}
    chance = land.chance("test_accuracy")

print(f"answering {task.classes[0]!r} always: accuracy {chance:.3f}, balanced accuracy 0.500\n")
print(pd.DataFrame(found).T.rename_axis("class_weights").round(3).to_string())
