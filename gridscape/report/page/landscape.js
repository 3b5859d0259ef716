// The landscape: a table whose cells are colored by the mean. A table, not a picture: it can be
// read aloud, walked by arrow keys, printed, and copied.

// States whose cells have no color of their own.
const BLANK = ["diverged", "failed", "stopped", "missing", "not_asked"];

function strides() {
  const sizes = doc.axes.map((axis) => axis.labels.length);
  return sizes.map((_, i) => sizes.slice(i + 1).reduce((a, b) => a * b, 1));
}

/** @type {(position: Array<number>) => number} */
const indexOf = (position) => strides().reduce((sum, stride, i) => sum + stride * position[i], 0);

/** @param {number} index */
function positionOf(index) {
  return strides().map((stride, i) => Math.floor(index / stride) % doc.axes[i].labels.length);
}

// The cells on show as rows of indices; axes that are neither rows nor columns stay fixed.
const shownCells = () => cellsAt(state.fixed);

/** @param {Array<number>} fixed */
function cellsAt(fixed) {
  const rows = state.rows === null ? [null] : doc.axes[state.rows].labels.map((_, i) => i);
  return rows.map((r) =>
    doc.axes[state.columns].labels.map((_, c) => {
      const position = [...fixed];
      if (r !== null && state.rows !== null) position[state.rows] = r;
      position[state.columns] = c;
      return indexOf(position);
    }),
  );
}

/** @type {(cell: ShownCell, metric: MetricData) => ?number} */
const cellValue = (cell, metric) => metric.mean[cell.index];

/** The same, of the cells that pass the filter. */
/** @type {(index: number, metric: MetricData) => ?number} */
const valueShown = (index, metric) => (passes(index) ? metric.mean[index] : null);

function drawControls() {
  const axes = doc.axes.map((axis, i) => [String(i), axis.name]);
  /** @type {Array<?HTMLElement>} */
  const controls = [
    choice(
      "Show",
      doc.metrics.map((m, i) => [String(i), m.label]),
      String(state.metric),
      (v) => change({ metric: Number(v) }),
    ),
  ];
  if (doc.axes.length > 1) {
    controls.push(
      choice("As", possibleViews(), viewShown(), (v) => change({ view: v })),
      panelsControl(),
      choice("Rows", axes, String(state.rows), (v) => turn("rows", Number(v))),
      choice("Columns", axes, String(state.columns), (v) => turn("columns", Number(v))),
    );
  }
  const told = { panels: panelAxes(), parallel: otherAxes() }[viewShown()] ?? [];
  doc.axes.forEach((axis, i) => {
    if (i === state.rows || i === state.columns || told.includes(i)) return;
    controls.push(
      choice(
        axis.name,
        axis.labels.map((text, k) => [String(k), text]),
        String(state.fixed[i]),
        (v) => fix(i, Number(v)),
      ),
    );
  });
  if (metricNow().better && state.minus === "") {
    controls.push(
      choice(
        "Scale",
        [
          ["even", "even"],
          ["fine", "fine near the best"],
        ],
        state.shading,
        (v) => change({ shading: v }),
      ),
    );
  }
  if (allCells.length > 1) controls.push(siftControls());
  fill("controls", controls);
  drawViewNotes();
}

// Choosing an axis that the other side has swaps the two.
/**
 * @param {"rows" | "columns"} side
 * @param {number} axis
 */
function turn(side, axis) {
  const other = side === "rows" ? "columns" : "rows";
  const swap = state[other] === axis ? { [other]: state[side] } : {};
  change({ ...swap, [side]: axis });
}

/**
 * @param {number} axis
 * @param {number} value
 */
function fix(axis, value) {
  state.fixed[axis] = value;
  const position = positionOf(state.cell);
  position[axis] = value;
  change({ cell: indexOf(position) });
}

/** @typedef {{ density: string, every: number }} Room */
/** @type {Room} */
let drawnRoom = { density: "", every: 1 };

// How much a cell can hold, and every how many columns are named.
/**
 * @param {number} size
 * @returns {Room}
 */
function roomOf(size) {
  const width = byId("map").clientWidth - STUB_WIDTH,
    room = width / size;
  const isDense = size > 24 || room < 32;
  const density = isDense ? "dense" : size > 9 || room < 44 ? "compact" : "roomy";
  return { density, every: isDense ? Math.max(1, Math.ceil(13 / room)) : 1 };
}

const STUB_WIDTH = 100; // of the names of rows

// A narrower window may have no room for numbers.
new ResizeObserver(() => {
  const size = doc.axes[state.columns].labels.length;
  if (!within("map", ".landscape")) return;
  const { density, every } = roomOf(size);
  if (density !== drawnRoom.density || every !== drawnRoom.every) drawMap();
}).observe(byId("map"));

// Cells that a table has; more are a picture.
const MOST_IN_TABLE = 2500;

function drawMap() {
  const shown = shownCells(),
    metric = metricNow();
  // Of the whole study: a color means the same in every slice.
  const values = allCells.map((cell) => cellValue(cell, metric));
  // A share of runs is colored from 0 to 100 %, whatever the cells have.
  const also = metric.counts ? [0, 1] : [metric.chance ?? null];
  const scale = scaleOf([...values, ...also], metric, state.shading);
  const view = viewShown();
  if (view === "panels" || view === "parallel") {
    (view === "panels" ? drawPanels : drawParallel)(metric, scale);
    drawKey(scale, metric);
    return;
  }
  const columns = doc.axes[state.columns],
    rows = state.rows === null ? null : doc.axes[state.rows];
  const size = columns.labels.length;
  if (view === "contour" || shown.length * size > MOST_IN_TABLE) {
    drawPicture(shown, metric, scale);
    drawKey(scale, metric);
    return;
  }
  const { density, every } = (drawnRoom = roomOf(size));
  const head = el(
    "thead",
    {},
    rows
      ? el(
          "tr",
          {},
          el("td", { class: "corner" }),
          el("th", { class: "axis-name", colspan: size, scope: "colgroup" }, columns.name),
        )
      : null,
    el(
      "tr",
      {},
      el("th", { class: "axis-name", scope: "col" }, breakable((rows ?? columns).name)),
      shortLabels(columns).map((text, i) =>
        el("th", { scope: "col", title: columns.labels[i] }, i % every ? "" : text),
      ),
    ),
  );
  const body = el(
    "tbody",
    {},
    shown.map((line, r) =>
      el(
        "tr",
        {},
        el(
          "th",
          { scope: "row", title: rows?.labels[r] },
          rows ? shortLabels(rows)[r] : metric.label,
        ),
        line.map((index, c) => mapCell(index, metric, scale, r, c)),
      ),
    ),
  );
  const grid = el(
    "table",
    {
      class: `landscape ${density}`,
      style: `--rows:${shown.length}`,
      role: "grid",
      "aria-label":
        `${metric.label} by ${rows ? `${rows.name} and ` : ""}${columns.name}; ` +
        "arrow keys move, Enter shows a cell",
      onkeydown: walk,
      onclick: (event) => pick(event.target),
      onmouseover: hover,
      onfocusin: hover,
      onmouseout: hideTip,
      onfocusout: hideTip,
    },
    head,
    body,
  );
  fill("map", grid);
  drawKey(scale, metric);
}

// The map of many cells: one picture instead of an element a cell.
/**
 * @param {Array<Array<number>>} shown
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 */
function drawPicture(shown, metric, scale) {
  const host = /** @type {Plot} */ (
    el("div", { class: "picture", tabindex: 0, onkeydown: (event) => walkPicture(event, shown) })
  );
  fill("map", host);
  const label = `${metric.label} by ${doc.axes[state.columns].name}; arrow keys move the choice`;
  chart(host, label, mapHeight(shown), (look) => {
    const found = mapChart(shown, metric, scale, look);
    const [map, ...rest] = found.traces;
    return {
      ...found,
      traces: [{ ...map, showscale: false }, ...rest], // the key stands below
      layout: { ...found.layout, shapes: [chosenPlace()] },
      onclick: ({ x, y }) => {
        if (shown[y]?.[x] !== undefined) select(shown[y][x], false);
      },
    };
  });
  host.nextElementSibling?.remove(); // the key has the buttons that save
  seen.unobserve(host);
  draw(host);
  host.on("plotly_hover", ({ points: [{ x, y }], event }) => {
    if (shown[y]?.[x] !== undefined) showTip(underPointer(event), allCells[shown[y][x]]);
  });
  host.on("plotly_unhover", hideTip);
}

// The choice alone moves: the map stays.
function moveChoice() {
  const host = /** @type {?Plot} */ (within("map", ".picture"));
  if (host) Plotly.relayout(host, { shapes: [chosenPlace()] });
  else {
    const stop = within("map", '[data-cell][tabindex="0"]');
    if (stop) stop.tabIndex = -1;
    markChosen(within("map", '[aria-selected="true"]'), false);
    markChosen(within("map", `[data-cell="${state.cell}"]`), true);
  }
}

/**
 * @param {?HTMLElement} cell
 * @param {boolean} chosen
 */
function markChosen(cell, chosen) {
  if (!cell) return;
  cell.classList.toggle("is-selected", chosen);
  cell.setAttribute("aria-selected", String(chosen));
  cell.tabIndex = chosen ? 0 : -1;
}

/** @type {(event: MouseEvent) => Placed} */
const underPointer = (event) => ({
  getBoundingClientRect: () => new DOMRect(event.clientX, event.clientY - 8, 0, 16),
});

// Rows and columns that an arrow key goes.
/** @type {Record<string, Array<number>>} */
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// A frame around the chosen cell, in steps of the picture.
function chosenPlace() {
  const position = positionOf(state.cell),
    x = position[state.columns],
    y = state.rows === null ? 0 : position[state.rows];
  const line = { color: theme().ink, width: 2 };
  const half = doc.axes[state.columns].labels.length > 24 ? 1 : 0.5;
  return { type: "rect", x0: x - half, x1: x + half, y0: y - half, y1: y + half, line };
}

/**
 * @param {KeyboardEvent} event
 * @param {Array<Array<number>>} shown
 */
function walkPicture(event, shown) {
  const step = STEPS[event.key];
  if (event.key === "Escape") hideTip();
  if (!step) return;
  event.preventDefault();
  const position = positionOf(state.cell),
    row = (state.rows === null ? 0 : position[state.rows]) + step[0];
  const next = shown[row]?.[position[state.columns] + step[1]];
  if (next !== undefined) select(next, false);
}

// Whether the cells of a map have room for their numbers.
/** @type {(shown: Array<Array<number>>) => boolean} */
const areFew = (shown) => shown[0].length <= 12 && shown.length <= 24;

/** @type {(shown: Array<Array<number>>) => number} */
const mapHeight = (shown) =>
  Math.min(Math.max(160, 90 + shown.length * (areFew(shown) ? 34 : 3)), 620);

// The map as a chart, to be saved: the same colors and numbers.
/**
 * @param {Array<Array<number>>} shown
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 * @param {Look} look
 * @param {boolean} bare
 */
function mapChart(shown, metric, scale, look, bare = viewShown() === "contour") {
  const unit = wordsOf(metric),
    columns = doc.axes[state.columns],
    rows = state.rows === null ? null : doc.axes[state.rows];
  const values = shown.map((line) => line.map((index) => valueShown(index, metric)));
  const few = areFew(shown) && !bare;
  const stops = Array.from({ length: 33 }, (_, i) => i / 32);
  const ends = [0, 0.25, 0.5, 0.75, 1].map((part) => scale.at(part));
  const trace = {
    type: "heatmap",
    z: values.map((line) => line.map((v) => (known(v) ? scale.share(v) : null))),
    zmin: 0,
    zmax: 1,
    colorscale: stops.map((part) => [part, css(scale.ramp(part))]),
    xgap: few ? 2 : 0,
    ygap: few ? 2 : 0,
    hoverinfo: "none",
    colorbar: {
      title: { text: plain(metric.with_unit), side: "right" },
      thickness: 12,
      outlinewidth: 0,
      tickvals: ends.map((v) => scale.share(v)),
      ticktext: ends.map((v) => unit.short(v)),
    },
    ...(few
      ? {
          text: shown.map((line, r) =>
            line.map((index, c) =>
              known(values[r][c])
                ? unit.short(values[r][c])
                : passes(index)
                  ? blankWord(allCells[index])
                  : "",
            ),
          ),
          texttemplate: "%{text}",
        }
      : {}),
  };
  return {
    traces: [
      trace,
      lostCells(shown, metric, look),
      ...(viewShown() === "contour" ? contours(values, unit, look) : []),
      bestPlaces(doc.best?.metric === metric.name ? shown : [], look, few),
      edgePlaces(shown, look),
    ],
    layout: {
      xaxis: { ...placesOf(columns), range: [-0.5, columns.labels.length - 0.5] },
      yaxis: { ...(rows ? placesOf(rows) : { visible: false }), range: [shown.length - 0.5, -0.5] },
      plot_bgcolor: look.line,
    },
  };
}

/**
 * @param {Array<Array<?number>>} values
 * @param {UnitWords} unit
 * @param {Look} look
 */
function contours(values, unit, look) {
  const trace = {
    type: "contour",
    z: values.map((line) => line.map((v) => (known(v) ? unit.plot(v) : null))),
    ncontours: 8,
    showscale: false,
    hoverinfo: "skip",
  };
  const labels = { showlabels: true, labelfont: { size: 11, color: look.ink } };
  // A line on a wider one of the ground is seen on every color.
  return [
    {
      ...trace,
      contours: { coloring: "none" },
      line: { color: transparent(look.paper, 0.7), width: 4 },
    },
    { ...trace, contours: { coloring: "none", ...labels }, line: { color: look.ink, width: 1 } },
  ];
}

// Cells without a number, in a gray of their state.
/** @type {Record<string, number>} */
const LOST = { diverged: 0, failed: 0.34, stopped: 0.67, missing: 0.67, not_asked: 1 };

/** @param {Look} look */
const lostColors = (look) =>
  /** @type {Array<[number, string]>} */ ([
    [0, transparent(look.muted, 0.75)],
    [0.34, transparent(look.accent, 0.5)],
    [0.67, look.line],
    [1, look.paper],
  ]);

/**
 * @param {Array<Array<number>>} shown
 * @param {ShownMetric} metric
 * @param {Look} look
 */
function lostCells(shown, metric, look) {
  /** @type {(index: number) => ?number} */
  const gray = (index) =>
    passes(index) && !known(metric.mean[index])
      ? (LOST[doc.cells.state[index]] ?? LOST.missing)
      : null;
  return {
    type: "heatmap",
    z: shown.map((line) => line.map(gray)),
    zmin: 0,
    zmax: 1,
    colorscale: lostColors(look),
    showscale: false,
    hoverinfo: "none",
  };
}

/**
 * @param {Array<Array<number>>} shown
 * @param {Look} look
 * @param {boolean} hasNumbers
 */
function bestPlaces(shown, look, hasNumbers) {
  const best = shown.flatMap((line, y) =>
    line.flatMap((i, x) => (bestCells.has(i) ? [[x, y]] : [])),
  );
  return {
    x: best.map(([x]) => x),
    y: best.map(([, y]) => y + (hasNumbers ? 0.36 : 0)), // below the number
    mode: "markers",
    marker: { size: 5, color: look.paper, line: { color: look.ink, width: 1.5 } },
    hoverinfo: "skip",
  };
}

/**
 * @param {Array<Array<number>>} shown
 * @param {Look} look
 */
function edgePlaces(shown, look) {
  const across = doc.edge?.axis === state.columns;
  const places = shown.map((line) => (across ? (edgeRows.get(line[0])?.place ?? null) : null));
  return {
    x: places,
    y: places.map((_, y) => y),
    mode: "lines",
    line: { color: look.paper, width: viewShown() === "contour" ? 5 : 2 },
    hoverinfo: "skip",
  };
}

/**
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 */
function mapFigure(metric, scale) {
  const look = theme(),
    shown = shownCells(),
    { traces, layout } = mapChart(shown, metric, scale, look),
    height = mapHeight(shown);
  const width = Math.min(900, 260 + doc.axes[state.columns].labels.length * 60);
  return {
    data: traces,
    layout: { ...dressed({ height, ...layout }, look, width), paper_bgcolor: look.paper },
  };
}

// A chart axis that has the values of a study's axis at even steps; of many, some are named.
/** @param {AxisData} axis */
function placesOf(axis) {
  const step = Math.ceil(axis.labels.length / 12);
  const shown = axis.labels.map((_, i) => i).filter((i) => i % step === 0);
  return {
    title: titled(axis.name),
    tickvals: shown,
    ticktext: shown.map((i) => named(shortLabels(axis)[i])),
    showgrid: false,
  };
}

/**
 * @param {number} index
 * @param {ShownMetric} metric
 * @param {ColorScale} scale
 * @param {number} r
 * @param {number} c
 */
function mapCell(index, metric, scale, r, c) {
  const cell = allCells[index],
    isIn = passes(index),
    value = valueShown(index, metric),
    unit = wordsOf(metric);
  const classes = ["cell", isIn ? `is-${cell.state}` : "is-out"];
  if (doc.best?.metric === metric.name) {
    if (bestCells.has(index)) classes.push("is-best");
    else if (equalCells.has(index)) classes.push("is-equal");
  }
  if (index === state.cell) classes.push("is-selected");
  let style = "";
  if (known(value)) {
    const color = scale.color(value);
    style = `--fill:${css(color)};--on:${inkOn(color)}`;
  } else classes.push("is-blank");
  const lost = cell.counts.diverged + cell.counts.failed;
  const partly = lost > 0 && cell.state !== "diverged" && cell.state !== "failed";
  return el(
    "td",
    {
      class: classes.join(" "),
      style,
      role: "gridcell",
      tabindex: index === state.cell ? 0 : -1,
      "data-cell": index,
      "data-row": r,
      "data-column": c,
      "aria-selected": String(index === state.cell),
      "aria-label": spokenCell(cell, metric),
    },
    el(
      "span",
      { class: "in" },
      el(
        "span",
        { class: "value" },
        known(value) ? unit.short(value) : isIn ? blankWord(cell) : "",
      ),
      isIn ? spread(cell, metric) : null,
    ),
    !isIn
      ? null
      : cell.share
        ? el("span", { class: "share" }, cell.share)
        : partly
          ? el("span", { class: "lost" }, `${lost}/${nAsked(cell)}`)
          : null,
    edgeMarks(index),
  );
}

/**
 * The part of the edge of learning, and of its band, that crosses a cell: row by row they make a
 * curve.
 * @param {number} index
 */
function edgeMarks(index) {
  const row = edgeRows.get(index);
  if (!row || !doc.edge) return null;
  const way = { [state.columns]: "across", [String(state.rows)]: "down" }[doc.edge.axis];
  if (!way) return null;
  const start = positionOf(index)[doc.edge.axis] - 0.5;
  /** @type {(name: string, from: number, to: number) => HTMLElement} */
  const part = (name, from, to) =>
    el("span", {
      class: `edge-${name} ${way}`,
      style: `--from:${100 * (from - start)}%;--size:${100 * (to - from)}%`,
      "aria-hidden": "true",
    });
  const parts = [];
  if (known(row.low) && known(row.high)) {
    const [low, high] = [Math.max(row.low, start), Math.min(row.high, start + 1)];
    if (low < high) parts.push(part("band", low, high));
  }
  const { place } = row;
  const isLast = start + 1.5 === row.cells.length;
  if (known(place) && place >= start && (place < start + 1 || (isLast && place <= start + 1)))
    parts.push(part("line", place, place));
  return parts;
}

/**
 * What marks a state; nothing where all went well.
 * @param {string} state
 */
const markOf = (state) => /** @type {Record<string, Mark | undefined>} */ ({ ...doc.marks })[state];

/** @type {(cell: ShownCell) => string} */
const blankWord = (cell) => markOf(cell.state)?.short ?? NONE;

/**
 * @param {ShownCell} cell
 * @param {ShownMetric} metric
 */
function spread(cell, metric) {
  if (metric.counts) return el("span", { class: "spread" }, metric.counts[cell.index]);
  if (cell.state === "collapsed" || cell.state === "not_started") {
    return el("span", { class: "spread" }, cellWord(cell));
  }
  const found = cell.of(metric);
  if (!found || !known(found.low)) return null;
  return el("span", { class: "spread" }, `±${unitOf(metric.unit).short(reach(found))}`);
}

/**
 * @param {ShownCell} cell
 * @param {ShownMetric} metric
 */
function spokenCell(cell, metric) {
  const unit = wordsOf(metric),
    found = cell.of(metric);
  if (!passes(cell.index)) return `${cell.label}, left out by the filter`;
  const parts = [cell.label, `${metric.label} ${found ? unit.text(found.mean) : "unknown"}`];
  if (found && known(found.low)) parts.push(interval(found.low, found.high, unit));
  if (cell.share) parts.push(cell.learns);
  if (cell.partly) parts.push(cell.partly);
  else if (cell.state !== "finished") parts.push(cellWord(cell));
  return parts.join(", ");
}

// How many replicates of a cell anybody asked for: of others it has none.
/** @param {ShownCell} cell */
function nAsked(cell) {
  return cell.statuses.filter((status) => status !== "not_asked").length;
}

// One line of words: 2 finished (1 collapsed), 1 diverged.
/** @param {Counts} counts */
function endings(counts) {
  const parts = [];
  if (counts.finished) {
    const among = [
      counts.collapsed ? `${counts.collapsed} ${doc.marks.collapsed.word}` : "",
      counts.not_started ? `${counts.not_started} ${doc.marks.not_started.word}` : "",
    ].filter(Boolean);
    parts.push(`${counts.finished} finished${among.length ? ` (${among.join(", ")})` : ""}`);
  }
  for (const name of /** @type {const} */ (["diverged", "failed"]))
    if (counts[name]) parts.push(`${counts[name]} ${name}`);
  if (counts.stopped) parts.push(`${counts.stopped} ${doc.marks.stopped.word}`);
  if (counts.missing) parts.push(`${counts.missing} ${doc.marks.missing.word}`);
  return parts.join(", ");
}

/** @param {KeyboardEvent} event */
function walk(event) {
  const here = cellAt(event.target);
  if (event.key === "Escape") hideTip();
  if (!here) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    pick(here);
    return;
  }
  const [row, column] = [Number(here.dataset.row), Number(here.dataset.column)];
  const last = doc.axes[state.columns].labels.length - 1;
  const step = STEPS[event.key];
  /** @type {Record<string, Array<number>>} */
  const ends = { Home: [row, 0], End: [row, last] };
  const target = step ? [row + step[0], column + step[1]] : ends[event.key];
  if (!target) return;
  event.preventDefault();
  const next = within("map", `[data-row="${target[0]}"][data-column="${target[1]}"]`);
  if (!next) return;
  here.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

/**
 * The element of a cell that something happened in.
 * @param {?EventTarget} target
 * @returns {?HTMLElement}
 */
const cellAt = (target) => (target instanceof Element ? target.closest("[data-cell]") : null);

/** @param {?EventTarget} target */
function pick(target) {
  const here = cellAt(target);
  if (here) select(Number(here.dataset.cell), false);
}

/** @param {Event} event */
function hover(event) {
  const here = cellAt(event.target);
  if (here) showTip(here, allCells[Number(here.dataset.cell)]);
}

/**
 * @param {{ getBoundingClientRect: () => DOMRect }} anchor
 * @param {ShownCell} cell
 */
function showTip(anchor, cell) {
  const metric = metricNow(),
    unit = wordsOf(metric),
    found = cell.of(metric);
  const tip = byId("tip");
  tip.replaceChildren(
    el("strong", {}, cell.label),
    el(
      "p",
      {},
      `${metric.label} ${found ? unit.text(found.mean) : NONE}`,
      found && known(found.low)
        ? el("span", {}, ` (${interval(found.low, found.high, unit)})`)
        : null,
    ),
    found && found.each
      ? el(
          "ol",
          {},
          found.each.map((value, i) =>
            el("li", {}, known(value) ? unit.text(value) : ending(cell, i)),
          ),
        )
      : "",
    metric.counts && metric.name !== "learns" ? el("p", {}, metric.counts[cell.index]) : "",
    cell.learns ? el("p", {}, sentence(cell.learns)) : "",
    el("p", { class: "muted" }, endings(cell.counts)),
    cell.why ? el("p", {}, sentence(cell.why)) : "",
  );
  tip.hidden = false;
  const box = anchor.getBoundingClientRect(),
    width = tip.offsetWidth,
    height = tip.offsetHeight;
  const left = Math.min(
    Math.max(8, box.left + box.width / 2 - width / 2),
    document.documentElement.clientWidth - width - 8,
  );
  const top = box.bottom + height + 12 > window.innerHeight ? box.top - height - 8 : box.bottom + 8;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${Math.max(8, top) + window.scrollY}px`;
}

const hideTip = () => {
  byId("tip").hidden = true;
};

/**
 * @param {ShownCell} cell
 * @param {number} replicate
 */
function ending(cell, replicate) {
  const status = cell.statuses[replicate];
  const bad = cell.first_bad_updates[replicate];
  if (status === "diverged" && bad) return `diverged at update ${bad}`;
  /** @type {Record<string, string>} */
  const words = {
    missing: doc.marks.missing.word,
    not_asked: doc.marks.not_asked.word,
    out_of_memory: "out of memory",
  };
  return words[status] ?? status;
}

// Where guessing lies on the range of colors.
/**
 * @param {ColorScale} scale
 * @param {ShownMetric} metric
 */
function chanceMark(scale, metric) {
  const { chance } = metric;
  if (!known(chance)) return null;
  const part = 100 * placeOn(scale, chance),
    text = `chance ${unitOf(metric.unit).short(chance)}`;
  const side = part > 60 ? "is-right" : "";
  return el("span", { class: `chance ${side}`, style: `left:${part}%` }, el("span", {}, text));
}

// The part of the drawn range at which a number stands, which is even in numbers or their logs.
/** @type {(scale: ColorScale, value: number) => number} */
function placeOn({ at }, value) {
  const rises = at(1) >= at(0);
  let [from, to] = [0, 1];
  for (let step = 0; step < 40; step++) {
    const middle = (from + to) / 2;
    if (at(middle) < value === rises) from = middle;
    else to = middle;
  }
  return from;
}

/**
 * @param {ColorScale} scale
 * @param {ShownMetric} metric
 */
function drawKey(scale, metric) {
  const unit = wordsOf(metric),
    parts = [];
  if (known(scale.low) && scale.high > scale.low) {
    const stops = Array.from({ length: 33 }, (_, i) => css(scale.color(scale.at(i / 32))));
    const middle = [1, 2, 3].map((i) => scale.at(i / 4));
    parts.push(
      el(
        "div",
        { class: "ramp-box" },
        el("span", { class: "ramp-name" }, metric.with_unit),
        el(
          "div",
          { class: "ramp", style: `background:linear-gradient(90deg,${stops.join(",")})` },
          chanceMark(scale, metric),
        ),
        el(
          "div",
          { class: "ramp-ticks" },
          [scale.low, ...middle, scale.high].map((v) => el("span", {}, unit.short(v))),
        ),
      ),
    );
  } else if (known(scale.low)) parts.push(`${metric.label}: ${unit.text(scale.low)} everywhere`);
  const shown = shownCells().flat(),
    states = new Set(shown.map((i) => doc.cells.state[i])),
    grays = shown.length > MOST_IN_TABLE ? lostColors(theme()) : [];
  /** @type {(name: string) => string | undefined} */
  const gray = (name) => grays.find(([place]) => place === LOST[name])?.[1];
  const swatches = Object.entries(doc.marks)
    .filter(([name]) => states.has(/** @type {keyof Marks} */ (name)))
    .map(([name, mark]) =>
      el(
        "li",
        {},
        gray(name)
          ? el("span", { class: "swatch", style: `background:${gray(name)}` })
          : el("span", { class: `swatch is-${name} ${BLANK.includes(name) ? "is-blank" : ""}` }),
        mark.word,
      ),
    );
  if (doc.best && doc.best.metric === metric.name) {
    swatches.push(
      el(
        "li",
        {},
        el("span", { class: "swatch is-best" }),
        `best ${doc.best.axis}, all else equal; ${doc.chosen}`,
      ),
    );
    if (doc.best.equivalent.length) {
      swatches.push(
        el("li", {}, el("span", { class: "swatch is-equal" }), "not shown to be worse, row by row"),
      );
    }
  }
  if (shown.some((i) => doc.cells.share[i])) {
    const words = "so many of its runs learn; the mean is of those that do";
    swatches.push(el("li", {}, el("span", { class: "share-key" }, "4/5"), words));
  }
  if (doc.edge && [state.rows, state.columns].includes(doc.edge.axis))
    swatches.push(el("li", {}, el("span", { class: "swatch is-edge" }), doc.edge.told));
  parts.push(el("ul", { class: "legend" }, swatches));
  const name = `${metric.label} of ${doc.title}`,
    { rows } = state,
    columns = doc.axes[state.columns];
  parts.push(
    saving(name, () => mapFigure(metric, scale)),
    tableSaving(name, () =>
      sliceTable(shownCells(), metric, columns, rows === null ? null : doc.axes[rows]),
    ),
  );
  fill("map-key", parts);
}
