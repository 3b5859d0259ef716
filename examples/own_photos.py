"""A folder of photos with trouble in it: what is told, and what to do about it.

Draws photos of two kinds of stripes, with a file that is no picture, half a JPEG, one in color and
one of another size among them. Prints each error with its next step until the folder can be read,
then trains a LeNet5 on it at three learning rates.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

import gridscape as gs

SIDE = 16


def photo(kind, rng, shape=(SIDE, SIDE)):
    """Stripes that lie or stand, somewhere, in noise."""
    place = np.arange(SIDE) + rng.integers(4)
    stripes = np.resize(np.sin(place * np.pi / 2) * 60, (SIDE, SIDE))
    drawn = stripes if kind == "standing" else stripes.T
    noisy = np.resize(drawn, shape[:2]) + rng.normal(128, 30, shape[:2])
    return noisy.clip(0, 255).astype(np.uint8)


def draw(folder):
    """40 photos of each kind, and trouble."""
    rng = np.random.default_rng(0)
    for kind in ("lying", "standing"):
        (folder / kind).mkdir()
        for i in range(40):
            Image.fromarray(photo(kind, rng)).save(folder / kind / f"{i}.png")
    (folder / "lying" / "Thumbs.db").write_bytes(b"not a picture")
    Image.fromarray(photo("lying", rng)).convert("RGB").save(folder / "lying" / "color.png")
    Image.fromarray(photo("lying", rng, (20, 18))).save(folder / "lying" / "large.png")
    Image.fromarray(photo("standing", rng)).save(folder / "standing" / "half.jpg")
    content = (folder / "standing" / "half.jpg").read_bytes()
    (folder / "standing" / "half.jpg").write_bytes(content[: len(content) // 2])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=60)
options = parser.parse_args()

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    draw(folder)
    chosen = {}
    for more in ({}, {"unreadable": "leave out"}, {"size": [SIDE, SIDE], "color": "gray"}):
        chosen |= more
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                task = gs.Task.from_images(folder, **chosen)
            except gs.GridscapeError as error:
                print(f"error: {str(error).replace(str(folder), 'photos')}")
    for warning in told:
        print(f"told: {warning.message}")

    study = gs.Study(
        name="photos",
        task=task,
        model="lenet5",
        model_options={"hidden_size": 32},
        axes={"learning_rate": [1e-5, 1e-3, 1e-2]},
        updates=options.updates,
        batch_size=20,
        replicates=2,
    )
    land = gs.run(study, directory=folder / "runs")
    print(land.data.test_accuracy.mean("replicate").to_pandas().round(2).to_dict())
