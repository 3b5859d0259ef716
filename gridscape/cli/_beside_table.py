"""Studies side by side, short, for a terminal."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from gridscape.analysis.beside import Beside, CellBeside
from gridscape.analysis.statistics import Interval
from gridscape.cli.tables import BAD, GOOD, QUIET, new_table
from gridscape.grid.meanings import Meaning
from gridscape.report.beside import changes, difference_words, summaries

MOST_CELLS = 12
MOST_CHANGES = 12


def beside(found: Beside) -> Iterator[RenderableType]:
    """What differs in the settings, what the replicates show, and the largest differences."""
    settings = list(changes(found))
    if settings:
        table = new_table("setting", *found.names)
        for row in settings[:MOST_CHANGES]:
            table.add_row(*row)
        yield table
        if len(settings) > MOST_CHANGES:
            yield Text(
                f"and {len(settings) - MOST_CHANGES} more settings; the page has them", QUIET
            )
    else:
        yield Text("No setting differs.")
    for line in summaries(found):
        yield Text(line)
    for note in found.notes:
        yield Text(note, QUIET)
    yield _cells(found)


def _mean(estimate: Interval, meaning: Meaning) -> str:
    return f"{meaning.text(estimate.mean)} {meaning.shown_unit}".strip()


def _order(cell: CellBeside) -> tuple[bool, float]:
    size = abs(cell.difference.mean)
    return not cell.is_shown, -size if size == size else 0.0


def _cells(found: Beside) -> RenderableType:
    """The largest differences, those that are shown first."""
    cells = sorted(found.cells, key=_order)
    several = len(found.names) > 2
    title = "cell" if len(cells) <= MOST_CELLS else f"cell ({MOST_CELLS} of {len(cells)})"
    table = new_table(*(["study"] if several else []), title, found.names[0], "other", "difference")
    for cell in cells[:MOST_CELLS]:
        style = (GOOD if cell.is_better else BAD) if cell.is_shown else None
        table.add_row(
            *([cell.study] if several else []),
            str(cell.cell),
            _mean(cell.first, cell.meaning),
            _mean(cell.other, cell.meaning),
            Text(difference_words(cell), style or ""),
        )
    return table
