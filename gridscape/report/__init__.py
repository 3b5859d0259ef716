"""The page of a landscape, and its figures.

``write`` makes the page, ``read`` what it shows, ``draw`` the figures as files for a paper,
``write_beside`` the page of studies side by side, which ``gs.compare`` gives.
"""

import importlib
from typing import Any

_HOME = {"write": "html", "read": "html", "draw": "paper", "write_beside": "beside"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
