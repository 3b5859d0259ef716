"""Pictures of what single networks do, by matplotlib: records of inspection in, figures out.

They compute nothing but pixels. Every function returns a ``matplotlib.figure.Figure``; the look is
that of ``figures``. Pictures lie on a light ground, also where the page around them is dark.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gridscape.grid.axes import Cell, show
from gridscape.grid.trials import content_key
from gridscape.inspection import images as mosaics
from gridscape.inspection.images import common_scale, map_sheet, own_scale
from gridscape.inspection.kinds import Line, Look, blocks, sample_lines, spread_groups, stage
from gridscape.inspection.records import (
    Confusion,
    Deconvnet,
    Example,
    Filters,
    LayerStatistics,
    Mistakes,
    Sample,
    Tiles,
)
from gridscape.report._drawing import (
    BAD,
    INK,
    LINE,
    MUTED,
    TEST,
    TRAIN,
    escaped,
    needs_matplotlib,
    save,
    styled,
)
from gridscape.report.palette import ink_on
from gridscape.store.blobs import require_within

with needs_matplotlib():
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

ACROSS = 5  # examples side by side
MOST_TILES = 64  # filters or feature maps of a picture: more are left out, and the title says so
LONGEST_NAME = 200  # bytes of a folder's name
MOST_LETTERS = 16  # of the name of a class
MOST_LABELED = 20  # classes whose counts are written into the confusion matrix
RIGHT = LinearSegmentedColormap.from_list("right", ["#ffffff", TEST])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", TRAIN])


# ---- mistakes ----


def mistakes(record: Mistakes) -> Figure:
    """The most wrong and the first correct examples: true class, answer and its probability."""
    found = f"{record.n_wrong:,} of {record.n_examples:,} wrong; the largest losses first"
    parts = [(found, record.wrong), ("The first correct ones", record.right)]
    shown = [(title, examples) for title, examples in parts if examples]
    rows = [-(-len(examples) // ACROSS) for _, examples in shown]
    with styled():
        figure = Figure(figsize=(7.0, 1.62 * sum(rows) + 0.35 * len(rows)))
        panels = figure.subfigures(
            len(rows), 1, squeeze=False, height_ratios=[r + 0.2 for r in rows]
        ).flat
        for panel, (title, examples), down in zip(panels, shown, rows, strict=True):
            panel.suptitle(title, x=0.01, ha="left", fontsize=10)
            boxes = list(panel.subplots(down, ACROSS, squeeze=False).flat)
            for box, example in itertools.zip_longest(boxes, examples):
                _example(box, example)
    return figure


def _example(box: Axes, example: Example | None) -> None:
    box.set_axis_off()
    if example is None:
        return
    if mosaics.is_symbols(example.inputs):
        symbols = " ".join(str(s) for s in example.inputs[example.inputs >= 0].ravel())
        box.text(0.5, 0.5, symbols, ha="center", va="center", fontsize=8, family="monospace")
        box.set(xlim=(0, 1), ylim=(0, 1))
    else:
        _pixels(box, mosaics.photograph(example))
    box.set_title("\n".join(caption(example)), fontsize=8, loc="center", linespacing=1.15)


def caption(example: Example) -> tuple[str, str]:
    """The true class, and the answer with its probability: two lines."""
    sure = "" if example.probability is None else f", {100 * example.probability:.1f} %"
    truth, answer = map(_plain, example.names)
    return f"true {truth}", f"answer {answer}{sure}"


def _plain(name: str) -> str:
    """A name as it is read, short: a dollar begins a formula of Matplotlib's."""
    short = name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 3]}..."
    return short.replace("$", r"\$")


def _pixels(box: Axes, pixels: np.ndarray) -> None:
    """Pixels as they are, each a square."""
    box.imshow(pixels, interpolation="nearest", aspect="equal")
    box.set_axis_off()


# ---- confusion ----


def confusion(record: Confusion) -> Figure:
    """Test examples by true class and answer: what is right in blue, mistakes in orange.

    Blue by the share of its class; orange by that of the largest mistake.
    """
    counts, shares = record.counts, np.nan_to_num(record.shares)
    n = len(counts)
    off = np.where(np.eye(n, dtype=bool), 0.0, shares)
    faces = np.where(np.eye(n, dtype=bool)[..., None], RIGHT(shares), WRONG(off / (off.max() or 1)))
    with styled():
        side = min(1.6 + 0.42 * n, 9.0)
        figure = Figure(figsize=(side, side))
        box = figure.subplots()
        box.imshow(faces, interpolation="nearest")
        if n <= MOST_LABELED:
            _counts(box, counts, faces)
        step = -(-n // 24)
        names = [_plain(name) for name in record.classes[::step]]
        are_long = max(map(len, names)) > 3
        box.set(xlabel="answer", ylabel="true")
        box.set_xticks(range(0, n, step), names, rotation=90 if are_long else 0)
        box.set_yticks(range(0, n, step), names)
        box.tick_params(length=0)
        box.spines[:].set(visible=True, color=LINE)
        right = np.trace(counts) / max(counts.sum(), 1)
        figure.suptitle(f"{100 * right:.1f} % of {counts.sum():,} right", x=0.01, ha="left")
    return figure


def _counts(box: Axes, counts: np.ndarray, faces: np.ndarray) -> None:
    for (y, x), count in np.ndenumerate(counts):
        if count:
            color = ink_on(faces[y, x])
            box.text(x, y, f"{count}", ha="center", va="center", fontsize=7, color=color)


# ---- filters ----


def filters(record: Filters) -> Figure:
    """The first layer's filters, start beside end: each on its own scale, and all on one."""
    n = min(len(record.start.values), MOST_TILES)
    with styled():
        figure = Figure(figsize=(8.2, 8.6))
        boxes = figure.subplots(2, 2)
        for row, scaled in zip(boxes, (own_scale, common_scale), strict=True):
            pairs = zip(row, (record.start, record.end), ("start", "end"), strict=True)
            for box, tiles, when in pairs:
                pixels = scaled(tiles, record.limit)[:n]
                _pixels(box, mosaics.sheet(pixels, mosaics.square_columns(n)))
                box.set_title(f"{when}: {SCALES[scaled]}", fontsize=9)
        low, zero, high = _scale_words(record)
        scale = f"{low} -{record.limit:.3g}, {zero} 0, {high} {record.limit:.3g}"
        figure.supxlabel(f"common scale: {scale}", fontsize=8, color=MUTED)
        figure.suptitle(_filter_title(record, n), x=0.01, ha="left", fontsize=10)
    return figure


SCALES: Mapping[Callable[[Tiles, float], np.ndarray], str] = {
    own_scale: "each on its own scale",
    common_scale: "on one common scale",
}


def _scale_words(record: Filters) -> tuple[str, str, str]:
    """The ends of the common scale and its middle, in colors."""
    in_color = record.start.values.shape[-1] == 3
    return ("black", "gray", "bright") if in_color else ("blue", "white", "red")


def _filter_title(record: Filters, shown: int) -> str:
    n, height, width, channels = record.start.values.shape
    size = f"{height} x {width}" + (f" x {channels}" if channels > 1 else "")
    cut = f", the first {shown} of {n}" if shown < n else f", {n}"
    return escaped(f"Filters of {record.layer}{cut}, of {size} weights", 90)


# ---- activations ----


def activations(record: Sequence[LayerStatistics]) -> Figure:
    """Mean +- standard deviation and share of zeros of each channel, before and after activations.

    A row for each layer with weights, together with the activation and the pooling that follow.
    """
    rows = list(blocks(record))
    with styled():
        figure = Figure(figsize=(9.0, 1.75 * len(rows) + 0.6))
        for (left, right), block in zip(
            figure.subplots(len(rows), 2, squeeze=False), rows, strict=True
        ):
            for of_layer, color in zip(block, (MUTED, TRAIN, TEST), strict=False):
                _channels(left, right, of_layer, color)
            left.set_title(_layer_title(block[0]), fontsize=9)
            left.axhline(0, color=LINE, lw=0.8, zorder=0)
            left.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.0)
            right.set(ylim=(-4, 104))
            right.set_title("zeros, %", fontsize=9)
        for box in (left, right):
            box.set_xlabel("channel")
        figure.suptitle("Mean ± standard deviation over the test set", x=0.01, ha="left")
    return figure


def _channels(left: Axes, right: Axes, of_layer: LayerStatistics, color: str) -> None:
    """Steps, since a channel has no neighbors."""
    moments = of_layer.channels
    at = np.arange(len(moments.mean))
    ends = (moments.mean - moments.sd, moments.mean + moments.sd)
    left.fill_between(at, *ends, step="mid", color=color, alpha=0.2, lw=0)
    left.plot(at, moments.mean, drawstyle="steps-mid", color=color, lw=1.1, label=stage(of_layer))
    right.plot(at, 100 * moments.zero_share, drawstyle="steps-mid", color=color, lw=1.1)


def _layer_title(of_layer: LayerStatistics) -> str:
    return escaped(f"{of_layer.layer}, {' x '.join(map(str, of_layer.shape))}", 60)


# ---- deconvnet ----


def deconv(record: Deconvnet) -> Figure:
    """Of each feature map, the images that activate it most beside what in them does."""
    n = min(len(record.channels), MOST_TILES)
    maps = [map_sheet(record, i) for i in range(n)]
    height, width, _ = maps[0].shape
    columns = mosaics.square_columns(n, width / height)
    full = mosaics.sheet(np.stack(maps), columns, gap := height // 4)
    across, down = full.shape[1], full.shape[0]
    with styled():
        wide = 9.0 if n > 4 else 5.0
        figure = Figure(figsize=(wide, wide * (down + gap) / across + 0.5))
        box = figure.subplots()
        _pixels(box, full)
        box.set_ylim(down, -gap)
        for i in range(n):
            x, y = i % columns * (width + gap), i // columns * (height + gap)
            silent = "" if record.activations[i].max() > 0 else ", silent"
            label = f"map {record.channels[i]}{silent}"
            box.text(x, y - 0.2 * gap, label, fontsize=6.5, color=INK)
        cut = f"; {n} of {len(record.channels)} maps" if n < len(record.channels) else ""
        figure.suptitle(
            escaped(f"{record.layer}: strongest images, and what in them activates{cut}", 110),
            x=0.01,
            ha="left",
            fontsize=10,
        )
    return figure


# ---- sequences ----


def samples(record: Sequence[Sample], group: str = "") -> Figure:
    """Test sequences of several kinds, with the truth and the answer; what is wrong is marked.

    group: what the kinds are, as "length".
    """
    shown = [(sample, sample_lines(sample)) for sample in spread_groups(record)]
    longest = max(len(line.symbols) for _, lines in shown for line in lines)
    longest += 5 if any(sample.of_bits for sample, _ in shown) else 0  # room for the numbers
    total = sum(len(lines) + 0.6 for _, lines in shown)
    with styled():
        figure = Figure(figsize=(min(2.2 + 0.24 * longest, 12.0), 0.2 * total + 0.7))
        box = figure.subplots()
        y = 0.0
        for sample, lines in shown:
            name = "" if sample.group is None else f"{group} {sample.group}".strip()
            box.text(-3.4, y, escaped(name), ha="right", va="center", fontsize=8, weight="bold")
            for i, line in enumerate(lines):
                _line(box, y + i, line, is_truth=line.name == "truth")
            y += len(lines) + 0.6
        box.set(xlim=(-7, longest - 0.4), ylim=(total, -0.8))
        box.set_axis_off()
        right = sum(sample.is_right for sample in record)
        figure.suptitle(f"{right} of {len(record)} samples right", x=0.01, ha="left", fontsize=10)
    return figure


def _line(box: Axes, y: float, line: Line, *, is_truth: bool) -> None:
    box.text(-0.8, y, line.name, ha="right", va="center", fontsize=7.5, color=MUTED)
    for x, (symbol, is_wrong) in enumerate(zip(line.symbols, line.wrong, strict=True)):
        face = BAD if is_wrong else ("#e6eef5" if is_truth else "none")
        square = Rectangle((x - 0.5, y - 0.46), 1, 0.92, facecolor=face, edgecolor=LINE, lw=0.4)
        box.add_patch(square)
        color = "white" if is_wrong else INK
        box.text(x, y, escaped(symbol, 6), ha="center", va="center", fontsize=7, color=color)
    if line.number:
        color = BAD if any(line.wrong) else INK
        at = len(line.symbols) - 0.2
        box.text(at, y, f"= {line.number}", ha="left", va="center", fontsize=7.5, color=color)


# ---- files ----


DRAW: Mapping[str, Callable[..., Figure]] = {
    "mistakes": mistakes,
    "confusion": confusion,
    "filters": filters,
    "activations": activations,
    "deconv": deconv,
    "samples": samples,
}


def pictures(look: Look) -> dict[str, Callable[[], Figure]]:
    """What draws the picture of each thing that a network was asked, by the name of its file."""
    replicate, groups = look.network.trial.replicate, look.network.task.groups
    suffix = f"_replicate_{replicate}" if replicate else ""
    of_group = {"samples": (groups.name if groups else "",)}
    return {
        kind + suffix: partial(DRAW[kind], record, *of_group.get(kind, ()))
        for kind, record in look.records.items()
    }


def save_look(look: Look, directory: str | Path) -> list[Path]:
    """Draws all that a network was asked, into figures/inspect/<cell>/ of a results folder.

    Returns the paths, PNG and SVG of each. Raises GridscapeError where a file cannot be written,
    StoreError where a link leads out of the folder.
    """
    folder = place_of(look, directory)
    return [p for name, make in pictures(look).items() for p in save(make(), folder, name)]


def place_of(look: Look, directory: str | Path) -> Path:
    """The folder of a network's pictures; raises StoreError where a link leads elsewhere."""
    folder = Path(directory) / "figures" / "inspect" / folder_name(look.network.trial.cell)
    require_within(Path(directory), folder)
    return folder


def folder_name(cell: Cell) -> str:
    """A cell as the name of a folder: letters, digits and =,.-+ as they are; cut where too long.

    >>> folder_name(Cell.of(hidden_size=64, model="my:net"))
    'hidden_size=64,model=my_net'
    """
    name = ",".join(f"{axis}={show(value)}" for axis, value in cell.items())
    safe = "".join(c if c.isalnum() or c in "=,.-+_" else "_" for c in name)
    return safe if len(safe.encode()) <= LONGEST_NAME else content_key(dict(cell))
