"""A landscape where people work: its page in a notebook, and its picture. Imports no JAX."""

import html
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gridscape.analysis.cells import summarize
from gridscape.analysis.few import told_cell
from gridscape.landscape import Landscape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 820  # pixels of a page within a notebook


class Page:
    """The page of a landscape as text; a notebook shows it in place, without a server."""

    def __init__(self, text: str, title: str) -> None:
        self.text, self.title = text, title

    def _repr_html_(self) -> str:
        # Its own document: styles and scripts of the notebook and of the page stay apart.
        return (
            f'<iframe title="{html.escape(self.title)}" srcdoc="{html.escape(self.text)}"'
            f' style="width:100%;height:{HEIGHT}px;border:0" sandbox="allow-scripts'
            ' allow-downloads"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<page of {self.title}: {len(self.text) / 1e6:.1f} MB; shown in a notebook>"


def page(land: Landscape) -> Page:
    """The page as ``gs.report.write`` writes it, without networks."""
    from gridscape.report.document import document
    from gridscape.report.findings import gather
    from gridscape.report.html import environment
    from gridscape.report.html import page as page_of

    folder = land.folder or Path(str(land.study.get("name") or "landscape"))
    made = datetime.now(UTC).isoformat(timespec="seconds")
    found = gather(land, land.folder)
    title = str(land.study.get("title") or land.study.get("name") or "a landscape")
    return Page(page_of(document(found, folder, made, environment())), title)


def plot(
    land: Landscape,
    metric: str | None = None,
    *,
    ax: "Axes | None" = None,
    size: tuple[float, float] | None = None,
) -> "Figure | Axes":
    """The heat map of a metric; ``ax``: where it is drawn, ``size``: of a new figure, in inches."""
    from gridscape.report import figures

    metric = metric or land.main_metric
    if metric == land.main_metric:
        return figures.heat_map(land, ax=ax, size=size)
    cells = list(map(told_cell, summarize(land, metric)))
    return figures.heat_map(land.axes, cells, ax=ax, size=size)
