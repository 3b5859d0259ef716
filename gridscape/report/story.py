"""What a landscape shows, in plain words made from its numbers; and where learning works in it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from gridscape.analysis.best import BestPerRow
from gridscape.analysis.cells import CellSummary
from gridscape.grid.axes import Axis, show
from gridscape.landscape import sought_axis
from gridscape.report.findings import Findings
from gridscape.report.words import plural, spoken


def story(found: Findings) -> str:
    """A paragraph: where learning works, how the best value moves, what went wrong."""
    if found.top is None:
        return ""
    return " ".join(_sentences(found))


def works(found: Findings) -> list[bool | None]:
    """Of every cell whether learning works there; None where no run of it ended.

    It does where most runs learn and their mean comes half of the way from guessing to the best
    cell, where that way is known.
    """
    threshold = threshold_of(found)
    return [_works(summary, threshold) for summary in found.main]


def threshold_of(found: Findings) -> float | None:
    """The number half of the way from guessing to the best cell, where it is known."""
    threshold = found.edge[0].threshold if found.edge else None
    return threshold if threshold is not None and threshold == threshold else None


def works_told(found: Findings) -> str:
    """What it is that learning works, with its number."""
    threshold, meaning = threshold_of(found), found.land.meaning(found.metric)
    if threshold is None:
        return "most runs learn"
    number = f"{meaning.text(threshold)} {meaning.shown_unit}".strip()
    way = "reaches" if meaning.is_higher_better else "comes down to"
    return f"{spoken(found.metric)} {way} {number}, half of the way from guessing to the best"


def _works(summary: CellSummary, threshold: float | None) -> bool | None:
    if not summary.n_ended:
        return None
    sign = summary.meaning.sign
    is_there = threshold is None or sign * summary.estimate.mean >= sign * threshold
    return bool(is_there and 2 * summary.n_learns > summary.n_ended)


def _sentences(found: Findings) -> Iterator[str]:
    works_there = works(found)
    ended = [w for w in works_there if w is not None]
    where = plural(len(ended), "cell")
    yield f"Learning works in {sum(ended)} of {where}: there {works_told(found)}."
    axis = sought_axis(found.land.axes)
    if axis:
        yield from _values(found, axis, works_there)
        yield from _best(found.best, axis)
        yield from _lost(found, axis)


def _values(found: Findings, axis: Axis, works_there: Sequence[bool | None]) -> Iterator[str]:
    """At which values it works anywhere."""
    does = {s.cell[axis.name] for s, w in zip(found.main, works_there, strict=True) if w}
    there = [value for value in axis.values if value in does]
    if there and len(there) < len(axis.values):
        yield f"It does at a {spoken(axis.name)} of {_span(there, axis)}, and at no other tried."


def _span(values: Sequence[object], axis: Axis) -> str:
    places = _places(values, axis)
    is_run = len(places) > 2 and places == list(range(places[0], places[-1] + 1))
    if is_run and axis.scale != "category":
        return f"{show(values[0])} to {show(values[-1])}"  # type: ignore[arg-type]
    *most, last = [show(value) for value in values]  # type: ignore[arg-type]
    return f"{', '.join(most)} and {last}" if most else last


def _places(values: Iterable[object], axis: Axis) -> list[int]:
    """Where on the axis each of its values stands."""
    at: dict[object, int] = {value: place for place, value in enumerate(axis.values)}
    return [at[value] for value in values]


def _best(rows: Sequence[BestPerRow], axis: Axis) -> Iterator[str]:
    """How the best value moves from the first row to the last, where rows are those of one axis."""
    known = [row for row in rows if row.value is not None]
    if len(known) < 2 or len(known[0].row) != 1:
        return
    values = _places([row.value for row in known], axis)
    name, (first, last) = spoken(axis.name), (known[0], known[-1])
    if len(set(values)) == 1:
        yield f"By its means the best {name} is {show(first.value)} in every row."
    elif axis.scale != "category":
        steps = [b - a for a, b in pairwise(values)]
        way = "falls" if max(steps) <= 0 else "rises" if min(steps) >= 0 else "goes"
        if first.value == last.value:
            yield f"By its means the best {name} differs from row to row, without a direction."
        elif first.value is not None and last.value is not None:
            yield (
                f"By its means the best {name} {way} from {show(first.value)} at {first.row} to"
                f" {show(last.value)} at {last.row}; rings show what is as good for all that the"
                " replicates tell."
            )


def _lost(found: Findings, axis: Axis) -> Iterator[str]:
    """What went wrong, and at which values."""
    kinds: tuple[tuple[str, Callable[[CellSummary], int]], ...] = (
        ("diverged", lambda s: s.n_diverged),
        ("collapsed to one answer", lambda s: s.n_collapsed),
        ("had not begun to learn", lambda s: s.n_not_started),
    )
    for word, count in kinds:
        n = sum(map(count, found.main))
        if n:
            there = {s.cell[axis.name] for s in found.main if count(s)}
            at = [value for value in axis.values if value in there]
            yield f"{plural(n, 'network')} {word}, at {spoken(axis.name)} {_span(at, axis)}."
