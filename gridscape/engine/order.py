"""Random numbers and the order of examples: from seed, replicate and purpose alone."""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int, Integer, UInt32

from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.study.study import Recipe

# Keys of so many updates are made at once.
WORDS_BLOCK = 256


def seed_words(*content: Any) -> UInt32[np.ndarray, "2"]:
    """Key data from content, never from a position: (study seed, replicate, purpose, ...)."""
    digest = hashlib.sha256(repr(content).encode()).digest()
    return np.frombuffer(digest[:8], dtype=np.uint32).copy()


def numbered_words(*content: Any, begin: int, end: int) -> UInt32[np.ndarray, "U 2"]:
    """seed_words(*content, u) of every u from begin to end - 1."""
    head = repr((*content, 0))[:-2]  # up to where the number stands
    blocks = range(begin // WORDS_BLOCK, max(begin, end - 1) // WORDS_BLOCK + 1)
    words = np.concatenate([_words_block(head, block) for block in blocks])
    first = blocks.start * WORDS_BLOCK
    return words[begin - first : end - first]


@lru_cache(maxsize=4096)
def _words_block(text: str, block: int) -> UInt32[np.ndarray, "U 2"]:
    """Key data of WORDS_BLOCK updates, cached: all cohorts of a study ask for the same ones."""
    head = hashlib.sha256(text.encode())

    def digest(number: int) -> bytes:
        one = head.copy()
        one.update(b"%d)" % number)
        return one.digest()[:8]

    numbers = range(block * WORDS_BLOCK, (block + 1) * WORDS_BLOCK)
    return np.frombuffer(b"".join(map(digest, numbers)), np.uint32).reshape(-1, 2)


def batch_order(
    recipe: Recipe, task: Task, seed: int, replicate: int, begin: int, end: int
) -> Integer[np.ndarray, "U _"]:
    """Example indices (U, B) of updates begin..end-1; for a Stream, the key data (U, 2) of each.

    All cells of a replicate see the same batches. Shape (U, 0): full batch, no selection needed.
    """
    if isinstance(task.train, Stream):
        return numbered_words(seed, replicate, "batch", begin=begin, end=end)
    if recipe.batch_size == task.train.n_examples:
        return np.empty((end - begin, 0), np.int32)
    order = {"epochs": data_order, "draws": drawn_order}[recipe.sampling]
    return order(seed, replicate, task.train.n_examples, recipe.batch_size, begin, end)


def drawn_order(
    seed: int, replicate: int, n_examples: int, batch_size: int, begin: int, end: int
) -> Int[np.ndarray, "U B"]:
    """The examples of updates begin..end-1, each batch drawn anew from all, without replacement."""

    def draw(update: int) -> np.ndarray:
        random = _random(seed, replicate, "draw", update)
        return random.choice(n_examples, batch_size, replace=False).astype(np.int32)

    return np.stack([draw(update) for update in range(begin, end)])


def data_order(
    seed: int, replicate: int, n_examples: int, batch_size: int, begin: int, end: int
) -> Int[np.ndarray, "U B"]:
    """The examples of updates begin..end-1, without replacement within an epoch.

    Every epoch is a fresh permutation, and what is left of one joins the head of the next, as in
    TensorFlow 1's tutorial reader.
    """
    first, last = begin * batch_size, end * batch_size
    epochs = range(first // n_examples, max(last - 1, first) // n_examples + 1)
    stream = np.concatenate([_permutation(seed, replicate, e, n_examples) for e in epochs])
    offset = first - epochs[0] * n_examples
    return stream[offset : offset + last - first].reshape(end - begin, batch_size)


@lru_cache(maxsize=64)
def _permutation(seed: int, replicate: int, epoch: int, n_examples: int) -> np.ndarray:
    return _random(seed, replicate, "order", epoch).permutation(n_examples).astype(np.int32)


def _random(*content: Any) -> np.random.Generator:
    words = seed_words(*content)
    return np.random.Generator(np.random.Philox(key=int(words[0]) << 32 | int(words[1])))
