"""What single networks were asked, as tables for a terminal of 80 columns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from gridscape.cli.tables import BAD, GOOD, QUIET, UNSURE, new_table
from gridscape.inspection.images import is_symbols
from gridscape.inspection.kinds import Line, Look, sample_lines, spread_groups
from gridscape.inspection.pairs import PairedCells
from gridscape.inspection.records import (
    Confusion,
    Deconvnet,
    Example,
    Filters,
    LayerStatistics,
    Mistakes,
    Sample,
)
from gridscape.report.words import plural, spoken

MOST_CLASSES = 10  # of a confusion matrix; of more classes the most frequent mistakes are listed
MOST_MAPS = 12
MOST_CONFUSIONS = 5
CHANGED = "!"  # of a network that was trained again with another result


def tables(look: Look, how: str = "", why: str = "") -> Iterator[RenderableType]:
    """All that a network was asked, under its name.

    how: the cell was chosen, and how it does over its replicates. why: what went wrong with them.
    """
    network = look.network
    yield Text(f"{network.trial.cell}, replicate {network.trial.replicate}", "bold")
    if how:
        yield Text(f"{how[0].upper()}{how[1:]}.", QUIET)
    if why:
        yield Text(f"{why[0].upper()}{why[1:]}.", UNSURE)
    if network.trained_again:
        told = "identical to" if network.identical else "DIFFERENT from"
        style = QUIET if network.identical else UNSURE
        yield Text(f"Its parameters were not kept: trained again, {told} what is stored.", style)
    for kind, record in look.records.items():
        yield Text()
        yield from TABLES[kind](record)


def mistakes(record: Mistakes) -> Iterator[RenderableType]:
    """The most wrong and the first correct examples."""
    share = 100 * record.n_wrong / record.n_examples
    yield Text(f"{record.n_wrong:,} of {record.n_examples:,} test examples wrong ({share:.1f} %)")
    parts = (("The largest losses among them", record.wrong), ("The first correct", record.right))
    for title, examples in parts:
        if examples:
            yield Text(title, "bold")
            yield _examples(examples)


def _examples(examples: Sequence[Example]) -> RenderableType:
    symbols = any(is_symbols(example.inputs) for example in examples)
    numbers = ("example", "true", "answer", "probability", "loss")
    found = new_table(*numbers, *(["sequence"] if symbols else []))
    for column in found.columns[: len(numbers)]:
        column.justify = "right"
    for e in examples:  # names as they are: they may hold what looks like markup
        sure = "" if e.probability is None else f"{100 * e.probability:.1f} %"
        row = [str(e.index), *map(escape, e.names), sure, f"{e.loss:.3g}"]
        found.add_row(*row, *([" ".join(map(str, e.inputs[e.inputs >= 0]))] if symbols else []))
    return found


def confusion(record: Confusion) -> Iterator[RenderableType]:
    """The matrix where it fits, and the most frequent mistakes."""
    counts, n = record.counts, len(record.counts)
    yield Text("Confusion: test examples by true class (rows) and answer (columns)", "bold")
    if n <= MOST_CLASSES:
        yield _matrix(counts, record.classes)
    wrong = np.where(np.eye(n, dtype=bool), 0, counts)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(i), n) for i in order if wrong.flat[i]]
    name = record.classes
    told = [f"{name[true]} as {name[answer]} ({counts[true, answer]})" for true, answer in pairs]
    yield Text(f"Most frequent: {', '.join(told)}" if told else "No mistake at all.")


def _matrix(counts: np.ndarray, classes: Sequence[str]) -> RenderableType:
    """Counts; what is right in green, zeros as dots."""
    found = new_table("true", *map(escape, classes))
    for column in found.columns:
        column.justify = "right"
    for true, row in enumerate(counts.tolist()):
        cells = [
            Text(str(count) if count else ".", GOOD if true == answer else "" if count else QUIET)
            for answer, count in enumerate(row)
        ]
        found.add_row(Text(classes[true]), *cells)
    return found


def filters(record: Filters) -> Iterator[RenderableType]:
    """How many filters of what size, and how far their weights reach."""
    n, height, width, channels = record.start.values.shape
    size = f"{height} x {width}" + (f" x {channels}" if channels > 1 else "")
    yield Text(f"{plural(n, 'filter')} of {record.layer}, {size} weights each", "bold")
    found = new_table("", "lowest", "highest", "mean magnitude")
    for when, tiles in (("start", record.start), ("end", record.end)):
        size_of = np.abs(tiles.values).mean()
        found.add_row(when, f"{tiles.low.min():.3g}", f"{tiles.high.max():.3g}", f"{size_of:.3g}")
    yield found


def activations(record: Sequence[LayerStatistics]) -> Iterator[RenderableType]:
    """A row for each layer: all of its channels together, and how many of them are silent."""
    yield Text("Activations over the test set", "bold")
    found = new_table("layer", "shape", "mean", "sd", "zeros", "silent channels")
    for column in found.columns[2:]:
        column.justify = "right"
    for of_layer in record:
        total = of_layer.total
        silent = int((of_layer.channels.zero_share == 1).sum())
        found.add_row(
            of_layer.layer,
            " x ".join(map(str, of_layer.shape)),
            f"{total.mean:.3g}",
            f"{total.sd:.3g}",
            f"{100 * total.zero_share:.1f} %",
            str(silent) if silent else "",
        )
    yield found


def deconv(record: Deconvnet) -> Iterator[RenderableType]:
    """The examples that activate each feature map most; their reconstructions are pictures."""
    yield Text(f"Feature maps of {record.layer}, and the examples that activate them most", "bold")
    found = new_table("map", "strongest", "examples")
    for channel, indices, activations in zip(
        record.channels[:MOST_MAPS], record.indices, record.activations, strict=False
    ):
        found.add_row(str(channel), f"{activations[0]:.3g}", " ".join(map(str, indices)))
    yield found
    if len(record.channels) > MOST_MAPS:
        yield Text(f"and {plural(len(record.channels) - MOST_MAPS, 'further map')}", QUIET)


def samples(record: Sequence[Sample]) -> Iterator[RenderableType]:
    """One sequence of each of several kinds, a wrong one if any, those first.

    Symbol under symbol; wrong answers are marked.
    """
    right = sum(sample.is_right for sample in record)
    yield Text(f"Sample sequences: {right} of {len(record)} right", "bold")
    shown: dict[int | None, Sample] = {}
    for sample in spread_groups(record):
        shown.setdefault(sample.group, sample)
    numbers = ["number"] if any(sample.of_bits for sample in shown.values()) else []
    found = new_table("kind", "", "steps, the first one first", *numbers)
    for sample in shown.values():
        kind = "" if sample.group is None else str(sample.group)
        for i, line in enumerate(sample_lines(sample)):
            number = [Text(line.number, BAD if any(line.wrong) else "")] if numbers else []
            found.add_row("" if i else kind, line.name, _spelled(line), *number)
        found.add_section()
    yield found


def _spelled(line: Line) -> Text:
    """Symbols side by side; wrong ones in brackets too, where there is no color."""
    wide = max(map(len, line.symbols), default=1)
    text = Text()
    for symbol, is_wrong in zip(line.symbols, line.wrong, strict=True):
        text.append(f"{symbol:>{wide}}", BAD if is_wrong else "")
        text.append("!" if is_wrong else " ")
    return text


def paired(record: PairedCells) -> Iterator[RenderableType]:
    """Two cells on the same test examples: a row for each replicate, and what it tells."""
    (n_examples,) = {one.counts.n_examples for one in record.replicates}
    yield Text(f"Test examples that only one gets right ({spoken(record.metric)})", "bold")
    yield Text(f"A: {record.a}\nB: {record.b}\n{n_examples:,} examples", QUIET)
    found = new_table("replicate", "A", "B", "only A", "only B", "A - B, points", "p")
    for column in found.columns:
        column.justify = "right"
    for one in record.replicates:
        counts, wide = one.counts, one.difference
        found.add_row(
            f"{one.replicate}{'' if one.identical else CHANGED}",
            f"{100 * counts.share_a:.2f} %",
            f"{100 * counts.share_b:.2f} %",
            str(counts.only_a),
            str(counts.only_b),
            f"{100 * wide.mean:+.2f} ({100 * wide.low:+.2f} to {100 * wide.high:+.2f})",
            f"{one.p_value:.2g}",
        )
    yield found
    if not all(one.identical for one in record.replicates):
        yield Text(f"{CHANGED} trained again, DIFFERENT from what is stored", UNSURE)
    if record.left_out:
        numbers = ", ".join(map(str, record.left_out))
        yield Text(f"Left out, not finished in both: replicate {numbers}", QUIET)
    yield Text(
        "McNemar's exact test, Newcombe's 95 % interval: of these very networks on new examples."
        " What networks trained anew would do, replicates tell: gridscape show.",
        QUIET,
    )


TABLES: Mapping[str, Callable[[Any], Iterator[RenderableType]]] = {
    "mistakes": mistakes,
    "confusion": confusion,
    "filters": filters,
    "activations": activations,
    "deconv": deconv,
    "samples": samples,
}
