// What the scripts of the page hand to each other. What Python hands to them is in document.d.ts.

type Maybe = number | null | undefined;

/** A color in red, green and blue, from 0 to 255. */
type Channels = Array<number>;

// ---- elements ----

type Child = string | Node | null | undefined;
type Children = Array<Child | Array<Child>>;

/** Attributes and handlers of an element; false, null and undefined leave one out. */
interface Attributes {
  onclick?: (event: MouseEvent) => void;
  onchange?: (event: Event) => void;
  onkeydown?: (event: KeyboardEvent) => void;
  onmouseover?: (event: Event) => void;
  onfocusin?: (event: Event) => void;
  [name: string]: unknown;
}

/** A place on the page, as an element has one. */
interface Placed {
  getBoundingClientRect(): DOMRect;
}

// ---- cells ----

/** A number of a cell: its mean, interval and replicates. */
interface CellValue {
  mean: Maybe;
  low?: Maybe;
  high?: Maybe;
  each?: Array<number | null>;
}

type CellColumns = { [K in keyof CellsData]: CellsData[K][number] };

interface ShownCell extends CellColumns {
  index: number;
  value(name: string): CellValue;
  of(metric: MetricData): CellValue;
  counts: Counts;
  command: string;
}

/**
 * What is shown; axes, cells and the like by their numbers. by: the axis of panels, "" of all;
 * minus: "", "cell" or an axis, of ``against``; sift: the metric that is filtered from and to.
 */
interface State {
  metric: number;
  rows: number | null;
  columns: number;
  fixed: Array<number>;
  cell: number;
  shading: string;
  along: string;
  cost: Cost;
  theme: string;
  curve: number;
  color: number;
  style: number | null;
  kind: number;
  network: number;
  view: string;
  by: string;
  minus: string;
  against: number;
  only: string;
  sift: number;
  from: number | null;
  to: number | null;
}

/** A metric of the document, or what its cells differ by from others. */
interface ShownMetric extends MetricData {
  isGap?: boolean;
}

// ---- numbers in words and colors ----

/** plot: the number that a chart draws; short: without its unit; text: with it. */
interface UnitWords {
  axis: string;
  plot: (value: number) => number;
  short: (value: Maybe) => string;
  text: (value: Maybe) => string;
}

/** From numbers to shares of a range of colors, and back. */
interface ColorScale {
  low: number;
  high: number;
  share: (value: number) => number;
  at: (share: number) => number;
  ramp: (share: number) => Channels;
  color: (value: number) => Channels;
}

/** The colors in force, as rgb(). */
interface Look {
  ink: string;
  muted: string;
  line: string;
  paper: string;
  raised: string;
  train: string;
  test: string;
  val: string;
  accent: string;
  series: Array<string>;
  dark: boolean;
  font: string;
}

// ---- charts ----

type Settings = Record<string, unknown>;
type Trace = Record<string, unknown>;

interface Layout {
  width?: number;
  height?: number;
  xaxis?: Settings;
  yaxis?: Settings;
  [setting: string]: unknown;
}

interface PlotPoint {
  x: number;
  y: number;
  customdata?: number | null;
}

interface PlotEvent {
  points: Array<PlotPoint>;
  event: MouseEvent;
}

interface Plot extends HTMLElement {
  data?: Array<Trace>;
  layout?: Layout;
  on(name: string, handler: (event: PlotEvent) => void): void;
}

interface Figure {
  traces: Array<Trace>;
  layout: Layout;
  onclick?: (point: PlotPoint) => void;
}

type FigureMaker = (look: Look) => Figure;

/** How a chart is built, and its height in pixels. */
interface ChartPlan {
  build: FigureMaker;
  height: number;
}

/** A chart axis that carries a metric; of: where a number stands on it. */
interface MetricAxis {
  of: (value: Maybe) => number | null;
  settings: Settings;
}

/** What an axis of charts calls a value of a study's axis. */
type Place = number | string;

/** Curves that share a chart: the name, the word and the color of each. */
interface CurveSpec {
  title: string;
  unit: Unit;
  curves: Array<[string, string, string]>;
}

/** A line of one cell; of many, their family. along: what runs across; mark: chance. */
interface CellLine extends Ends {
  cell: number;
  x: Array<number | string | boolean>;
}

interface PlacedLine extends CellLine {
  position: Array<number>;
}

interface FamilyScale {
  log: boolean;
  numbers: Array<number>;
}

interface Family {
  metric: MetricName;
  along: string;
  lines: Array<CellLine>;
  mark: number | null;
}

interface CostPoint extends CellValue {
  cell: number;
  front: boolean;
  cost: Maybe;
}

/** How a record of a network is shown; draw: its charts, once the node is in the page. */
interface Exhibit {
  node: HTMLElement;
  wide?: boolean;
  draw?: () => void;
}
