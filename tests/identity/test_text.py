"""Texts of values: the same in every process, other ones for what computes something else."""

import itertools
import subprocess
import sys
from dataclasses import dataclass
from functools import partial, update_wrapper

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridscape.identity.text import UntoldError, text_of
from gridscape.models.feedforward import ACTIVATIONS, feedforward, lenet5, mlp
from gridscape.models.recurrent import recurrent
from gridscape.tasks.losses import cross_entropy

VALUES = [
    *(None, True, 1, 1.0, 0.0, -0.0, float("nan"), "1", b"1", 1j, range(3), range(4)),
    *((), [], {}, (1,), [1], {1: 2}, {2: 1}, {1: 2, 2: 1}, {2: 1, 1: 2}, ((1,), 2), (1, (2,))),
    *(np.zeros(2), np.zeros(3), np.zeros(2, np.float32), np.ones(2), np.float32(1), np.float64(1)),
    *(jnp.zeros(()), jnp.asarray(0.0), np.dtype([("a", "f4")]), np.dtype([("b", "f4")])),
    *(jnp.zeros(2), np.dtype("int8"), np.dtype("int16"), int, float, len, jnp.add, jnp.multiply),
    *(jnp.tanh, jax.nn.relu, jax.nn.sigmoid, jax.lax.exp, cross_entropy, partial(cross_entropy)),
    *(partial(cross_entropy, 1), partial(cross_entropy, x=1), frozenset({1, 2}), frozenset({1})),
    jax.ShapeDtypeStruct((2,), jnp.float32),
    jax.ShapeDtypeStruct((2,), jnp.int32),
    *(mlp((4,), 2, hidden_size=h, activation=a) for h in (3, 4) for a in ("relu", "tanh")),
    *(mlp((4,), 2, hidden_size=3, init=init) for init in ("pytorch", "normal_fan_in")),
    *(recurrent((4, 3), 2, cell=c, hidden_size=3) for c in ("lstm", "gru", "rnn")),
    lenet5((8, 8, 1), 10),
]


def test_no_two_values_have_one_text():
    texts = [text_of(value) for value in VALUES]
    equal = [
        (first, second)
        for (first, a), (second, b) in itertools.combinations(zip(VALUES, texts, strict=True), 2)
        if a == b
    ]
    assert equal == []


def test_what_stands_in_many_places_is_told_once():
    shared = (1.5, 2.5)
    for _ in range(60):
        shared = (shared, shared)
    assert text_of(shared) != text_of((shared, 1))


def test_the_same_parts_have_one_text():
    def made():
        return recurrent((4, 3), 2, cell="gru", hidden_size=3), {"a": np.arange(3)}, (1, [2.5])

    assert text_of(made()) == text_of(made())


SCRIPT = """
import sys, gridscape as gs
from gridscape.engine.cohorts import partition
from gridscape.engine.trial import Functions
from gridscape.identity.text import text_of
resolved = gs.Study.load("quickstart").resolve()
for cohort in partition(resolved, resolved.trials()):
    print(text_of(Functions.of(cohort.recipe, cohort.task)))
"""


def test_texts_are_the_same_in_every_process():
    told = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"},
            timeout=300,
        ).stdout
        for seed in ("1", "2")
    }
    (text,) = told
    assert len(set(text.split())) == 4  # one for each width


def theirs(x):
    return x


@dataclass(frozen=True)
class Theirs:
    width: int


class OfNone:
    pass


class Scaled(partial):
    def __call__(self, *arguments):
        return 3 * super().__call__(*arguments)


class Bits(np.ndarray):
    pass


class Wide(dict):
    pass


def with_a_derivative(factor):
    """Gridscape's own loss, of which the gradient is somebody's."""
    loss = jax.custom_vjp(cross_entropy)
    loss.defvjp(lambda y, t: (cross_entropy(y, t), y), lambda y, d: (factor * y, None))
    return loss


def with_a_tangent(factor):
    function = jax.custom_jvp(jnp.sign)
    function.defjvp(lambda primals, tangents: (jnp.sign(*primals), factor * tangents[0]))
    return function


def of_itself():
    held = []
    held.append(held)
    return held


def nested(depth):
    held = ()
    for _ in range(depth):
        held = (held,)
    return held


@pytest.mark.parametrize(
    "value",
    [
        *(theirs, lambda x: x, Theirs(3), Theirs, OfNone(), partial(theirs), [theirs]),
        *({"f": theirs}, Scaled(cross_entropy), np.zeros(2).view(Bits), Wide(a=1), of_itself()),
        *(with_a_derivative(3), with_a_tangent(3), jax.jit(theirs), nested(10_000)),
        *(jnp.frompyfunc(theirs, 1, 1), update_wrapper(OfNone(), cross_entropy)),
        np.array([theirs]),
    ],
)
def test_what_is_somebody_elses_has_no_text(value):
    with pytest.raises(UntoldError):
        text_of(value)


@pytest.mark.parametrize("own", [lambda *a: a, theirs])
def test_what_holds_somebody_elses_has_no_text(own):
    model = mlp((4,), 2)
    layers = (*model.layers[:-1], model.layers[-1]._replace(apply=own))
    for value in (model._replace(apply=own), feedforward(*layers)):
        with pytest.raises(UntoldError):
            text_of(value)


def test_a_module_of_the_name_of_a_package_is_somebody_elses(tmp_path, monkeypatch):
    (tmp_path / "optax_of_mine.py").write_text("def f(x): return x")
    monkeypatch.syspath_prepend(tmp_path)
    import optax_of_mine

    optax_of_mine.f.__module__ = "optax"  # as one may claim
    with pytest.raises(UntoldError):
        text_of(optax_of_mine.f)


def test_two_functions_of_one_name_are_told_apart():
    activations = {name: text_of(function) for name, function in ACTIVATIONS.items()}
    assert len(set(activations.values())) == len(activations)
