"""Arrays with named dimensions that are to become an ``xarray.Dataset``.

xarray, with pandas behind it, takes half a second to import. What only shows results does not wait
for it: it reads these, which answer to the same names as a data set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


class Array(NamedTuple):
    """What xarray makes a variable of: one name for each dimension of ``values``."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, str]


class LateArray:
    """The same, whose values are made when they are first asked for."""

    def __init__(
        self, dims: tuple[str, ...], attrs: dict[str, str], make: Callable[[], np.ndarray]
    ) -> None:
        self.dims, self.attrs, self._make = dims, attrs, make

    @cached_property
    def values(self) -> np.ndarray:
        """The array itself."""
        return self._make()


@dataclass(frozen=True)
class Arrays:
    """The contents of a data set; each coordinate lies along the dimension of its name."""

    data_vars: dict[str, Array | LateArray]
    coords: dict[str, Array | LateArray]
    attrs: dict[str, str]

    def __getitem__(self, name: str) -> Array | LateArray:
        return self.data_vars[name] if name in self.data_vars else self.coords[name]

    def dataset(self) -> "xr.Dataset":
        """The data set itself; it shares the memory of the arrays."""
        import xarray as xr

        variables, coords = (
            {name: (a.dims, a.values, a.attrs) for name, a in arrays.items()}
            for arrays in (self.data_vars, self.coords)
        )
        return xr.Dataset(variables, coords, self.attrs)
