"""A study in a file, rotation.toml, that names a model of yours by import string.

The same from the command line: ``cd examples; PYTHONPATH=. gridscape run rotation.toml``. Prints
the landscape of recurrent scale x learning rate; all of its networks share one compiled program,
since both axes are only numbers to it.
"""

import argparse
from pathlib import Path

import gridscape as gs

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int)
parser.add_argument("--dir", default="runs/rotation")
options = parser.parse_args()

# Python finds my_models.py since it lies beside this script.
land = gs.run(
    Path(__file__).parent / "rotation.toml", updates=options.updates, directory=options.dir
)
print(land)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
