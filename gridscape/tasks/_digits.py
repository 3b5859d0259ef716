"""The digits that come with scikit-learn, without importing it."""

import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gridscape.base.data import Split
from gridscape.errors import DataCorruptError, DataMissingError, one_line

N_DIGITS, N_PIXELS = 1_797, 64
FILE = Path("datasets", "data", "digits.csv.gz")
AGAIN = "install scikit-learn again"


def read_digits() -> Split:
    """All digits: images (N=1797, height=8, width=8, channel=1) of 0 to 16, and labels.

    Read from the file that scikit-learn reads, as its import takes longer than a small study
    trains. Raises DataMissingError, DataCorruptError.

    >>> read_digits().targets[:5]
    array([0, 1, 2, 3, 4], dtype=int32)
    """
    path = _folder() / FILE
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except FileNotFoundError:
        raise DataMissingError("not there", where="digits", expected=path, hint=AGAIN) from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataCorruptError(one_line(error), where=path, hint=AGAIN) from None
    if table.shape != (N_DIGITS, N_PIXELS + 1):
        raise DataCorruptError(
            "another table",
            where=path,
            expected=f"{N_DIGITS} x {N_PIXELS + 1}",
            found=" x ".join(map(str, table.shape)),
            hint=AGAIN,
        )
    images, labels = table[:, :N_PIXELS], table[:, N_PIXELS]
    return Split(images.reshape(-1, 8, 8, 1), labels.astype(np.int32))


def _folder() -> Path:
    """Where scikit-learn is installed."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataMissingError("no scikit-learn here", where="digits", hint=AGAIN)
    return Path(spec.origin).parent
