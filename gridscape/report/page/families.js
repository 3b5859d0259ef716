// The lines of all cells side by side: told apart by color and by style; what these two do not tell
// apart has panels of its own, all on the same scales.

const STYLES = ["solid", "dash", "dot", "dashdot"];
const MOST_PANELS = 12,
  MOST_BANDS = 9;

/** @param {Array<CellLine>} lines */
function panelsOf(lines) {
  const told = [state.color, state.style];
  const others = doc.axes
    .map((_, i) => i)
    .filter((i) => !told.includes(i) && doc.axes[i].labels.length > 1);
  /** @type {Map<string, Array<PlacedLine>>} */
  const panels = new Map();
  for (const line of lines) {
    const position = positionOf(line.cell);
    const label = others
      .map((i) => `${doc.axes[i].name}=${doc.axes[i].labels[position[i]]}`)
      .join(", ");
    const members = panels.get(label) ?? [];
    members.push({ ...line, position });
    panels.set(label, members);
  }
  // The panel with the best cell first, where not all have room.
  const sorted = [...panels];
  const top = doc.top?.cell;
  if (sorted.length > MOST_PANELS && top !== undefined) {
    /** @type {(panel: [string, Array<PlacedLine>]) => boolean} */
    const has = ([, members]) => members.some((line) => line.cell === top);
    sorted.sort((a, b) => Number(has(b)) - Number(has(a)));
  }
  return sorted;
}

/**
 * @param {string} name
 * @param {Family} family
 */
function family(name, { metric, along, lines, mark }) {
  const panels = panelsOf(lines),
    shown = panels.slice(0, MOST_PANELS);
  const scale = familyScale(
    metric,
    shown.flatMap(([, members]) => members),
    mark,
  );
  const hosts = shown.map(([label, members]) => {
    const box = el("div");
    const figure = el(
      "figure",
      {},
      el("figcaption", {}, el("span", { class: "name" }, label || name)),
      box,
      dataTable("table", () => familyTable(members, metric, along)),
    );
    return { box, figure, label, members };
  });
  const key = familyKey();
  const node = el(
    "div",
    {},
    key,
    el(
      "div",
      { class: shown.length > 1 ? "panels" : "panels alone" },
      hosts.map(({ figure }) => figure),
    ),
    shown.length < panels.length
      ? el(
          "p",
          { class: "note" },
          `${shown.length} of ${panels.length} panels; choose other axes to see the rest.`,
        )
      : null,
  );
  const show = () =>
    hosts.forEach(({ box, label, members }) =>
      chart(box, `${name} ${label}`.trim(), shown.length === 1 ? 360 : 240, (look) => {
        recolor(key, look);
        return familyChart(members, { metric, along, mark, scale }, look);
      }),
    );
  return { node, show };
}

/**
 * @param {MetricName} metric
 * @param {Array<CellLine>} lines
 * @param {?number} mark
 * @returns {FamilyScale}
 */
function familyScale(metric, lines, mark) {
  const unit = unitOf(metric.unit);
  const numbers = [...lines.flatMap(({ mean }) => mean), mark].filter(known).map(unit.plot);
  return { log: metric.unit !== "fraction" && spreadOf(numbers) > 8, numbers };
}

/**
 * @param {Array<PlacedLine>} members
 * @param {Omit<Family, "lines"> & { scale: FamilyScale }} family
 * @param {Look} look
 */
function familyChart(members, { metric, along, mark, scale }, look) {
  const unit = unitOf(metric.unit),
    colors = lineColors(doc.axes[state.color], doc.axes[state.color].labels.length, look);
  /** @type {(values: Array<?number>) => Array<?number>} */
  const plot = (values) =>
    values.map((v) => (known(v) && (!scale.log || v > 0) ? unit.plot(v) : null));
  const range = around(scale.numbers, scale.log),
    floor = scale.log && range ? 10 ** range[0] : -Infinity;
  const bands = members.length > MOST_BANDS ? [] : members.filter(({ low }) => low.some(known));
  const traces = [
    ...bands.flatMap(({ x, low, high, position }) =>
      band(
        x,
        low.map((v) => (known(v) ? Math.max(unit.plot(v), floor) : null)),
        plot(high),
        colors[position[state.color]],
        0.11,
      ),
    ),
    ...members.map(({ cell, x, mean, low, high, position }) => ({
      x,
      y: plot(mean),
      mode: x.length < 3 ? "lines+markers" : "lines",
      customdata: x.map(() => cell),
      line: {
        color: colors[position[state.color]],
        width: 1.8,
        dash: state.style === null ? "solid" : STYLES[position[state.style] % STYLES.length],
      },
      hoverinfo: "text",
      hovertext: x.map((at, i) =>
        lines(
          allCells[cell].label,
          `${along} ${at}`,
          unit.text(mean[i]),
          known(low[i]) ? interval(low[i], high[i], unit) : null,
        ),
      ),
    })),
  ];
  return {
    traces,
    layout: {
      hoverdistance: 30,
      margin: { l: 48, r: 10, t: 8, b: 36 },
      xaxis: { title: { text: plain(along), standoff: 4 } },
      yaxis: {
        ...(scale.log ? logScale(scale.numbers) : {}),
        range,
        title: titled(unit.axis || metric.label),
      },
      shapes: known(mark)
        ? [
            {
              type: "line",
              xref: "paper",
              x0: 0,
              x1: 1,
              y0: unit.plot(mark),
              y1: unit.plot(mark),
              line: { color: look.muted, width: 1, dash: "dot" },
            },
          ]
        : [],
      annotations: [
        ...(known(mark)
          ? [
              {
                xref: "paper",
                x: 1,
                y: unit.plot(mark),
                yanchor: "bottom",
                xanchor: "right",
                text: "chance",
                showarrow: false,
                font: { color: look.muted, size: 11 },
              },
            ]
          : []),
        ...(members.some(({ mean }) => mean.some(known))
          ? []
          : [
              {
                xref: "paper",
                yref: "paper",
                x: 0.5,
                y: 0.5,
                text: "none finished",
                showarrow: false,
                font: { color: look.muted },
              },
            ]),
      ],
    },
    onclick: toCell,
  };
}

// What colors and styles mean, in words beside a piece of the line itself.
function familyKey() {
  const axis = doc.axes[state.color],
    style = state.style === null ? null : doc.axes[state.style];
  /** @type {(of: AxisData, attributes: (i: number) => Attributes) => HTMLElement} */
  const entries = (of, attributes) =>
    el(
      "ul",
      { class: "legend" },
      el("li", { class: "name" }, of.name),
      of.labels.map((text, i) =>
        el("li", {}, el("span", { class: "stroke", ...attributes(i) }), text),
      ),
    );
  return el(
    "div",
    { class: "family-key" },
    entries(axis, (i) => ({ "data-color": i })),
    style ? entries(style, (i) => ({ "data-style": STYLES[i % STYLES.length] })) : null,
  );
}

/**
 * @param {HTMLElement} key
 * @param {Look} look
 */
function recolor(key, look) {
  const axis = doc.axes[state.color],
    colors = lineColors(axis, axis.labels.length, look);
  for (const stroke of /** @type {NodeListOf<HTMLElement>} */ (
    key.querySelectorAll("[data-color]")
  ))
    stroke.style.color = colors[Number(stroke.dataset.color)];
}

/**
 * @param {Array<CellLine>} members
 * @param {MetricName} metric
 * @param {string} along
 */
function familyTable(members, metric, along) {
  const unit = unitOf(metric.unit);
  return table(
    null,
    ["Cell", along, metric.label, "Interval"],
    members.map(({ cell, x, mean, low, high }) => {
      const last = mean.findLastIndex(known);
      return [
        pickable(cell, allCells[cell].label),
        last < 0 ? NONE : String(x[last]),
        unit.text(mean[last]),
        last < 0 ? NONE : interval(low[last], high[last], unit),
      ];
    }),
    { class: "plain" },
  );
}

// The menus by which lines are told apart; both sections follow them.
function familyChoices() {
  const axes = doc.axes
    .map((axis, i) => [String(i), axis.name])
    .filter(([i]) => doc.axes[Number(i)].labels.length > 1);
  if (axes.length < 2) return [];
  return [
    choice("Color", axes, String(state.color), (v) =>
      tell({ color: Number(v), style: state.style === Number(v) ? null : state.style }),
    ),
    choice(
      "Line style",
      [["", "none"], ...axes.filter(([i]) => Number(i) !== state.color)],
      state.style === null ? "" : String(state.style),
      (v) => tell({ style: v === "" ? null : Number(v) }),
    ),
  ];
}

/** @param {Partial<State>} update */
function tell(update) {
  Object.assign(state, update);
  remember();
  drawFamilies();
}

function drawFamilies() {
  drawSideBySide();
  drawKinds();
}

// ---- the curves of all cells ----

// What the curves of all cells run along: where batches differ, updates are not equal.
const ALONG = ["updates", "examples"];

function drawSideBySide() {
  const all = Object.keys(doc.curves).map(Number),
    cells = all.filter(passes);
  if (all.length < 2) return section("curves");
  const metric = doc.curve_names[state.curve];
  const { batches } = doc,
    along = batches ? state.along : "updates";
  const lines = cells.flatMap((cell) => {
    const curve = doc.curves[cell]?.[metric.name];
    if (!curve) return [];
    const x = batches && along === "examples" ? curve.at.map((at) => at * batches[cell]) : curve.at;
    return [{ cell, x, mean: curve.mean, low: curve.low, high: curve.high }];
  });
  const name = `${metric.label} by ${along.slice(0, -1)}`;
  const { node, show } = family(name, { metric, along, lines, mark: metric.chance });
  section(
    "curves",
    "Curves side by side",
    el(
      "form",
      { class: "controls" },
      choice(
        "Curve",
        doc.curve_names.map((m, i) => [String(i), m.label]),
        String(state.curve),
        (v) => tell({ curve: Number(v) }),
      ),
      batches
        ? choice(
            "Along",
            ALONG.map((name) => [name, name]),
            along,
            (v) => tell({ along: v }),
          )
        : null,
      familyChoices(),
    ),
    el(
      "p",
      { class: "note" },
      "Mean over the replicates that finished",
      lines.some(({ low }) => low.some(known))
        ? `, with its interval where a panel has at most ${MOST_BANDS} lines`
        : "",
      ". Select a line to see its cell.",
    ),
    node,
  );
  show();
  return null;
}

// ---- by a kind of test examples ----

function drawKinds() {
  if (!doc.kinds.length) return section("kinds");
  const shown = doc.kinds[state.kind],
    { metric, values, kind } = shown;
  const lines = Object.entries(shown.cells).flatMap(([cell, found]) =>
    found && passes(Number(cell)) ? [{ cell: Number(cell), x: values, ...found }] : [],
  );
  const name = `${metric.label} by ${kind}`;
  const { node, show } = family(name, { metric, along: kind, lines, mark: metric.chance });
  section(
    "kinds",
    `By ${kind}`,
    el(
      "form",
      { class: "controls" },
      choice(
        "Show",
        doc.kinds.map((k, i) => [String(i), k.metric.label]),
        String(state.kind),
        (v) => tell({ kind: Number(v) }),
      ),
      familyChoices(),
    ),
    node,
  );
  show();
  return null;
}
