"""Evaluation of ONE trial, as pure functions; _slots.py adds the others.

Outputs come by one native call where that knows the layers of a network.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from gridscape.base.data import Split
from gridscape.base.parts import Dense, Recurrent
from gridscape.base.types import Array, Hyper, Params
from gridscape.engine.known_losses import targets_and_lengths
from gridscape.engine.trial import Functions, prepared
from gridscape.engine.whole import are_own
from gridscape.grid.names import ANSWER_SPREAD, TOP_ANSWER, TOP_SHARE, by_kind
from gridscape.kernels import sequence
from gridscape.tasks.losses import Bits
from gridscape.tasks.sequences import Asked

# Examples that are evaluated at once at most: large enough to be efficient, small enough to bound
# memory.
LARGEST_CHUNK = 500
# Numbers of examples as a model reads them: so few are made ready once for all trials, and stay in
# a cache: 1 MB.
FLOATS_READ_ONCE = 2**18


# ---- chunks ----


def chunk_of(n_examples: int) -> int:
    """Examples that are evaluated at once, of so many: all chunks are of one size.

    >>> chunk_of(150), chunk_of(640), chunk_of(10_000)
    (150, 320, 500)
    """
    n_chunks = -(-n_examples // LARGEST_CHUNK)
    return -(-n_examples // n_chunks)


def in_chunks(n_examples: int) -> int:
    """Examples of an evaluation, with those that fill its last chunk: as many chunks of that size.

    >>> in_chunks(10_001), chunk_of(in_chunks(10_001))
    (10017, 477)
    """
    chunk = chunk_of(n_examples)
    return -(-n_examples // chunk) * chunk


def read_once(functions: Functions, split: Split) -> tuple[Functions, Split]:
    """Functions and examples of evaluations, as the model reads them where they are few."""
    if not are_own(functions.prepare):  # it may look at a batch as a whole
        return functions, split
    read = jax.tree.leaves(jax.eval_shape(functions.prepare, split.inputs))
    if sum(x.size for x in read) > FLOATS_READ_ONCE:
        return functions, split
    return functions._replace(prepare=_as_it_is), prepared(functions.prepare, split)


def _as_it_is(inputs: Array) -> Array:
    return inputs


# ---- all of a set ----


def evaluate_trial(
    functions: Functions, params: Params, hyper: Hyper, split: Split, n_examples: Array
) -> dict[str, Array]:
    """Loss and metrics, summed over the first ``n_examples`` of a split, evaluated in chunks.

    ``top_answer`` is the most frequent answer, of equals the first, and ``top_answer_share`` how
    often it is given; ``answer_spread`` is that of numbers; ``<metric>_by_<group>`` are the sums of
    each group; a metric of the whole set is no sum. The caller divides by the number of examples:
    compilers turn a division here into a product with a rounded reciprocal, and n / n would not
    always be 1. split: whole chunks, ``in_chunks`` of its examples.
    """
    put, n_rows = lax.dynamic_update_slice_in_dim, len(jax.tree.leaves(split)[0])
    n_at_once, readers = chunk_of(n_rows), _readers(functions)

    def chunk(begin: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        cut = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, begin, n_at_once), split)
        counted = (begin + jnp.arange(n_at_once) < n_examples).astype(jnp.float32)
        read = prepared(functions.prepare, cut)
        outputs = outputs_of(functions.apply, functions.layers, params, hyper, read, readers)
        sums = _sums(functions, outputs, cut.targets, counted)
        if functions.numbers:
            each = _moments(outputs, cut.targets, split.targets[0])
            sums["moments"] = _counted(each, counted).sum(axis=0)
        return sums, {name: f(outputs, cut.targets) for name, f, _ in functions.of_sets}

    def add(index: Array, so_far: tuple[Any, Any]) -> tuple[Any, Any]:
        begin = index * n_at_once
        sums, each = chunk(begin)
        kept = {name: put(so_far[1][name], part, begin, 0) for name, part in each.items()}
        return jax.tree.map(jnp.add, so_far[0], sums), kept

    shapes, each = jax.eval_shape(chunk, jax.ShapeDtypeStruct((), jnp.int32))
    zeros = {name: jnp.zeros(shape.shape) for name, shape in shapes.items()}
    rooms = {name: jnp.zeros((n_rows, *x.shape[1:]), x.dtype) for name, x in each.items()}
    sums, kept = lax.fori_loop(0, -(-n_examples // n_at_once), add, (zeros, rooms))
    sums |= {n: f(kept[n], jnp.arange(n_rows) < n_examples) for n, _, f in functions.of_sets}
    answers, moments = sums.pop("answers", None), sums.pop("moments", None)
    if moments is not None:
        sums[ANSWER_SPREAD] = _spread(moments / n_examples)
    if answers is None:
        return sums
    return {**sums, TOP_ANSWER: jnp.argmax(answers), TOP_SHARE: answers.max()}


# ---- outputs ----


def outputs_of(
    apply: Callable[..., Array],
    layers: Dense | Recurrent | None,
    params: Any,
    hyper: Hyper,
    split: Split,
    readers: Sequence[Callable[..., Any]],
) -> Array:
    """The outputs of ``apply`` on inputs as a model reads them: (B, C) or (B, T, C).

    layers: what ``apply`` is made of, where that is known. readers: all that reads the outputs;
    where each is Gridscape's own, those that count in no example may be 0.
    """
    if not isinstance(layers, Recurrent) or not sequence.gives(layers, params, split.inputs):
        return apply(params, split.inputs, None, hyper)
    lengths = jnp.zeros(0, jnp.int32)
    if layers.every and isinstance(split.targets, Asked | Bits) and are_own(*readers):
        lengths = targets_and_lengths(split.targets)[1].astype(jnp.int32)
    forget = hyper[layers.forget] if layers.forget else 0.0
    return sequence.outputs(layers, params, forget, split.inputs, lengths)


def _readers(functions: Functions) -> list[Callable[..., Any]]:
    """All that reads the outputs of an evaluation."""
    readers = [functions.loss, *(function for _, function in functions.metrics)]
    readers += [function for _, function, _ in functions.of_sets]
    return readers if functions.answer is None else [*readers, functions.answer]


# ---- sums ----


def _sums(
    functions: Functions, outputs: Array, targets: Any, counted: Float[Array, " B"]
) -> dict[str, Array]:
    """What a chunk adds: loss and metrics, in all and by group, and how often each answer.

    Whatever is one number an example by a single product: XLA compiles one loop, not one for each.
    """
    each = {name: f(outputs, targets) for name, f in functions.metrics}
    each["loss"] = functions.loss(outputs, targets)
    each = {name: _counted(values, counted) for name, values in each.items()}
    groups, answer = functions.groups, functions.answer
    member = jnp.zeros((len(counted), 0))
    if groups is not None:
        member = jax.nn.one_hot(groups.of(targets), len(groups.values))
    numbers = [name for name, values in each.items() if values.ndim == 1]
    others = [name for name in each if name not in numbers]
    columns = jnp.concatenate([jnp.ones((len(counted), 1)), member], axis=1)
    product = _product(jnp.stack([each[name] for name in numbers]), columns)
    sums = {name: product[row, 0] for row, name in enumerate(numbers)}
    sums |= {name: each[name].sum(axis=0) for name in others}
    if groups is not None:
        of_kind = partial(by_kind, kind=groups.name)
        sums |= {of_kind(name): product[row, 1:] for row, name in enumerate(numbers)}
        sums |= {of_kind(name): jnp.tensordot(member, each[name], axes=(0, 0)) for name in others}
    if answer is not None:
        answers = jax.nn.one_hot(answer(outputs, targets), outputs.shape[-1])
        sums["answers"] = _product(counted, answers)
    return sums


def _product(a: Array, b: Array) -> Array:
    """Of float32 whatever the user has set for products: these are sums, and counts."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _counted(values: Array, counted: Float[Array, " B"]) -> Array:
    """Values of each example, (B, ...), and 0 of the padding.

    What that has may not be finite: it is left out, not multiplied by 0.
    """
    return jnp.where(counted.reshape(-1, *[1] * (values.ndim - 1)) > 0, values, 0)


def _moments(
    outputs: Float[Array, "B K"], targets: Float[Array, "B K"], near: Float[Array, " K"]
) -> Float[Array, "B 2 2 K"]:
    """Of each example its answers and targets, and their squares.

    near: some target, which is taken off lest numbers far from zero cancel.
    """
    both = jnp.stack([outputs, targets], axis=1) - near[None, None]
    return jnp.stack([both, both**2], axis=1)


def _spread(moments: Float[Array, "2 2 K"]) -> Array:
    """The standard deviation of answers over that of targets, of the output with the largest.

    moments: the means of ``_moments``. NaN where no target varies.
    """
    answers, targets = moments[1] - moments[0] ** 2
    return jnp.nanmax(jnp.sqrt(jnp.maximum(answers, 0) / jnp.where(targets > 0, targets, jnp.nan)))
