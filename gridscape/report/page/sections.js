// The sections below the landscape: each shows records of the analysis, and computes nothing.

/**
 * @param {string} id
 * @param {string} title
 * @param {...(Child | Array<Child>)} children
 */
function section(id, title = "", ...children) {
  const host = byId(id);
  const shown = children.flat().filter((child) => child != null);
  host.hidden = shown.length === 0;
  host.replaceChildren(el("h2", { id: `${id}-title` }, title), ...shown);
}

// ---- across an axis, and its best value ----

function drawBest() {
  const lines = el("figure"),
    best = el("figure");
  const along = doc.best && doc.best.along !== null ? doc.axes[doc.best.along] : null;
  // The lines of a study of one axis are its landscape: they stand beside the curves.
  const alone = state.rows === null;
  byId("map-lines").hidden = !alone;
  if (!doc.top) return section("best");
  const pair = el("div", { class: "pair" }, alone ? null : lines, along ? best : null);
  const title = `Best ${spoken(doc.best?.axis ?? "")}`;
  section("best", title, bestSentence(), beyondNote(), luckNote(), pair, confirmedTable());
  byId("map-lines").replaceChildren();
  drawSlices(alone ? byId("map-lines") : lines);
  if (doc.best && along) drawBestPerRow(best, doc.best, along);
  return null;
}

function bestSentence() {
  if (!doc.best) return null;
  const { rows, axis } = doc.best,
    single = rows.length === 1 ? rows[0] : null;
  if (single) {
    const text =
      single.value === null
        ? sentence(single.note)
        : `The best ${spoken(axis)}, ${doc.chosen}, is ${single.value_text}. ` +
          equivalents(single) +
          (single.optimum ? ` The optimum: ${single.optimum}.` : "") +
          (single.edge ? ` It learns up to: ${single.edge}.` : "");
    return el("p", {}, text);
  }
  return el(
    "p",
    {},
    `Each dot is the best ${spoken(axis)}, ${doc.chosen}; the marks above and ` +
      "below it are values that are not shown to be worse, a set of its own for each row.",
  );
}

// Where the best value is the first or last that was tried, and how to go on there.
function beyondNote() {
  if (!doc.best || !doc.best.beyond.length) return null;
  const { axis, beyond, command } = doc.best;
  const where = beyond.length > 1 ? `${beyond.length} rows` : beyond[0] || "the only row";
  return el(
    "p",
    { class: "notice" },
    `The best ${spoken(axis)} is the first or last value tried in ${where}: the true one may lie ` +
      "beyond. ",
    ...(command ? [el("code", {}, command), " goes there."] : []),
  );
}

// Of many cells the luckiest is best: what its luck may be, and the number to quote.
function luckNote() {
  if (!doc.top) return null;
  const { cell, luck, quote } = doc.top;
  const words = [luck, quote].filter(Boolean).join(" ");
  if (!words) return null;
  return el("p", {}, "The best cell of all is ", pickable(cell, allCells[cell].label), ". ", words);
}

// Fresh replicates of the best cells: the numbers to quote.
function confirmedTable() {
  if (!doc.confirmed) return null;
  const rows = doc.confirmed.finalists.map((found) => [
    pickable(found.cell, allCells[found.cell].label),
    el("b", {}, found.fresh),
    found.learns,
    found.searched,
    found.luck,
  ]);
  const heads = ["Cell", "To quote", "Learns in", "Of the search", "Luck"];
  return el(
    "div",
    {},
    el("h3", {}, `Confirmed: ${doc.confirmed.metric} of fresh replicates`),
    el("p", {}, doc.confirmed.note),
    el("div", { class: "scroll" }, table(null, heads, rows, { class: "plain" })),
  );
}

/** @param {BestRow} row */
const equivalents = (row) => sentence(row.told);

/** @param {HTMLElement} host */
function drawSlices(host) {
  const metric = metricNow(),
    unit = wordsOf(metric),
    all = shownCells();
  const columns = doc.axes[state.columns],
    every = Math.ceil(all.length / MOST_SLICES),
    shown = all.filter((_, r) => r % every === 0),
    rows = state.rows === null ? null : thinnedAxis(doc.axes[state.rows], every);
  const name = `${metric.label} along ${columns.name}`;
  const box = el("div");
  host.append(
    el(
      "figcaption",
      {},
      el("span", { class: "name" }, name),
      el("span", { class: "muted" }, fixedWords()),
      every > 1 ? el("span", { class: "muted" }, `${shown.length} of ${all.length} lines`) : null,
    ),
    box,
    dataTable("table", () => sliceTable(shown, metric, columns, rows)),
  );
  chart(box, name, 330, (look) => sliceChart(shown, metric, unit, columns, rows, look));
}

const MOST_NAMED = 16; // lines that a legend names
const MOST_SLICES = 48; // lines of a chart: of more, evenly chosen ones are drawn

// Every so many of the values of an axis.
/**
 * @param {AxisData} axis
 * @param {number} every
 */
function thinnedAxis(axis, every) {
  /** @type {(_: unknown, i: number) => boolean} */
  const kept = (_, i) => i % every === 0;
  return { ...axis, labels: axis.labels.filter(kept), numbers: axis.numbers?.filter(kept) ?? null };
}

function fixedWords() {
  return doc.axes
    .map((axis, i) =>
      i === state.rows || i === state.columns
        ? null
        : `${axis.name}=${axis.labels[state.fixed[i]]}`,
    )
    .filter(Boolean)
    .join(", ");
}

/** @type {CellValue} */
const NO_VALUE = { mean: null };

const SHAPES = ["circle", "square", "diamond", "triangle-up", "star", "pentagon"]; // of groups

const SYMBOLS = {
  finished: "circle",
  collapsed: "circle-open",
  not_started: "circle-open",
  diverged: "x-thin-open",
  failed: "x-thin-open",
  stopped: "circle-open",
  missing: "circle-open",
  not_asked: "circle-open",
};

/**
 * @param {Array<Array<number>>} shown
 * @param {ShownMetric} metric
 * @param {UnitWords} unit
 * @param {AxisData} columns
 * @param {?AxisData} rows
 * @param {Look} look
 */
function sliceChart(shown, metric, unit, columns, rows, look) {
  const colors = lineColors(rows, shown.length, look);
  const x = columns.labels.map((_, c) => studyValue(columns, c));
  const values = shown.flat().map((i) => valueShown(i, metric));
  const axis = metricAxis(metric, values, state.shading === "fine");
  const traces = shown.flatMap((line, r) => {
    const cells = line.map((i) => allCells[i]);
    const found = cells.map((cell) => (passes(cell.index) ? cell.of(metric) : NO_VALUE));
    const steps = columns.scale === "category",
      only = steps ? "dot" : "solid",
      apart = rows && shown.length > 1 && shown.length <= MOST_NAMED;
    // Bars, not bands: between two values of an axis nothing was trained.
    const bars = metric.each && shown.length <= 9;
    return [
      {
        x,
        y: found.map((v) => axis.of(v.mean)),
        mode: line.length > 64 ? "lines" : "lines+markers",
        name: rows ? named(rows.labels[r]) : "",
        // Told apart without their colors too, where a legend names them.
        line: {
          color: colors[r],
          width: steps ? 1 : 2,
          dash: apart ? STYLES[r % STYLES.length] : only,
        },
        error_y: bars ? errorBars(found, axis, transparent(colors[r], 0.7)) : undefined,
        marker: {
          color: colors[r],
          size: 7,
          symbol: cells.map((cell) => SYMBOLS[cell.state]),
          line: { color: colors[r], width: 1.5 },
        },
        customdata: line,
        hoverinfo: "text",
        showlegend: Boolean(rows),
        hovertext: cells.map((cell, c) =>
          lines(
            cell.label,
            unit.text(found[c].mean),
            known(found[c].low) ? interval(found[c].low, found[c].high, unit) : null,
            found[c].each ? `replicates: ${found[c].each.map(unit.short).join(", ")}` : null,
            endings(cell.counts),
          ),
        ),
      },
    ];
  });
  return {
    traces,
    layout: {
      showlegend: Boolean(rows) && shown.length <= MOST_NAMED,
      margin: { l: 48, r: 10, t: 10, b: 40 },
      legend: {
        title: { text: named(rows ? rows.name : "") },
        orientation: "v",
        font: { size: 11 },
        bgcolor: "rgba(0,0,0,0)",
      },
      xaxis: studyAxis(columns),
      yaxis: axis.settings,
    },
    onclick: toCell,
  };
}

/**
 * @param {Array<Array<number>>} shown
 * @param {ShownMetric} metric
 * @param {AxisData} columns
 * @param {?AxisData} rows
 */
function sliceTable(shown, metric, columns, rows) {
  const unit = wordsOf(metric);
  return table(
    null,
    [rows ? rows.name : "", ...columns.labels],
    shown.map((line, r) => [
      rows ? rows.labels[r] : metric.label,
      ...line.map((i) => pickable(i, cellText(allCells[i], metric, unit))),
    ]),
    { class: "plain" },
  );
}

/**
 * @param {ShownCell} cell
 * @param {ShownMetric} metric
 * @param {UnitWords} unit
 */
function cellText(cell, metric, unit) {
  const found = cell.of(metric);
  if (!passes(cell.index)) return "";
  if (!found || !known(found.mean)) return cellWord(cell);
  return known(found.low)
    ? `${unit.short(found.mean)} (${interval(found.low, found.high, unit)})`
    : unit.text(found.mean);
}

/**
 * @param {HTMLElement} host
 * @param {BestData} best
 * @param {AxisData} along
 */
function drawBestPerRow(host, best, along) {
  const axis = /** @type {AxisData} */ (doc.axes.find((a) => a.name === best.axis));
  const name = `Best ${best.axis} by ${along.name}`;
  const box = el("div");
  host.append(
    el("figcaption", {}, el("span", { class: "name" }, name)),
    box,
    dataTable("table", () => bestTable(best)),
  );
  chart(box, name, 330, (look) => bestChart(best, axis, along, look));
}

/**
 * @param {BestData} best
 * @param {AxisData} axis
 * @param {AxisData} along
 * @param {Look} look
 */
function bestChart(best, axis, along, look) {
  const unit = unitOf(best.unit);
  const groups = [...new Set(best.rows.map((row) => row.group))];
  const colors = groups.length > 1 ? lineColors(null, groups.length, look) : [look.accent];
  const sets = groups.map((group, g) =>
    setTrace(
      best.rows.filter((row) => row.group === group),
      axis,
      along,
      colors[g],
    ),
  );
  const dots = groups.map((group, g) => {
    const rows = best.rows.filter((row) => row.group === group && row.value !== null);
    const y = rows.map((row) => placeOf(axis, row.index));
    return {
      x: rows.map((row) => placeOf(along, row.along)),
      y,
      mode: along.scale === "category" ? "markers" : "lines+markers",
      name: named(group),
      line: { color: transparent(colors[g], 0.5), width: 1, dash: "dot" },
      marker: { color: colors[g], size: 9, symbol: SHAPES[g % SHAPES.length] },
      customdata: rows.map((row) => row.cell),
      hoverinfo: "text",
      hovertext: rows.map((row) =>
        lines(
          row.label,
          `best ${best.axis}: ${row.value_text} (${unit.text(row.mean)})`,
          equivalents(row),
          row.optimum ? `optimum: ${row.optimum}` : null,
        ),
      ),
    };
  });
  return {
    traces: [...sets, ...dots],
    layout: {
      showlegend: groups.length > 1,
      xaxis: padded(studyAxis(along), along),
      yaxis: padded(studyAxis(axis), axis),
    },
    onclick: toCell,
  };
}

// The values that are not shown to be worse; neighbors are joined, so that a hole stays one.
/**
 * @param {Array<BestRow>} rows
 * @param {AxisData} axis
 * @param {AxisData} along
 * @param {string} color
 */
function setTrace(rows, axis, along, color) {
  const x = [],
    y = [];
  const places = new Map(axis.labels.map((label, i) => [label, i]));
  for (const row of rows) {
    const inside = row.equivalent.map((label) => places.get(label)).filter(known);
    inside.sort((a, b) => a - b);
    for (const [k, place] of inside.entries()) {
      if (place - 1 !== inside[k - 1]) {
        x.push(null);
        y.push(null);
      }
      x.push(placeOf(along, row.along));
      y.push(studyValue(axis, place));
    }
  }
  return {
    x,
    y,
    mode: "lines+markers",
    connectgaps: false,
    line: { color, width: 1.6 },
    marker: { color, size: 8, symbol: "line-ew-open" },
    hoverinfo: "skip",
    showlegend: false,
  };
}

// All values of the axis are on the chart, also those that are never best.
/**
 * @param {Settings} settings
 * @param {AxisData} axis
 */
function padded(settings, axis) {
  if (axis.scale === "category") return settings;
  const log = axis.scale === "log";
  const ends = (axis.numbers ?? []).map((v) => (log ? Math.log10(v) : v));
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const margin = (high - low || 1) * 0.08;
  return { ...settings, range: [low - margin, high + margin] };
}

// What stands beside the number of a best cell where not all of its runs learn.
/** @param {BestRow} row */
function beside(row) {
  const cell = row.cell === null ? null : allCells[row.cell];
  if (!cell) return "";
  return (cell.share ? `; ${cell.learns}` : "") + (cell.at_edge ? "; at the edge" : "");
}

/** @param {BestData} best */
function bestTable(best) {
  return table(
    null,
    [
      "Row",
      `Best ${best.axis}`,
      doc.metrics[0].label,
      "Not shown to be worse",
      "Optimum",
      ...(doc.edge ? ["Learns up to"] : []),
      "Note",
    ],
    best.rows.map((row) => [
      row.cell === null ? row.label : pickable(row.cell, row.label),
      row.value_text,
      unitOf(best.unit).text(row.mean) + beside(row),
      row.equivalent.join(", ") || NONE,
      row.optimum || NONE,
      ...(doc.edge ? [row.edge] : []),
      row.note,
    ]),
    { class: "plain" },
  );
}

// ---- studies side by side ----

const BESIDE_WORDS = { better: "better", worse: "worse", differs: "differs", "": "not told apart" };

function drawBeside() {
  const found = doc.beside;
  if (!found) return section("beside");
  const heads = ["Cell", found.names[0], "This study", "Difference", "p, corrected", "Shown to be"];
  const rows = found.rows.map((row) => [
    pickable(row.cell, allCells[row.cell].label),
    row.first,
    row.other,
    row.difference,
    row.p || NONE,
    BESIDE_WORDS[row.shown],
  ]);
  const changes = found.changes.map((change) => [...change]);
  return section(
    "beside",
    found.names.join(" beside "),
    found.summary.map((text) => el("p", {}, text)),
    el(
      "p",
      { class: "note" },
      `${found.metric}, over the replicates that learn; `,
      found.paired
        ? "paired by replicate, since these share their seeds"
        : "not paired, since replicates share no seeds (Welch's t)",
      "; p values are corrected for all cells of a study (Holm).",
    ),
    found.notes.map((text) => el("p", { class: "note" }, sentence(text))),
    el("h3", {}, changes.length ? "Settings that differ" : "No setting differs"),
    changes.length
      ? el(
          "div",
          { class: "scroll" },
          table(null, ["Setting", ...found.names], changes, { class: "plain" }),
        )
      : null,
    el("h3", {}, "Cell by cell"),
    el("div", { class: "scroll" }, table(null, heads, rows, { class: "plain" })),
  );
}

// ---- accuracy against cost ----

/** The chosen cost, which is a number of every cell like the metrics. */
const costNow = () => metricOf(state.cost);

/** @param {string} name */
const metricOf = (name) => /** @type {MetricData} */ (doc.metrics.find((m) => m.name === name));

function drawCost() {
  const pareto = doc.pareto[state.cost];
  if (!pareto) return section("cost");
  const box = el("div");
  const name = `${doc.metrics[0].label} against ${costNow().label}`;
  const options = costs().map((name) => [name, metricOf(name).label]);
  section(
    "cost",
    `${heading(doc.metrics[0].label)} against cost`,
    smallestSentence(),
    el(
      "figure",
      {},
      el(
        "figcaption",
        {},
        el("span", { class: "name" }, name),
        el(
          "form",
          { class: "controls" },
          choice("Cost", options, state.cost, (v) => {
            state.cost = /** @type {Cost} */ (v);
            remember();
            drawCost();
          }),
        ),
      ),
      box,
      dataTable("table", () => costTable(pareto, costPoints(pareto))),
      el(
        "p",
        { class: "note" },
        "The line is the Pareto front: no other cell is at once cheaper and better. ",
        doc.selection === "validation"
          ? `It was ${doc.chosen}; what is drawn is ${doc.metrics[0].label}. `
          : `It was ${doc.chosen}. `,
        byError() ? "Accuracies are spaced by their error. " : "",
        pareto.cells.length < pareto.n_points
          ? `${grouped(pareto.cells.length)} of ${grouped(pareto.n_points)} cells are drawn. `
          : "",
        pareto.excluded
          ? `${plural(pareto.excluded, "cell")} left out: most of their runs do not learn. `
          : "",
        "Select a point to see its curves.",
      ),
    ),
  );
  chart(box, name, 380, (look) => costChart(pareto, look));
  return null;
}

/** @type {(text: string) => string} */
const heading = (text) => text[0].toUpperCase() + text.slice(1);

function smallestSentence() {
  const found = doc.smallest;
  if (!found) return null;
  const unit = UNITS.fraction,
    { mean, low, high } = found.difference,
    margin = (100 * found.margin).toFixed(1);
  /** @type {(index: number) => HTMLElement} */
  const name = (index) => pickable(index, allCells[index].label);
  if (found.cell === found.best) {
    return el(
      "p",
      { class: "finding" },
      "The best cell, ",
      name(found.best),
      ` (${unit.text(found.best_mean)}), ${doc.chosen}, is also the smallest network `,
      `shown to be within ${margin} points of the best.`,
      found.note ? ` ${sentence(found.note)}` : "",
    );
  }
  const shares = [
    { word: "parameters", share: found.saves_parameters ?? 0 },
    { word: "FLOP", share: found.saves_flops ?? 0 },
    { word: "time", share: found.saves_seconds ?? 0 },
  ];
  const saves = shares
    .filter(({ share }) => share >= 0.005)
    .map(({ word, share }) => `${Math.round(100 * share)} % of the ${word}`);
  const costs = shares
    .filter(({ share }) => share <= -0.005)
    .map(({ word, share }) => `${Math.round(-100 * share)} % more ${word}`);
  return el(
    "p",
    { class: "finding" },
    found.by_interval
      ? "The smallest network shown to be within "
      : "The smallest network that by its mean alone is within ",
    `${margin} points of the best is `,
    name(found.cell),
    `: ${unit.text(found.cell_mean)}, against ${unit.text(found.best_mean)} of `,
    name(found.best),
    `. It saves ${saves.join(", ") || "nothing"}`,
    costs.length ? ` and takes ${costs.join(", ")}. ` : ". ",
    el(
      "span",
      { class: "muted" },
      found.by_interval
        ? `Paired difference on the ${doc.selection} set ${points(mean)} points ` +
            `(${points(low)} to ${points(high)}).`
        : "Judged by means alone: there are too few replicates for an interval.",
      found.note ? ` ${sentence(found.note)}` : "",
    ),
  );
}

/** @param {Array<CostPoint>} points */
function costScale(points) {
  const costs = points.map((p) => p.cost).filter(known);
  const wide = spreadOf(costs) > 3;
  const tickformat = state.cost === "seconds" ? "~g" : "~s";
  return { ...(wide ? logScale(costs) : { type: "linear" }), tickformat };
}

// The candidates by rising cost.
/**
 * @param {ParetoData} pareto
 * @returns {Array<CostPoint>}
 */
function costPoints(pareto) {
  const front = new Set(pareto.front);
  return pareto.cells
    .filter(passes)
    .map((cell) => ({
      cell,
      front: front.has(cell),
      cost: allCells[cell].value(state.cost).mean,
      ...allCells[cell].value(doc.metrics[0].name),
    }));
}

/**
 * @param {ParetoData} pareto
 * @param {Look} look
 */
function costChart(pareto, look) {
  const unit = unitOf(doc.metrics[0].unit),
    points = costPoints(pareto);
  const front = points.filter((p) => p.front);
  const axis = metricAxis(
    doc.metrics[0],
    points.map((p) => p.mean),
    true,
  );
  const hovertext = points.map((p) =>
    lines(
      allCells[p.cell].label,
      unit.text(p.mean),
      known(p.low) ? interval(p.low, p.high, unit) : null,
      unitOf(costNow().unit).text(p.cost) + (state.cost === "n_parameters" ? " parameters" : ""),
      p.front ? "on the front" : null,
    ),
  );
  const onFront = points.map((p) => p.front);
  return {
    traces: [
      {
        x: front.map((p) => p.cost),
        y: front.map((p) => axis.of(p.mean)),
        mode: "lines",
        line: { shape: "hv", color: look.accent, width: 2 },
        hoverinfo: "skip",
      },
      {
        x: points.map((p) => p.cost),
        y: points.map((p) => axis.of(p.mean)),
        mode: "markers",
        customdata: points.map((p) => p.cell),
        hoverinfo: "text",
        hovertext,
        marker: {
          size: onFront.map((on) => (on ? 10 : 7)),
          color: onFront.map((on) => (on ? look.accent : transparent(look.muted, 0.55))),
          line: { color: look.paper, width: 1 },
        },
        error_y:
          points.length > 60 || !points.some((p) => known(p.low))
            ? undefined
            : errorBars(points, axis, transparent(look.muted, 0.6)),
      },
    ],
    layout: {
      xaxis: { ...costScale(points), title: titled(costNow().label) },
      yaxis: axis.settings,
    },
    onclick: toCell,
  };
}

const byError = () =>
  metricAxis(
    doc.metrics[0],
    (doc.pareto[state.cost]?.cells ?? []).map((i) => cellValue(allCells[i], doc.metrics[0])),
    true,
  ).settings.type === "log";

/**
 * @param {Array<CellValue>} points
 * @param {MetricAxis} axis
 * @param {string} color
 */
function errorBars(points, axis, color) {
  const at = (/** @type {number} */ v) => axis.of(v) ?? 0;
  /** @type {(p: CellValue, end: "low" | "high") => number} */
  const away = (p, end) => (known(p[end]) && known(p.mean) ? Math.abs(at(p[end]) - at(p.mean)) : 0);
  const falls = at(0) > at(0.5);
  return {
    type: "data",
    symmetric: false,
    thickness: 1,
    width: 0,
    color,
    array: points.map((p) => away(p, falls ? "low" : "high")),
    arrayminus: points.map((p) => away(p, falls ? "high" : "low")),
  };
}

/**
 * @param {ParetoData} pareto
 * @param {Array<CostPoint>} points
 */
function costTable(pareto, points) {
  const unit = unitOf(doc.metrics[0].unit),
    cost = unitOf(costNow().unit);
  return table(
    null,
    ["Cell", costNow().label, doc.metrics[0].label, "Interval", "On the front"],
    points.map((p) => [
      pickable(p.cell, allCells[p.cell].label),
      cost.text(p.cost),
      unit.text(p.mean),
      interval(p.low, p.high, unit),
      p.front ? "yes" : "no",
    ]),
    { class: "plain" },
  );
}

// ---- published tables ----

function drawPublished() {
  const notes = doc.notes.map((text) => el("p", { class: "notice" }, sentence(text)));
  section(
    "published",
    "Beside the published tables",
    ...notes,
    ...(doc.published.length
      ? [
          el(
            "p",
            {},
            "A published table has one run per cell. The mark says whether it lies where one ",
            "new run of ours that learns would lie (the prediction interval, wider than the ",
            "interval of our mean). Where that interval is 10 points wide or wider, of losses a ",
            "tenth of the number, lying inside says nothing and cannot be judged. ",
            "Differences are published minus ours; of accuracies in points.",
          ),
          el("div", { class: "pair" }, doc.published.map(publishedTable)),
          agreementLegend(),
        ]
      : []),
  );
}

/** @param {PublishedData} found */
function publishedTable(found) {
  const c = found.counts,
    judged = (c.inside ?? 0) + (c.outside ?? 0),
    unit = unitOf(found.unit);
  const sentence = [
    judged ? `${c.inside} of ${judged} cells inside` : "No cell can be judged",
    c.unknown ? `${c.unknown} cannot be judged` : null,
    c["not comparable"] ? `${c["not comparable"]} not comparable` : null,
    c["ours failed"] ? `${c["ours failed"]} where ours failed` : null,
    c["not trained that far"] ? `${c["not trained that far"]} not trained that far` : null,
    c["not run"] ? `${c["not run"]} not run here` : null,
  ]
    .filter(Boolean)
    .join(", ");
  const sizes = known(found.mean_difference)
    ? `; mean difference ${gap(found.mean_difference, unit)}, ` +
      `root mean square ${unit.short(found.rmse)}${gapUnit(unit)}.`
    : ".";
  return el(
    "article",
    {},
    el("h3", {}, found.source),
    el("p", {}, sentence + sizes),
    found.note ? el("p", { class: "muted" }, `Not as published: ${found.note}.`) : null,
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        { class: "beside" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el(
              "th",
              { scope: "col", class: "axis-name" },
              breakable(`${found.row_name} \\ ${found.column_name}`),
            ),
            found.columns.map((text) => el("th", { scope: "col" }, text)),
          ),
        ),
        el(
          "tbody",
          {},
          found.rows.map((row) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, row.label),
              row.cells.map((cell) => besideCell(cell, unit)),
            ),
          ),
        ),
      ),
    ),
  );
}

function agreementLegend() {
  /** @type {(name: string, sign: string, example: string) => HTMLElement} */
  const mark = (name, sign, example) =>
    el(
      "li",
      {},
      el("span", { class: `agree ${name.replace(" ", "-")}` }, `${sign} ${example}`),
      name === "unknown" ? "cannot be judged" : name,
    );
  return el(
    "ul",
    { class: "legend" },
    el("li", {}, el("b", {}, "ours"), " / published"),
    mark("inside", "●", "−0.1"),
    mark("outside", "▲", "+1.5"),
    mark("unknown", "○", "+0.2"),
    doc.published.some((table) => table.counts["not comparable"])
      ? mark("not comparable", "≠", "+0.3")
      : null,
  );
}

/** @type {Record<string, string>} */
const AGREEMENT = { inside: "●", outside: "▲", unknown: "○", "not comparable": "≠" };

/**
 * @param {PublishedCellData} cell
 * @param {string} mark
 * @param {UnitWords} unit
 */
function besideText(cell, mark, unit) {
  if (known(cell.difference)) return `${mark} ${gap(cell.difference, unit)}`;
  return cell.agreement === "not comparable" ? `${mark} not comparable` : mark;
}

/**
 * @param {?PublishedCellData} cell
 * @param {UnitWords} unit
 */
function besideCell(cell, unit) {
  if (!cell || cell.agreement === "not published") return el("td", { class: "muted" }, NONE);
  const mark = AGREEMENT[cell.agreement];
  return el(
    "td",
    {
      title: known(cell.prediction_low)
        ? "one new run of ours that learns: " +
          interval(cell.prediction_low, cell.prediction_high, unit)
        : cell.note || null,
    },
    el(
      "span",
      { class: "both" },
      el("b", {}, unit.short(cell.ours)),
      ` / ${unit.short(cell.published)}`,
    ),
    mark
      ? el(
          "span",
          {
            class: `agree ${cell.agreement.replace(" ", "-")}`,
            "aria-label": `${cell.agreement}, difference ${gap(cell.difference, unit)}`,
          },
          besideText(cell, mark, unit),
        )
      : el("span", { class: "agree muted" }, cell.agreement),
  );
}

// ---- claims ----

const OUTCOMES = {
  holds: ["✓", "holds", "hold"],
  fails: ["✕", "fails", "fail"],
  undecided: ["?", "not decided", "not decided"],
  "not comparable": ["≠", "not comparable", "not comparable"],
};

function drawClaims() {
  section(
    "claims",
    "Published claims",
    ...(doc.claims.length
      ? [
          el(
            "p",
            {},
            "Statements from published reports, judged by our replicates and never by eye. ",
            "Numbers here are fractions, as in the rules. ",
            claimCounts(),
            doc.claims_told ? ` ${doc.claims_told}` : "",
          ),
          el("ol", { class: "claims" }, doc.claims.map(claimItem)),
        ]
      : []),
  );
}

function claimCounts() {
  /** @type {(name: string) => number} */
  const count = (name) => doc.claims.filter((claim) => claim.outcome === name).length;
  return el(
    "b",
    {},
    Object.entries(OUTCOMES)
      .filter(([name]) => count(name))
      .map(([name, [, one, many]]) => `${count(name)} ${count(name) === 1 ? one : many}`)
      .join(", "),
    ".",
  );
}

/** @param {ClaimData} claim */
function claimItem(claim) {
  const [mark, word] = OUTCOMES[claim.outcome];
  const first = claim.estimates[0];
  /** @type {(word: string, text: string) => Child} */
  const said = (word, text) =>
    text
      ? el("p", { class: "rule" }, el("span", { class: "muted" }, `${word}: `), sentence(text))
      : null;
  return el(
    "li",
    { class: `claim ${claim.outcome.replace(" ", "-")}` },
    el(
      "p",
      { class: "verdict" },
      el("span", { "aria-hidden": "true" }, mark),
      ` ${word}`,
      claim.look ? el("span", { class: "look" }, claim.look) : null,
    ),
    el(
      "div",
      {},
      el("h3", {}, `${claim.id}) ${claim.statement}`),
      first
        ? el(
            "p",
            { class: "estimate" },
            `${first.name}: `,
            el("b", {}, first.text),
            `${first.interval ? ` (${first.interval})` : ""}, asked for: ${first.asks}`,
            el(
              "span",
              { class: "muted" },
              claim.estimates.length > 1
                ? `; and ${plural(claim.estimates.length - 1, "further number")}`
                : "",
            ),
          )
        : null,
      el("p", { class: "source" }, claim.source),
    ),
    el(
      "div",
      {},
      said("Rule", claim.rule),
      said("Note", claim.note),
      claim.open.length
        ? el(
            "ul",
            { class: "open" },
            claim.open.map(([name, text]) => el("li", {}, `${name}: ${text}`)),
          )
        : null,
    ),
    claimDetails(claim),
  );
}

/** @param {ClaimData} claim */
function claimDetails(claim) {
  const rows = [
    ...claim.estimates.map((e) => [
      e.name,
      e.text,
      e.interval || NONE,
      e.asks,
      OUTCOMES[e.says][1],
    ]),
    ...claim.numbers.map(([name, text]) => [name, text, NONE, NONE, NONE]),
  ];
  if (!rows.length) return null;
  const excluded = claim.excluded.map((item) => el("li", {}, item));
  return el(
    "details",
    { class: "more" },
    el("summary", {}, "All numbers"),
    el(
      "div",
      { class: "scroll" },
      table(null, ["Number", "Estimate", "Interval", "Asked for", "Says"], rows, {
        class: "plain",
      }),
    ),
    excluded.length ? [el("p", {}, "Left out:"), el("ul", {}, excluded)] : null,
  );
}

// ---- about ----

function drawAbout() {
  /** @type {(items: Array<[string, string]>) => HTMLElement} */
  const pairs = (items) =>
    el(
      "dl",
      { class: "about" },
      items.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat(),
    );
  section(
    "about",
    "About this study",
    el(
      "div",
      { class: "columns" },
      el("div", {}, el("h3", {}, "Study"), pairs(doc.facts)),
      el(
        "div",
        {},
        el("h3", {}, "Axes"),
        pairs(doc.axes.map((a) => [a.name, a.labels.join(", ")])),
      ),
      el("div", {}, el("h3", {}, "Made with"), pairs(doc.environment)),
    ),
  );
}
