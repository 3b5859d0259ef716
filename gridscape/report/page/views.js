// The landscape seen otherwise: as contours, slice beside slice, as lines through all axes; minus a
// cell or a value of an axis; and only the cells that pass a filter, in every view.

const VIEWS = { map: "map", contour: "contours", panels: "side by side", parallel: "all axes" };

/** Axes that are neither rows nor columns and have more than one value. */
const otherAxes = () =>
  doc.axes
    .map((_, i) => i)
    .filter((i) => i !== state.rows && i !== state.columns && doc.axes[i].labels.length > 1);

// Of what the axes allow: contours need an order on both sides, panels a further axis.
function possibleViews() {
  const sides = [state.rows, state.columns];
  const ordered = sides.every((i) => i !== null && (doc.axes[i].numbers?.length ?? 0) > 1);
  /** @type {Record<string, boolean>} */
  const allowed = {
    map: true,
    contour: ordered,
    panels: otherAxes().length > 0,
    parallel: doc.axes.filter(({ labels }) => labels.length > 1).length > 1,
  };
  return Object.entries(VIEWS).filter(([name]) => allowed[name]);
}

const viewShown = () =>
  possibleViews().some(([name]) => name === state.view) ? state.view : "map";

// ---- what passes the filter ----

const isFiltered = () => state.only !== "" || known(state.from) || known(state.to);

/** The metric by whose value is filtered. */
const filterMetric = () => doc.metrics[state.sift];

/**
 * Whether a cell passes the filter.
 * @param {number} index
 */
function passes(index) {
  if (state.only && doc.cells.state[index] !== state.only) return false;
  if (!known(state.from) && !known(state.to)) return true;
  const value = filterMetric().mean[index];
  return known(value) && value >= (state.from ?? -Infinity) && value <= (state.to ?? Infinity);
}

// States that some cells have, with their words.
function statesThere() {
  const there = new Set(doc.cells.state);
  /** @type {Array<[string, string]>} */
  const named = Object.entries(doc.marks).map(([name, { word }]) => [name, word]);
  return [["finished", "finished"], ...named].filter(([name]) =>
    there.has(/** @type {any} */ (name)),
  );
}

/**
 * A field for an end of the values that pass, in the unit that is shown.
 * @param {string} label
 * @param {"from" | "to"} end
 */
function limit(label, end) {
  const unit = unitOf(siftedMetric().unit),
    scale = unit.plot(1),
    now = state[end],
    id = `limit-${end}`;
  const input = /** @type {HTMLInputElement} */ (
    el("input", {
      id,
      type: "number",
      step: "any",
      class: "limit",
      value: known(now) ? Number((now * scale).toPrecision(12)) : null,
      onchange: () => {
        const value = input.value === "" ? null : Number(input.value) / scale;
        change({ sift: doc.metrics.indexOf(siftedMetric()), [end]: value });
      },
    })
  );
  return el(
    "div",
    { class: "choice" },
    el("label", { for: id }, label),
    input,
    end === "to" ? el("span", { class: "muted" }, unit.axis) : null,
  );
}

/** That of the filter; that on show, until an end is set. */
const siftedMetric = () =>
  doc.metrics[known(state.from) || known(state.to) ? state.sift : state.metric];

// Whether the reader opened what is seldom needed; what is in force stays open.
let isSifting = false;

/** The menus of differences and of the filter. */
function siftControls() {
  const inForce = isFiltered() || state.minus !== "";
  const details = /** @type {HTMLDetailsElement} */ (
    el(
      "details",
      { class: "sift", open: isSifting || inForce },
      el("summary", {}, "Difference, filter"),
      el(
        "div",
        { class: "controls" },
        minusControl(),
        filterControls().filter((one) => one !== null),
      ),
    )
  );
  details.addEventListener("toggle", () => {
    isSifting = details.open;
  });
  return details;
}

function filterControls() {
  const states = statesThere();
  return [
    states.length > 1
      ? choice("Only", [["", "all cells"], ...states], state.only, (v) => change({ only: v }))
      : null,
    limit(`${siftedMetric().label} from`, "from"),
    limit("to", "to"),
    isFiltered()
      ? el(
          "button",
          {
            type: "button",
            class: "link",
            onclick: () => change({ only: "", from: null, to: null }),
          },
          "show all",
        )
      : null,
  ];
}

/** What the filter, a difference and further axes mean for what is on show. */
function drawViewNotes() {
  const notes = [];
  const others = otherAxes();
  if (others.length && ["map", "contour"].includes(viewShown()))
    notes.push(
      `At ${fixedWords()}. No axis is averaged over: a number is of one cell, ` +
        "over its replicates.",
    );
  if (isFiltered()) {
    const n = allCells.filter(({ index }) => passes(index)).length;
    notes.push(
      `${grouped(n)} of ${plural(allCells.length, "cell")} pass the filter, here and in all ` +
        "charts below. Sentences, rings and verdicts are of all cells.",
    );
  }
  if (state.minus !== "")
    notes.push(
      isUnpaired()
        ? "These studies share no seeds: differences are of means, not paired."
        : doc.metrics[state.metric].each
          ? "Differences are of replicates that finished in both cells, by seed; " +
            "their intervals hold for one cell at a time."
          : "Differences of numbers that have no replicates.",
    );
  if (viewShown() === "contour") notes.push("Between cells, contours are drawn, not trained.");
  fill(
    "map-notes",
    notes.map((text) => el("p", { class: "note" }, text)),
  );
}

// ---- differences ----

/** The cell that a cell is compared with. */
/** @param {number} index */
function referenceOf(index) {
  if (state.minus === "cell") return state.against;
  const axis = Number(state.minus),
    position = positionOf(index);
  position[axis] = positionOf(state.against)[axis];
  return indexOf(position);
}

function referenceWords() {
  if (state.minus === "cell") return allCells[state.against].label;
  const axis = Number(state.minus);
  return `${doc.axes[axis].name}=${doc.axes[axis].labels[positionOf(state.against)[axis]]}`;
}

/** @type {{ key: string, metric: ?ShownMetric }} */
const difference = { key: "", metric: null };

/** The metric on show: that of the menu, or what it differs by. */
function metricNow() {
  const metric = doc.metrics[state.metric];
  if (state.minus === "") return metric;
  const key = [state.metric, state.minus, state.against].join();
  if (difference.key !== key || !difference.metric)
    Object.assign(difference, { key, metric: differenceOf(metric) });
  return /** @type {ShownMetric} */ (difference.metric);
}

/**
 * @param {MetricData} metric
 * @returns {ShownMetric}
 */
function differenceOf(metric) {
  const { each, mean } = metric,
    indices = allCells.map((cell) => cell.index);
  const isApart = isUnpaired(),
    pairs = each && !isApart ? indices.map((i) => pairedOf(each[i], each[referenceOf(i)])) : null;
  const found = pairs
    ? pairs.map(meanOf)
    : each && isApart
      ? indices.map((i) => apartOf(each[i], each[referenceOf(i)]))
      : indices.map((i) => ({ mean: minus(mean[i], mean[referenceOf(i)]), low: null, high: null }));
  const words = `minus ${referenceWords()}`;
  return {
    ...metric,
    label: `${metric.label}, ${words}`,
    with_unit: `${metric.with_unit}, ${words}`,
    isGap: true,
    chance: null,
    counts: null,
    each: pairs ?? null,
    mean: found.map((one) => one.mean),
    low: found.map((one) => one.low),
    high: found.map((one) => one.high),
  };
}

/** Whether what is compared shares no seeds: studies that were trained with others. */
const isUnpaired = () =>
  doc.beside !== null &&
  !doc.beside.paired &&
  (state.minus === "cell" || Number(state.minus) === doc.beside.axis);

// The difference of two means of independent runs, by Student's t of the smaller group, which is
// at least as wide as Welch's.
/**
 * @param {ReadonlyArray<Maybe>} a
 * @param {ReadonlyArray<Maybe>} b
 * @returns {EstimateData}
 */
function apartOf(a, b) {
  const [first, second] = [a, b].map((values) => values.filter(known)),
    [one, other] = [first, second].map(meanOf),
    mean = minus(one.mean, other.mean);
  const errors = [first, second].map((x, k) => {
    const { low, high } = [one, other][k],
      quantile = doc.t_quantiles[x.length];
    return known(low) && known(high) && known(quantile) ? (high - low) / 2 / quantile : null;
  });
  const quantile = doc.t_quantiles[Math.min(first.length, second.length)];
  if (!known(mean) || !known(quantile) || !errors.every(known)) {
    return { mean, low: null, high: null };
  }
  const half = quantile * Math.hypot(...errors);
  return { mean, low: mean - half, high: mean + half };
}

/** @type {(a: Maybe, b: Maybe) => ?number} */
const minus = (a, b) => (known(a) && known(b) ? a - b : null);

/** @type {(a: ReadonlyArray<Maybe>, b: ReadonlyArray<Maybe>) => Array<?number>} */
const pairedOf = (a, b) => a.map((value, i) => minus(value, b[i]));

// Mean and Student t interval: of two pairs or fewer there is none, as everywhere on the page.
/**
 * @param {Array<?number>} values
 * @returns {EstimateData}
 */
function meanOf(values) {
  const x = values.filter(known),
    n = x.length;
  if (!n) return { mean: null, low: null, high: null };
  const mean = x.reduce((sum, v) => sum + v, 0) / n,
    quantile = doc.t_quantiles[n];
  if (n < 3 || !known(quantile)) return { mean, low: null, high: null };
  const spread = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1));
  const half = (quantile * spread) / Math.sqrt(n);
  return { mean, low: mean - half, high: mean + half };
}

function minusControl() {
  const here = positionOf(state.minus === "" ? state.cell : state.against);
  const axes = doc.axes.flatMap(({ name, labels }, i) =>
    labels.length > 1 ? [[String(i), `${name}=${labels[here[i]]}`]] : [],
  );
  const options = [["", "nothing"], ["cell", "the chosen cell"], ...axes];
  return choice("Minus", options, state.minus, (v) =>
    change({ minus: v, against: state.minus === "" || v === "cell" ? state.cell : state.against }),
  );
}

// ---- slices side by side ----

const MOST_SLICES_SHOWN = 24;

/** The axes that tell the panels apart: the chosen one, or all that are left. */
function panelAxes() {
  const others = otherAxes();
  return others.includes(Number(state.by)) && state.by !== "" ? [Number(state.by)] : others;
}

/** The positions of all panels, those near the chosen cell first where not all have room. */
function panelPositions() {
  /** @type {Array<Array<number>>} */
  let positions = [[...state.fixed]];
  for (const axis of panelAxes())
    positions = positions.flatMap((position) =>
      doc.axes[axis].labels.map((_, k) => position.with(axis, k)),
    );
  return positions;
}

/**
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 */
function drawPanels(metric, scale) {
  const axes = panelAxes(),
    positions = panelPositions(),
    shown = positions.slice(0, MOST_SLICES_SHOWN);
  const hosts = shown.map((position) => {
    const label = axes.map((i) => `${doc.axes[i].name}=${doc.axes[i].labels[position[i]]}`);
    const box = el("div"),
      cells = cellsAt(position);
    const caption = el("figcaption", {}, el("span", { class: "name" }, label.join(", ")));
    return { box, cells, label: label.join(", "), figure: el("figure", {}, caption, box) };
  });
  fill(
    "map",
    el(
      "div",
      { class: "panels slices" },
      hosts.map(({ figure }) => figure),
    ),
    shown.length < positions.length
      ? el("p", { class: "note" }, `${shown.length} of ${grouped(positions.length)} slices.`)
      : null,
  );
  for (const { box, cells, label } of hosts)
    chart(box, `${metric.label} at ${label}`, 210, (look) => {
      const found = mapChart(cells, metric, scale, look, cells[0].length > 6);
      const [map, ...rest] = found.traces;
      return {
        traces: [{ ...map, showscale: false, ...panelHover(cells, metric) }, ...rest],
        layout: { ...found.layout, margin: { l: 40, r: 4, t: 4, b: 34 }, font: { size: 10 } },
        onclick: ({ x, y }) => {
          if (cells[y]?.[x] !== undefined) select(cells[y][x], false);
        },
      };
    });
}

/**
 * @param {Array<Array<number>>} cells
 * @param {ShownMetric} metric
 */
const panelHover = (cells, metric) => ({
  hoverinfo: "text",
  hovertext: cells.map((line) => line.map((i) => plain(spokenCell(allCells[i], metric)))),
});

function panelsControl() {
  const others = otherAxes();
  if (viewShown() !== "panels" || others.length < 2) return null;
  const axes = others.map((i) => [String(i), doc.axes[i].name]);
  return choice("A map for each", [["", "of them all"], ...axes], state.by, (v) =>
    change({ by: v }),
  );
}

// ---- all axes at once ----

const MOST_STRANDS = 600, // lines of all axes at once
  HUES = 16;

/** The cells that are drawn: of many, evenly chosen ones, the best and the chosen one. */
/** @param {ShownMetric} metric */
function strandCells(metric) {
  const all = allCells.filter(({ index }) => passes(index) && known(metric.mean[index]));
  const every = Math.ceil(all.length / MOST_STRANDS);
  return {
    all: all.length,
    shown: all.filter(
      ({ index }, i) => i % every === 0 || index === doc.top?.cell || index === state.cell,
    ),
  };
}

/**
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 */
function drawParallel(metric, scale) {
  const { all, shown } = strandCells(metric),
    box = el("div"),
    unit = wordsOf(metric);
  fill(
    "map",
    el(
      "figure",
      {},
      el("figcaption", {}, el("span", { class: "name" }, `${metric.label} of every cell`)),
      box,
      dataTable("table", () =>
        table(
          null,
          ["Cell", metric.label],
          shown.map((cell) => [
            pickable(cell.index, cell.label),
            unit.text(metric.mean[cell.index]),
          ]),
          { class: "plain" },
        ),
      ),
    ),
    el(
      "p",
      { class: "note" },
      shown.length < all ? `${grouped(shown.length)} of ${grouped(all)} cells. ` : "",
      "Each line is a cell; at a value of an axis, lines are stacked by what they reach. ",
      "Select a line to see its cell.",
    ),
  );
  chart(box, `${metric.label} of every cell, by all axes`, 420, (look) =>
    parallelChart(shown, metric, scale, look),
  );
}

/**
 * @param {Array<ShownCell>} shown
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 * @param {Look} look
 */
function parallelChart(shown, metric, scale, look) {
  const axes = doc.axes.map((_, i) => i).filter((i) => doc.axes[i].labels.length > 1),
    unit = wordsOf(metric);
  /** @type {(index: number) => number} */
  const shareOf = (index) => Math.min(Math.max(scale.share(metric.mean[index] ?? 0), 0), 1);
  /** @type {(index: number) => Array<number>} */
  const heights = (index) => {
    const position = positionOf(index),
      share = shareOf(index);
    const on = axes.map((i) => (position[i] + 0.15 + 0.7 * share) / doc.axes[i].labels.length);
    return [...on, share];
  };
  /** @type {Map<number, Array<ShownCell>>} */
  const hues = new Map();
  for (const cell of shown) {
    const hue = Math.round(shareOf(cell.index) * HUES);
    hues.set(hue, [...(hues.get(hue) ?? []), cell]);
  }
  /** @type {(cells: Array<ShownCell>, line: Settings) => Trace} */
  const strands = (cells, line) => ({
    x: cells.flatMap(() => [...axes.keys(), axes.length, null]),
    y: cells.flatMap(({ index }) => [...heights(index), null]),
    customdata: cells.flatMap(({ index }) => Array(axes.length + 2).fill(index)),
    mode: "lines",
    line,
    hoverinfo: "text",
    hovertext: cells.flatMap((cell) =>
      Array(axes.length + 2).fill(lines(cell.label, unit.text(metric.mean[cell.index]))),
    ),
  });
  const width = shown.length > 150 ? 0.8 : 1.4;
  const chosen = shown.filter(({ index }) => index === state.cell);
  // Of one number there is one place, and of none there is no scale.
  const ends = scale.high > scale.low ? [0, 0.25, 0.5, 0.75, 1] : known(scale.low) ? [1] : [];
  const names = [...axes.map((i) => doc.axes[i].name), metric.label];
  /** @type {(text: string, x: number, y: number) => Settings} */
  const label = (text, x, y) => ({
    ...{ x, y, text: plain(cut(text, 16)), showarrow: false, xanchor: "left", xshift: 3 },
    font: { size: 11, color: look.ink },
    bgcolor: transparent(look.paper, 0.75),
  });
  return {
    traces: [
      ...[...hues]
        .sort(([a], [b]) => a - b)
        .map(([hue, cells]) => strands(cells, { width, color: css(scale.ramp(hue / HUES)) })),
      strands(chosen, { width: 3.5, color: look.ink }),
    ],
    layout: {
      margin: { l: 60, r: 54, t: 10, b: 40 },
      hoverdistance: 30,
      xaxis: {
        tickvals: names.map((_, i) => i),
        ticktext: names.map((name) => plain(cut(name, 22))),
        range: [-0.05, axes.length + 0.05],
        gridcolor: look.muted,
        showline: false,
      },
      yaxis: { visible: false, range: [-0.02, 1.02] },
      annotations: [
        ...axes.flatMap((axis, i) =>
          axisLabels(doc.axes[axis]).map(([text, y]) => label(text, i, y)),
        ),
        ...ends.map((end) =>
          label(unit.short(scale.at(end)), axes.length, scale.share(scale.at(end))),
        ),
      ],
    },
    onclick: toCell,
  };
}

/** The values of an axis at the middle of their places; of many, some are named. */
/**
 * @param {AxisData} axis
 * @returns {Array<[string, number]>}
 */
function axisLabels(axis) {
  const n = axis.labels.length,
    step = Math.ceil(n / 12);
  return shortLabels(axis).flatMap((text, i) =>
    i % step ? [] : [/** @type {[string, number]} */ ([text, (i + 0.5) / n])],
  );
}
