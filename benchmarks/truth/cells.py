"""Intervals of one cell, of the chosen best cell, and of a published run."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from gridscape import analysis
from gridscape.analysis.cells import paired, top_cell
from truth.settings import TWO_NUMBERS, Kind, NotSaidError, Once, Setting, holds
from truth.worlds import Truth, World

CELL = "1. t interval of a cell holds its mean"
RUN = "1. interval of one new run (published tables)"
NEW_IMAGES = '1. the same interval read as "accuracy on new images"'
WINNER = "3. winner"
ONE_CELL = {"learning_rate": [0.01]}
RATES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
SHARES = (0.05, 0.1, 0.2, 0.4)


def of_a_cell() -> Iterator[Setting]:
    """Whether the interval of a mean holds it."""
    mean, both = {"": Kind.HOLDS}, {"mean": Kind.HOLDS, "share that learns": Kind.HOLDS}
    yield Setting(CELL, "normal", mean, partial(_cell, truth=Truth(0.9)))
    yield Setting(CELL, "heavy tails (t3)", mean, partial(_cell, truth=Truth(0.9, tails="t3")))
    for level, sd in ((0.99, 0.008), (0.995, 0.01)):
        name = f"near 1, beta, mean {level} sd {sd}"
        yield Setting(CELL, name, mean, partial(_near_one, mean=level, sd=sd, examples=None))
    name = "near 1 and 360 test examples (discrete), mean .995 sd .005"
    yield Setting(CELL, name, mean, partial(_near_one, mean=0.995, sd=0.005, examples=360))
    for kind in ("collapses", "diverges"):
        for share in SHARES:
            truth = Truth(0.9, 0.01, **{kind: share})
            yield Setting(
                CELL, f"{kind} in {100 * share:.0f} % of runs", both, partial(_cell, truth=truth)
            )


def of_a_run() -> Iterator[Setting]:
    """Whether the interval of one new run holds one."""
    worlds = {
        "normal": Truth(0.9),
        "t3": Truth(0.9, tails="t3"),
        "10 % collapse": Truth(0.9, 0.01, collapses=0.1),
    }
    for name, truth in worlds.items():
        yield Setting(RUN, name, {"": Kind.HOLDS}, partial(_new_run, truth=truth))
    for examples, sd in ((10_000, 0.003), (2_000, 0.003), (360, 0.008)):
        name = f"{examples:,} test images (sd {sd})"
        yield Setting(NEW_IMAGES, name, {"": Kind.SEEN}, partial(_new_images, examples, sd))


def of_the_winner() -> Iterator[Setting]:
    """What is shown of the best cell, beside what is true of it."""
    measures = {
        "excess of the plain mean, points": Kind.TOLD,
        "its plain interval holds its truth": Kind.SEEN,
        "excess of the shrunken score, points": Kind.TOLD,
        "the interval shown of it holds its truth": Kind.HOLDS,
        "width of that interval, points": Kind.TOLD,
    }
    worlds: dict[str, tuple[dict[str, Any], Truth]] = {
        f"{rows * columns} equal cells, sd .5": (_grid(rows, columns), Truth(0.9))
        for rows, columns in ((2, 5), (4, 6), (9, 6))
    }
    good = np.broadcast_to([0.2, 0.6, 0.945, 0.95, 0.90, 0.3], (4, 6))
    sd = np.broadcast_to([0.004, 0.004, 0.004, 0.01, 0.06, 0.06], (4, 6))
    worlds["three good rates a width, sd .4-6 points"] = (_grid(4, 6), Truth(good, sd))
    measured = np.array([0.2, 0.7, 0.92, 0.95, 0.6, 0.1]) + np.arange(4)[:, None] * 0.008
    scatter = np.broadcast_to([0.01, 0.008, 0.004, 0.004, 0.08, 0.02], (4, 6))
    worlds["4 x 6 as measured (one clear best)"] = (_grid(4, 6), Truth(measured, scatter))
    for name, (axes, truth) in worlds.items():
        yield Setting(WINNER, name, measures, partial(_winner, axes=axes, truth=truth))
    name = '"against the best cell" intervals hold, 24 equal cells'
    play = partial(_against_the_best, axes=_grid(4, 6), truth=Truth(0.9))
    yield Setting(WINNER, name, {"": Kind.HOLDS}, play)


def _grid(rows: int, columns: int) -> dict[str, Any]:
    widths = [16 * 2**i for i in range(rows)]
    return {"hidden_size": widths, "learning_rate": RATES[:columns]}


def _cell(n: int, truth: Truth) -> Once:
    world = World(ONE_CELL, n)
    rate = 1 - np.asarray(truth.diverges) - np.asarray(truth.collapses)

    def once(rng: np.random.Generator) -> dict[str, float]:
        (cell,) = analysis.summarize(world.draw(rng, truth))
        mean = truth.mean if TWO_NUMBERS else float(truth.mean_of_finished())
        said = holds(cell.estimate.low, mean, cell.estimate.high)
        answers = {"": said, "mean": said}
        if TWO_NUMBERS:
            answers["share that learns"] = holds(cell.share.low, float(rate), cell.share.high)
        return answers

    return once


def _near_one(n: int, mean: float, sd: float, examples: int | None) -> Once:
    """Runs of a beta distribution, or counts of right answers whose share is one."""
    variance = sd**2 - (mean * (1 - mean) / examples if examples else 0.0)
    strength = mean * (1 - mean) / variance - 1
    world = World(ONE_CELL, n, examples=examples)

    def once(rng: np.random.Generator) -> dict[str, float]:
        values = rng.beta(mean * strength, (1 - mean) * strength, world.shape)
        if examples:
            values = rng.binomial(examples, values) / examples
        (cell,) = analysis.summarize(world.landscape(values))
        return {"": holds(cell.estimate.low, mean, cell.estimate.high)}

    return once


def _new_run(n: int, truth: Truth) -> Once:
    """A published run is drawn from the same world as ours; where two numbers tell a cell, one that
    learns."""
    ours, theirs = World(ONE_CELL, n), World(ONE_CELL, 1)
    learns = replace(truth, collapses=0.0) if TWO_NUMBERS else truth

    def once(rng: np.random.Generator) -> dict[str, float]:
        published = theirs.draw(rng, learns).values("test_accuracy").item()
        land = ours.draw(rng, truth)
        (place,) = land.grid.cells()
        table = analysis.PublishedTable("run", "", "test_accuracy", ((place, published),))
        (cell,) = analysis.compare_published(land, table).cells
        return {"": holds(cell.prediction_low, published, cell.prediction_high)}

    return once


def _new_images(examples: int, sd: float, n: int) -> Once:
    """All replicates are measured on one draw of test images."""
    truth = 0.97
    world = World(ONE_CELL, n, examples=examples)

    def once(rng: np.random.Generator) -> dict[str, float]:
        luck = np.sqrt(truth * (1 - truth) / examples) * rng.standard_normal()
        (cell,) = analysis.summarize(world.draw(rng, Truth(truth + luck, sd)))
        return {"": holds(cell.estimate.low, truth, cell.estimate.high)}

    return once


def _winner(n: int, axes: dict[str, Any], truth: Truth) -> Once:
    world = World(axes, n)

    def once(rng: np.random.Generator) -> dict[str, float]:
        land = world.draw(rng, truth)
        shown = top_cell(analysis.summarize(land))
        if shown is None:
            return {}
        mean = _mean_at(land, truth, shown.cell)
        plain = shown.estimate
        answers = {
            "excess of the plain mean, points": 100 * (plain.mean - mean),
            "its plain interval holds its truth": holds(plain.low, mean, plain.high),
        }
        interval = plain
        if (found := _told_winner(land)) is not None:
            cell, interval, shrunken = found
            mean = _mean_at(land, truth, cell)
            answers["excess of the shrunken score, points"] = 100 * (shrunken - mean)
        return answers | {
            "the interval shown of it holds its truth": holds(interval.low, mean, interval.high),
            "width of that interval, points": 100 * (interval.high - interval.low),
        }

    return once


def _told_winner(land: Any) -> tuple[Any, Any, float] | None:
    """The cell, the simultaneous interval and the shrunken score of ``analysis.winner``."""
    if find_spec("gridscape.analysis.winner") is None:
        return None
    found = import_module("gridscape.analysis.winner").winner(land)
    if found is None:
        return None
    return found.best.cell, found.simultaneous, found.shrunken


def _mean_at(land: Any, truth: Truth, cell: Any) -> float:
    means = np.broadcast_to(truth.mean, [len(axis.values) for axis in land.axes])
    return float(means[land.grid.places(cell)])


def _against_the_best(n: int, axes: dict[str, Any], truth: Truth) -> Once:
    """The differences that the page shows against the best cell; all are 0, and hold together."""
    world = World(axes, n)
    against = getattr(import_module("gridscape.analysis"), "against", None)

    def once(rng: np.random.Generator) -> dict[str, float]:
        cells = analysis.summarize(world.draw(rng, truth))
        best = top_cell(cells)
        if best is None:
            raise NotSaidError("no best cell")
        others = [cell for cell in cells if cell is not best]
        if against is None:
            said = [paired(best, cell).estimate for cell in others]
            return {"": float(np.nanmean([holds(i.low, 0.0, i.high) for i in said]))}
        found = against(cells, best)
        ends = [(found[s.cell].low, found[s.cell].high) for s in others]
        return {"": float(min(holds(low, 0.0, high) for low, high in ends))}

    return once
