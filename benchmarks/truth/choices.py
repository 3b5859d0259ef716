"""The best value per row, and the smallest network that will do."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from gridscape import analysis
from truth.settings import TWO_NUMBERS, Kind, NotSaidError, Once, Setting, holds
from truth.worlds import Truth, World

BEST = "2. best_per (6 rates, 4 rows)"
SMALLEST = "4. smallest within .5"
RATES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
WIDTHS = [16, 32, 64, 128]
MARGIN = 0.005

HUMP = np.array([0.85, 0.93, 0.962, 0.97, 0.955, 0.90])
GROWING = np.array([0.002, 0.003, 0.006, 0.012, 0.03, 0.08])


def of_the_best_value() -> Iterator[Setting]:
    """Whether the set of the best value holds it, and what is said where it does not."""
    measures = {
        "the set holds the best": Kind.HOLDS,
        "in all 4 rows at once": Kind.SEEN,
        "size of the set": Kind.TOLD,
        "a wrong value reported alone": Kind.FALSE,
        "the value named is not the best": Kind.SEEN,
        "the best is untested": Kind.SEEN,
        '"low to high" spans an excluded value': Kind.SEEN,
    }
    tie = np.array([0.75, 0.90, 0.95, 0.970, 0.969, 0.50])
    tie_sd = np.array([0.003, 0.003, 0.004, 0.005, 0.03, 0.08])
    close = np.array([0.90, 0.94, 0.962, 0.970, 0.967, 0.93])
    close_sd = np.array([0.005, 0.005, 0.006, 0.007, 0.009, 0.01])
    fails, often = np.zeros(6), np.zeros(6)
    fails[3], often[4] = 0.3, 0.6
    higher = np.array([0.75, 0.90, 0.955, 0.965, 0.975, 0.60])
    worlds = {
        "hump with growing sd": (Truth(HUMP, GROWING), 3),
        "hump, t3": (Truth(HUMP, GROWING, tails="t3"), 3),
        "near tie at the edge": (Truth(tie, tie_sd), 3),
        "next best .3 points lower, sd .5-1": (Truth(close, close_sd), 3),
        "the best rate diverges in 30 %": (Truth(HUMP, 0.003, diverges=fails), 3),
        "a rate that diverges in 60 % has the highest mean": (
            Truth(higher, 0.004, diverges=often),
            3,
        ),
        "20 % missing, shared sd .02": (Truth(HUMP, GROWING, shared=0.02, missing=0.2), 3),
    }
    for name, (truth, best) in worlds.items():
        play = partial(_best, truth=truth, best=best)
        yield Setting(BEST, name, measures, play)
    measures = {"its interval holds it": Kind.HOLDS, "error, decades": Kind.TOLD}
    yield Setting(BEST, "the optimum lies between the rates", measures, _optimum)
    alike = {"size of the set": Kind.TOLD}
    yield Setting(BEST, "6 equal cells", alike, partial(_best, truth=Truth(0.9), best=None))


def _best(n: int, truth: Truth, best: int | None) -> Once:
    """best: the place of the rate that is best in every row; None where all are."""
    world = World({"hidden_size": WIDTHS, "learning_rate": RATES}, n)
    sought = None if best is None else RATES[best]

    def once(rng: np.random.Generator) -> dict[str, float]:
        rows = analysis.best_per(world.draw(rng, truth))
        known = [row for row in rows if row.equivalent]
        inside = [float(sought in row.equivalent) for row in known]
        return {
            "the set holds the best": _mean(inside),
            "in all 4 rows at once": min(inside, default=math.nan),
            "size of the set": _mean([len(row.equivalent) for row in known]),
            "a wrong value reported alone": _mean(
                [float(len(row.equivalent) == 1 and sought not in row.equivalent) for row in rows]
            ),
            "the value named is not the best": _mean(
                [float(row.value != sought) for row in rows if row.value is not None]
            ),
            "the best is untested": _mean([float(sought in row.untested) for row in rows]),
            '"low to high" spans an excluded value': _mean(
                [float(_has_hole(row.equivalent)) for row in known]
            ),
        }

    return once


def _optimum(n: int) -> Once:
    """A parabola over the log rate in each row, its top anywhere around the middle of the axis."""
    if "optimum" not in analysis.BestPerRow.__dataclass_fields__:
        raise NotSaidError("where between its values the best one lies")
    world = World({"hidden_size": WIDTHS, "learning_rate": RATES}, n)
    logs = np.log10(RATES)

    def once(rng: np.random.Generator) -> dict[str, float]:
        tops = rng.uniform(-3.5, -1.5, len(WIDTHS))
        truth = Truth(0.95 - 0.02 * (logs - tops[:, None]) ** 2)
        said = [row.optimum for row in analysis.best_per(world.draw(rng, truth))]
        true = 10**tops
        return {
            "its interval holds it": _mean(
                [holds(o.low, top, o.high) for o, top in zip(said, true, strict=True)]
            ),
            "error, decades": _mean(np.abs(np.log10([o.mean for o in said]) - tops).tolist()),
        }

    return once


def _has_hole(values: Sequence[float]) -> bool:
    places = [RATES.index(value) for value in values]
    return max(places) - min(places) >= len(places)


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if len(numbers) else math.nan


def of_the_smallest() -> Iterator[Setting]:
    """Five widths; all but the largest are worse than it by a number."""
    false, named = {"": Kind.FALSE}, {"": Kind.SEEN}
    widths, rates = [*WIDTHS, 256], RATES[2:5]

    def means(short_by: float, low: Sequence[float]) -> np.ndarray:
        """(5, 3) at the rates of a width; ``low``: what its three rates of the small ones lack."""
        found = np.full((5, 3), 0.97 - short_by) - np.asarray(low)
        found[-1] = [0.90, 0.97, 0.90]
        return found

    one_good, three_good = means(0.0051, [0.07, 0, 0.07]), means(0.0051, [0, 0, 0])
    small = np.zeros((5, 3))
    small[:-1] = 0.1
    worlds = {
        "FALSE: four networks worse by .51, sd .2, one good rate": Truth(one_good, 0.002),
        "FALSE: the same, three equal rates in the small ones": Truth(three_good, 0.002),
    }
    for name, truth in worlds.items():
        yield Setting(SMALLEST, name, false, partial(_smallest, widths, rates, truth=truth))
    truth = Truth(means(0.0, [0.07, 0, 0.07]), 0.004, collapses=small)
    name = "the small ones collapse in 10 % (9 points lower in the mean)"
    by_version = {"FALSE, of the mean": Kind.FALSE, "true, of the runs that learn": Kind.POWER}
    yield Setting(SMALLEST, name, by_version, partial(_smallest, widths, rates, truth=truth))
    truth = replace(truth, collapses=5 * small)
    name = "FALSE: the small ones collapse in half of their runs"
    play = partial(_smallest, widths, rates, truth=truth, unless_best=True)
    yield Setting(SMALLEST, name, false, play)
    truth = Truth(np.where(np.arange(15).reshape(5, 3) == 13, 0.97, 0.97 - 0.0055), 0.005)
    name = '"the best" itself is worse than another by over .5 (sd .5)'
    yield Setting(SMALLEST, name, named, partial(_best_is_worse, widths, rates, truth=truth))
    measures = {
        '"No smaller network comes within" (or: is shown to)': Kind.SEEN,
        "finds the smallest": Kind.POWER,
    }
    for sd in (0.002, 0.005):
        truth = Truth(means(0.001, [0.07, 0, 0.07]), sd)
        name = f"all four lose .1, sd {100 * sd:.1g}"
        yield Setting(SMALLEST, name, measures, partial(_finds, widths, rates, truth=truth))


def _smallest(
    widths: Sequence[int],
    rates: Sequence[float],
    n: int,
    truth: Truth,
    unless_best: bool = False,
) -> Once:
    """Only the largest width comes within the margin: another one is said to by mistake.

    unless_best: not where the other one is the best itself, of which nothing is then said.
    """
    world = World({"hidden_size": widths, "learning_rate": rates}, n)

    def once(rng: np.random.Generator) -> dict[str, float]:
        found = analysis.smallest_equivalent(world.draw(rng, truth), MARGIN)
        if found is None:
            return {"": 0.0}
        is_best = unless_best and found.cell.cell == found.best.cell
        other = float(found.cell.cell["hidden_size"] != widths[-1] and not is_best)
        version = "true, of the runs that learn" if TWO_NUMBERS else "FALSE, of the mean"
        return {"": other, version: other}

    return once


def _best_is_worse(widths: Sequence[int], rates: Sequence[float], n: int, truth: Truth) -> Once:
    world = World({"hidden_size": widths, "learning_rate": rates}, n)
    top = float(np.max(truth.mean))

    def once(rng: np.random.Generator) -> dict[str, float]:
        land = world.draw(rng, truth)
        found = analysis.smallest_equivalent(land, MARGIN)
        if found is None:
            return {}
        return {"": float(truth.mean[land.grid.places(found.best.cell)] < top - MARGIN)}

    return once


def _finds(widths: Sequence[int], rates: Sequence[float], n: int, truth: Truth) -> Once:
    world = World({"hidden_size": widths, "learning_rate": rates}, n)

    def once(rng: np.random.Generator) -> dict[str, float]:
        found = analysis.smallest_equivalent(world.draw(rng, truth), MARGIN)
        if found is None:
            return {}
        width = found.cell.cell["hidden_size"]
        none = width == found.best.cell["hidden_size"] != widths[0]
        return {
            '"No smaller network comes within" (or: is shown to)': float(none),
            "finds the smallest": float(width == widths[0]),
        }

    return once
