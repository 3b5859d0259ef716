"""Arrays of whoever made them: of NumPy, pandas, Polars, PyTorch; their axes brought into order."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridscape.errors import DataCorruptError, UsageError, short

AXES = "NTHWCD"  # examples, steps, height, width, channels, features: how networks read them
LAYOUTS = ("rows", "flat", "image")


def as_array(values: Any, where: object = None) -> np.ndarray:
    """Any array as NumPy has it, also one that learns, or lies on a device, of PyTorch.

    Raises DataCorruptError for lists of different lengths and for what is no array.
    """
    try:
        for bring in ("detach", "cpu"):
            if hasattr(values, bring) and hasattr(values, "numpy"):
                values = getattr(values, bring)()
        if hasattr(values, "to_numpy"):  # pandas and Polars, a missing number as NaN
            values = values.to_numpy()
        found = np.asarray(values)
    except Exception as error:  # a user's object may raise anything
        ragged = isinstance(values, list | tuple)
        raise DataCorruptError(
            "not an array of numbers or texts",
            where=where,
            found="examples of different shapes" if ragged else type(values).__name__,
        ) from error
    return found


def as_parts(pair: Any, where: object) -> tuple[Any, ...]:
    """Inputs and targets of a pair, of a dict of both, or of PyTorch's TensorDataset.

    A third one holds the lengths of padded sequences.
    """
    tensors = getattr(pair, "tensors", None)
    if isinstance(tensors, tuple):
        pair = tensors
    if isinstance(pair, Mapping) and len(pair) in (2, 3):
        from gridscape.data.roles import LENGTHS, role_of  # names of arrays, as in a file

        by_role = {role_of(str(name)).role: array for name, array in pair.items()}
        roles = ("inputs", "targets", LENGTHS)[: len(pair)]
        if set(by_role) == set(roles):
            pair = tuple(by_role[role] for role in roles)
    if not isinstance(pair, tuple | list) or len(pair) not in (2, 3):
        raise DataCorruptError(
            "not a pair", where=where, expected="(inputs, labels)", found=type(pair).__name__
        )
    return tuple(pair)


def in_order(inputs: np.ndarray, order: str | None, where: object = None) -> np.ndarray:
    """Inputs with their axes in the order of AXES: ``order`` says how they are, as "HWCN".

    Raises UsageError for letters that do not fit.
    """
    if order is None:
        return inputs
    letters = order.upper() if isinstance(order, str) else ""
    if sorted(letters) != sorted(set(letters)) or "N" not in letters or set(letters) - set(AXES):
        raise UsageError(
            "not an order of axes",
            where="order",
            expected=f"N and other letters of {AXES}, each once, as HWCN",
            found=short(order),
        )
    if len(letters) != inputs.ndim:
        raise UsageError(
            "does not fit the inputs",
            where="order",
            expected=f"{inputs.ndim} letters, for {inputs.shape}",
            found=order,
        )
    return np.ascontiguousarray(inputs.transpose([letters.index(x) for x in AXES if x in letters]))


def laid_out(inputs: np.ndarray, layout: str | None) -> np.ndarray:
    """Inputs (N, ...) as "rows" (N, T, D), "flat" (N, D), "image" (N, H, W, C); None: as they are.

    Raises UsageError for inputs that cannot be laid out so, and for another layout.
    """
    if layout is None:
        return inputs
    if layout == "flat":
        return inputs.reshape(len(inputs), -1)
    picture = inputs[..., None] if inputs.ndim == 3 else inputs
    if layout not in LAYOUTS or picture.ndim != 4:
        fits = layout in LAYOUTS
        raise UsageError(
            "does not fit the inputs" if fits else "unknown layout",
            where="layout",
            expected="inputs (N, height, width) or (N, height, width, channels)"
            if fits
            else f"one of {', '.join(LAYOUTS)}",
            found=inputs.shape if fits else short(layout),
        )
    if layout == "image":
        return picture
    N, height, width, channels = picture.shape
    return picture.reshape(N, height, width * channels)


def one_hot_classes(targets: np.ndarray) -> np.ndarray | None:
    """The class (N,) of one-hot targets (N, C); None for targets that are not such."""
    if targets.ndim != 2 or targets.shape[1] < 2 or targets.dtype.kind not in "biuf":
        return None
    is_such = ((targets == 0) | (targets == 1)).all() and (targets.sum(axis=1) == 1).all()
    return targets.argmax(axis=1) if is_such else None


def check_finite(inputs: np.ndarray, where: object) -> None:
    """Raise DataCorruptError that says where an input is not a finite number."""
    finite = np.isfinite(inputs)
    if finite.all():
        return
    at = tuple(int(i) for i in np.argwhere(~finite)[0])
    n_bad = int((~finite.reshape(len(inputs), -1)).any(axis=1).sum())
    raise DataCorruptError(
        "inputs are not all finite",
        where=where,
        found=f"{inputs[at]} at example {at[0]}" + (f", place {at[1:]}" if at[1:] else ""),
        hint=f"{n_bad} of {len(inputs)} examples have such: leave them out, or fill them",
    )


def trouble(inputs: np.ndarray) -> list[str]:
    """What a user should know of inputs (N, ...) before anything trains, a line each."""
    if inputs.dtype == np.uint8 or not inputs.size:
        return []
    some = inputs[:: max(1, len(inputs) // 2_000)].reshape(-1, int(np.prod(inputs.shape[1:])))
    low, high = some.min(), some.max()
    if low >= 0 and 100 < high <= 255 and (some == np.floor(some)).all():
        return [
            f"inputs of {low:g} to {high:g} that are not uint8: astype('uint8') reads fractions"
        ]
    spread = some.std(axis=0, dtype=np.float64)
    varied = spread[spread > 0]
    if len(varied) and varied.max() > 1_000 * varied.min():
        return ['spreads differ by more than a thousand: scale = "standard" makes them one']
    return []
