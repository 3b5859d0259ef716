"""A landscape under published conditions: which of its cells have them, and what differs in all."""

from collections.abc import Sequence

import numpy as np

from gridscape.grid.axes import same
from gridscape.landscape import Landscape
from gridscape.study import conditions as published
from gridscape.study.conditions import Conditions, Difference


def differences(
    land: Landscape, conditions: Conditions | None, reads: Sequence[float] = ()
) -> tuple[Difference, ...]:
    """What a landscape has otherwise than published; nothing where it does not tell its study.

    reads: the updates at which results are read, where that is not at the end.
    """
    reads = () if reads and _failed_after(land, max(reads)) else reads
    return published.differences(_study(land), conditions, reads) if land.study else ()


def altered(land: Landscape) -> str:
    """How a landscape differs from the named study whose title it bears; "" for not at all."""
    return published.altered(_study(land))


def at_published(land: Landscape, conditions: Conditions | None) -> Landscape:
    """The cells at the published value of each axis that varies what the conditions fix."""
    chosen = published.published_values(_study(land), conditions)
    places = {
        name: [i for i, other in enumerate(land.axis(name).values) if same(value, other)]
        for name, value in chosen.items()
    }
    return Landscape(land.data.isel(places), land.study) if places else land


def _study(land: Landscape) -> dict[str, object]:
    """The study with the axes that the landscape has, which may be a part of it."""
    return {**land.study, "axes": {axis.name: list(axis.values) for axis in land.axes}}


def _failed_after(land: Landscape, update: float) -> bool:
    """Whether a trial failed later than this: its status is of the whole trial, not of that far."""
    name = "first_bad_update"
    return land.has(name) and bool(np.any(land.array(name) > update))
