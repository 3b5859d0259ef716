"""Adding replicates until a statement is decided."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from gridscape.claims import Outcome, Verdict
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from truth import claims
from truth.claims import BOUND, FALSE, FIVE, GRID, SPLITS, TRUE, Case, center, column
from truth.settings import TWO_NUMBERS, Answers, Count, Kind, Once, Setting
from truth.worlds import Truth, World

PART = "8. adding replicates, 3 to 20, until decided"
MOST = 20
FIXED = "holds with a fixed "
ONE_BY_ONE = tuple(range(3, MOST + 1))
PAIR = {"hidden_size": [16, 32], "learning_rate": [0.01]}
HIGHER = {"cells": [{"hidden_size": 16}, {"hidden_size": 32}], "at": {"learning_rate": 0.01}}

Looks = Sequence[tuple[int, Any]]  # replicates, and the level that is spent there


def looks() -> Looks:
    """Where this version looks, and at which level; one that does not say stops when it likes."""
    if find_spec("gridscape.analysis.looks") is None:
        return [(n, 0.05) for n in ONE_BY_ONE]
    found = import_module("gridscape.analysis.looks").Looks.up_to(MOST)
    return [(n, found.level(n)) for n in found.numbers]


def of_looking() -> Iterator[Setting]:
    """False verdicts, and replicates spent where the statement is true."""
    false = {
        BOUND: {"holds": Kind.FALSE, "any verdict": Kind.FALSE},
        FALSE: {"holds": Kind.FALSE},
    }
    for case in _false_cases():
        if TWO_NUMBERS and case.of_runs == TRUE:
            continue
        yield Setting(
            PART, f"{case.rule}: {case.name}", false[case.is_], partial(_stops, case), [MOST]
        )
    measures = {
        "fails": Kind.FALSE,
        "holds": Kind.POWER,
        "replicates a cell at stop": Kind.TOLD,
        **{_fixed(n): Kind.SEEN for n in ONE_BY_ONE},
    }
    for case in _true_cases():
        play = partial(_stops, case, beside_fixed=True)
        yield Setting(PART, f"{case.rule}: {case.name}", measures, play, [MOST])


def _false_cases() -> Iterator[Case]:
    yield Case("ordered", "one difference, truth 0", BOUND, PAIR, HIGHER, Truth(0.9))
    sought = {
        "monotone_in": ("one row flat",),
        "goldilocks": ("no fall in one row, 4 equal rates",),
        "best_is": ("one rival of 8 equal", "best by 0+ of 9"),
        "ordered": ("one of 6 pairs equal", "all by 0+"),
        "splits_at": (
            "normal, all at the bounds",
            "a small width is .9 or, in 14 %, .1 (mean .79)",
            "a small width is .9 or, in 50 %, .1",
        ),
        "underfits": ("short by exactly .1 of 20 equal cells, sd 1 point",),
    }
    for case in claims.cases():
        if case.name in sought.get(case.rule, ()):
            yield case


def _true_cases() -> Iterator[Case]:
    for sds in (1, 2):
        truth = Truth(column([0.9, 0.9 + 0.005 * sds]))
        yield Case("ordered", f"one difference of {sds} sd", TRUE, PAIR, HIGHER, truth)
    truth = Truth(center(0.01))
    yield Case(
        "best_is", "by 2 sd over 8 rivals", TRUE, claims.THREE_BY_THREE, claims.THE_CENTER, truth
    )
    behind = 0.01 * np.array([[1, 2, 3], [4, 0, 5], [6, 8, 10]])
    name, truth = "by 2 to 20 sd over 8 rivals", Truth(0.9 - behind)
    yield Case("best_is", name, TRUE, claims.THREE_BY_THREE, claims.THE_CENTER, truth)
    truth = Truth(column(claims.steps(0.01, 7)))
    yield Case("ordered", "six steps of 2 sd", TRUE, claims.SEVEN, claims.IN_ORDER, truth)
    level = [0.3, 0.6, 0.9, 0.9, 0.9, 0.89]
    truth = Truth(claims.zone(level))
    yield Case("goldilocks", "a fall of 2 sd in one row", TRUE, GRID, claims.ZONE, truth)
    truth = Truth(column([0.9, 0.9, 0.9, 0.2, 0.2]), 0.03)
    yield Case("splits_at", "clear, sd 3 points", TRUE, FIVE, SPLITS, truth)


def _fixed(n: int) -> str:
    return f"{FIXED}{n}"


def _stops(case: Case, most: int, beside_fixed: bool = False) -> Once:
    """The first verdict other than undecided, and how many replicates a cell there were.

    From look to look replicates are added to the cells of the estimates that are undecided, where
    a version tells them; else to all.
    """
    ask, planned = case.asked(), looks()
    worlds = {n: case.world(n) for n in {*ONE_BY_ONE, *(n for n, _ in planned)}}
    whole = case.world(most)

    def once(rng: np.random.Generator) -> Answers:
        case.landscape(whole, rng)
        have = np.zeros(whole.shape[:-1], int)
        needs = np.full(have.shape, True)
        outcome = Outcome.UNDECIDED
        for n, level in planned:
            have[needs] = n
            given = {} if level == 0.05 else {"level": level}  # an old version takes no level
            verdict = ask(_first(worlds[n], whole, have), **given)
            if (outcome := verdict.outcome) is not Outcome.UNDECIDED:
                break
            needs = _open(worlds[n], verdict)
        answers = {
            "holds": float(outcome is Outcome.HOLDS),
            "fails": float(outcome is Outcome.FAILS),
            "any verdict": float(outcome is not Outcome.UNDECIDED),
            "replicates a cell at stop": float(have.mean()),
        }
        for n in ONE_BY_ONE if beside_fixed else ():
            verdict = ask(_first(worlds[n], whole, np.full(have.shape, n)))
            answers[_fixed(n)] = float(verdict.outcome is Outcome.HOLDS)
        return answers

    return once


def _first(part: World, whole: World, have: np.ndarray) -> Landscape:
    """The landscape of the first replicates of another, as many in each cell as there are."""
    n = part.shape[-1]
    for name, array in part.arrays.items():
        array[...] = whole.arrays[name][..., :n]
    missing = np.arange(n) >= have[..., None]
    for name, nothing in (("status", Status.MISSING.value), ("collapsed", False)):
        part.arrays[name][missing] = nothing
    return part.now()


def _open(world: World, verdict: Verdict) -> np.ndarray:
    """(*axes) which cells need more replicates."""
    undecided = [e for e in verdict.estimates if e.says is Outcome.UNDECIDED]
    cells = {cell for e in undecided for cell in getattr(e, "cells", ()) or verdict.used}
    needs = np.full(world.shape[:-1], not cells)
    for cell in cells:
        needs[world.grid.places(cell)] = True
    return needs


def fixed_design(measured: dict[str, Count]) -> float:
    """The fewest replicates by which a fixed design holds as often; NaN where none does."""
    wanted = measured["holds"].value - measured["holds"].error
    enough = [n for n in ONE_BY_ONE if measured[_fixed(n)].value >= wanted]
    return float(enough[0]) if enough else math.nan
