"""Where learning ends, which budget explains a table, and how much the metric varies."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from gridscape import analysis
from truth.settings import Kind, Once, Setting, holds
from truth.worlds import CHANCE, POINTS, UPDATES, Truth, World

BOUNDARY = "5. boundary holds P = 1/2"
BUDGET = "6. budget_fit holds the true share"
SPREAD = "6. spread() holds the true sd over 6 rates"
ROWS = 4
WIDTHS = [16, 32, 64, 128]
RATES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def of_the_boundary() -> Iterator[Setting]:
    """The rate at which half of the runs learn, between the values of grids of three finenesses."""
    measures = {
        "holds": Kind.HOLDS,
        "bias, decades": Kind.TOLD,
        "width, decades": Kind.TOLD,
        "known ends": Kind.POWER,
    }
    worlds = {
        "decades, one edge per replicate, scale .3 decades": (1, 0.3, True),
        "decades, trials independent, scale .3 decades": (1, 0.3, False),
        "quarter decades, one edge per replicate, scale .3 decades": (4, 0.3, True),
        "quarter decades, trials independent, scale .3 decades": (4, 0.3, False),
        "eighth decades, trials independent, scale .3 decades": (8, 0.3, False),
    }
    for name, (a_decade, scale, shared) in worlds.items():
        play = partial(_boundary, a_decade=a_decade, scale=scale, shared=shared)
        yield Setting(BOUNDARY, name, measures, play)


def _boundary(n: int, a_decade: int, scale: float, shared: bool) -> Once:
    """A run learns below an edge: that of its replicate in its row, or one of its own.

    Edges are logistic of this scale around a middle that lies anywhere within the grid's fourth
    decade.
    """
    logs = np.linspace(-5, 0, 5 * a_decade + 1)
    world = World({"hidden_size": WIDTHS, "learning_rate": (10**logs).tolist()}, n)

    def once(rng: np.random.Generator) -> dict[str, float]:
        middle = rng.uniform(-2.5, -1.5, ROWS)
        shape = (ROWS, 1 if shared else len(logs), n)
        edges = middle[:, None, None] + rng.logistic(0, scale, shape)
        learns = logs[None, :, None] < edges
        values = np.where(learns, 0.9 + 0.005 * rng.standard_normal(world.shape), CHANCE)
        rows = analysis.boundary(world.landscape(values, collapsed=~learns), threshold=0.5)
        with np.errstate(divide="ignore"):
            low, at, high = np.log10(
                [[r.estimate.low, r.estimate.mean, r.estimate.high] for r in rows]
            ).T
        ends = np.isfinite(low) & np.isfinite(high)
        return {
            "holds": _mean([holds(*ends) for ends in zip(low, middle, high, strict=True)]),
            "bias, decades": _mean(at - middle),
            "width, decades": _mean((high - low)[ends]),
            "known ends": float(ends.mean()),
        }

    return once


def _mean(numbers: Sequence[float] | np.ndarray) -> float:
    known = np.asarray(numbers, float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else np.nan


def of_the_budget() -> Iterator[Setting]:
    """A published table is one run after half of our updates."""
    worlds = {"no shared effect": 0.0, "pace shared by a replicate, sd 5 %": 0.05}
    for name, pace in worlds.items():
        measures = {"holds": Kind.HOLDS, "width": Kind.TOLD}
        yield Setting(BUDGET, name, measures, partial(_budget, pace=pace))


def _budget(n: int, pace: float) -> Once:
    """Curves rise towards a level of their cell in a time of their cell; runs scatter around."""
    shape = (2, 6)  # as many published cells as a fit takes twice over
    world = World({"hidden_size": WIDTHS[:2], "learning_rate": RATES}, n, curves=True)
    level = np.linspace(0.6, 0.97, 12).reshape(shape)[:, ::-1]
    time = np.geomspace(200, 4000, 12).reshape(shape)
    places = analysis.summarize(world.landscape(np.full(world.shape, 0.5)))

    def run(rng: np.random.Generator, at: np.ndarray, runs: int) -> np.ndarray:
        """(2, 6, runs, points)"""
        speed = np.exp(pace * rng.standard_normal(runs))[:, None]
        rise = 1 - np.exp(-at * speed / time[..., None, None])
        own = 0.005 * rng.standard_normal((*shape, runs, 1))
        return 0.1 + (level[..., None, None] - 0.1) * rise + own

    def once(rng: np.random.Generator) -> dict[str, float]:
        published = run(rng, np.array([UPDATES / 2]), 1)
        numbers = zip((s.cell for s in places), published.ravel().tolist(), strict=True)
        table = analysis.PublishedTable("half", "", "test_accuracy", tuple(numbers))
        curves = run(rng, POINTS, n)
        land = world.landscape(curves[..., -1], curve_test_accuracy=curves)
        fit = analysis.fit_budget(land, table)
        if fit is None:
            return {}
        low, high = fit.updates.low / fit.budget, fit.updates.high / fit.budget
        return {"holds": holds(low, 0.5, high), "width": high - low}

    return once


def of_the_spread() -> Iterator[Setting]:
    """How much the metric varies over the rates, with little and with much noise."""
    for name, ratio in (("noise a quarter of the truth", 0.25), ("noise 1.3 times of it", 1.3)):
        measures = {"holds": Kind.HOLDS, "bias, of the truth": Kind.TOLD}
        yield Setting(SPREAD, name, measures, partial(_spread, ratio=ratio))


def _spread(n: int, ratio: float) -> Once:
    world = World({"hidden_size": [16], "learning_rate": RATES}, n)
    means = 0.7 + 0.02 * np.array([-1.2, -0.4, 1.0, 1.3, 0.1, -0.8])
    true = float(means.std(ddof=1))
    truth = Truth(means, ratio * true)

    def once(rng: np.random.Generator) -> dict[str, float]:
        (row,) = analysis.spread(world.draw(rng, truth), "learning_rate")
        said = row.standard_deviation
        return {
            "holds": holds(said.low, true, said.high),
            "bias, of the truth": said.mean / true - 1,
        }

    return once
