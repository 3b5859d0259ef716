"""Numbers as targets: how far off are predictions of diabetes a year later, in its own points?

The data: 442 patients, as scikit-learn ships them, as a table of pandas. Targets are standardized
for training; errors are shown in the target's unit. Prints the root of the mean squared error over
width and learning rate, and how much of the variance the best network explains.
"""

import argparse

from sklearn.datasets import load_diabetes

import gridscape as gs

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
options = parser.parse_args()

patients = load_diabetes(as_frame=True, scaled=False).frame
task = gs.Task.from_table(patients, "target", unit="points", test=0.2)

study = gs.Study(
    name="diabetes",
    task=task,
    model="mlp",
    axes={"hidden_size": [8, 32], "learning_rate": [1e-4, 1e-3, 1e-2]},
    updates=options.updates,
    batch_size=30,
)
land = gs.run(study)
print(land.data.test_rmse.mean("replicate").to_pandas().round(1))
print(f"R2 of the best cell: {land.data.test_r2.mean('replicate').max().item():.2f}")
