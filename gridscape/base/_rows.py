"""What stands in training and test part alike, told by content."""

import numpy as np

CHUNK_ROWS = 10_000
FEW_COLUMNS = 64


def repeated(train: np.ndarray, test: np.ndarray) -> int:
    """How many test inputs (N, ...) are also among the training inputs."""
    return _in_common(_hashes(train), _hashes(test))


def repeated_in(inputs: np.ndarray, is_train: np.ndarray, is_test: np.ndarray) -> int:
    """The same of the parts of some inputs (N, ...), each a mask (N,): neither is copied."""
    hashes = _hashes(inputs)
    return _in_common(hashes[is_train], hashes[is_test])


def _in_common(known: np.ndarray, asked: np.ndarray) -> int:
    # Both in order: looked up in any other one, a long table is fetched from memory each time.
    known, asked = np.sort(known), np.sort(asked)
    at = np.searchsorted(known, asked).clip(max=len(known) - 1)
    return int((known[at] == asked).sum())


def _hashes(inputs: np.ndarray) -> np.ndarray:
    """A number for the content of each input, (N,) uint64: equal inputs have equal ones."""
    flat = inputs.reshape(len(inputs), -1)
    if flat.dtype == np.float32 and flat.shape[1] <= FEW_COLUMNS:
        return _of_columns(flat)
    words = np.random.RandomState(0).randint(0, 2**63, _n_words(flat), dtype=np.uint64) | 1
    starts = range(0, len(flat), CHUNK_ROWS)
    return np.concatenate([_words(flat[at : at + CHUNK_ROWS]) @ words for at in starts])


def _of_columns(flat: np.ndarray) -> np.ndarray:
    """The same, a column at a time: of a long table far less memory."""
    words = np.asarray(np.random.RandomState(0).randint(0, 2**63, flat.shape[1], dtype=np.uint64))
    total = np.zeros(len(flat), np.uint64)
    for word, column in zip(words | 1, flat.T, strict=True):
        total += np.ascontiguousarray(column).view(np.uint32) * word
    return total


def _n_words(flat: np.ndarray) -> int:
    return -(-flat.shape[1] * flat.itemsize // 4)


def _words(flat: np.ndarray) -> np.ndarray:
    """Rows as whole numbers of 32 bits, the last one filled with zeros."""
    data = np.ascontiguousarray(flat).view(np.uint8).reshape(len(flat), -1)
    filled = np.pad(data, ((0, 0), (0, -data.shape[1] % 4)))
    return filled.view(np.uint32).astype(np.uint64)
