"""IDX, the format of the files of MNIST."""

import math
from collections.abc import Mapping

import numpy as np

from gridscape.base.data import Split
from gridscape.errors import DataCorruptError
from gridscape.tasks._archives import unzipped
from gridscape.tasks._splits import labeled


def idx_split(files: Mapping[str, bytes], part: str, n_outputs: int) -> Split:
    """The images (N, height, width, 1) and labels of a part, "train" or "t10k", of MNIST's files.

    Raises DataCorruptError where a file is not whole or the two do not fit.
    """
    names = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
    images, labels = (
        read_idx(unzipped(files[name], name), n_dims, where=name)
        for name, n_dims in zip(names, (3, 1), strict=True)
    )
    return labeled(images[..., None], labels, n_outputs, where=" and ".join(names))


def read_idx(content: bytes, n_dims: int, *, where: object = None) -> np.ndarray:
    """The array in an IDX file of unsigned bytes, with ``n_dims`` dimensions.

    The format: two zero bytes, the type 8, the number of dimensions, each size as four bytes (big
    endian), the values. Raises DataCorruptError where any of it is otherwise.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), 1)
    array([7, 9], dtype=uint8)
    """
    magic, start = bytes([0, 0, 8, n_dims]), 4 + 4 * n_dims
    if content[:4] != magic:
        raise DataCorruptError(
            f"not an IDX file of unsigned bytes in {n_dims} dimensions",
            where=where,
            expected=f"the first bytes {magic.hex(' ')}",
            found=content[:4].hex(" ") or "an empty file",
        )
    if len(content) < start:
        raise DataCorruptError(
            "the IDX header is cut off",
            where=where,
            expected=f"{start} bytes",
            found=f"{len(content)} bytes",
        )
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], ">u4"))
    if len(content) != start + math.prod(shape):
        raise DataCorruptError(
            "the IDX file is not as long as its header says",
            where=where,
            expected=f"{start + math.prod(shape)} bytes for the shape {shape}",
            found=f"{len(content)} bytes",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
