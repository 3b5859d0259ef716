"""What single trained networks are asked: the kinds of inspection, and which of them fit a network.

One list for the command line and the report.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gridscape.analysis.cells import CellSummary, summarize, top_cell
from gridscape.analysis.few import told_cell
from gridscape.analysis.reasons import explanations
from gridscape.base.data import Sequences
from gridscape.errors import UnknownNameError, UsageError
from gridscape.execution.replay import Trained, trained
from gridscape.grid.axes import Cell
from gridscape.inspection import activations, answers, feature_maps, filters, sequences
from gridscape.inspection._layers import compute_the_same
from gridscape.inspection.records import (
    Confusion,
    Deconvnet,
    Filters,
    LayerStatistics,
    Mistakes,
    Sample,
    Stage,
)
from gridscape.landscape import Landscape
from gridscape.models.feedforward import Layer

__all__ = ["KINDS", "Look", "Trained", "look", "trained"]

Record = (
    Mistakes | Confusion | Filters | tuple[LayerStatistics, ...] | Deconvnet | tuple[Sample, ...]
)


class _Inspection:
    """A trained network that is asked for records, of a layer where one is named."""

    def __init__(self, network: Trained, layer: str | None = None) -> None:
        self.network = network
        self.recipe, self.task = network.recipe, network.task
        self.end = network.end
        self.layer = layer
        self.has_answers = False  # to all test examples: a few sequences need no more than theirs

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those of a feed-forward network; none where its apply was replaced by another one."""
        layers = self.recipe.model.layers
        return layers if layers and compute_the_same(self.recipe, self.task, self.end) else ()

    @cached_property
    def answers(self) -> answers.Answers:
        """To the test examples: computed once for all kinds that read them."""
        self.has_answers = True
        return answers.all_answers(self.recipe, self.task, self.end)

    def fitting(self) -> tuple[str, ...]:
        """The kinds that fit the model and its task, in their order."""
        task = self.task
        fits = {
            "mistakes": task.answer is not None,
            "confusion": task.answer is not None,
            "filters": bool(self.layers) and is_picture(task.input_shape),
            "activations": bool(self.layers),
            "deconv": any(layer.kind == "conv" for layer in self.layers),
            "samples": task.groups is not None or _is_class_a_step(task.test.targets),
        }
        return tuple(kind for kind in KINDS if fits[kind])

    def look(self, kinds: Iterable[str]) -> "Look":
        """The records of these kinds."""
        return Look(self.network, {kind: KINDS[kind](self) for kind in kinds})

    def mistakes(self) -> Mistakes:
        return answers.mistakes_among(self.answers, self.task)

    def confusion(self) -> Confusion:
        return answers.confusion_among(self.answers, self.task)

    def filters(self) -> Filters:
        ends = self.network.start, self.end
        return filters.first_layer_filters(self.recipe, self.task, *ends, layers=self.layers)

    def activations(self) -> tuple[LayerStatistics, ...]:
        found = activations.activation_statistics(self.recipe, self.task, self.end, self.layers)
        names = [of_layer.layer for of_layer in found]
        if self.layer is not None and self.layer not in names:
            raise UnknownNameError("layer", self.layer, names, where="inspect")
        return tuple(of_layer for of_layer in found if self.layer in (None, of_layer.layer))

    def deconv(self) -> Deconvnet:
        return feature_maps.deconvnet(self.recipe, self.task, self.end, self.layer)

    def samples(self) -> tuple[Sample, ...]:
        seen = self.answers.answers if self.has_answers else None
        return sequences.samples(self.recipe, self.task, self.end, answers=seen)


KINDS: Mapping[str, Callable[[_Inspection], Record]] = {
    "mistakes": _Inspection.mistakes,
    "confusion": _Inspection.confusion,
    "filters": _Inspection.filters,
    "activations": _Inspection.activations,
    "deconv": _Inspection.deconv,
    "samples": _Inspection.samples,
}
OF_A_LAYER = ("activations", "deconv")


def best_cell(land: Landscape) -> Cell:
    """The cell with the best mean by ``land.selection_metric``; UsageError where none finished."""
    top = top_cell(summarize(land, land.selection_metric))
    if top is None:
        raise UsageError("no cell has finished in most of its replicates", where="inspect")
    return top.cell


def replicates_of(land: Landscape, cell: Mapping[str, Any]) -> tuple[CellSummary, str]:
    """A cell over its replicates, and what went wrong with them: a sentence, "" for nothing."""
    summaries, found = summarize(land), land.grid.find(**cell)
    summary = next(each for each in summaries if each.cell == found)
    return told_cell(summary), explanations(land, summaries).get(found, "")


@dataclass(frozen=True, eq=False)
class Look:
    """A trained network and what was asked of it, by kind."""

    network: Trained
    records: Mapping[str, Any]


def look(network: Trained, kinds: tuple[str, ...] = (), layer: str | None = None) -> Look:
    """Ask a network for some kinds of records; for all that fit it where none is named.

    layer: of the activations, and of the feature maps of the deconvnet (the last one by default).
    Raises UnknownNameError for another kind or layer, UsageError for a kind that does not fit.
    """
    check_kinds(kinds, layer)
    asked = _Inspection(network, layer)
    chosen = kinds or asked.fitting()
    if not chosen:
        raise UsageError(
            "nothing to look at",
            where="inspect",
            expected="a task with classes or sequences, or a feed-forward model",
            found=f"task {network.task.name}",
        )
    return asked.look(chosen)


def look_where_fitting(networks: Iterable[Trained]) -> Iterator[Look]:
    """Ask each network for all kinds of records that fit it; those that none fits are left out."""
    for network in networks:
        asked = _Inspection(network)
        if kinds := asked.fitting():
            yield asked.look(kinds)


def check_kinds(kinds: tuple[str, ...], layer: str | None = None) -> None:
    """Raise UnknownNameError for an unknown kind, UsageError for a layer that no kind reads."""
    for kind in kinds:
        if kind not in KINDS:
            raise UnknownNameError("kind of inspection", kind, KINDS)
    if layer is not None and not set(kinds) & set(OF_A_LAYER):
        raise UsageError(
            "only activations and deconv look at one layer",
            where="layer",
            expected=" or ".join(f"--what {kind}" for kind in OF_A_LAYER),
            found=", ".join(kinds) or "no kind",
        )


def fitting(network: Trained) -> tuple[str, ...]:
    """The kinds that fit a model and its task, in their order."""
    return _Inspection(network).fitting()


def _is_class_a_step(targets: Any) -> bool:
    return isinstance(targets, Sequences) and targets.dtype.kind == "i"


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether inputs of this shape can be drawn as a picture."""
    try:
        filters.picture_shape(shape)
    except UsageError:
        return False
    return True


# ---- layers, in blocks ----

STAGES: dict[str, Stage] = {"activation": "after", "pool": "pooled"}


def blocks(record: Sequence[LayerStatistics]) -> Iterator[list[LayerStatistics]]:
    """A layer with weights and those that follow up to the next one; at most three."""
    block: list[LayerStatistics] = []
    for of_layer in record:
        if of_layer.kind in ("conv", "dense") and block:
            yield block
            block = []
        block.append(of_layer)
    if block:
        yield block


def stage(of_layer: LayerStatistics) -> Stage:
    """Where in its block a layer stands."""
    return STAGES.get(of_layer.kind, "before")


# ---- sequences, as lines of symbols ----

MOST_GROUPS = 6  # kinds of sequences of which samples are shown
MOST_FEATURES = 8  # numbers of a step that have a line each
MOST_STEPS = 60  # of a sequence that are spelled


class Line(NamedTuple):
    """A line of a sample: a name, a symbol a step, and which of them are wrong answers.

    number: the whole number of which the symbols are the bits; "" where they are none.
    """

    name: str
    symbols: tuple[str, ...]
    wrong: tuple[bool, ...]
    number: str = ""


def sample_lines(sample: Sample) -> list[Line]:
    """The inputs of a sequence, feature by feature, what is right and what was answered.

    Of a long one the first steps.
    """
    features = sample.inputs.reshape(len(sample.inputs), -1).T[:MOST_FEATURES]
    names = [f"input {i + 1}" for i in range(len(features))] if len(features) > 1 else ["input"]
    truth, answer = np.atleast_1d(sample.truth), np.atleast_1d(sample.answer)
    is_wrong = tuple((truth != answer).tolist())
    none = (False,) * max(len(sample.inputs), len(truth))
    number = _number if sample.of_bits else lambda _: ""
    lines = [
        *(
            Line(name, _symbols(feature), none[: len(feature)], number(feature))
            for name, feature in zip(names, features, strict=True)
        ),
        Line("truth", _symbols(truth), none[: len(truth)], number(truth)),
        Line("answer", _symbols(answer), is_wrong, number(answer)),
    ]
    return list(map(_cut, lines))


def _number(bits: np.ndarray) -> str:
    """The whole number of these bits, least significant first."""
    return str(sum(int(bit) << place for place, bit in enumerate(bits.tolist())))


def _cut(line: Line) -> Line:
    if len(line.symbols) <= MOST_STEPS:
        return line
    symbols, wrong = line.symbols[:MOST_STEPS], line.wrong[:MOST_STEPS]
    return line._replace(symbols=(*symbols, "..."), wrong=(*wrong, False))


def _symbols(values: np.ndarray) -> tuple[str, ...]:
    return tuple(map(_symbol, values.tolist()))


def _symbol(value: Any) -> str:
    """A name as it is, a whole number in full, another one with two digits."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if value == round(value, 0) else f"{value:.2g}"


def spread_groups(samples: Sequence[Sample]) -> list[Sample]:
    """Samples of at most ``MOST_GROUPS`` kinds, evenly spread, the first and the last included.

    What is answered wrong comes first.
    """
    groups = list(dict.fromkeys(sample.group for sample in samples))
    n = min(len(groups), MOST_GROUPS)
    kept = {groups[round(i * (len(groups) - 1) / max(n - 1, 1))] for i in range(n)}
    return sorted((s for s in samples if s.group in kept), key=lambda s: s.is_right)
