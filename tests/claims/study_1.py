"""The claims of the first study, judged on made-up landscapes."""

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic import RATES, landscape

from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Outcome
from gridscape.grid.trials import Status

HOLDS, FAILS, UNDECIDED = Outcome.HOLDS, Outcome.FAILS, Outcome.UNDECIDED


WIDE = {"hidden_size": [16, 32, 64, 128, 256, 512], "learning_rate": list(RATES)}


FULL = {"hidden_size": [16 * 2**k for k in range(9)], "learning_rate": list(RATES)}


# Made-up landscapes have conditions of their own: those of the claims are left out.
CLAIMS = {c.id: replace(c, conditions=None) for c in load_claims("lstm-width-lr")}


def verdict(id, land, **parameters):
    """The verdict of a claim of study 1, its grid taken from the landscape."""
    claim = CLAIMS[id]
    return one(replace(claim, axes=land.axes, parameters={**claim.parameters, **parameters}), land)


def one(claim, land):
    (found,) = judge(land, [claim])
    return found


def width(cell):
    return math.log2(cell["hidden_size"] / 16)


def rate(cell):
    return math.log10(cell["learning_rate"])


def only_first(cell, replicate):
    return Status.FINISHED if replicate == 0 else Status.MISSING


# a) accuracy grows with width at low rates
GROWS = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.3 + 0.1 * width(c)}),
    "holds though flat at the end": (
        HOLDS,
        {"accuracy": lambda c: 0.3 + 0.1 * min(width(c), 3), "replicates": 10, "noise": 0.002},
    ),
    "fails where it falls": (FAILS, {"accuracy": lambda c: 0.8 - 0.1 * width(c)}),
    "fails where one step falls": (
        FAILS,
        {"accuracy": lambda c: 0.3 + 0.1 * width(c) - 0.3 * (width(c) == 3)},
    ),
    "fails where one rate falls": (
        FAILS,
        {"accuracy": lambda c: 0.6 + (0.05 if rate(c) == -5 else -0.05) * width(c)},
    ),
    "undecided where flat": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.3 + 0.1 * width(c), "replicates": 1},
    ),
}


# b) the rate matters more than the width
MATTERS = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.9 + 0.1 * rate(c) + 0.01 * width(c)}),
    "fails": (FAILS, {"accuracy": lambda c: 0.4 + 0.01 * rate(c) + 0.1 * width(c)}),
    "undecided where equal": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.9 + 0.1 * rate(c), "replicates": 1},
    ),
}


def goldilocks(c):
    return 0.95 - 0.1 * abs(rate(c) + 2)


# c) rises from 1e-5 to 1e-3 and falls beyond an optimum
ZONE = {
    "holds": (HOLDS, {"accuracy": goldilocks}),
    "holds where the end diverges": (
        HOLDS,
        {
            "accuracy": goldilocks,
            "status": lambda c, r: Status.DIVERGED if rate(c) == 0 else Status.FINISHED,
        },
    ),
    "fails where it falls at once": (FAILS, {"accuracy": lambda c: 0.4 - 0.1 * rate(c)}),
    "fails where it rises to the end": (FAILS, {"accuracy": lambda c: 0.9 + 0.1 * rate(c)}),
    "fails in one width": (
        FAILS,
        {"accuracy": lambda c: goldilocks(c) if width(c) else 0.9 + 0.1 * rate(c)},
    ),
    "fails where it dips on the way": (
        FAILS,
        {"accuracy": lambda c: goldilocks(c) - 0.3 * (rate(c) == -4)},
    ),
    "undecided where flat": (UNDECIDED, {"accuracy": lambda c: 0.5, "noise": 0.05}),
    "undecided of one replicate": (UNDECIDED, {"accuracy": goldilocks, "replicates": 1}),
}


def optimum(slope, center=-2.5):
    return lambda c: 0.95 - 0.05 * (rate(c) - (center + slope * (width(c) - 2.5))) ** 2


# d) the best rate shrinks with width
SHRINKS = {
    "holds": (HOLDS, {"accuracy": optimum(-0.8)}),
    "fails": (FAILS, {"accuracy": optimum(0.8)}),
    "undecided where the grid is too coarse": (UNDECIDED, {"accuracy": optimum(-0.05, center=-2)}),
    "undecided of one replicate": (UNDECIDED, {"accuracy": optimum(-0.8), "replicates": 1}),
}


def splits(small, large):
    return lambda c: small if c["hidden_size"] <= 64 else large


# e) small networks keep, large ones fail
SPLITS = {
    "holds": (HOLDS, {"accuracy": splits(0.9, 0.1)}),
    "holds where the large ones diverge": (
        HOLDS,
        {
            "accuracy": splits(0.9, 0.9),
            "status": lambda c, r: Status.DIVERGED if c["hidden_size"] > 64 else Status.FINISHED,
        },
    ),
    "fails where the small ones fail": (FAILS, {"accuracy": splits(0.6, 0.1)}),
    "fails where the large ones keep": (FAILS, {"accuracy": splits(0.9, 0.8)}),
    "fails where a small one diverges": (
        FAILS,
        {
            "accuracy": splits(0.9, 0.1),
            "status": lambda c, r: Status.DIVERGED if c["hidden_size"] == 16 else Status.FINISHED,
        },
    ),
    "undecided at the threshold": (UNDECIDED, {"accuracy": splits(0.79, 0.1), "noise": 0.02}),
    "undecided where the large ones ran out of memory": (
        UNDECIDED,
        {
            "accuracy": splits(0.9, 0.1),
            "status": lambda c, r: (
                Status.OUT_OF_MEMORY if c["hidden_size"] > 64 else Status.FINISHED
            ),
        },
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": splits(0.9, 0.1), "replicates": 1},
    ),
}


# f) one cell equals another at lower cost; on WIDE, against width 512
EQUAL = {
    "holds": (HOLDS, {"accuracy": lambda c: 0.97, "noise": 0.001}),
    "fails where it is worse": (
        FAILS,
        {"accuracy": lambda c: 0.9 + 0.01 * width(c), "noise": 0.001},
    ),
    "fails where it costs the same": (
        FAILS,
        {"accuracy": lambda c: 0.97, "noise": 0.001, "seconds": lambda c: 3.0},
    ),
    "undecided where noise hides it": (UNDECIDED, {"accuracy": lambda c: 0.97, "noise": 0.01}),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": lambda c: 0.97, "noise": 0.001, "replicates": 1},
    ),
}


def edge(c):
    return 0.2 if c["hidden_size"] >= 128 and c["learning_rate"] >= 0.1 else 0.95


# g) failure at high rates is over-fitting
OVERFITS = {
    "holds": (HOLDS, {"accuracy": edge, "gap": lambda c: 0.7}),
    "fails": (FAILS, {"accuracy": edge, "gap": lambda c: 0.01}),
    "undecided at the bound": (
        UNDECIDED,
        {"accuracy": edge, "gap": lambda c: 0.1, "gap_noise": 0.05},
    ),
    "undecided where nothing fails": (
        UNDECIDED,
        {"accuracy": lambda c: 0.9, "gap": lambda c: 0.7},
    ),
    "undecided of one replicate": (
        UNDECIDED,
        {"accuracy": edge, "gap": lambda c: 0.01, "replicates": 1},
    ),
}


def low(c):
    return 0.4 if c["hidden_size"] <= 64 and c["learning_rate"] <= 1e-4 else 0.95


# h) low rates with few units under-fit
UNDERFITS = {
    "holds": (HOLDS, {"accuracy": low}),
    "fails where train is higher": (FAILS, {"accuracy": low, "gap": lambda c: 0.2}),
    "fails where they are not low": (FAILS, {"accuracy": lambda c: 0.95}),
    "undecided where noise hides it": (
        UNDECIDED,
        {"accuracy": low, "gap": lambda c: 0.015, "gap_noise": 0.05},
    ),
    "undecided of one replicate": (UNDECIDED, {"accuracy": low, "replicates": 1}),
}


CASES = [
    pytest.param(id, outcome, options, id=f"{id}: {name}")
    for id, cases in {
        "a": GROWS,
        "b": MATTERS,
        "c": ZONE,
        "d": SHRINKS,
        "e": SPLITS,
        "f": EQUAL,
        "g": OVERFITS,
        "h": UNDERFITS,
    }.items()
    for name, (outcome, options) in cases.items()
]


PARAMETERS = {"f": {"b": {"hidden_size": 512, "learning_rate": 0.001}}}


def built(options, axes=WIDE):
    """A landscape of 6 replicates, all of which must agree; gap_noise scatters train accuracy."""
    options = {"replicates": 6, "noise": 0.004, **options}
    gap_noise = options.pop("gap_noise", 0.0)
    land = landscape(axes, options.pop("accuracy"), **options)
    scatter = np.random.default_rng(5).standard_normal(land.data.sizes["replicate"])
    land.data["train_accuracy"] = land.data["train_accuracy"] + gap_noise * scatter
    return land
