"""Rules on the steps of gradient descent with momentum: what the optimizer does, not a network.

At each value of the landscape's axis ``momentum`` the optimizer of that name is given a known
series of gradients. Nothing is random in it, so a number decides without a test.
"""

import math
from typing import Any

import numpy as np

from gridscape.analysis.statistics import Interval
from gridscape.claims.checks import Check
from gridscape.claims.evidence import Evidence
from gridscape.claims.records import Outcome
from gridscape.claims.rules.registry import Finding, rule
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import show

RATE = 0.1
SIGNS = ("equal", "alternating")


@rule
def sums_gradients(evidence: Evidence, n_steps: int, tolerance: float) -> Finding:
    """Each step is -learning_rate * sum over k of momentum^k times the gradient k steps ago.

    The gradients are normal numbers. The largest difference from the sum, formed term by term in
    float64, is at most ``tolerance`` of the largest step so far.
    """
    gradients = np.random.default_rng(0).standard_normal(n_steps)
    return Finding([_is_sum(m, gradients, tolerance) for m in _momenta(evidence)], {})


def _is_sum(momentum: float, gradients: np.ndarray, tolerance: float) -> Check:
    powers = float(np.float32(momentum)) ** np.arange(len(gradients))  # as it is trained with
    sums = -RATE * np.convolve(gradients, powers)[: len(gradients)]
    scale = np.maximum.accumulate(np.abs(sums))
    worst = float(np.max(np.abs(steps(momentum, gradients) - sums) / scale))
    return _exact(
        f"largest difference of step and sum at momentum={show(momentum)}",
        "of the largest step",
        f"at most {tolerance:g}",
        worst,
        worst <= tolerance,
    )


@rule
def step_limit(evidence: Evidence, signs: str, n_steps: int, tolerance: float) -> Finding:
    """Under gradients of one size, the steps tend to a limit if and only if momentum is below 1.

    signs: "equal": the limit is learning_rate |g| / (1 - momentum); at 1 the last of n steps is n
        times the first, above 1 each is ``momentum`` times the one before. "alternating": the limit
        is learning_rate |g| / (1 + momentum); from 1 on nothing is stated.
    Judged by the last of ``n_steps`` steps, to a relative ``tolerance``.
    """
    if signs not in SIGNS:
        raise UnknownNameError("signs", signs, SIGNS)
    momenta = _momenta(evidence)
    if signs == "alternating":
        momenta = [m for m in momenta if m < 1]
        lacks = "" if any(m > 0 for m in momenta) else "a momentum between 0 and 1"
    else:
        both = any(0 < m < 1 for m in momenta) and any(m >= 1 for m in momenta)
        lacks = "" if both else "a momentum between 0 and 1, and one from 1"
    return Finding([_limit(m, signs, n_steps, tolerance) for m in momenta], {}, lacks)


def _limit(momentum: float, signs: str, n_steps: int, tolerance: float) -> Check:
    gradients = np.ones(n_steps) if signs == "equal" else (-1.0) ** np.arange(n_steps)
    sizes = np.abs(steps(momentum, gradients)) / RATE
    if momentum > 1:
        what, found, expected = "growth of the last step", sizes[-1] / sizes[-2], momentum
    elif momentum == 1:
        what, found, expected = "last step over the first", sizes[-1] / sizes[0], float(n_steps)
    else:
        limit = 1 / (1 - momentum if signs == "equal" else 1 + momentum)
        what, found, expected = "last step over that without momentum", sizes[-1], limit
    name = f"{what} at momentum={show(momentum)}, signs {signs}"
    close = math.isclose(found, expected, rel_tol=tolerance)
    return _exact(name, "", f"{expected:.4g}", float(found), close)


def steps(momentum: float, gradients: np.ndarray) -> np.ndarray:
    """The steps of the optimizer ``momentum`` under a series of gradients: (n,) -> (n,)."""
    # Here: all other claims are judged without JAX.
    import jax
    import jax.numpy as jnp

    from gridscape import optimizers

    hyper = {"learning_rate": RATE, "momentum": momentum, "l2": 0.0}
    rule = optimizers.momentum().make(hyper)
    place = jnp.zeros(())

    def step(state: Any, gradient: jax.Array) -> tuple[Any, jax.Array]:
        update, state = rule.update(gradient, state, place)
        return state, update

    _, taken = jax.lax.scan(step, rule.init(place), jnp.asarray(gradients, jnp.float32))
    return np.asarray(taken, float)


def _momenta(evidence: Evidence) -> list[float]:
    return [float(value) for value in evidence.land.axis("momentum").values]


def _exact(name: str, unit: str, asks: str, number: float, holds: bool) -> Check:
    """A number that needs no replicates."""
    says = Outcome.HOLDS if holds else Outcome.FAILS
    only = Interval(number, math.nan, math.nan, 1)
    return Check(name, unit, asks, only, math.nan, math.nan, says=says)
