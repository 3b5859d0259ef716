"""Arrays with named dimensions that are to become an ``xarray.Dataset``.

xarray, with pandas behind it, takes half a second to import. What only shows results does not wait
for it: it reads these, which answer to the same names as a data set.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


class Array(NamedTuple):
    """What xarray makes a variable of: one name for each dimension of ``values``."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, str]


@dataclass(frozen=True)
class Arrays:
    """The contents of a data set; each coordinate lies along the dimension of its name."""

    data_vars: dict[str, Array]
    coords: dict[str, Array]
    attrs: dict[str, str]

    def __getitem__(self, name: str) -> Array:
        return self.data_vars[name] if name in self.data_vars else self.coords[name]

    def dataset(self) -> "xr.Dataset":
        """The data set itself; it shares the memory of the arrays."""
        import xarray as xr

        return xr.Dataset(self.data_vars, self.coords, self.attrs)
