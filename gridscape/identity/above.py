"""What objects of a lower room offer for comfort, and a room above them makes.

``land.page()`` and the progress of ``gs.run`` stand where people look for them. Nothing below
depends on them: the module is imported when one is asked for.
"""

import importlib
from typing import Any


def above(module: str) -> Any:
    """A module of ``gridscape`` by its dotted name."""
    return importlib.import_module(f"gridscape.{module}")
