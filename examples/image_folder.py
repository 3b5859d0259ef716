"""A folder of images: Train/<class>/*.png and Test/<class>/*.png.

Draws such a folder of bars (upright, level, slanted; noisy, anywhere in the picture) and trains
LSTMs that read each picture row by row. Prints the landscape and what its classes are.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import gridscape as gs

STEPS = {"level": (0, 1), "slanted": (1, 1), "upright": (1, 0)}  # rows, columns from pixel to pixel


def draw_bar(step, rng):
    """A picture (16, 16) of gray noise with a bright bar of 8 pixels."""
    pixels = rng.integers(0, 120, (16, 16), dtype=np.uint8)
    row, column = rng.integers(0, 9, 2)
    for k in range(8):
        pixels[row + k * step[0], column + k * step[1]] = 255
    return Image.fromarray(pixels)


def draw_folder(folder, rng):
    """300 training and 100 test pictures of each class."""
    for split, count in {"Train": 300, "Test": 100}.items():
        for label, step in STEPS.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for k in range(count):
                draw_bar(step, rng).save(place / f"{k:03}.png")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=250)
options = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    draw_folder(Path(folder) / "bars", np.random.default_rng(0))
    study = gs.Study(
        name="bars",
        task=gs.image_folder(Path(folder) / "bars", layout="rows"),
        model="lstm",
        axes={"hidden_size": [8, 32], "learning_rate": [1e-3, 1e-2, 0.1]},
        updates=options.updates,
    )
    land = gs.run(study, directory=Path(folder) / "results")

print(f"{study.task.n_outputs} classes of pictures {study.task.input_shape}: {', '.join(STEPS)}")
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
print(land.best("learning_rate", per="hidden_size").to_dataframe().round(3))
