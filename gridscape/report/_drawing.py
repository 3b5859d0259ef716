"""How every picture looks: colors, type, axes and files, for all modules that draw.

The pictures have a light ground of their own, so that they read the same on a dark page.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridscape.errors import GridscapeError
from gridscape.grid.axes import Axis, Value, show
from gridscape.store.blobs import temporary_of


@contextmanager
def needs_matplotlib() -> Iterator[None]:
    """Around the import of matplotlib: tells how to install it where it is missing."""
    try:
        yield
    except ImportError as error:
        raise GridscapeError(
            "figures need matplotlib", found=str(error), hint="pip install 'gridscape[report]'"
        ) from error


with needs_matplotlib():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

INK, MUTED, LINE, ACCENT = "#1b1d21", "#5a5f67", "#dfdcd4", "#1f5c8f"
TRAIN, TEST, VALIDATION, BAD = "#b4521a", "#1f6a9c", "#0f7a5c", "#a63a14"
STYLE: Any = {
    "svg.hashsalt": "gridscape",
    "svg.fonttype": "none",  # words stay words, to be edited and searched
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": LINE,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "hatch.linewidth": 0.8,
    "figure.constrained_layout.use": True,
}


class Shown(Figure):
    """A figure that a notebook shows, whatever its settings are."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        with styled():
            self.savefig(content, format="png", metadata=KINDS["png"])
        return content.getvalue()


# ---- files ----


# What is not written into a file, so that equal figures give equal bytes.
KINDS: Any = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def paths_of(folder: Path, name: str) -> list[Path]:
    """The files of a figure: one of each kind."""
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    return [folder / f"{stem}.{kind}" for kind in KINDS]


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes one figure as ``name`` with each of ``KINDS``; an existing file is replaced whole."""
    paths = paths_of(folder, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _lay_out(figure)
        for path, (kind, metadata) in zip(paths, KINDS.items(), strict=True):
            part = temporary_of(path)
            try:
                with styled():
                    figure.savefig(part, format=kind, metadata=metadata)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise GridscapeError(
            "cannot write this figure",
            where=paths[0].with_suffix(""),
            found=error.strerror or str(error),
        ) from error
    return paths


def _lay_out(figure: Figure) -> None:
    """Lays a figure out once, not again for each file."""
    with styled():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


# ---- colors, axes ----


@contextmanager
def styled() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def times(values: Sequence[float], factor: float) -> list[float]:
    return [factor * value for value in values]


def line_colors(count: int) -> list[Any]:
    return [mpl.colormaps["viridis"](0.85 * i / max(count - 1, 1)) for i in range(count)]


def coordinate(axis: Axis, value: Value) -> float:
    """Where a value lies on a chart's axis: categories are counted."""
    return float(axis.values.index(value)) if axis.scale == "category" else float(value)


def study_axis(side: Any, axis: Axis) -> None:
    """A chart axis that carries a study's axis: its own values as ticks, log where it is log."""
    if axis.scale == "log":
        set_scale(side, "log")
    step = -(-len(axis.values) // 12)
    values = axis.values[::step]
    side.set_major_locator(FixedLocator([coordinate(axis, value) for value in values]))
    side.set_minor_locator(NullLocator())
    side.set_minor_formatter(NullFormatter())
    side.set_ticklabels([escaped(show(value)) for value in values])
    log = axis.scale == "log"
    ends = around([coordinate(axis, value) for value in axis.values], log=log)
    side.set_view_interval(*ends, ignore=True)


def set_scale(side: Any, scale: str) -> None:
    setter: Callable[[str], None] = getattr(side.axes, f"set_{side.axis_name}scale")
    setter(scale)


def name_ticks(side: Any, axis: Axis) -> None:
    # Names stand side by side below a picture: there is room for fewer of them than at its left.
    most = 12 if side.axis_name == "x" and len(axis.values) > 24 else 24
    step = -(-len(axis.values) // most)
    shown = range(0, len(axis.values), step)
    side.set_ticks(list(shown), [escaped(show(axis.values[i])) for i in shown])
    side.set_label_text(escaped(axis.name))


def escaped(text: str, most: int = 24) -> str:
    """A study's words as they stand, cut to fit: matplotlib reads dollars as mathematics."""
    text = " ".join(text.split())
    cut = text if len(text) <= most else text[: most - 3] + "..."
    return cut.replace("$", r"\$")


def finish(box: Axes, x: str, y: str) -> None:
    box.set_xlabel(escaped(x))
    box.set_ylabel(escaped(y))
    box.grid(axis="y", lw=0.5)
    box.set_axisbelow(True)


def around(values: Iterable[float], *, log: bool) -> tuple[float, float]:
    """A little more than the values need. Means set the limits of a chart; intervals may leave it.

    >>> around([0.0, 1.0], log=False)
    (-0.07, 1.07)
    """
    places = [
        math.log10(v) if log else v for v in values if math.isfinite(v) and (v > 0 or not log)
    ]
    low, high = min(places, default=0.0), max(places, default=1.0)
    margin = 0.07 * (high - low or 1.0)
    ends = (low - margin, high + margin)
    return (10 ** ends[0], 10 ** ends[1]) if log else ends
