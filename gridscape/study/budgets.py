"""How long a network is trained, in updates, epochs, examples or floating-point operations.

A study has one of them, an axis or a setting. What it comes to in updates is a cell's own, since
batches, tasks and networks differ, and it alone is a part of a trial.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.errors import UsageError
from gridscape.grid.axes import Cell, show
from gridscape.grid.subgrids import is_set
from gridscape.study.settings import BUDGETS

MOST = 10_000_000  # updates of a trial
USUAL = 400  # updates, where nothing is said


def instead_of_updates(given: Mapping[str, Any]) -> dict[str, Any]:
    """No number of updates, where a study names another budget, and none itself."""
    others, axes = BUDGETS[1:], given.get("axes")
    named = [name for name in others if given.get(name) is not None or name in (axes or ())]
    named += [name for table in _tables(given) for name in others if name in table]
    return {"updates": None} if named and given.get("updates") is None else {}


def mistakes_of(content: Mapping[str, Any]) -> list[str]:
    """Two budgets at once: settings, or axes of one grid."""
    fixed = [name for name in BUDGETS if content.get(name) is not None]
    axes = content.get("axes")
    varied = [name for name in BUDGETS if isinstance(axes, Mapping) and name in axes]
    tables: list[Mapping[str, Any]] = _tables(content) or [dict.fromkeys(varied, (0,))]
    for number, table in enumerate(tables, start=1):
        own = [name for name in BUDGETS if is_set(table, name)]
        found = list(dict.fromkeys([*fixed, *own])) if own or len(fixed) > 1 else []
        if len(found) > 1:
            where = f"grids.{number}.{own[-1]}" if own and _tables(content) else found[-1]
            return [str(_two(where, found))]
    return []


def _two(where: str, found: Sequence[str]) -> UsageError:
    return UsageError(
        "two budgets at once",
        where=where,
        expected=f"one of {', '.join(BUDGETS)}",
        found=" and ".join(found),
    )


def _tables(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = content.get("grids")
    return [t for t in found if isinstance(t, Mapping)] if isinstance(found, list) else []


def without_others(given: Iterable[str]) -> dict[str, None]:
    """No budget of the study but those that are given, where any is."""
    named = set(given) & set(BUDGETS)
    return {name: None for name in BUDGETS if name not in named} if named else {}


def budget_of(study: Any, cell: Cell) -> tuple[str, float]:
    """The name and the amount of a cell's budget: an axis', else the study's."""
    for name in BUDGETS:
        value = cell.get(name)
        if value is not None:
            return name, float(value)
    own = ((name, getattr(study, name)) for name in BUDGETS)
    found = ((name, float(value)) for name, value in own if value is not None)
    return next(found, ("updates", float(USUAL)))


def updates_of(
    name: str, amount: float, task: Task, batch_size: int, flops: Callable[[], float]
) -> int:
    """The whole updates that a budget holds; raises UsageError for none, or too many.

    flops: of one update.
    """
    if name == "updates":
        return int(amount)
    one = _amount_of_one(name, task, batch_size, flops)
    found = math.floor(amount / one * (1 + 1e-9))  # 0.3 epochs of 10 updates are 3
    if found < 1:
        raise UsageError(
            "less than one update",
            where=name,
            expected=f"at least {_number(one)}, for batches of {batch_size}",
            found=_number(amount),
        )
    if found > MOST:
        expected = f"at most {MOST:,} updates"
        raise UsageError("too long a training", where=name, expected=expected, found=f"{found:,}")
    return found


def _amount_of_one(name: str, task: Task, batch_size: int, flops: Callable[[], float]) -> float:
    """How much of a budget one update takes."""
    if name == "examples":
        return float(batch_size)
    if name == "epochs":
        if isinstance(task.train, Stream):
            raise UsageError(
                f"task {task.name} draws its examples without end: no epoch is over",
                where=name,
                hint="say how many examples, or updates",
            )
        return batch_size / task.train.n_examples
    one = flops()
    if not one > 0:
        raise UsageError(
            "no products are found in an update: its operations cannot be counted",
            where=name,
            hint="say how many updates, epochs or examples",
        )
    return one


def _number(amount: float) -> str:
    is_whole = amount == int(amount) and amount < 1e9
    return f"{amount:,.0f}" if is_whole else show(float(f"{amount:.4g}"))
