// Charts by plotly.js, drawn from the page's own colors and redrawn when these change.

/** @type {Map<Plot, ChartPlan>} */
const charts = new Map();

// Plotly reads a little markup in its texts; a study's words must stay words.
/** @type {(text: unknown) => string} */
const plain = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @type {(...parts: Array<?string | Array<?string>>) => string} */
const lines = (...parts) => parts.flat().filter(Boolean).map(plain).join("<br>");

/** @type {?Look} */
let look = null; // reading it lays out the page: once until the colors change

const theme = () => (look ??= readTheme());

// The colors in force, as rgb(): a custom property alone would give its two-colored source text.
/** @returns {Look} */
function readTheme() {
  const probe = document.body.appendChild(el("span", { hidden: true }));
  /** @type {(name: string) => string} */
  const color = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const paper = color("paper");
  const look = {
    ink: color("ink"),
    muted: color("muted"),
    line: color("line"),
    paper,
    raised: color("raised"),
    train: color("train"),
    test: color("test"),
    val: color("val"),
    accent: color("accent"),
    series: [1, 2, 3, 4, 5, 6].map((n) => color(`series-${n}`)),
    dark: luminance(channels(paper)) < 0.2,
    font: getComputedStyle(document.body).fontFamily,
  };
  probe.remove();
  return look;
}

/**
 * @param {HTMLElement} box
 * @param {string} label
 * @param {number} height
 * @param {FigureMaker} build
 */
function chart(box, label, height, build) {
  const host = /** @type {Plot} */ (box);
  host.classList.add("chart");
  host.style.minHeight = `${height}px`; // its room is kept until it is built
  host.setAttribute("role", "img");
  host.setAttribute("aria-label", label);
  if (!charts.has(host)) host.after(saving(label, () => figureOf(host)));
  charts.set(host, { build, height });
  if (host.data) draw(host);
  else seen.observe(host);
  return host;
}

// A chart is built when it comes into view, the topmost first, and each in a turn of its own: it
// takes as long as all words of the page, and what is selected meanwhile is answered in between.
/** @type {Array<Plot>} */
const waiting = [];

const seen = new IntersectionObserver(
  (entries) => {
    const shown = entries.filter((entry) => entry.isIntersecting);
    shown.sort((a, b) => Math.abs(a.boundingClientRect.top) - Math.abs(b.boundingClientRect.top));
    if (shown.length && !waiting.length) setTimeout(drawNext);
    for (const { target } of shown) {
      seen.unobserve(target);
      waiting.push(/** @type {Plot} */ (target));
    }
  },
  { rootMargin: "300px" },
);

function drawNext() {
  const host = waiting.shift();
  if (host?.isConnected) draw(host);
  if (waiting.length) setTimeout(drawNext);
}

/** @param {Plot} host */
function draw(host) {
  const look = theme();
  const plan = charts.get(host);
  if (!plan) return;
  const { traces, layout, onclick } = plan.build(look);
  const fresh = !host.data;
  Plotly.react(
    host,
    traces,
    dressed({ height: plan.height, ...layout }, look, Math.floor(host.clientWidth)),
    { displayModeBar: false, doubleClick: "reset", showTips: false, typesetMath: false },
  );
  if (fresh && onclick) host.on("plotly_click", ({ points: [point] }) => onclick(point));
  if (fresh) resized.observe(host);
}

// Where a point of a chart leads.
/** @param {PlotPoint} point */
function toCell({ customdata }) {
  if (known(customdata)) select(customdata, true);
}

/** @type {(label: string) => string} */
const fileName = (label) => label.replace(/[^\p{L}\p{N}=.-]+/gu, "_").slice(0, 80);

// Buttons that save a chart as a file, as it is drawn now.
/**
 * @param {string} label
 * @param {() => SavedFigure} figure
 */
function saving(label, figure) {
  const filename = fileName(label);
  /** @type {(format: string) => () => void} */
  const save = (format) => () => {
    const { data, layout } = figure();
    const height = layout.height ?? 300;
    Plotly.downloadImage(
      { data, layout, config: { typesetMath: false } },
      { format, filename, width: layout.width, height, scale: format === "png" ? 3 : 1 },
    );
  };
  /** @type {(format: string) => HTMLElement} */
  const button = (format) =>
    el(
      "button",
      {
        type: "button",
        class: "link",
        "aria-label": `Save as ${format.toUpperCase()}: ${label}`,
        onclick: save(format),
      },
      format.toUpperCase(),
    );
  return el("div", { class: "save" }, "save ", button("svg"), " ", button("png"));
}

// A chart as a figure of its own: with the page's ground, which lies behind it here.
/** @param {Plot} host */
function figureOf(host) {
  return { data: host.data ?? [], layout: { ...host.layout, paper_bgcolor: theme().paper } };
}

function redraw() {
  look = null;
  for (const host of charts.keys()) {
    if (host.isConnected && (host.data || isOnPaper())) draw(host);
    else if (host.isConnected) seen.observe(host);
    else charts.delete(host);
  }
}

const resized = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const target = /** @type {Plot} */ (entry.target);
    const width = Math.floor(target.clientWidth);
    if (target.layout && width && width !== target.layout.width) Plotly.relayout(target, { width });
  }
});

/**
 * @param {Layout} layout
 * @param {Look} look
 * @param {number} width
 */
function dressed(layout, look, width) {
  const axis = {
    gridcolor: look.line,
    linecolor: look.muted,
    tickcolor: look.muted,
    ticks: "outside",
    ticklen: 4,
    zeroline: false,
    automargin: true,
    showline: true,
  };
  const touch = matchMedia("(pointer: coarse)").matches;
  return {
    width,
    height: 300,
    margin: { l: 48, r: 10, t: 10, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: look.font, size: 12, color: look.ink },
    hoverlabel: {
      bgcolor: look.raised,
      bordercolor: look.muted,
      align: "left",
      font: { family: look.font, size: 12, color: look.ink },
    },
    hovermode: "closest",
    dragmode: touch ? false : "zoom",
    showlegend: false,
    ...layout,
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}

/** @type {(text: string) => Settings} */
const titled = (text) => ({ text: plain(cut(text, 48)), standoff: 8 });

// The values of an axis where there is little room: three digits, where these tell them apart.
/** @type {(axis: AxisData) => Array<string>} */
function shortLabels({ labels, numbers }) {
  const short = labels.map((text, i) => (numbers && text.length > 7 ? digits(numbers[i]) : text));
  return new Set(short).size === labels.length ? short : labels;
}

/** @type {(text: string) => string} */
const named = (text) => plain(cut(text));

// A chart axis that carries a study's axis: its own values as ticks, log where the axis is.
/** @param {AxisData} axis */
function studyAxis(axis) {
  const { numbers } = axis;
  if (!numbers) {
    return {
      type: "category",
      title: titled(axis.name),
      categoryarray: axis.labels.map((_, i) => studyValue(axis, i)),
      tickmode: "array",
      tickvals: axis.labels.map((_, i) => studyValue(axis, i)),
      ticktext: axis.labels.map(named),
      categoryorder: "array",
      range: [-0.3, axis.labels.length - 0.7],
    };
  }
  const step = Math.ceil(axis.labels.length / 12);
  const shown = axis.labels.map((_, i) => i).filter((i) => i % step === 0);
  return {
    type: axis.scale === "log" ? "log" : "linear",
    title: titled(axis.name),
    tickmode: "array",
    tickvals: shown.map((i) => numbers[i]),
    ticktext: shown.map((i) => named(shortLabels(axis)[i])),
  };
}

// Categories are known to a chart by their number: two long names may begin alike.
/** @type {(axis: AxisData, i: number) => Place} */
const studyValue = (axis, i) => axis.numbers?.[i] ?? `c${i}`;

/** @type {(axis: AxisData, i: ?number) => ?Place} */
const placeOf = (axis, i) => (i === null ? null : studyValue(axis, i));

/** @type {(color: string) => Channels} */
const channels = (color) => (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);

/** @type {(color: string, alpha: number) => string} */
const transparent = (color, alpha) => `rgba(${channels(color).join(",")},${alpha})`;

// The area between low and high; replicates too few leave a gap, never a band of width zero.
/**
 * @param {Array<unknown>} x
 * @param {Array<?number>} low
 * @param {Array<?number>} high
 * @param {string} color
 * @param {number} alpha
 */
function band(x, low, high, color, alpha = 0.18) {
  const edge = {
    x,
    mode: "lines",
    line: { width: 0 },
    hoverinfo: "skip",
    showlegend: false,
    connectgaps: false,
  };
  return [
    { ...edge, y: low },
    { ...edge, y: high, fill: "tonexty", fillcolor: transparent(color, alpha) },
  ];
}

// A chart axis that carries a metric. "fine" spaces accuracies by their error, so that 98 and 99
// percent lie as far apart as 80 and 90; other numbers over a wide range get a log axis.
/**
 * @param {ShownMetric} metric
 * @param {Array<?number | undefined>} values
 * @param {boolean} fine
 * @returns {MetricAxis}
 */
function metricAxis(metric, values, fine) {
  const unit = wordsOf(metric),
    numbers = values.filter(known);
  const title = titled(metric.with_unit);
  /** @type {(v: number) => number} */
  const errorOf = (v) => Math.max(100 * (1 - v), least(doc.error_ticks));
  const errors = numbers.map(errorOf),
    times = spreadOf(errors);
  if (
    fine &&
    !metric.isGap &&
    metric.unit === "fraction" &&
    metric.better === "higher" &&
    times > 3
  ) {
    const ticks = times > 20 ? doc.few_error_ticks : doc.error_ticks,
      range = around(errors, true) ?? [];
    return {
      of: (v) => (known(v) ? errorOf(v) : null),
      settings: {
        type: "log",
        range: range.reverse(),
        title,
        tickmode: "array",
        tickvals: ticks,
        ticktext: ticks.map((e) => String(+(100 - e).toFixed(3))),
      },
    };
  }
  const wide = metric.unit !== "fraction" && spreadOf(numbers) > 30;
  /** @type {(v: Maybe) => ?number} */
  const of = (v) => (known(v) ? unit.plot(v) : null);
  const places = numbers.map(unit.plot);
  return {
    of,
    settings: {
      ...(wide ? logScale(places) : { type: "linear" }),
      range: around(places, wide),
      title,
    },
  };
}

/** @type {(numbers: Array<number>) => Array<number>} */
const above = (numbers) => numbers.filter((v) => v > 0);

// How many times the smallest number above 0 goes into the largest; 0 where that has no meaning.
/** @type {(numbers: Array<number>) => number} */
const spreadOf = (numbers) =>
  numbers.every((v) => v >= 0) && above(numbers).length ? most(numbers) / least(above(numbers)) : 0;

// Math.min and Math.max take no more numbers than a call has room for.
/** @type {(numbers: Array<number>) => number} */
const least = (numbers) => numbers.reduce((a, b) => (b < a ? b : a), Infinity);
/** @type {(numbers: Array<number>) => number} */
const most = (numbers) => numbers.reduce((a, b) => (b > a ? b : a), -Infinity);

// A little more than the numbers need. Means set the range of a chart: intervals may leave it.
/**
 * @param {Array<number>} numbers
 * @param {boolean} log
 * @returns {?[number, number]}
 */
function around(numbers, log) {
  if (!numbers.length) return null;
  const places = log ? above(numbers).map(Math.log10) : numbers;
  const low = least(places),
    high = most(places),
    margin = 0.07 * (high - low || 1);
  return [low - margin, high + margin];
}

// Ticks at decades, or at 1, 2 and 5; over many decades at every few of them.
/** @param {Array<number>} numbers */
function logScale(numbers) {
  const decades = Math.log10(spreadOf(numbers));
  if (decades > 6) return { type: "log", exponentformat: "power", dtick: Math.ceil(decades / 6) };
  return { type: "log", tickformat: "~g", dtick: decades > 3 ? 1 : "D2" };
}

// Colors of a family of lines: in order for an ordered axis, else told apart.
/**
 * @param {?AxisData} axis
 * @param {number} count
 * @param {Look} look
 */
function lineColors(axis, count, look) {
  if (axis && axis.scale !== "category") {
    const [from, to] = look.dark ? [0.25, 1] : [0, 0.8];
    return Array.from({ length: count }, (_, i) =>
      css(plasma(from + (to - from) * (count > 1 ? i / (count - 1) : 0.5))),
    );
  }
  return Array.from({ length: count }, (_, i) => look.series[i % look.series.length]);
}
