"""Landscapes from known distributions, with nothing trained: the truth of a test is what it states.

``landscape(axes, accuracy)`` builds one from a function of a cell; everything else follows from it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gridscape.grid.axes import Axis, Cell, Grid, Value
from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.landscape import Landscape

WIDTHS = (16, 32, 64, 128)
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
STUDY_AXES: dict[str, Sequence[Value]] = {"hidden_size": WIDTHS, "learning_rate": RATES}


def hump(cell: Cell) -> float:
    """An accuracy like the published ones: grows with width at low rates, falls past an edge."""
    width, rate = np.log2(float(cell["hidden_size"])), np.log10(float(cell["learning_rate"]))
    rise = 0.1 + 0.87 / (1 + np.exp(-2.0 * (rate + 3.8 + 0.3 * (width - 4))))
    edge = -0.2 - 0.25 * (width - 4)
    return float(0.1 + (rise - 0.1) / (1 + np.exp(8.0 * (rate - edge))))


def _hidden(cell: Cell) -> int:
    """The width that sizes and costs follow; 10 where the grid has no number for it."""
    hidden = cell.get("hidden_size")
    return int(hidden) if isinstance(hidden, int | float) else 10


def landscape(
    axes: Mapping[str, Sequence[Value]] = STUDY_AXES,
    accuracy: Callable[[Cell], float] = hump,
    *,
    replicates: int = 3,
    noise: float = 0.005,
    shared_noise: float = 0.0,
    seed: int = 0,
    status: Callable[[Cell, int], Status] = lambda cell, replicate: Status.FINISHED,
    collapsed: Callable[[Cell, int], bool] = lambda cell, replicate: False,
    not_started: Callable[[Cell, int], bool] = lambda cell, replicate: False,
    gap: Callable[[Cell], float] = lambda cell: 0.0,
    validation: Callable[[Cell], float] | None = None,
    seconds: Callable[[Cell], float] = lambda cell: _hidden(cell) / 10,
    updates: int = 400,
    evaluated_at: Sequence[int] = (50, 100, 200, 300, 400),
    curve: Callable[[Cell, float, np.ndarray], np.ndarray] | None = None,
    study: Mapping[str, Any] | None = None,
) -> Landscape:
    """A landscape whose test accuracy is ``accuracy(cell)`` + noise of a replicate + noise.

    noise: standard deviation of a trial; shared_noise: of a replicate, common to all its cells.
    status: MISSING leaves the trial out. collapsed, not_started: gives one answer, with a training
    loss that is flat, or falls. gap: train accuracy minus test accuracy.
    validation(cell): the accuracy on a validation set, with noise of its own; by default the task
    has none. A study that has one chooses by it unless ``study`` says otherwise.
    curve(cell, final, updates): the accuracy at each of these updates; linear from 0.1 by default.
    """
    grid = Grid(tuple(Axis(name, tuple(values)) for name, values in axes.items()))
    rng = np.random.default_rng(seed)
    common = shared_noise * rng.standard_normal(replicates)
    noise_of_validation = np.random.default_rng([seed, 1])
    results = []
    for cell in grid.cells():
        for replicate in range(replicates):
            test = accuracy(cell) + common[replicate] + noise * rng.standard_normal()
            val = validation and validation(cell) + noise * noise_of_validation.standard_normal()
            if status(cell, replicate) is Status.MISSING:
                continue
            results.append(
                _result(
                    cell,
                    replicate,
                    test,
                    status(cell, replicate),
                    collapsed(cell, replicate),
                    not_started(cell, replicate),
                    gap(cell),
                    val,
                    seconds(cell) * float(np.exp(0.02 * rng.standard_normal())),
                    updates,
                    np.asarray(evaluated_at),
                    curve or _linear,
                )
            )
    plain = {
        "name": "synthetic",
        "title": "A synthetic study",
        "task": "none",
        "updates": updates,
        "axes": {name: list(values) for name, values in axes.items()},
        "replicates": replicates,
        "batch_size": 100,
        **({"selection": "validation"} if validation else {}),
    }
    return Landscape.of(plain | dict(study or {}), results)


def _linear(cell: Cell, final: float, updates: np.ndarray) -> np.ndarray:
    return 0.1 + (final - 0.1) * updates / updates.max()


def _result(
    cell: Cell,
    replicate: int,
    test: float,
    status: Status,
    collapsed: bool,
    not_started: bool,
    gap: float,
    val: float | None,
    seconds: float,
    updates: int,
    evaluated_at: np.ndarray,
    curve: Any,
) -> tuple[Trial, TrialResult]:
    key = content_key({"cell": {k: str(v) for k, v in cell.items()}, "replicate": replicate})
    finished = status is Status.FINISHED
    hidden = _hidden(cell)
    metrics = {
        "test_accuracy": test,
        "test_loss": -float(np.log(max(test, 1e-3))),
        "train_accuracy": test + gap,
        "train_loss": -float(np.log(max(test + gap, 1e-3))),
        "top_answer_share": 1.0 if collapsed or not_started else 0.2,
    }
    if val is not None:
        metrics |= {"val_accuracy": val, "val_loss": -float(np.log(max(val, 1e-3)))}
    recorded_at = np.arange(updates // 8, updates + 1, updates // 8)
    done = slice(None) if finished else slice(0, 3)
    curves = {
        "recorded_at": recorded_at[done],
        "train_loss": (2.3 * np.exp(-recorded_at / (np.inf if collapsed else updates)))[done],
        "train_accuracy": curve(cell, test + gap, recorded_at)[done],
        "evaluated_at": evaluated_at[done],
        "test_accuracy": curve(cell, test, evaluated_at)[done],
        "test_loss": 2.3 * np.exp(-evaluated_at / updates)[done],
    }
    if val is not None:
        curves |= {
            "val_accuracy": curve(cell, val, evaluated_at)[done],
            "val_loss": 2.3 * np.exp(-evaluated_at / updates)[done],
        }
    result = TrialResult(
        key=key,
        status=status,
        updates=updates if finished else int(recorded_at[2]),
        metrics=metrics if finished else {},
        curves=curves,
        seconds=seconds,
        n_parameters=hidden * hidden * 4 + 10 * hidden,
        flops=1e6 * hidden**2,
        memory_bytes=1000 * hidden,
        first_bad_update=int(recorded_at[2]) if status is Status.DIVERGED else None,
        bad_quantity="loss" if status is Status.DIVERGED else None,
        reason="a stated reason" if status is Status.FAILED else None,
    )
    return Trial(cell, replicate, key), result
