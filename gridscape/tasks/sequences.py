"""Sequences drawn without end: recall of one item, and the addition of binary numbers.

Training batches are drawn on the device, test and validation sets are fixed. All are made by the
same code from ``below(high, *shape)``: int32 numbers, uniform in [0, high), from a key of JAX or
from NumPy.
"""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Groups, Split, Stream
from gridscape.base.metrics import Metric, accuracy, cross_entropy, top_class
from gridscape.base.task import Task
from gridscape.base.types import Array, Key
from gridscape.errors import UsageError, check_known, check_whole
from gridscape.grid.meanings import FRACTION
from gridscape.identity.code import fingerprint
from gridscape.kernels.threefry import quick
from gridscape.tasks.losses import Bits, bce, counted, mean_over_steps

LONGEST_NUMBER = 30  # bits: a sum has one more, and int32 holds 31 beside its sign
VALIDATION_STREAM = 1  # beside the numbers of the test set
PADDING = -1  # no symbol: all zeros as one-hot

Below = Callable[..., Any]


class Asked(NamedTuple):
    """What recall asks for: the item, a symbol (N,); and the items of the sequence, (N,)."""

    item: Any
    length: Any


def recall(
    position: int = 2,
    shortest: int = 3,
    longest: int = 9,
    alphabet: int = 9,
    n_test: int = 640,
    test_seed: int = 0,
    n_validation: int = 640,
) -> Task:
    """Sequences of symbols; after the last one, the model says which stood at ``position``.

    position: from 1, the item asked for. shortest, longest: items of a sequence; each training
        batch has one length, drawn uniformly, and in the test set the lengths take turns.
    alphabet: symbols, which are drawn uniformly. n_test, test_seed: the fixed test set.
    n_validation: sequences of the fixed validation set, drawn from another stream of the same seed;
        0: there is none.

    Inputs are symbols (N, T=longest), -1 after the end, which the model reads as one-hot (B, T,
    D=alphabet); it must answer at every step, and the last item's counts. Metric: accuracy, also
    by length. Raises UsageError for an option out of its range. Source: EE6123 Deep Learning,
    Assignment 3, question 2.

    >>> task = recall()
    >>> task.input_shape, task.n_outputs
    ((9, 9), 9)
    >>> task.test.inputs[0].tolist(), int(task.test.targets.item[0])
    ([5, 0, 3, -1, -1, -1, -1, -1, -1], 0)
    """
    check_whole(position=position, shortest=shortest, longest=longest, n_test=n_test)
    check_whole(low=2, alphabet=alphabet)
    check_whole(low=0, high=2**32 - 1, test_seed=test_seed)
    check_whole(low=0, n_validation=n_validation)
    _check_order(position=position, shortest=shortest, longest=longest)
    lengths = range(shortest, longest + 1)

    def sequences(below: Below, length: Any) -> Split:
        symbols = below(alphabet, len(length), longest)
        is_item = np.arange(longest)[None, :] < length[:, None]
        inputs = _namespace(symbols).where(is_item, symbols, PADDING)
        return Split(inputs, Asked(symbols[:, position - 1], length))

    def draw(key: Key, batch_size: int) -> Split:
        below = _from_key(key)
        length = shortest + below(len(lengths))
        return sequences(below, jnp.full(batch_size, length))

    fixed = _from_seed(test_seed)
    test, sample = (sequences(fixed, _taking_turns(lengths, n_test)) for _ in range(2))
    settings = (position, shortest, longest, alphabet)
    apart = _from_seed(test_seed, VALIDATION_STREAM)
    validation = sequences(apart, _taking_turns(lengths, n_validation)) if n_validation else None
    return Task(
        name="recall",
        train=Stream(draw, sample),
        test=test,
        validation=validation,
        input_shape=(longest, alphabet),
        n_outputs=alphabet,
        fingerprint=fingerprint("recall", settings, test, sample, *_if_any(validation)),
        prepare=_one_hot(alphabet),
        loss=at_last_step(cross_entropy),
        metrics={"accuracy": Metric(at_last_step(accuracy), "higher", FRACTION)},
        per_step=True,
        answer=at_last_step(top_class),
        groups=Groups("length", tuple(lengths), _lengths_from(shortest)),
        truth=lambda targets: targets.item,
        n_steps=lambda targets: targets.length,
        redraw=lambda seed: recall(
            position, shortest, longest, alphabet, n_test, seed, n_validation
        ),
    )


# Functions that are made once: tasks that have the same ones share programs.


@cache
def _one_hot(alphabet: int) -> Callable[[Array], Array]:
    return lambda symbols: jax.nn.one_hot(symbols, alphabet)


@cache
def _lengths_from(shortest: int) -> Callable[[Any], Array]:
    return lambda targets: targets.length - shortest


@cache
def at_last_step(function: Callable[[Array, Array], Array]) -> Callable[[Array, Asked], Array]:
    """A function of (B, C) and (B,), applied to the outputs (B, T, C) after the last items."""

    def at_last_step(outputs: Array, targets: Asked) -> Array:
        is_last = jnp.arange(outputs.shape[1])[None, :] == targets.length[:, None] - 1
        last = jnp.where(is_last[:, :, None], outputs, 0).sum(axis=1)
        return function(last, targets.item)

    return at_last_step


def binary_addition(
    train_length: int = 5,
    operands: str = "report",
    longest_test: int = 20,
    n_test_per_length: int = 100,
    test_seed: int = 0,
    n_validation_per_length: int = 100,
) -> Task:
    """Two binary numbers, a bit of each a step, least significant first; the bits of their sum.

    train_length: bits L of the numbers that are trained on, in L + 1 steps; at most 30.
    operands: "report" draws the sum uniformly from [0, 2**L) and one number uniformly from
        [0, sum], so that the last bit is never set; "uniform" draws both from [0, 2**L).
    longest_test, n_test_per_length, test_seed: the fixed test set, of numbers of 1 to so many bits.
    n_validation_per_length: of the fixed validation set of the same lengths, drawn from another
        stream of the same seed; 0: there is none.

    Inputs (N, T, D=2), targets ``losses.Bits``; the test set, in which the lengths take turns, is
    padded to one T. An output above 0 answers 1. The loss, bce unless the study chooses another
    one, and the metrics, accuracy (of whole sums) and bit_accuracy, count the L + 1 steps of each
    example; metrics also by length. Raises UsageError for an option out of its range. Source:
    EE6123 Deep Learning, Assignment 3, question 3.

    >>> task = binary_addition(train_length=3, longest_test=3)
    >>> task.test.inputs[2].T.tolist()  # 4 + 1, bit by bit
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    >>> task.test.targets.bits[2].tolist(), int(task.test.targets.length[2])
    ([1, 0, 1, 0], 3)
    """
    check_whole(high=LONGEST_NUMBER, train_length=train_length, longest_test=longest_test)
    check_whole(n_test_per_length=n_test_per_length)
    check_whole(low=0, n_validation_per_length=n_validation_per_length)
    check_whole(low=0, high=2**32 - 1, test_seed=test_seed)
    check_known("operands", operands, OPERANDS)
    lengths = range(1, max(train_length, longest_test) + 1)

    def additions(below: Below, length: Any, n_steps: int) -> Split:
        first, second = OPERANDS[operands](below, length)
        inputs = _namespace(first).stack([_bits(n, n_steps) for n in (first, second)], axis=-1)
        return Split(inputs.astype(np.float32), Bits(_bits(first + second, n_steps), length))

    def draw(key: Key, batch_size: int) -> Split:
        length = jnp.full(batch_size, train_length)
        return additions(_from_key(key), length, train_length + 1)

    fixed, n_test = _from_seed(test_seed), longest_test * n_test_per_length
    # All with the steps of the longest: one program evaluates them.
    test_length = _taking_turns(lengths[:longest_test], n_test)
    test = additions(fixed, test_length, len(lengths) + 1)
    sample = additions(fixed, np.full(n_test, train_length, np.int32), len(lengths) + 1)
    validation = None
    if n_validation_per_length:
        apart = _from_seed(test_seed, VALIDATION_STREAM)
        turns = _taking_turns(lengths[:longest_test], longest_test * n_validation_per_length)
        validation = additions(apart, turns, len(lengths) + 1)
    return Task(
        name="binary-addition",
        train=Stream(draw, sample),
        test=test,
        validation=validation,
        input_shape=(train_length + 1, 2),
        n_outputs=1,
        fingerprint=fingerprint(
            "binary-addition", train_length, operands, test, sample, *_if_any(validation)
        ),
        loss=bce,
        metrics={
            "accuracy": Metric(exact_match, "higher", FRACTION),
            "bit_accuracy": Metric(bit_accuracy, "higher", FRACTION),
        },
        per_step=True,
        answer=None,
        groups=Groups("length", tuple(lengths), _lengths_from(1)),
        truth=lambda targets: targets.bits,
        n_steps=lambda targets: targets.length + 1,
        redraw=lambda seed: binary_addition(
            train_length, operands, longest_test, n_test_per_length, seed, n_validation_per_length
        ),
    )


def report_operands(below: Below, length: Any) -> tuple[Any, Any]:
    """A sum uniform in [0, 2**length), one number uniform in [0, sum], and the other: each (N,)."""
    total = below(1 << length, len(length))
    first = below(total + 1, len(length))
    return first, total - first


def uniform_operands(below: Below, length: Any) -> tuple[Any, Any]:
    """Both numbers uniform in [0, 2**length), each (N,)."""
    return below(1 << length, len(length)), below(1 << length, len(length))


OPERANDS = {"report": report_operands, "uniform": uniform_operands}


def bit_accuracy(outputs: Array, targets: Bits) -> Array:
    """The share of the bits that are right, of the steps that count: (B, T, 1), Bits -> (B,)."""
    return mean_over_steps(_is_right(outputs, targets), targets)


def exact_match(outputs: Array, targets: Bits) -> Array:
    """1.0 where every bit that counts is right, else 0.0: (B, T, 1), Bits -> (B,)."""
    return (_is_right(outputs, targets) | ~counted(targets)).all(axis=-1).astype(jnp.float32)


def _is_right(outputs: Array, targets: Bits) -> Array:
    """Whether the answer of each step, 1 above 0, is the bit: (B, T)."""
    return (outputs[..., 0] > 0) == (targets.bits == 1)


def _bits(numbers: Any, n_steps: int) -> Any:
    """The lowest bits of whole numbers, least significant first: (N,) -> (N, n_steps)."""
    return numbers[:, None] >> np.arange(n_steps, dtype=np.int32)[None, :] & 1


def _from_key(key: Key) -> Below:
    """Numbers on the device; each call draws with another key."""
    calls, key = itertools.count(), quick(key)

    def below(high: Any, *shape: int) -> Array:
        return jax.random.randint(jax.random.fold_in(key, next(calls)), shape, 0, high)

    return below


def _from_seed(seed: int, *stream: int) -> Below:
    """The same numbers wherever it runs: NumPy promises that RandomState's never change.

    stream: tells further numbers of the same seed apart.
    """
    random = np.random.RandomState([seed, *stream] if stream else seed)

    def below(high: Any, *shape: int) -> np.ndarray:
        return random.randint(0, high, shape, np.int32)

    return below


def _if_any(split: Split | None) -> list[Split]:
    return [] if split is None else [split]


def _namespace(array: Any) -> Any:
    """jax.numpy or numpy, whichever the array is of."""
    return array.__array_namespace__()


def _taking_turns(lengths: range, n_examples: int) -> np.ndarray:
    """Every length equally often, so in every first part as well: (n_examples,)."""
    return np.resize(np.array(lengths, np.int32), n_examples)


def _check_order(**options: int) -> None:
    """Raise UsageError unless each option is at most the next."""
    for (name, value), (limit_name, limit) in itertools.pairwise(options.items()):
        if value > limit:
            raise UsageError(
                f"beyond {limit_name}", where=name, expected=f"at most {limit}", found=value
            )
