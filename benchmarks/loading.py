"""What it takes to load a long table and many pictures, beside pandas and Pillow alone.

    python benchmarks/loading.py
    python benchmarks/loading.py --rows 100000 --pictures 6000 --rounds 3

A table of a million rows and 20 columns (19 numbers of 4 decimals, a class) becomes a task: read,
looked at for trouble, split, standardized, hashed. 60,000 pictures of 28 x 28 in folders of ten
classes likewise. The other side only reads: ``pandas.read_csv``; Pillow opens each file, one after
the other, and NumPy takes its pixels. All in one process, in turns, after a turn that does not
count.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from harness import Ratio, describe, interleave, machine, ratio, table, write
from PIL import Image

from gridscape import Task

SIDE, COLUMNS, CLASSES = 28, 20, 10
GOAL = 1.5


class Measured(NamedTuple):
    """One kind of data: the seconds of each round by side, Gridscape first."""

    data: str
    seconds: Mapping[str, list[float]]

    @property
    def ratio(self) -> Ratio:
        """How many times as long Gridscape takes."""
        return ratio(*self.seconds.values())


def main() -> None:
    options = _options()
    facts = machine() | {name: metadata.version(name) for name in ("pandas", "pillow")}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [
            of_table(Path(folder), options.rows, options.rounds),
            of_pictures(Path(folder), options.pictures, options.rounds),
        ]
    write("loading", facts, report(facts, found), {"machine": facts, **_record(found)})


def of_table(folder: Path, n_rows: int, n_rounds: int) -> Measured:
    """A table of so many rows: as a task, and as pandas reads it."""
    rng, path = np.random.default_rng(0), folder / "long.csv"
    numbers = rng.normal(size=(n_rows, COLUMNS - 1)).round(4)
    made = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(COLUMNS - 1)])
    made["kind"] = np.array(["a", "b", "c"])[rng.integers(0, 3, n_rows)]
    made.to_csv(path, index=False)
    sides = {
        "Gridscape": lambda: Task.from_table(path, "kind"),
        "pandas": lambda: pd.read_csv(path),
    }
    return Measured(f"{n_rows} rows, {COLUMNS} columns", _race(sides, n_rounds))


def of_pictures(folder: Path, n_pictures: int, n_rounds: int) -> Measured:
    """So many pictures in folders: as a task, and as Pillow reads them."""
    rng, place = np.random.default_rng(1), folder / "pictures"
    for number in range(n_pictures):
        (place / str(number % CLASSES)).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (SIDE, SIDE), np.uint8)
        Image.fromarray(pixels).save(place / str(number % CLASSES) / f"{number}.png")
    paths = sorted(place.glob("*/*.png"))
    sides = {
        "Gridscape": lambda: Task.from_images(place),
        "Pillow": lambda: np.stack([np.asarray(Image.open(path)) for path in paths]),
    }
    return Measured(f"{n_pictures} pictures of {SIDE} x {SIDE}", _race(sides, n_rounds))


def _race(sides: Mapping[str, Callable[[], object]], n_rounds: int) -> dict[str, list[float]]:
    timed = {name: lambda load=load: _seconds(load) for name, load in sides.items()}
    rounds = interleave(timed, n_rounds + 1)
    return {name: seconds[1:] for name, seconds in rounds.items()}


def _seconds(load: Callable[[], object]) -> float:
    begin = time.perf_counter()
    load()
    return time.perf_counter() - begin


def report(facts: Mapping[str, Any], found: list[Measured]) -> str:
    """The table of medians in markdown."""
    rows = [
        [
            one.data,
            *(f"{np.median(seconds):.2f}" for seconds in one.seconds.values()),
            f"**{one.ratio.median:.2f}**",
            f"{one.ratio.low:.2f} to {one.ratio.high:.2f} ({len(one.seconds['Gridscape'])})",
            f"{GOAL:g}, {'met' if one.ratio.median <= GOAL else 'missed'}",
        ]
        for one in found
    ]
    head = ["data", "Gridscape, s", "pandas or Pillow, s", "times as long", "rounds", "at most"]
    libraries = ", ".join(f"{name} {facts[name]}" for name in ("pandas", "pillow"))
    return (
        "# Loading people's data\n\nMedians; the ratio is formed within each round.\n\n"
        f"{table(head, rows)}\n\n{describe(facts)}\n- {libraries}\n"
    )


def _record(found: list[Measured]) -> dict[str, Any]:
    return {"seconds": {one.data: one.seconds for one in found}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
