"""The types that every signature speaks of."""

from collections.abc import Mapping
from typing import Any

import jax

Array = jax.Array
Key = jax.Array
Params = Any  # a pytree of arrays
Hyper = Mapping[str, Any]  # name -> number, which may be traced
