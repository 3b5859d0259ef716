"""Studies side by side: what page and terminal tell of them, and their page as a file."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gridscape.analysis.beside import AXIS, Beside, CellBeside
from gridscape.errors import GridscapeError
from gridscape.grid.axes import Cell, show
from gridscape.grid.meanings import Meaning
from gridscape.report.contract import BesideData, BesideRow
from gridscape.report.words import estimate_words, number, plural, spoken, with_unit
from gridscape.store.blobs import write_whole

NONE = "-"  # where no replicate tells a difference, or a study lacks a setting


def write_beside(found: Beside, path: str | Path) -> Path:
    """Writes the page of studies side by side; an older one is replaced as a whole.

    Raises GridscapeError where it cannot be written.
    """
    from gridscape.report.document import document
    from gridscape.report.findings import gather
    from gridscape.report.html import environment, page

    path = Path(path)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    content = document(gather(found.land), path.parent, made, environment(), of_studies=found)
    try:
        write_whole(path, page(content).encode())
    except OSError as error:
        raise GridscapeError(
            "cannot write the page", where=path, found=error.strerror or str(error)
        ) from error
    return path


def file_of(found: Beside, first: Path) -> Path:
    """Where the page goes by default: beside the first results folder."""
    name = "-beside-".join(name.replace("/", "-").replace(" ", "-") for name in found.names)
    return first.resolve().parent / f"{name[:120]}.html"


def beside_data(found: Beside, numbers: Mapping[Cell, int]) -> BesideData:
    """What the page tells; numbers: of the cells of the joined landscape."""
    meaning = found.land.meaning(found.metric)
    return {
        "axis": [axis.name for axis in found.land.axes].index(AXIS),
        "names": found.names,
        "paired": found.is_paired,
        "metric": with_unit(found.metric, meaning),
        "summary": list(summaries(found)),
        "changes": [[name, *values] for name, *values in changes(found)],
        "rows": [_row(cell, numbers) for cell in found.cells],
        "notes": found.notes,
    }


def _row(found: CellBeside, numbers: Mapping[Cell, int]) -> BesideRow:
    return {
        "cell": numbers[Cell(((AXIS, found.study), *found.cell.items()))],
        "first": estimate_words(found.first, found.meaning),
        "other": estimate_words(found.other, found.meaning),
        "difference": difference_words(found),
        "p": "" if found.p_value != found.p_value else number(found.p_value),
        "shown": _shown(found),
    }


def _shown(found: CellBeside) -> Any:
    if not found.is_shown:
        return ""
    return "better" if found.is_better else "worse"


def difference_words(found: CellBeside) -> str:
    """A difference with its interval: "+1.2 points (+0.4 to +2.0)"."""
    meaning, of = found.meaning, found.difference
    unit = " points" if meaning.is_fraction else ""
    if of.mean != of.mean:
        return NONE
    if not of.known:
        return f"{signed(of.mean, meaning)}{unit}"
    return (
        f"{signed(of.mean, meaning)}{unit}"
        f" ({signed(of.low, meaning)} to {signed(of.high, meaning)})"
    )


def signed(value: float, meaning: Meaning) -> str:
    """A difference with its sign."""
    text = meaning.text(value)
    return text if text.startswith("-") or not any(c in text for c in "123456789") else f"+{text}"


def summaries(found: Beside) -> Iterator[str]:
    """A sentence for each study but the first."""
    for name in found.names[1:]:
        cells = found.of(name)
        better = sum(cell.is_better for cell in cells)
        worse = sum(cell.is_shown for cell in cells) - better
        rest = len(cells) - better - worse
        yield (
            f"{name} against {found.names[0]}, {spoken(found.metric)} of"
            f" {plural(len(cells), 'shared cell')}: shown to be better in {better}, worse in"
            f" {worse}, not told apart in {rest}."
        )


def changes(found: Beside) -> Iterator[Sequence[str]]:
    """The settings that differ, with their values as text."""
    for change in found.changes:
        yield change.name.replace("_", " "), *(_text(value) for value in change.values)


def _text(value: Any) -> str:
    if value is None or value == {} or value == []:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_text(of)}" for name, of in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return show(value)
