"""Your own table: iris flowers in a CSV file, and how wide a network and which rate they need.

Writes the file, looks at it, trains two widths by four learning rates, and prints the landscape and
which flowers are taken for one another. The same from the command line, without Python:

    gridscape data look iris.csv --target species
    gridscape run --data iris.csv --target species --model mlp
"""

import argparse
import warnings

from sklearn.datasets import load_iris

import gridscape as gs

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=400)
options = parser.parse_args()

iris = load_iris(as_frame=True)
flowers = iris.data.assign(species=iris.target_names[iris.target])
flowers.to_csv("iris.csv", index=False)

with warnings.catch_warnings(record=True) as told:  # what is odd about the data
    warnings.simplefilter("always")
    task = gs.Task.from_table("iris.csv", "species")
for warning in told:
    print(warning.message)
print(f"{task.train.n_examples} flowers to learn from: {', '.join(task.classes)}")

study = gs.Study(
    name="iris",
    task="table",
    task_options={"path": "iris.csv", "target": "species"},
    model="mlp",
    axes={"hidden_size": [4, 16], "learning_rate": [0.001, 0.01, 0.1, 1.0]},
    updates=options.updates,
    batch_size=20,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # told above
    land = gs.run(study)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
