// Made by tests/declarations.py of report/contract.py: change that, not this.

type Unit = "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
type Cost = "flops" | "seconds" | "n_parameters" | "memory_bytes";

/**
 * What marks a state of cells: in a legend, in a cell without a number, in a sentence.
 */
interface Mark {
  word: string;
  short: string;
  meaning: string;
}

/**
 * Of the states that have one: all but finished.
 */
interface Marks {
  collapsed: Mark;
  not_started: Mark;
  diverged: Mark;
  failed: Mark;
  stopped: Mark;
  missing: Mark;
  not_asked: Mark;
}

/**
 * numbers: of the values, None for an axis of categories.
 */
interface AxisData {
  name: string;
  scale: string;
  labels: Array<string>;
  numbers: Array<number> | null;
}

/**
 * A number of a trial. label: its words; with_unit: beside its numbers; chance: of guessing.
 */
interface MetricName {
  name: string;
  label: string;
  with_unit: string;
  unit: "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
  chance: number | null;
}

/**
 * A number per cell. Of costs there is only a mean; each: a number per replicate of a cell.
 *
 * counts: of a share of runs, "4 of 5" in each cell; its colors go from 0 to 100 %.
 */
interface MetricData {
  name: string;
  label: string;
  with_unit: string;
  unit: "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
  chance: number | null;
  mean: Array<number | null>;
  better: "higher" | "lower" | null;
  low: Array<number | null> | null;
  high: Array<number | null> | null;
  each: Array<Array<number | null>> | null;
  counts: Array<string> | null;
}

/**
 * Of trials; those that collapsed or have not started are among the finished.
 */
interface Counts {
  finished: number;
  collapsed: number;
  not_started: number;
  diverged: number;
  failed: number;
  stopped: number;
  missing: number;
}

/**
 * A mean with its interval.
 */
interface EstimateData {
  mean: number | null;
  low: number | null;
  high: number | null;
}

/**
 * The cells, a column for each thing that is told of all of them.
 *
 * Of statuses, collapsed, not_started, keys, reasons and first_bad_updates a cell has a list with
 * an entry per replicate. against_best: paired, in the main metric. partly: "1 of 2 collapsed", ""
 * where all replicates ended alike. why: what went wrong, "" where nothing did. learns: "learns in
 * 4 of 5, 28 to 99 %"; share: "4/5" where some runs learn and some do not, else "". at_edge: a run
 * of this cell, or of the next one, does not learn.
 */
interface CellsData {
  label: Array<string>;
  state: Array<"finished" | "collapsed" | "not_started" | "diverged" | "failed" | "stopped" | "missing" | "not_asked">;
  statuses: Array<Array<string>>;
  collapsed: Array<Array<boolean>>;
  not_started: Array<Array<boolean>>;
  partly: Array<string>;
  why: Array<string>;
  learns: Array<string>;
  share: Array<string>;
  at_edge: Array<boolean>;
  keys: Array<Array<string>>;
  reasons: Array<Array<string> | null>;
  first_bad_updates: Array<Array<number | null>>;
  against_best: Array<EstimateData | null>;
}

/**
 * The best cell of all. luck: what its luck may be; quote: the number to quote, or how.
 */
interface TopData {
  mean: number | null;
  low: number | null;
  high: number | null;
  cell: number;
  luck: string;
  quote: string;
}

/**
 * A curve of its split; ``shared`` are the words that train and test have in common.
 */
interface CurveName {
  name: string;
  label: string;
  with_unit: string;
  unit: "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
  chance: number | null;
  split: string;
  shared: string;
}

/**
 * A curve of a cell by update. each: a line per replicate, or none at all.
 */
interface CurveData {
  at: Array<number>;
  mean: Array<number | null>;
  low: Array<number | null>;
  high: Array<number | null>;
  each: Array<Array<number | null>>;
}

/**
 * The axes that tell the lines of all cells apart at first sight.
 */
interface LinesData {
  color: number;
  style: number | null;
}

/**
 * A mean and its interval along the values of a kind.
 */
interface Ends {
  mean: Array<number | null>;
  low: Array<number | null>;
  high: Array<number | null>;
}

/**
 * A metric by a kind of test examples. cells: by number, those that have any.
 */
interface KindData {
  kind: string;
  metric: MetricName;
  values: Array<number | string | boolean>;
  cells: { [key in string]?: Ends };
}

/**
 * A finalist in words: fresh is the number to quote, searched that of the search.
 */
interface FinalistData {
  cell: number;
  fresh: string;
  learns: string;
  searched: string;
  luck: string;
}

/**
 * Fresh replicates of the best cells. metric: with its unit.
 */
interface ConfirmedData {
  metric: string;
  finalists: Array<FinalistData>;
  note: string;
}

/**
 * The best value of a row. index: of that value on its axis; along: of the row on its own.
 *
 * told: which values are not shown to be worse, in words. optimum: where on the axis the best
 * value lies; edge: up to where the row learns, in words.
 */
interface BestRow {
  label: string;
  group: string;
  along: number | null;
  cell: number | null;
  value: number | string | boolean | null;
  index: number | null;
  value_text: string;
  mean: number | null;
  low: number | null;
  high: number | null;
  equivalent: Array<string>;
  told: string;
  optimum: string;
  edge: string;
  note: string;
}

/**
 * Up to where a row learns. cells: those of the row, along the axis.
 *
 * place, low, high: between the values of the axis, 1.5 half way from the second to the third.
 */
interface EdgeRow {
  cells: Array<number>;
  place: number | null;
  low: number | null;
  high: number | null;
  text: string;
}

/**
 * The edge of learning along an axis. told: what it is.
 */
interface EdgeData {
  axis: number;
  told: string;
  rows: Array<EdgeRow>;
}

/**
 * An axis' best value in each row. cells: the best; equivalent: not shown to be worse.
 *
 * beyond: rows whose best value is the first or last one tried; command: goes on there.
 */
interface BestData {
  axis: string;
  metric: string;
  unit: "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
  along: number | null;
  cells: Array<number>;
  equivalent: Array<number>;
  rows: Array<BestRow>;
  beyond: Array<string>;
  command: string;
}

/**
 * Cells by rising cost, and those on the front. excluded: how many do not learn.
 *
 * n_points: how many cells there are; of very many, evenly chosen ones are listed.
 */
interface ParetoData {
  cells: Array<number>;
  n_points: number;
  front: Array<number>;
  excluded: number;
}

/**
 * The smallest network that does as well as the best one; shares that it saves.
 */
interface SmallestData {
  margin: number;
  best: number;
  best_mean: number | null;
  cell: number;
  cell_mean: number | null;
  difference: EstimateData;
  by_interval: boolean;
  saves_parameters: number | null;
  saves_flops: number | null;
  saves_seconds: number | null;
  note: string;
}

/**
 * A published number beside ours. difference: published minus ours. note: why there is none.
 */
interface PublishedCellData {
  published: number | null;
  ours: number | null;
  prediction_low: number | null;
  prediction_high: number | null;
  difference: number | null;
  agreement: "inside" | "outside" | "unknown" | "not run" | "not trained that far" | "ours failed" | "not published" | "not comparable";
  note: string;
}

/**
 * A row of a published table; None where it has no such cell.
 */
interface PublishedRow {
  label: string;
  cells: Array<PublishedCellData | null>;
}

/**
 * A published table in its own shape.
 *
 * counts: of cells, by agreement. note: what our run has otherwise than published.
 */
interface PublishedData {
  name: string;
  source: string;
  unit: "fraction" | "seconds" | "flops" | "bytes" | "count" | "number";
  row_name: string;
  column_name: string;
  columns: Array<string>;
  rows: Array<PublishedRow>;
  counts: { [key in "inside" | "outside" | "unknown" | "not run" | "not trained that far" | "ours failed" | "not published" | "not comparable"]?: number };
  mean_difference: number | null;
  rmse: number | null;
  note: string;
}

/**
 * A number that a claim is judged by, in words. interval: "" where there is none.
 */
interface ClaimEstimate {
  name: string;
  text: string;
  interval: string;
  asks: string;
  says: "holds" | "fails" | "undecided" | "not comparable";
}

/**
 * A published statement and what our replicates say of it. numbers: names and texts.
 *
 * excluded: cells that the verdict could not use, a line for each reason.
 * look: when it was decided, "" where it was not. open: numbers that are not decided, and what
 * these replicates can show of them.
 */
interface ClaimData {
  id: string;
  statement: string;
  source: string;
  outcome: "holds" | "fails" | "undecided" | "not comparable";
  rule: string;
  note: string;
  estimates: Array<ClaimEstimate>;
  numbers: Array<[string, string]>;
  excluded: Array<string>;
  look: string;
  open: Array<[string, string]>;
}

/**
 * src: a data URI; the size in pixels.
 */
interface Picture {
  src: string;
  width: number;
  height: number;
}

/**
 * A test example and its answer; either a picture or, of words, its symbols.
 */
interface ExampleData {
  index: number;
  truth: number;
  answer: number;
  names: Array<string>;
  probability: number | null;
  loss: number | null;
  symbols: string | null;
  picture: Picture | null;
}

/**
 * wrong: those of the largest loss.
 */
interface MistakesData {
  n_wrong: number;
  n_examples: number;
  wrong: Array<ExampleData>;
  right: Array<ExampleData>;
}

/**
 * Rows: true class; columns: answer.
 */
interface ConfusionData {
  counts: Array<Array<number>>;
  shares: Array<Array<number | null>>;
  classes: Array<string>;
}

/**
 * Filters before and after training.
 */
interface StartEnd {
  start: Picture;
  end: Picture;
}

/**
 * shape: height, width, channels of one filter. own, common: the scale of the colors.
 */
interface FiltersData {
  layer: string;
  n: number;
  shown: number;
  shape: Array<number>;
  limit: number | null;
  own: StartEnd;
  common: StartEnd;
}

/**
 * What a layer puts out, by channel. total: mean, standard deviation, share of zeros.
 */
interface StageData {
  layer: string;
  stage: "before" | "after" | "pooled";
  mean: Array<number | null>;
  sd: Array<number | null>;
  zeros: Array<number | null>;
  total: [number | null, number | null, number | null];
  silent: number;
}

/**
 * A layer with weights and what follows it.
 */
interface BlockData {
  layer: string;
  shape: Array<number>;
  stages: Array<StageData>;
}

/**
 * A feature map. indices: of the examples that activate it most.
 */
interface MapData {
  channel: number;
  strongest: number | null;
  indices: Array<number>;
  picture: Picture;
}

/**
 * Feature maps of a layer; n: how many it has.
 */
interface DeconvData {
  layer: string;
  n: number;
  maps: Array<MapData>;
}

/**
 * A line of a sample: a symbol a step, and which of them are wrong answers.
 *
 * number: that of which the symbols are the bits, else "".
 */
interface LineData {
  name: string;
  symbols: Array<string>;
  wrong: Array<boolean>;
  number: string;
}

/**
 * A test sequence; group: its kind.
 */
interface SampleData {
  group: number | null;
  right: boolean;
  lines: Array<LineData>;
}

/**
 * n: sequences that were asked, of which n_right were answered right.
 */
interface SamplesData {
  n_right: number;
  n: number;
  shown: Array<SampleData>;
}

/**
 * One trained network. replicate: from 0; group: the kind of its sequences, else "".
 */
interface NetworkData {
  cell: number;
  replicate: number;
  group: string;
  mistakes?: MistakesData;
  confusion?: ConfusionData;
  filters?: FiltersData;
  activations?: Array<BlockData>;
  deconv?: DeconvData;
  samples?: SamplesData;
}

/**
 * How the learning rate changes: its share in some updates, which count from 0.
 */
interface RateData {
  schedule: string;
  at: Array<number>;
  share: Array<number>;
}

/**
 * of: which way a cell has, None where its rate stays; rate: of a cell, where it is known.
 */
interface RatesData {
  ways: Array<RateData>;
  of: Array<number | null>;
  rate: Array<number | null>;
}

/**
 * A page that is covered until the reader has predicted. works: of each cell; told: how so.
 */
interface PredictData {
  works: Array<boolean | null>;
  told: string;
}

/**
 * A cell of a study beside that of the first one, in words. shown: whether they differ.
 */
interface BesideRow {
  cell: number;
  first: string;
  other: string;
  difference: string;
  p: string;
  shown: "better" | "worse" | "differs" | "";
}

/**
 * Studies side by side. axis: of the studies, by number; summary: a sentence for each study.
 *
 * changes: a setting with its value in each study.
 */
interface BesideData {
  axis: number;
  names: Array<string>;
  paired: boolean;
  metric: string;
  summary: Array<string>;
  changes: Array<Array<string>>;
  rows: Array<BesideRow>;
  notes: Array<string>;
}

/**
 * What somebody asked of the run. act, words: what it is and what came of it, in words.
 *
 * asked: when, in ISO 8601; by: a word for who, "" where it is not known.
 */
interface ActData {
  id: string;
  act: string;
  by: string;
  asked: string;
  state: "waiting" | "done" | "refused";
  words: string;
}

/**
 * How far a run is, on a page that is served while it trains.
 *
 * since: the state of the document that the page has, as the server counts them. words: how far
 * it is; go_on: what to do where nothing trains and something is left, else "". share: of the
 * networks that have ended. runs: what is in training, in words; training: the cells of it.
 * curves: theirs so far, as in PageData. control: whether who looks on may act. acts: those that
 * were asked for last, the newest first.
 */
interface LiveData {
  since: string;
  state: "training" | "finished" | "unfinished" | "interrupted" | "crashed" | "gone";
  words: string;
  go_on: string;
  share: number;
  runs: Array<string>;
  training: Array<number>;
  curves: { [key in string]?: { [key in string]?: CurveData } };
  control: boolean;
  acts: Array<ActData>;
}

/**
 * What has changed of a served page: parts as a whole, cells and curves by their numbers.
 *
 * at: the cells of which ``cells`` and ``metrics`` have the columns.
 */
interface ChangeData {
  live: LiveData;
  parts: { [key in string]?: any };
  at: Array<number>;
  cells: { [key in string]?: Array<any> };
  metrics: Array<{ [key in string]?: Array<any> | null }>;
  curves: { [key in string]?: { [key in string]?: CurveData } };
}

/**
 * Everything that the page shows.
 *
 * altered: how the run differs from the named study whose title it bears, in one line.
 * level: of all intervals. rows, columns: the axes that run down and across at first sight.
 * error_ticks: in percent, where accuracies are spaced by their error; few: over a wide range.
 * start: the cell that is shown first. selection: the set on which what is best was chosen;
 * chosen: the same in words. few: what to know of too few replicates, else "". told: what is odd
 * about the data, as what was left out of it. metrics: the main one first. curves: by the number
 * of a cell, then by the name of a curve; batches: the examples of an update of each cell, None
 * where they are the same of all; curves_left_out: of cells, since there are too many for
 * one page. pareto: by cost. t_quantiles: of Student's t by the
 * number of values, for differences between any two cells.
 * replay: the command that trains a cell again, but for the cell; "" where no command can.
 * live: on a page that is served.
 */
interface PageData {
  altered: string;
  title: string;
  summary: string;
  version: string;
  made: string;
  level: number;
  marks: Marks;
  colors: Array<[number, number, number]>;
  error_ticks: Array<number>;
  few_error_ticks: Array<number>;
  counts: Counts;
  facts: Array<[string, string]>;
  environment: Array<[string, string]>;
  axes: Array<AxisData>;
  rows: number | null;
  columns: number;
  replicates: number;
  t_quantiles: Array<number | null>;
  metrics: Array<MetricData>;
  cells: CellsData;
  replay: string;
  start: number;
  top: TopData | null;
  selection: "validation" | "test";
  chosen: string;
  few: string;
  told: Array<string>;
  curves: { [key in string]?: { [key in string]?: CurveData } };
  curve_rule: string;
  batches: Array<number> | null;
  curves_left_out: boolean;
  curve_names: Array<CurveName>;
  lines: LinesData;
  kinds: Array<KindData>;
  networks: Array<NetworkData>;
  network_notes: Array<string>;
  best: BestData | null;
  edge: EdgeData | null;
  confirmed: ConfirmedData | null;
  pareto: { [key in "flops" | "seconds" | "n_parameters" | "memory_bytes"]?: ParetoData };
  smallest: SmallestData | null;
  notes: Array<string>;
  published: Array<PublishedData>;
  claims: Array<ClaimData>;
  claims_told: string;
  beside: BesideData | null;
  story: string;
  rates: RatesData | null;
  predict: PredictData | null;
  live?: LiveData;
}
