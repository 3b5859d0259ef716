"""Splits of labeled images: checked, and laid out as a model reads them."""

import numpy as np

from gridscape.base.data import Split
from gridscape.errors import DataCorruptError

LAYOUTS = ("rows", "flat", "image")


def labeled(images: np.ndarray, labels: np.ndarray, n_outputs: int, *, where: str) -> Split:
    """A split of images (N, height, width, channels) and labels (N,), stored as int32.

    Raises DataCorruptError where the two differ in number, there are none, or a label is not in
    [0, n_outputs).
    """
    if len(images) != len(labels) or not len(images):
        raise DataCorruptError(
            "images and labels differ in number, or there are none",
            where=where,
            found=f"{len(images)} images and {len(labels)} labels",
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= n_outputs))
    if len(wrong):
        raise DataCorruptError(
            f"the label of example {wrong[0]} is out of range",
            where=where,
            expected=f"0 to {n_outputs - 1}",
            found=labels[wrong[0]],
        )
    return Split(images, labels.astype(np.int32))


def lay_out(split: Split, layout: str) -> Split:
    """Images (N, height, width, channels) in one of LAYOUTS.

    "rows" (N, T=height, D=width * channels), "flat" (N, D), "image" as they are.
    """
    N, height, width, channels = split.inputs.shape
    shape = {
        "rows": (N, height, width * channels),
        "flat": (N, height * width * channels),
        "image": (N, height, width, channels),
    }[layout]
    return Split(split.inputs.reshape(shape), split.targets)
