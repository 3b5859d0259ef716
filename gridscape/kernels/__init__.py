"""Native CPU code of the hot layers, behind the functions that models call anyway.

The library is compiled when Gridscape is installed, if there is a C++17 compiler. Where it is
missing, on other devices than CPUs and for other numbers than float32, the plain JAX path runs.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridscape.kernels.library import available as available
    from gridscape.kernels.library import multiplies_bfloat16 as multiplies_bfloat16
    from gridscape.kernels.library import plain as plain
    from gridscape.kernels.library import target as target
    from gridscape.kernels.library import targets as targets
    from gridscape.kernels.library import trouble as trouble
    from gridscape.kernels.library import use as use

_NAMES = ("available", "multiplies_bfloat16", "plain", "target", "targets", "trouble", "use")


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # When first used: it needs JAX, and ``cores`` of this room must do without.
    return getattr(importlib.import_module("gridscape.kernels.library"), name)


def __dir__() -> list[str]:
    return sorted(_NAMES)
