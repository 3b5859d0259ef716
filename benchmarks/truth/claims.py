"""Claims by every rule, where they are false and where they are true."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from gridscape.claims import RULES, Claim, Outcome, Verdict, judge
from gridscape.landscape import Landscape
from truth.settings import TWO_NUMBERS, Answers, Kind, NotSaidError, Once, Setting
from truth.worlds import POINTS, Axes, Truth, World

RATES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
WIDTHS = [16, 32, 64, 128]
NINE = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
GRID: Axes = MappingProxyType({"hidden_size": WIDTHS, "learning_rate": RATES})

FALSE, TRUE, BOUND = "false", "true", "at the bound"
HOLDS, FAILS, TRULY = "holds when false", "fails when true", "holds when true"
MEASURES: Mapping[str, Mapping[str, Kind]] = {
    FALSE: {HOLDS: Kind.FALSE},
    TRUE: {FAILS: Kind.FALSE, TRULY: Kind.POWER},
    BOUND: {HOLDS: Kind.FALSE, FAILS: Kind.FALSE},
}
# A cell that diverges in 40 % of its runs, and is better by this where it does not, is worse in
# half of all replicates: .4 + .6 P(z > .967) = 1/2, where a difference has an sd of sqrt(2) .005.
HALF_OF_40 = 0.967 * np.sqrt(2) * 0.005
Draw = Callable[[World, np.random.Generator], Landscape]


@dataclass(frozen=True)
class Case:
    """A rule in a world.

    truth: what runs are drawn from; or ``draw``, where more than the test accuracy matters.
    is_: whether the statement is false, true, or so near to its bound that holding (it asks for
        more than the bound) and failing (by any small amount it is true) are both false.
    of_runs: the same where cells are told by two numbers; None where that makes no difference.
    """

    rule: str
    name: str
    is_: str
    axes: Axes
    parameters: Mapping[str, Any]
    truth: Truth = field(default_factory=lambda: Truth(0.9))
    draw: Draw | None = None
    curves: bool = False
    of_runs: str | None = None

    def world(self, n: int) -> World:
        return World(self.axes, n, curves=self.curves)

    def landscape(self, world: World, rng: np.random.Generator) -> Landscape:
        return self.draw(world, rng) if self.draw else world.draw(rng, self.truth)

    def setting(self, part: str) -> Setting:
        measures = MEASURES[self.is_] | MEASURES[self.of_runs or self.is_]
        return Setting(part, f"{self.rule}: {self.name}", measures, self.play)

    def play(self, n: int) -> Once:
        world, ask = self.world(n), self.asked()
        counted = MEASURES[self.of_runs if TWO_NUMBERS and self.of_runs else self.is_]

        def once(rng: np.random.Generator) -> Answers:
            said = ask(self.landscape(world, rng)).outcome
            holds, fails = float(said is Outcome.HOLDS), float(said is Outcome.FAILS)
            answers = {HOLDS: holds, FAILS: fails, TRULY: holds}
            return {name: answers[name] for name in counted}

        return once

    def asked(self) -> Callable[..., Verdict]:
        """A function that judges the statement by a landscape. Raises NotSaidError."""
        if self.rule not in RULES:
            raise NotSaidError(f"no rule {self.rule}")
        axes = World(self.axes, 1).draw(np.random.default_rng(0), Truth(0.9)).axes
        claim = Claim("a", "", "", self.rule, self.parameters, "", axes)
        return lambda land, **level: judge(land, [claim], **level)[0]


def of_claims() -> Iterator[Setting]:
    """False statements at the smallest distance, and true ones that must not fail."""
    for case in cases():
        yield case.setting("7. claims, false verdicts at the smallest distance")


def cases() -> Iterator[Case]:
    """Every rule, in the tables' order."""
    yield from _ordered()
    yield from _best_is()
    yield from _comparable_and_levels()
    yield from _gap()
    yield from _equal_at_lower_cost()
    yield from _monotone_in()
    yield from _goldilocks()
    yield from _spread_larger()
    yield from _best_shrinks()
    yield from _splits_at()
    yield from _at_the_edge()
    yield from _underfits()
    yield from _smoother()


MOST_SDS, HALVINGS = 64.0, 9


def of_found_differences() -> Iterator[Setting]:
    """How far cells must be apart, in sd of a trial, to be told apart in 80 %."""
    pair = {"hidden_size": [16, 32], "learning_rate": [0.01]}
    higher = {"cells": [{"hidden_size": 16}, {"hidden_size": 32}], "at": {"learning_rate": 0.01}}
    cases = {
        "one pair": (Case("ordered", "", TRUE, pair, higher), column([0, 1])),
        "six steps": (Case("ordered", "", TRUE, SEVEN, IN_ORDER), column(range(7))),
        "the best over 8 rivals": (
            Case("best_is", "", TRUE, THREE_BY_THREE, THE_CENTER),
            center(1) - center(1).min(),
        ),
    }
    part = "7. power, difference that is found in 80 %, in sd of a trial"
    for name, (case, apart) in cases.items():
        yield Setting(part, name, {"": Kind.MOST}, partial(_found, case, apart))


def _found(case: Case, apart: np.ndarray, n: int) -> Once:
    """The smallest difference at which the statement holds, the noise staying as it is."""
    world, ask, sd = case.world(n), case.asked(), 0.001

    def once(rng: np.random.Generator) -> Answers:
        noise = 0.5 + sd * rng.standard_normal(world.shape)
        low, high = 0.0, MOST_SDS
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            land = world.landscape(noise + middle * sd * apart[..., None])
            holds = ask(land).outcome is Outcome.HOLDS
            low, high = (low, middle) if holds else (middle, high)
        return {"": high}

    return once


def of_power() -> Iterator[Setting]:
    """True statements, at distances that are to be found."""
    for case in power_cases():
        yield case.setting("7. power, true statements")


# ---- cells in order ------------------------------------------------------------------------

SEVEN = {"hidden_size": NINE[:7], "learning_rate": [0.01]}
IN_ORDER = {"cells": [{"hidden_size": width} for width in NINE[:7]], "at": {"learning_rate": 0.01}}
THREE_BY_THREE = {"hidden_size": WIDTHS[:3], "learning_rate": RATES[2:5]}
THE_CENTER = {"cell": {"hidden_size": 32, "learning_rate": 1e-2}}


def column(means: Sequence[float]) -> np.ndarray:
    """(widths, 1)"""
    return np.asarray(means, float)[:, None]


def steps(size: float, n: int, start: float = 0.7) -> np.ndarray:
    """Means that grow by ``size`` from each to the next."""
    return start + size * np.arange(n)


def center(lead: float, rival: float | None = None) -> np.ndarray:
    """(3, 3) the middle cell leads by this; the first lies lower by ``rival`` where it is given."""
    means = np.full((3, 3), 0.9 - lead)
    means[1, 1] = 0.9
    if rival is not None:
        means[0, 0] = 0.9 - rival
    return means


def _ordered() -> Iterator[Case]:
    far = steps(0.08, 7, 0.4)  # so far apart that all depends on one pair
    pair = far.copy()
    pair[4:] -= 0.08  # the fifth equals the fourth
    lost = column([0, 0, 0, 0, 0.6, 0, 0])
    uneven = Truth(column(pair), column([0.005, 0.005, 0.005, 0.005, 0.05, 0.005, 0.005]))
    worlds = {
        "one of 6 pairs equal": (FALSE, Truth(column(pair))),
        "one of 6 pairs equal, t3": (FALSE, Truth(column(pair), tails="t3")),
        "one of 6 pairs equal, one of them with 10 times the sd": (FALSE, uneven),
        "one of 6 pairs equal, shared sd .02": (FALSE, Truth(column(pair), shared=0.02)),
        "one of 6 pairs equal, 20 % missing": (FALSE, Truth(column(pair), missing=0.2)),
        "a higher cell diverges in 60 %": (FALSE, Truth(column(far), diverges=lost)),
        "all by 0+": (BOUND, Truth(column(steps(0, 7)))),
        "all by 0+, t3": (BOUND, Truth(column(steps(0, 7)), tails="t3")),
    }
    for name, (is_, truth) in worlds.items():
        yield Case("ordered", name, is_, SEVEN, IN_ORDER, truth)


def _best_is() -> Iterator[Case]:
    sd = np.full((3, 3), 0.005)
    sd[0, 0] = 0.05
    rival = center(0.1, 0.0)  # the others are so far behind that all depends on one
    first, middle = np.zeros((3, 3)), np.zeros((3, 3))
    first[0, 0], middle[1, 1] = 0.4, 0.6
    better = center(0.1, -HALF_OF_40)
    worlds = {
        "one rival of 8 equal": (FALSE, Truth(rival)),
        "one rival of 8 equal, t3": (FALSE, Truth(rival, tails="t3")),
        "one rival of 8 equal, with 10 times the sd": (FALSE, Truth(rival, sd)),
        "one rival of 8 equal, 20 % missing, shared sd .02": (
            FALSE,
            Truth(rival, shared=0.02, missing=0.2),
        ),
        "one rival better where it learns, worse in half as it diverges in 40 %": (
            FALSE,
            Truth(better, diverges=first),
        ),
        "the best diverges in 60 %, the others are 20 sd lower": (
            FALSE,
            Truth(center(0.1), diverges=middle),
        ),
        "best by 0+ of 9": (BOUND, Truth(center(0))),
    }
    for name, (is_, truth) in worlds.items():
        yield Case("best_is", name, is_, THREE_BY_THREE, THE_CENTER, truth)
    name, truth = "one rival of 8 equal, which diverges in 40 %", Truth(rival, diverges=first)
    yield Case("best_is", name, FALSE, THREE_BY_THREE, THE_CENTER, truth, of_runs=TRUE)


FOUR = {"hidden_size": WIDTHS, "learning_rate": [0.01]}
ONE = {"hidden_size": [64], "learning_rate": [0.01]}


def _comparable_and_levels() -> Iterator[Case]:
    parameters, apart = {"where": {}, "margin": 0.01}, np.array([1, -1 / 3, -1 / 3, -1 / 3])
    name, truth = "one cell at the margin", Truth(column(0.9 + 0.01 * apart))
    yield Case("comparable", name, BOUND, FOUR, parameters, truth, of_runs=FALSE)
    name, truth = "one cell at the margin of the others", Truth(column(0.9 + 0.0075 * apart))
    yield Case("comparable", name, TRUE, FOUR, parameters, truth, of_runs=BOUND)
    near = {"parts": [{"where": {}, "near": 0.9, "within": 0.03}]}
    for tails in ("normal", "t3"):
        truth = Truth(0.93, tails=tails)
        yield Case("levels", f"near, at the margin, {tails}", BOUND, ONE, near, truth)


def _gap() -> Iterator[Case]:
    parameters = {
        "where": {},
        "minuend": "train_accuracy",
        "subtrahend": "test_accuracy",
        "exceeds": 0.1,
    }

    def draw(world: World, rng: np.random.Generator, mean: float, sd: float) -> Landscape:
        values = mean + sd * rng.standard_normal(world.shape)
        return world.landscape(values, gap=0.1 + 0.01 * rng.standard_normal(world.shape))

    fixed = partial(draw, mean=0.6, sd=0.01)
    yield Case("gap", "exactly the bound", BOUND, FOUR, parameters, draw=fixed)
    chosen, some = parameters | {"failing_below": 0.5}, partial(draw, mean=0.5, sd=0.1)
    name = "exactly the bound, cells selected by failing_below"
    yield Case("gap", name, BOUND, FOUR, chosen, draw=some)


TWO_COSTS = {"hidden_size": [32, 2048], "learning_rate": [1e-3, 1e-2]}


def _cost_case(name: str, is_: str, difference: float, cost: str, ratio: float) -> Case:
    """Two cells of this difference in accuracy; one costs this share of the other.

    Seconds are stored as they are: one timing for all replicates of a cell, off by 5 %.
    """
    a, b = (
        {"hidden_size": 32, "learning_rate": 1e-2},
        {"hidden_size": 2048, "learning_rate": 1e-3},
    )
    parameters = {"a": a, "b": b, "margin": 0.005, "cost": cost, "at_most": 0.25}
    means = np.array([[0.9, 0.95 - difference], [0.95, 0.9]])

    def draw(world: World, rng: np.random.Generator) -> Landscape:
        values = means[..., None] + 0.002 * rng.standard_normal(world.shape)
        costs = np.array([[1.0, ratio], [1.0, 1.0]])[..., None] * np.ones(world.shape)
        if cost == "seconds":
            costs = costs * np.exp(0.05 * rng.standard_normal((2, 2, 1)))
        return world.landscape(values, **{cost: costs})

    return Case("equal_at_lower_cost", name, is_, TWO_COSTS, parameters, draw=draw)


def _equal_at_lower_cost() -> Iterator[Case]:
    yield _cost_case("accuracy at the margin", FALSE, 0.005, "flops", 0.1)
    name = "seconds as stored (one timing per cohort), ratio exactly 1/4"
    yield _cost_case(name, BOUND, 0.0, "seconds", 0.25)


# ---- rules along an axis -------------------------------------------------------------------

TWO_RATES = {"hidden_size": NINE, "learning_rate": [1e-5, 1e-4]}
RISES = {
    "axis": "hidden_size",
    "at": {"learning_rate": [1e-5, 1e-4]},
    "direction": "rises",
    "tolerance": 0.005,
}


def _monotone_in() -> Iterator[Case]:
    up, flat = steps(0.01, 9), np.full(9, 0.7)

    def case(name: str, is_: str, second: np.ndarray, sd: float = 0.005, **more: Any) -> Case:
        truth = Truth(np.stack([up, second], axis=1), sd, **more)
        return Case("monotone_in", name, is_, TWO_RATES, RISES, truth)

    yield case("one row flat", FALSE, flat)
    yield case("one row flat, shared sd .02", FALSE, flat, shared=0.02)
    truth = Truth(np.stack([flat, flat], axis=1))
    yield Case("monotone_in", "slopes 0+", BOUND, TWO_RATES, RISES, truth)
    for points in (0.6, 1.5):
        dip = steps(0.02, 9)
        dip[5:] -= 0.02 + points / 100
        yield case(f"a step falls {points} points (allowed .5), sd .5", FALSE, dip)
    dip = steps(0.06, 9, 0.3)
    dip[5:] -= 0.10
    yield case("a step falls 4 points, sd 3", FALSE, dip, 0.03)
    lost = np.zeros((9, 2))
    lost[-1, 1] = 1.0
    yield case("the largest width always diverges", FALSE, up, diverges=lost)


ZONE = {
    "axis": "learning_rate",
    "per": "hidden_size",
    "low": 1e-5,
    "high": 1e-3,
    "tolerance": 0.005,
}
HUMP = np.array([0.30, 0.60, 0.90, 0.90, 0.70, 0.20])


def zone(row: Sequence[float], others: Sequence[float] = HUMP) -> np.ndarray:
    """(4, 6) the first width has a row of its own."""
    return np.array([row, others, others, others])


def _goldilocks() -> Iterator[Case]:
    def case(
        name: str, is_: str, means: np.ndarray, sd: float = 0.005, of_runs: Any = None, **more: Any
    ) -> Case:
        truth = Truth(means, sd, **more)
        return Case("goldilocks", name, is_, GRID, ZONE, truth, of_runs=of_runs)

    level = [0.3, 0.6, 0.9, 0.9, 0.9, 0.9]
    yield case("no fall in one row, 4 equal rates", FALSE, zone(level))
    yield case("falls by 0+", BOUND, zone(level, level))
    dip = [0.3, 0.26, 0.9, 0.9, 0.7, 0.2]
    yield case("falls 4 points on the way, sd 3", FALSE, zone(dip), 0.03)
    lost = np.zeros((4, 6))
    lost[0, 2] = 1.0
    yield case("the rate 1e-3 always diverges in one row", FALSE, zone(HUMP), diverges=lost)
    lost = np.zeros((4, 6))
    lost[0, 5] = 0.4
    name = "no fall in one row, whose end diverges in 40 % of runs"
    yield case(name, FALSE, zone(level), diverges=lost, of_runs=TRUE)
    name = "a rise in one row, lower in half as its end diverges in 40 %"
    higher = [0.3, 0.6, 0.9, 0.8, 0.8, 0.9 + HALF_OF_40]
    yield case(name, FALSE, zone(higher), diverges=lost)


SPREADS = {"axis": "learning_rate", "than": "hidden_size"}


def spreads(over_rates: float, over_widths: float) -> np.ndarray:
    """(4, 6) means whose sd over the rates of a width, and over the widths of a rate, is this."""
    rates, widths = np.array([-1.2, -0.4, 1.0, 1.3, 0.1, -0.8]), np.array([-1.0, 0.5, 1.2, -0.7])
    rates, widths = rates / rates.std(ddof=1), widths / widths.std(ddof=1)
    return 0.6 + over_rates * rates + over_widths * widths[:, None]


GROWS = np.array([0.002, 0.004, 0.008, 0.016, 0.03, 0.06])


def _spread_larger() -> Iterator[Case]:
    worlds = {
        "both 5 points, even noise": Truth(spreads(0.05, 0.05), 0.01),
        "both 0, even noise (6 rates against 4 widths)": Truth(spreads(0, 0), 0.01),
        "both 0, noise grows with the rate": Truth(spreads(0, 0), GROWS),
        "both 3 points, noise grows with the rate": Truth(spreads(0.03, 0.03), GROWS),
    }
    for name, truth in worlds.items():
        yield Case("spread_larger", name, FALSE, GRID, SPREADS, truth)


SHRINKS = {"axis": "learning_rate", "along": "hidden_size"}


def peaks(places: Sequence[float], sharpness: float) -> np.ndarray:
    """(4, 6) a parabola over the log rate for each width; at these decades, so many a decade^2."""
    logs = np.log10(RATES)
    return 0.95 - sharpness * (logs - np.asarray(places)[:, None]) ** 2


def plateaus(lead: float) -> np.ndarray:
    """(4, 6) best at 1e-2 everywhere, by ``lead``; k rates below it are equal at width k."""
    means = peaks([-2] * 4, 0.05)
    for k in range(4):
        means[k, 3 - k : 3] = 0.95 - lead
    return means


def _best_shrinks() -> Iterator[Case]:
    worlds = {
        "same optimum, sharp": Truth(peaks([-2] * 4, 0.03)),
        "same optimum, flat": Truth(peaks([-2] * 4, 0.002)),
        "1e-2 best everywhere by .1, plateau widens downwards": Truth(plateaus(0.001)),
        "1e-2 best everywhere by .5, plateau widens downwards": Truth(plateaus(0.005)),
    }
    for name, truth in worlds.items():
        yield Case("best_shrinks", name, FALSE, GRID, SHRINKS, truth)
    perfect = plateaus(0.0) + 0.05

    def ties(world: World, rng: np.random.Generator) -> Landscape:
        values = perfect[..., None] + 0.005 * rng.standard_normal(world.shape)
        return world.landscape(np.where(perfect[..., None] == 1.0, 1.0, values))

    name = "ties at accuracy 1.0 below the optimum"
    yield Case("best_shrinks", name, FALSE, GRID, SHRINKS, draw=ties)


# ---- levels and the edge of learning -------------------------------------------------------

FIVE = {"hidden_size": [16, 32, 64, 256, 512], "learning_rate": [0.1]}
SPLITS = {
    "axis": "hidden_size",
    "at": {"learning_rate": 0.1},
    "keeps_to": 64,
    "keeps_above": 0.79,
    "fails_from": 256,
    "fails_below": 0.5,
}


def _splits_at() -> Iterator[Case]:
    def case(name: str, is_: str, means: Sequence[float], **more: Any) -> Case:
        of_runs = more.pop("of_runs", None)
        truth = Truth(column(means), 0.01, **{k: column(v) for k, v in more.items()})
        return Case("splits_at", name, is_, FIVE, SPLITS, truth, of_runs=of_runs)

    clear = [0.9, 0.9, 0.9, 0.2, 0.2]
    yield case("normal, a width at the bound", BOUND, [0.79, 0.9, 0.9, 0.2, 0.2])
    yield case("normal, all at the bounds", BOUND, [0.79, 0.79, 0.79, 0.5, 0.5])
    name = "a small width is .9 or, in 14 %, .1 (mean .79)"
    yield case(name, FALSE, clear, collapses=[0.1375, 0, 0, 0, 0], of_runs=TRUE)
    name = "a small width is .9 or, in 25 %, .1 (mean .70)"
    yield case(name, FALSE, clear, collapses=[0.25, 0, 0, 0, 0], of_runs=TRUE)
    name = "a small width is .9 or, in 50 %, .1"
    yield case(name, FALSE, clear, collapses=[0.5, 0, 0, 0, 0], of_runs=BOUND)
    name = "a large width finishes 60 % at .85"
    yield case(name, FALSE, [0.9, 0.9, 0.9, 0.85, 0.2], diverges=[0, 0, 0, 0.4, 0])
    yield case("a small one diverges in 30 %", TRUE, clear, diverges=[0.3, 0, 0, 0, 0])


def _at_the_edge() -> Iterator[Case]:
    above = {"parts": [{"where": {}, "above": 0.99}]}

    def two_values(share: float, low: float, high: float) -> Draw:
        """Runs end high or, in this share, low; none answers one class only."""
        return lambda world, rng: world.landscape(
            np.where(rng.random(world.shape) < share, low, high)
        )

    for share, mean, of_runs in ((0.03, ".99", TRUE), (0.1, ".967", TRUE), (0.5, ".835", BOUND)):
        name = f"above .99: 1.0 or, in {100 * share:.0f} %, .67 (mean {mean})"
        draw = two_values(share, 0.67, 1.0)
        yield Case("levels", name, FALSE, ONE, above, draw=draw, of_runs=of_runs)
    most = {"where": {}, "below": 0.5, "share": 0.5}
    draw, two_cells = two_values(0.5, 0.1, 0.9), FOUR | {"hidden_size": [16, 32]}
    name = "two cells failing in 50 %"  # both, which is more than a half of them, in 25 %
    yield Case("fails_in_most", name, BOUND, two_cells, most, draw=draw, of_runs=FALSE)
    yield Case("fails_in_most", "one cell failing in 50 %", BOUND, ONE, most, draw=draw)


def _short_case(name: str, is_: str, short_by: float, gap: float, lead: float = 0.0) -> Case:
    """At the lowest rate all widths are worse by this and train and test differ by ``gap``."""
    where = {"learning_rate": {"to": 1e-5}}
    parameters = {"where": where, "gap_within": 0.02, "short_by": 0.1}
    means = np.full((4, 6), 0.9)
    means[1, 3] += lead
    means[:, 0] -= short_by

    def draw(world: World, rng: np.random.Generator) -> Landscape:
        values = means[..., None] + 0.01 * rng.standard_normal(world.shape)
        return world.landscape(values, gap=gap + 0.005 * rng.standard_normal(world.shape))

    return Case("underfits", name, is_, GRID, parameters, draw=draw)


def _underfits() -> Iterator[Case]:
    yield _short_case("short by exactly .1 of 20 equal cells, sd 1 point", FALSE, 0.1, 0.0)
    yield _short_case("gap at its bound", BOUND, 0.3, 0.02)


def _curve_case(name: str, is_: str, overshoot: float) -> Case:
    """Losses of a cell that falls steadily, and of one that is flat but for a rise in between."""
    parameters = {"a": {"learning_rate": 0.01}, "b": {"learning_rate": 0.1}}
    axes = {"hidden_size": [64], "learning_rate": [0.01, 0.1]}
    part = (POINTS - POINTS[0]) / (POINTS[-1] - POINTS[0])
    falls = 1.5 - 1.2 * part
    flat = 0.3 + overshoot * np.exp(-(((part - 0.3) / 0.1) ** 2))
    lines = np.array([falls, flat])[None, :, None]

    def draw(world: World, rng: np.random.Generator) -> Landscape:
        values = 0.9 + 0.005 * rng.standard_normal(world.shape)
        losses = lines + 0.005 * rng.standard_normal((*world.shape, len(POINTS)))
        return world.landscape(values, curve_test_loss=losses, test_loss=losses[..., -1])

    return Case("smoother", name, is_, axes, parameters, draw=draw, curves=True)


def _smoother() -> Iterator[Case]:
    yield _curve_case("neither overshoots, one is flat, noise .005 of loss", FALSE, 0.0)


# ---- power ---------------------------------------------------------------------------------


def power_cases() -> Iterator[Case]:
    """True statements; distances in sd of a trial, .005 but where it is told otherwise."""
    for sds in (2, 4):
        truth = Truth(center(0.005 * sds))
        name = f"by {sds} sd over 8 rivals"
        yield Case("best_is", name, TRUE, THREE_BY_THREE, THE_CENTER, truth)
    truth = Truth(column(steps(0.01, 7)))
    yield Case("ordered", "six steps of 2 sd", TRUE, SEVEN, IN_ORDER, truth)
    level = [0.3, 0.6, 0.9, 0.9, 0.9, 0.89]
    truth = Truth(zone(level))
    yield Case("goldilocks", "a fall of 2 sd in one row", TRUE, GRID, ZONE, truth)
    truth = Truth(peaks(-1 - 0.5 * np.arange(4), 0.01))
    yield Case("best_shrinks", ".5 decades a doubling", TRUE, GRID, SHRINKS, truth)
    yield _cost_case("equal, at a tenth of the FLOP", TRUE, 0.0, "flops", 0.1)
    near = {"parts": [{"where": {}, "near": 0.9, "within": 0.03}]}
    yield Case("levels", "near, in the middle, sd 1.3", TRUE, ONE, near, Truth(0.9, 0.013))
    means = np.stack([steps(0.01, 9)] * 2, axis=1)
    yield Case("monotone_in", "steps of 2 sd", TRUE, TWO_RATES, RISES, Truth(means))
    truth = Truth(spreads(0.06, 0.03), GROWS)
    yield Case("spread_larger", "6 against 3 points", TRUE, GRID, SPREADS, truth)
    truth = Truth(column([0.9, 0.9, 0.9, 0.2, 0.2]), 0.03)
    yield Case("splits_at", "clear, sd 3 points", TRUE, FIVE, SPLITS, truth)
    truth = Truth(column([0.9, 0.903, 0.897, 0.9]))
    comparable = {"where": {}, "margin": 0.01}
    yield Case("comparable", "within .3 of a margin of 1", TRUE, FOUR, comparable, truth)
    most = {"where": {}, "below": 0.5, "share": 0.5}
    lost = Truth(0.9, diverges=0.95)
    yield Case("fails_in_most", "four cells diverge in 95 %", TRUE, FOUR, most, lost)
    yield _short_case("short by .12, one cell leads by 1 sd", TRUE, 0.11, 0.0, 0.01)
    yield _curve_case("an overshoot of 10 times the noise", TRUE, 0.05)
