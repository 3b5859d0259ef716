"""Landscapes with nothing trained: what is true of them is what draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridscape.grid.axes import Axis, Cell, Grid, Value
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.landscape import Landscape

CHANCE = 0.1  # what a collapsed run scores
UPDATES = 2000
POINTS = np.linspace(100, UPDATES, 20).astype(int)  # of every curve
Axes = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Truth:
    """What the runs of every cell are drawn from.

    mean, sd: of a run that learns, fractions; (*axes) or one for all.
    shared: sd of what a replicate adds to all its cells. tails: "normal", or "t3" of the same sd.
    diverges, collapses: the share of the runs that do so; a collapsed run scores ``CHANCE``.
    missing: the share of the trials that are not there yet.
    """

    mean: Any
    sd: Any = 0.005
    shared: float = 0.0
    tails: str = "normal"
    diverges: Any = 0.0
    collapses: Any = 0.0
    missing: float = 0.0

    def mean_of_finished(self) -> np.ndarray:
        """(*axes) the mean with its collapsed runs, which is what a mean over all that ended is."""
        return np.asarray(self.mean) * (1 - np.asarray(self.collapses)) + CHANCE * np.asarray(
            self.collapses
        )


def noise(rng: np.random.Generator, tails: str, shape: tuple[int, ...]) -> np.ndarray:
    """Independent numbers of mean 0 and standard deviation 1."""
    if tails == "t3":
        return np.asarray(rng.standard_t(3, shape) / np.sqrt(3))
    return rng.standard_normal(shape)


class World:
    """A grid whose numbers are drawn anew and anew.

    examples: how many test examples a run is measured on; None: so many that it does not matter.
    It is built once, as ``Landscape`` builds it from stored trials; a draw swaps numbers only, so
    that a landscape must be used up before the next one is drawn.
    """

    def __init__(
        self, axes: Axes, replicates: int, *, curves: bool = False, examples: int | None = None
    ) -> None:
        grid = Grid(tuple(Axis(name, tuple(values)) for name, values in axes.items()))
        self.grid = grid
        self.shape = (*(len(axis.values) for axis in grid.axes), replicates)
        self.study = {
            "name": "simulated",
            "title": "A simulated landscape",
            "task": "none",
            "updates": UPDATES,
            "axes": {name: list(values) for name, values in axes.items()},
            "replicates": replicates,
            "batch_size": 100,
            "guessing": CHANCE,
            **({"n_examples": {"test": examples}} if examples else {}),
        }
        data = Landscape.of(self.study, [_result(cell) for cell in grid.cells()]).data
        data = data.isel(replicate=[0] * replicates).assign_coords(replicate=range(replicates))
        if not curves:  # what a landscape holds beside its numbers costs time in every draw
            data = data.drop_dims(["update", "evaluated_at"])
            data = data.drop_vars(["test_loss", "train_loss", "reason", "updates"])
        data["status"] = data["status"].astype(f"<U{max(len(status) for status in Status)}")
        self._data = data
        self.arrays = {str(name): variable.values for name, variable in data.data_vars.items()}

    def draw(self, rng: np.random.Generator, truth: Truth) -> Landscape:
        """A landscape of these runs."""
        shape = self.shape
        runs = truth.shared * rng.standard_normal(shape[-1]) + np.expand_dims(
            np.broadcast_to(truth.mean, shape[:-1]), -1
        )
        runs = runs + _each(truth.sd) * noise(rng, truth.tails, shape)
        collapsed = _happens(rng, truth.collapses, shape)
        return self.landscape(
            np.where(collapsed, CHANCE, runs),
            collapsed=collapsed,
            diverged=_happens(rng, truth.diverges, shape),
            missing=_happens(rng, truth.missing, shape),
        )

    def landscape(
        self,
        values: np.ndarray,
        *,
        collapsed: Any = False,
        diverged: Any = False,
        missing: Any = False,
        gap: Any = 0.0,
        **others: np.ndarray,
    ) -> Landscape:
        """The landscape of these test accuracies (*axes, R), and of others of its arrays.

        gap: what the train accuracy is higher by.
        """
        diverged = diverged & ~np.asarray(missing)
        finished = ~(diverged | missing) & np.full(self.shape, True)
        collapsed = collapsed & finished
        status = np.where(finished, Status.FINISHED.value, Status.DIVERGED.value)
        now = {
            "test_accuracy": np.where(finished, values, np.nan),
            "train_accuracy": np.where(finished, values + gap, np.nan),
            "top_answer_share": np.where(collapsed, 1.0, np.where(finished, 0.2, np.nan)),
            "collapsed": collapsed,
            "status": np.where(missing, Status.MISSING.value, status),
            "first_bad_update": np.where(diverged, UPDATES // 4, np.nan),
        }
        for name, array in (now | others).items():
            self.arrays[name][...] = array
        return self.now()

    def now(self) -> Landscape:
        """The landscape of the arrays as they are."""
        return Landscape(self._data, self.study)


def _each(number: Any) -> np.ndarray:
    """A number for each cell, to be used with those of each run."""
    return np.expand_dims(np.asarray(number, float), -1) if np.ndim(number) else np.asarray(number)


def _happens(rng: np.random.Generator, share: Any, shape: tuple[int, ...]) -> Any:
    return rng.random(shape) < _each(share) if np.any(share) else np.False_


def _result(cell: Cell) -> tuple[Trial, TrialResult]:
    """A run like any other, whose numbers are to be swapped."""
    hidden = cell.get("hidden_size", 16)
    size = int(hidden) if isinstance(hidden, int | float) else 16
    key = str(cell)
    line = np.full(len(POINTS), 0.5)
    metrics = ("test_accuracy", "test_loss", "train_accuracy", "train_loss", "top_answer_share")
    curves = dict.fromkeys(metrics[:-1], line)
    return Trial(cell, 0, key), TrialResult(
        key=key,
        status=Status.FINISHED,
        updates=UPDATES,
        metrics=dict.fromkeys(metrics, 0.5),
        curves={"recorded_at": POINTS, "evaluated_at": POINTS, **curves},
        seconds=size / 10,
        n_parameters=4 * size * size + 10 * size,
        flops=1e6 * size**2,
        memory_bytes=1000 * size,
    )
