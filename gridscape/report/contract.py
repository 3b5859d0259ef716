"""The page's document, as Python writes it and the page's scripts read it: this is the contract.

tests/declarations.py makes ``page/document.d.ts`` of it, against which tsc checks the
scripts. A number that is not known is None. Cells are numbered in the grid's order (the last axis
fastest), axes in the study's, and everything refers to them by number.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NotRequired, TypedDict

from gridscape.analysis.cells import CellState
from gridscape.analysis.published import Agreement
from gridscape.claims.records import Outcome
from gridscape.grid.axes import Value
from gridscape.inspection.records import Stage
from gridscape.report.words import Cost, Unit

Number = float | None
OfCells = Mapping[str, "CurveData"]  # by the name of a curve


class Mark(TypedDict):
    """What marks a state of cells: in a legend, in a cell without a number, in a sentence."""

    word: str
    short: str
    meaning: str


class Marks(TypedDict):
    """Of the states that have one: all but finished."""

    collapsed: Mark
    not_started: Mark
    diverged: Mark
    failed: Mark
    stopped: Mark
    missing: Mark
    not_asked: Mark


class AxisData(TypedDict):
    """numbers: of the values, None for an axis of categories."""

    name: str
    scale: str
    labels: Sequence[str]
    numbers: Sequence[float] | None


class MetricName(TypedDict):
    """A number of a trial. label: its words; with_unit: beside its numbers; chance: of guessing."""

    name: str
    label: str
    with_unit: str
    unit: Unit
    chance: Number


class MetricData(MetricName):
    """A number per cell. Of costs there is only a mean; each: a number per replicate of a cell.

    counts: of a share of runs, "4 of 5" in each cell; its colors go from 0 to 100 %.
    """

    mean: Sequence[Number]
    better: Literal["higher", "lower"] | None
    low: Sequence[Number] | None
    high: Sequence[Number] | None
    each: Sequence[Sequence[Number]] | None
    counts: Sequence[str] | None


class Counts(TypedDict):
    """Of trials; those that collapsed or have not started are among the finished."""

    finished: int
    collapsed: int
    not_started: int
    diverged: int
    failed: int
    stopped: int
    missing: int


class EstimateData(TypedDict):
    """A mean with its interval."""

    mean: Number
    low: Number
    high: Number


class CellsData(TypedDict):
    """The cells, a column for each thing that is told of all of them.

    Of statuses, collapsed, not_started, keys, reasons and first_bad_updates a cell has a list with
    an entry per replicate. against_best: paired, in the main metric. partly: "1 of 2 collapsed", ""
    where all replicates ended alike. why: what went wrong, "" where nothing did. learns: "learns in
    4 of 5, 28 to 99 %"; share: "4/5" where some runs learn and some do not, else "". at_edge: a run
    of this cell, or of the next one, does not learn.
    """

    label: Sequence[str]
    state: Sequence[CellState]
    statuses: Sequence[Sequence[str]]
    collapsed: Sequence[Sequence[bool]]
    not_started: Sequence[Sequence[bool]]
    partly: Sequence[str]
    why: Sequence[str]
    learns: Sequence[str]
    share: Sequence[str]
    at_edge: Sequence[bool]
    keys: Sequence[Sequence[str]]
    reasons: Sequence[Sequence[str] | None]
    first_bad_updates: Sequence[Sequence[int | None]]
    against_best: Sequence[EstimateData | None]


class TopData(EstimateData):
    """The best cell of all. luck: what its luck may be; quote: the number to quote, or how."""

    cell: int
    luck: str
    quote: str


class CurveName(MetricName):
    """A curve of its split; ``shared`` are the words that train and test have in common."""

    split: str
    shared: str


class CurveData(TypedDict):
    """A curve of a cell by update. each: a line per replicate, or none at all."""

    at: Sequence[float]
    mean: Sequence[Number]
    low: Sequence[Number]
    high: Sequence[Number]
    each: Sequence[Sequence[Number]]


class LinesData(TypedDict):
    """The axes that tell the lines of all cells apart at first sight."""

    color: int
    style: int | None


class Ends(TypedDict):
    """A mean and its interval along the values of a kind."""

    mean: Sequence[Number]
    low: Sequence[Number]
    high: Sequence[Number]


class KindData(TypedDict):
    """A metric by a kind of test examples. cells: by number, those that have any."""

    kind: str
    metric: MetricName
    values: Sequence[Value]
    cells: Mapping[str, Ends]


class FinalistData(TypedDict):
    """A finalist in words: fresh is the number to quote, searched that of the search."""

    cell: int
    fresh: str
    learns: str
    searched: str
    luck: str


class ConfirmedData(TypedDict):
    """Fresh replicates of the best cells. metric: with its unit."""

    metric: str
    finalists: Sequence[FinalistData]
    note: str


class BestRow(TypedDict):
    """The best value of a row. index: of that value on its axis; along: of the row on its own.

    told: which values are not shown to be worse, in words. optimum: where on the axis the best
    value lies; edge: up to where the row learns, in words.
    """

    label: str
    group: str
    along: int | None
    cell: int | None
    value: Value | None
    index: int | None
    value_text: str
    mean: Number
    low: Number
    high: Number
    equivalent: Sequence[str]
    told: str
    optimum: str
    edge: str
    note: str


class EdgeRow(TypedDict):
    """Up to where a row learns. cells: those of the row, along the axis.

    place, low, high: between the values of the axis, 1.5 half way from the second to the third.
    """

    cells: Sequence[int]
    place: Number
    low: Number
    high: Number
    text: str


class EdgeData(TypedDict):
    """The edge of learning along an axis. told: what it is."""

    axis: int
    told: str
    rows: Sequence[EdgeRow]


class BestData(TypedDict):
    """An axis' best value in each row. cells: the best; equivalent: not shown to be worse.

    beyond: rows whose best value is the first or last one tried; command: goes on there.
    """

    axis: str
    metric: str
    unit: Unit
    along: int | None
    cells: Sequence[int]
    equivalent: Sequence[int]
    rows: Sequence[BestRow]
    beyond: Sequence[str]
    command: str


class ParetoData(TypedDict):
    """Cells by rising cost, and those on the front. excluded: how many do not learn.

    n_points: how many cells there are; of very many, evenly chosen ones are listed.
    """

    cells: Sequence[int]
    n_points: int
    front: Sequence[int]
    excluded: int


class SmallestData(TypedDict):
    """The smallest network that does as well as the best one; shares that it saves."""

    margin: float
    best: int
    best_mean: Number
    cell: int
    cell_mean: Number
    difference: EstimateData
    by_interval: bool
    saves_parameters: Number
    saves_flops: Number
    saves_seconds: Number
    note: str


class PublishedCellData(TypedDict):
    """A published number beside ours. difference: published minus ours. note: why there is none."""

    published: Number
    ours: Number
    prediction_low: Number
    prediction_high: Number
    difference: Number
    agreement: Agreement
    note: str


class PublishedRow(TypedDict):
    """A row of a published table; None where it has no such cell."""

    label: str
    cells: Sequence[PublishedCellData | None]


class PublishedData(TypedDict):
    """A published table in its own shape.

    counts: of cells, by agreement. note: what our run has otherwise than published.
    """

    name: str
    source: str
    unit: Unit
    row_name: str
    column_name: str
    columns: Sequence[str]
    rows: Sequence[PublishedRow]
    counts: Mapping[Agreement, int]
    mean_difference: Number
    rmse: Number
    note: str


class ClaimEstimate(TypedDict):
    """A number that a claim is judged by, in words. interval: "" where there is none."""

    name: str
    text: str
    interval: str
    asks: str
    says: Outcome


class ClaimData(TypedDict):
    """A published statement and what our replicates say of it. numbers: names and texts.

    excluded: cells that the verdict could not use, a line for each reason.
    look: when it was decided, "" where it was not. open: numbers that are not decided, and what
    these replicates can show of them.
    """

    id: str
    statement: str
    source: str
    outcome: Outcome
    rule: str
    note: str
    estimates: Sequence[ClaimEstimate]
    numbers: Sequence[tuple[str, str]]
    excluded: Sequence[str]
    look: str
    open: Sequence[tuple[str, str]]


# ---- single networks ----


class Picture(TypedDict):
    """src: a data URI; the size in pixels."""

    src: str
    width: int
    height: int


class ExampleData(TypedDict):
    """A test example and its answer; either a picture or, of words, its symbols."""

    index: int
    truth: int
    answer: int
    names: Sequence[str]
    probability: Number
    loss: Number
    symbols: str | None
    picture: Picture | None


class MistakesData(TypedDict):
    """wrong: those of the largest loss."""

    n_wrong: int
    n_examples: int
    wrong: Sequence[ExampleData]
    right: Sequence[ExampleData]


class ConfusionData(TypedDict):
    """Rows: true class; columns: answer."""

    counts: Sequence[Sequence[int]]
    shares: Sequence[Sequence[Number]]
    classes: Sequence[str]


class StartEnd(TypedDict):
    """Filters before and after training."""

    start: Picture
    end: Picture


class FiltersData(TypedDict):
    """shape: height, width, channels of one filter. own, common: the scale of the colors."""

    layer: str
    n: int
    shown: int
    shape: Sequence[int]
    limit: Number
    own: StartEnd
    common: StartEnd


class StageData(TypedDict):
    """What a layer puts out, by channel. total: mean, standard deviation, share of zeros."""

    layer: str
    stage: Stage
    mean: Sequence[Number]
    sd: Sequence[Number]
    zeros: Sequence[Number]
    total: tuple[Number, Number, Number]
    silent: int


class BlockData(TypedDict):
    """A layer with weights and what follows it."""

    layer: str
    shape: Sequence[int]
    stages: Sequence[StageData]


class MapData(TypedDict):
    """A feature map. indices: of the examples that activate it most."""

    channel: int
    strongest: Number
    indices: Sequence[int]
    picture: Picture


class DeconvData(TypedDict):
    """Feature maps of a layer; n: how many it has."""

    layer: str
    n: int
    maps: Sequence[MapData]


class LineData(TypedDict):
    """A line of a sample: a symbol a step, and which of them are wrong answers.

    number: that of which the symbols are the bits, else "".
    """

    name: str
    symbols: Sequence[str]
    wrong: Sequence[bool]
    number: str


class SampleData(TypedDict):
    """A test sequence; group: its kind."""

    group: int | None
    right: bool
    lines: Sequence[LineData]


class SamplesData(TypedDict):
    """n: sequences that were asked, of which n_right were answered right."""

    n_right: int
    n: int
    shown: Sequence[SampleData]


class NetworkData(TypedDict):
    """One trained network. replicate: from 0; group: the kind of its sequences, else ""."""

    cell: int
    replicate: int
    group: str
    mistakes: NotRequired[MistakesData]
    confusion: NotRequired[ConfusionData]
    filters: NotRequired[FiltersData]
    activations: NotRequired[Sequence[BlockData]]
    deconv: NotRequired[DeconvData]
    samples: NotRequired[SamplesData]


class RateData(TypedDict):
    """How the learning rate changes: its share in some updates, which count from 0."""

    schedule: str
    at: Sequence[float]
    share: Sequence[float]


class RatesData(TypedDict):
    """of: which way a cell has, None where its rate stays; rate: of a cell, where it is known."""

    ways: Sequence[RateData]
    of: Sequence[int | None]
    rate: Sequence[Number]


class PredictData(TypedDict):
    """A page that is covered until the reader has predicted. works: of each cell; told: how so."""

    works: Sequence[bool | None]
    told: str


class BesideRow(TypedDict):
    """A cell of a study beside that of the first one, in words. shown: whether they differ."""

    cell: int
    first: str
    other: str
    difference: str
    p: str
    shown: Literal["better", "worse", "differs", ""]


class BesideData(TypedDict):
    """Studies side by side. axis: of the studies, by number; summary: a sentence for each study.

    changes: a setting with its value in each study.
    """

    axis: int
    names: Sequence[str]
    paired: bool
    metric: str
    summary: Sequence[str]
    changes: Sequence[Sequence[str]]
    rows: Sequence[BesideRow]
    notes: Sequence[str]


# ---- all of it ----


class ActData(TypedDict):
    """What somebody asked of the run. act, words: what it is and what came of it, in words.

    asked: when, in ISO 8601; by: a word for who, "" where it is not known.
    """

    id: str
    act: str
    by: str
    asked: str
    state: Literal["waiting", "done", "refused"]
    words: str


class LiveData(TypedDict):
    """How far a run is, on a page that is served while it trains.

    since: the state of the document that the page has, as the server counts them. words: how far
    it is; go_on: what to do where nothing trains and something is left, else "". share: of the
    networks that have ended. runs: what is in training, in words; training: the cells of it.
    curves: theirs so far, as in PageData. control: whether who looks on may act. acts: those that
    were asked for last, the newest first.
    """

    since: str
    state: Literal["training", "finished", "unfinished", "interrupted", "crashed", "gone"]
    words: str
    go_on: str
    share: float
    runs: Sequence[str]
    training: Sequence[int]
    curves: Mapping[str, OfCells]
    control: bool
    acts: Sequence[ActData]


class ChangeData(TypedDict):
    """What has changed of a served page: parts as a whole, cells and curves by their numbers.

    at: the cells of which ``cells`` and ``metrics`` have the columns.
    """

    live: LiveData
    parts: Mapping[str, object]
    at: Sequence[int]
    cells: Mapping[str, Sequence[object]]
    metrics: Sequence[Mapping[str, Sequence[object] | None]]
    curves: Mapping[str, OfCells]


class PageData(TypedDict):
    """Everything that the page shows.

    altered: how the run differs from the named study whose title it bears, in one line.
    level: of all intervals. rows, columns: the axes that run down and across at first sight.
    error_ticks: in percent, where accuracies are spaced by their error; few: over a wide range.
    start: the cell that is shown first. selection: the set on which what is best was chosen;
    chosen: the same in words. few: what to know of too few replicates, else "". told: what is odd
    about the data, as what was left out of it. metrics: the main one first. curves: by the number
    of a cell, then by the name of a curve; batches: the examples of an update of each cell, None
    where they are the same of all; curves_left_out: of cells, since there are too many for
    one page. pareto: by cost. t_quantiles: of Student's t by the
    number of values, for differences between any two cells.
    replay: the command that trains a cell again, but for the cell; "" where no command can.
    live: on a page that is served.
    """

    altered: str
    title: str
    summary: str
    version: str
    made: str
    level: float
    marks: Marks
    colors: Sequence[tuple[int, int, int]]
    error_ticks: Sequence[float]
    few_error_ticks: Sequence[float]
    counts: Counts
    facts: Sequence[tuple[str, str]]
    environment: Sequence[tuple[str, str]]
    axes: Sequence[AxisData]
    rows: int | None
    columns: int
    replicates: int
    t_quantiles: Sequence[Number]
    metrics: Sequence[MetricData]
    cells: CellsData
    replay: str
    start: int
    top: TopData | None
    selection: Literal["validation", "test"]
    chosen: str
    few: str
    told: Sequence[str]
    curves: Mapping[str, OfCells]
    curve_rule: str
    batches: Sequence[int] | None
    curves_left_out: bool
    curve_names: Sequence[CurveName]
    lines: LinesData
    kinds: Sequence[KindData]
    networks: Sequence[NetworkData]
    network_notes: Sequence[str]
    best: BestData | None
    edge: EdgeData | None
    confirmed: ConfirmedData | None
    pareto: Mapping[Cost, ParetoData]
    smallest: SmallestData | None
    notes: Sequence[str]
    published: Sequence[PublishedData]
    claims: Sequence[ClaimData]
    claims_told: str
    beside: BesideData | None
    story: str
    rates: RatesData | None
    predict: PredictData | None
    live: NotRequired[LiveData]
