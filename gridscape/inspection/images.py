"""Arrays of pixels: examples and filters as tiles, put together on sheets with see-through gaps.

Every tile is RGB in uint8; a sheet is RGBA, so that it lies on a light and a dark ground alike.
"""

import io
import math

import numpy as np
from PIL import Image

from gridscape.inspection.filters import picture_shape
from gridscape.inspection.records import Deconvnet, Example, Tiles

# From the negative end over zero to the positive end.
BLUE, WHITE, RED = (0x1F, 0x5C, 0x9C), (0xF7, 0xF5, 0xF1), (0xB2, 0x3A, 0x10)
GAP = 1  # pixels between tiles
MOST_STEPS = 300  # of a sequence, a pixel each


def is_symbols(inputs: np.ndarray) -> bool:
    """Whether stored inputs are symbols of a sequence: whole numbers that may be negative."""
    return inputs.dtype.kind == "i"


def pictures(inputs: np.ndarray) -> np.ndarray:
    """Stored inputs (n, ...) as pictures (n, height, width, 1 or 3).

    Rows of T colors are T x T pixels; what has no shape of a picture becomes a strip.

    >>> pictures(np.zeros((2, 64))).shape, pictures(np.zeros((2, 32, 96))).shape
    ((2, 8, 8, 1), (2, 32, 32, 3))
    """
    n, shape = len(inputs), inputs.shape[1:]
    if len(shape) == 3:
        return inputs if shape[2] in (1, 3) else inputs[..., :1]
    if len(shape) == 2 and shape[1] == 3 * shape[0]:
        return inputs.reshape(n, shape[0], shape[0], 3)
    size = math.prod(shape)
    if len(shape) == 1 and size % 3 == 0 and math.isqrt(size // 3) ** 2 * 3 == size > 27:
        side = math.isqrt(size // 3)
        return inputs.reshape(n, side, side, 3)
    if len(shape) == 1 and math.isqrt(size) ** 2 != size:
        return inputs.reshape(n, 1, size, 1)
    return inputs.reshape(n, *picture_shape(shape))


def photograph(example: Example) -> np.ndarray:
    """The input of an example as a tile (height, width, 3).

    Sequences of different lengths lie, their steps from left to right, and are at least a quarter
    as high as they are long. Of long ones every second step is drawn, or every third ...
    """
    inputs = example.inputs
    if example.is_sequence:
        features = inputs.reshape(len(inputs), -1)[:: math.ceil(len(inputs) / MOST_STEPS)].T
        thickness = math.ceil(features.shape[1] / 4 / len(features))
        inputs = features.repeat(thickness, axis=0)[..., None]
    return photographs(inputs[None])[0]


def photographs(inputs: np.ndarray) -> np.ndarray:
    """Stored inputs (n, ...) as tiles: bytes from black to the brightest, others by their range."""
    images = pictures(inputs).astype(np.float32)
    low = 0.0 if inputs.dtype == np.uint8 else images.min(axis=(1, 2, 3), keepdims=True)
    high = images.max(axis=(1, 2, 3), keepdims=inputs.dtype != np.uint8)
    if inputs.dtype == np.uint8:
        high = high.max()
    return _rgb((images - low) / np.where(high > low, high - low, 1.0))


def shaded(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Pictures (n, height, width, channels), each from its low (n,), black, to its high, white."""
    low, high = (end.reshape(-1, 1, 1, 1) for end in (low, high))
    return _rgb((values - low) / np.where(high > low, high - low, 1.0))


def around_zero(values: np.ndarray, limit: float) -> np.ndarray:
    """Pictures on one scale -limit..limit: blue below zero, red above; colors: zero is gray."""
    share = values / (limit or 1.0)
    if values.shape[-1] == 3:
        return _rgb((share + 1) / 2)
    plane = share.mean(axis=-1)
    ends = np.array([BLUE, WHITE, RED], float)
    color = [np.interp(plane, [-1, 0, 1], ends[:, c]) for c in range(3)]
    return np.stack(color, axis=-1).round().astype(np.uint8)


def balanced(values: np.ndarray) -> np.ndarray:
    """Pictures (n, ...), each scaled by its own largest magnitude; zero is gray."""
    limit = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    return _rgb((values / np.where(limit > 0, limit, 1.0) + 1) / 2)


def _rgb(shares: np.ndarray) -> np.ndarray:
    """Fractions (n, height, width, channels) as RGB; several channels but three are averaged."""
    if shares.shape[-1] != 3:
        shares = shares.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    return (255 * np.clip(shares, 0, 1)).round().astype(np.uint8)


def sheet(tiles: np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """Tiles (n, height, width, 3 or 4) in rows of ``columns``, as RGBA with see-through gaps.

    >>> sheet(np.zeros((3, 4, 4, 3), np.uint8), 2).shape
    (9, 9, 4)
    """
    n, height, width, _ = tiles.shape
    rows = -(-n // columns)
    down, across = height + gap, width + gap
    full = np.zeros((rows * down - gap, columns * across - gap, 4), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = i // columns * down, i % columns * across
        full[y : y + height, x : x + width, : tile.shape[-1]] = tile
        if tile.shape[-1] == 3:
            full[y : y + height, x : x + width, 3] = 255
    return full


def side_by_side(left: np.ndarray, right: np.ndarray, gap: int = 3) -> np.ndarray:
    """Two sheets of one height as one."""
    between = np.zeros((len(left), gap, 4), np.uint8)
    return np.concatenate([left, between, right], axis=1)


def own_scale(tiles: Tiles, limit: float) -> np.ndarray:
    """Each filter from its lowest weight (black) to its highest (white)."""
    return shaded(tiles.values, tiles.low, tiles.high)


def common_scale(tiles: Tiles, limit: float) -> np.ndarray:
    """All filters on one scale around zero."""
    return around_zero(tiles.values, limit)


def map_sheet(record: Deconvnet, i: int) -> np.ndarray:
    """The images of one feature map beside their reconstructions, as RGBA."""
    columns = math.ceil(math.sqrt(record.indices.shape[1]))
    images = photographs(record.inputs[i])
    shape = images.shape[:3]
    parts = balanced(record.reconstructions[i].reshape(*shape, -1))
    left, right = sheet(images, columns), sheet(parts, columns)
    return side_by_side(left, right)


def square_columns(count: int, ratio: float = 1.0) -> int:
    """How many columns make ``count`` tiles of width / height = ratio about a square.

    >>> square_columns(32), square_columns(64, 2.0)
    (6, 6)
    """
    return max(1, round(math.sqrt(count / ratio)))


def png(pixels: np.ndarray) -> bytes:
    """RGB or RGBA pixels as the bytes of a PNG file; gray ones are stored as gray."""
    gray, rest = pixels[..., 0], pixels[..., 3:]
    if (pixels[..., :3] == gray[..., None]).all():
        has_alpha = rest.shape[-1] > 0
        pixels = np.concatenate([gray[..., None], rest], axis=-1) if has_alpha else gray
    buffer = io.BytesIO()
    # Not optimize=True, which takes five times as long for 2 % of the bytes.
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()
