"""The types that every signature speaks of."""

from collections.abc import Mapping
from typing import Any

import jax

from gridscape.identity.code import code_identity as code_identity
from gridscape.identity.code import fingerprint as fingerprint

Array = jax.Array


Key = jax.Array


Params = Any  # a pytree of arrays


Hyper = Mapping[str, Any]  # name -> number, which may be traced
