// The chosen cell: its number, its curves, its facts, and the command that trains it again.

function drawCell() {
  const cell = allCells[state.cell],
    main = doc.metrics[0],
    unit = unitOf(main.unit);
  const found = cell.value(main.name);
  const panel = byId("cell"),
    curves = el("div", { class: "curves" });
  panel.replaceChildren(
    el("h2", { id: "cell-title", "aria-live": "polite" }, cell.label),
    el(
      "p",
      { class: "reading" },
      el("b", {}, found && known(found.mean) ? unit.text(found.mean) : cellWord(cell)),
      " ",
      found && known(found.mean) ? behind(main) : "",
      el("span", { class: "muted" }, readingNote(cell, found, unit)),
    ),
    cell.learns ? el("p", { class: "learns" }, learnsNote(cell)) : "",
    cell.why ? el("p", { class: "why" }, sentence(cell.why)) : "",
    curves,
    el("div", { class: "facts" }, facts(cell)),
    replicates(cell, main),
    cell.command ? replayLine(cell) : "",
  );
  drawCurves(curves, cell);
}

/** @type {(cell: ShownCell) => string} */
const cellWord = (cell) => markOf(cell.state)?.word ?? cell.state;

/** @param {ShownCell} cell */
function learnsNote(cell) {
  const of = cell.share ? " The mean is of the runs that learn." : "";
  const edge = cell.at_edge
    ? " At the edge: some of its runs, or of the cells beside it, do not learn."
    : "";
  return sentence(cell.learns) + of + edge;
}

/**
 * @param {ShownCell} cell
 * @param {CellValue} found
 * @param {UnitWords} unit
 */
function readingNote(cell, found, unit) {
  const range = found && known(found.low) ? `${interval(found.low, found.high, unit)}; ` : "";
  const single =
    found && known(found.mean) && !range
      ? "no interval: fewer than three replicates finished; "
      : "";
  const one = cell.statuses.every((status) => status === cell.statuses[0]);
  return (
    ` ${range}${single}` +
    (one && !known(found?.mean)
      ? `in ${doc.replicates > 1 ? `all ${doc.replicates} replicates` : "its one replicate"}`
      : endings(cell.counts))
  );
}

/** @param {ShownCell} cell */
function facts(cell) {
  /** @type {(name: string, unit: UnitWords) => string} */
  const fact = (name, unit) => unit.text(cell.value(name).mean);
  const items = [
    ["Parameters", fact("n_parameters", UNITS.count)],
    ["Training", fact("flops", UNITS.flops)],
    ["Time", fact("seconds", UNITS.seconds)],
    ["Memory", fact("memory_bytes", UNITS.bytes)],
  ];
  if (cell.against_best && cell.index !== doc.top?.cell) {
    const { mean, low, high } = cell.against_best;
    const unit = unitOf(doc.metrics[0].unit);
    items.push([
      "Against the best cell",
      gap(mean, unit) +
        gapUnit(unit) +
        (known(low) ? ` (${gap(low, unit)} to ${gap(high, unit)}, paired)` : ""),
    ]);
  }
  return el(
    "dl",
    {},
    items.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat(),
  );
}

/**
 * @param {ShownCell} cell
 * @param {MetricData} main
 */
function replicates(cell, main) {
  const unit = unitOf(main.unit),
    found = cell.value(main.name);
  const rows = cell.statuses
    .slice(0, nAsked(cell))
    .map((status, i) => [
      String(i + 1),
      unit.text(found?.each?.[i]),
      ending(cell, i) + (cell.reasons?.[i] ? `: ${cell.reasons[i]}` : ""),
      cell.keys[i] ? el("code", { title: cell.keys[i] }, cell.keys[i].slice(0, 10)) : NONE,
    ]);
  const shown = table(null, ["Replicate", main.label, "Ended", "Key"], rows, { class: "plain" });
  return el(
    "details",
    { class: "more" },
    el("summary", {}, plural(nAsked(cell), "replicate")),
    el("div", { class: "scroll" }, shown),
    tableSaving(`replicates of ${cell.label}`, () => shown),
  );
}

/** @param {ShownCell} cell */
function replayLine(cell) {
  const code = el("code", {}, cell.command);
  const button = el(
    "button",
    { type: "button", class: "quiet", onclick: () => copy(code, button) },
    "Copy",
  );
  return el(
    "div",
    { class: "command" },
    el("span", { class: "muted" }, "Train it again, alone:"),
    el("div", {}, code, button),
  );
}

/**
 * @param {HTMLElement} node
 * @param {HTMLElement} button
 */
async function copy(node, button) {
  getSelection()?.selectAllChildren(node);
  let done = true;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(node.textContent).catch(() => {
      done = false;
    });
  } else done = document.execCommand("copy");
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}

const SPLITS = ["train", "test", "val"]; // in the same order in each chart

// A chart for each number that has curves: train and test share it.
function curveSpecs() {
  /** @type {Map<string, CurveSpec>} */
  const specs = new Map();
  for (const { name, unit, split, shared } of doc.curve_names) {
    const title = heading(shared);
    const spec = specs.get(title) ?? { title, unit, curves: [] };
    spec.curves.push([name, split === "val" ? "validation" : split, split]);
    specs.set(title, spec);
  }
  for (const { curves } of specs.values()) {
    curves.sort(([, , a], [, , b]) => SPLITS.indexOf(a) - SPLITS.indexOf(b));
  }
  return [...specs.values()];
}

/**
 * Why no curves are shown: what has trained may have some that this page leaves out.
 * @param {ShownCell} cell
 */
function withoutCurves(cell) {
  const trained = cell.statuses.some((status) => status === "finished" || status === "diverged");
  return doc.curves_left_out && trained
    ? "Curves of this cell are left out of this page."
    : "No curves are stored for this cell.";
}

/**
 * @param {Element} host
 * @param {ShownCell} cell
 */
function drawCurves(host, cell) {
  drawRate(host, cell);
  const curves = /** @type {Record<string, CurveData> | undefined} */ (doc.curves[cell.index]);
  if (!curves) {
    host.append(el("p", { class: "notice" }, withoutCurves(cell)));
    return;
  }
  for (const spec of curveSpecs()) {
    const shown = spec.curves.filter(([name]) => curves[name]);
    if (!shown.length) continue;
    const box = el("div");
    host.append(
      el(
        "figure",
        {},
        el(
          "figcaption",
          {},
          el("span", { class: "name" }, spec.title),
          shown.map(([, word, color]) => el("span", { class: `ink-${color}` }, word)),
        ),
        box,
        dataTable("table", () => curveTable(shown, curves, spec)),
      ),
    );
    chart(box, `${spec.title} of ${cell.label} by update`, 180, (look) =>
      curveChart(shown, curves, spec, look),
    );
  }
}

// The learning rate over the training, where it does not stay the same.
/**
 * @param {Element} host
 * @param {ShownCell} cell
 */
function drawRate(host, cell) {
  const place = doc.rates?.of[cell.index];
  if (!doc.rates || !known(place)) return;
  const { at, share, schedule } = doc.rates.ways[place],
    rate = doc.rates.rate[cell.index],
    title = known(rate) ? "Learning rate" : "Share of the learning rate",
    y = share.map((part) => part * (rate ?? 1));
  const box = el("div");
  const rows = at.map((update, i) => [String(update), digits(y[i])]);
  host.append(
    el(
      "figure",
      { class: "rate" },
      el(
        "figcaption",
        {},
        el("span", { class: "name" }, title),
        el("span", { class: "muted" }, schedule),
      ),
      box,
      dataTable("table", () => table(null, ["Update", title], rows, { class: "plain" })),
    ),
  );
  chart(box, `${title} of ${cell.label} by update`, 120, (look) => ({
    traces: [
      {
        x: at,
        y,
        mode: "lines",
        line: { color: look.accent, width: 2 },
        hoverinfo: "text",
        hovertext: at.map((update, i) => lines(`update ${update}`, digits(y[i]))),
      },
    ],
    layout: {
      margin: { l: 48, r: 10, t: 8, b: 36 },
      xaxis: { title: { text: "updates", standoff: 4 } },
      yaxis: { rangemode: "tozero", tickformat: "~g", nticks: 4 },
    },
  }));
}

/**
 * @param {CurveSpec["curves"]} shown
 * @param {Record<string, CurveData>} curves
 * @param {CurveSpec} spec
 * @param {Look} look
 */
function curveChart(shown, curves, spec, look) {
  const unit = unitOf(spec.unit);
  /** @type {(values: Array<?number>) => Array<?number>} */
  const plot = (values) => values.map((v) => (known(v) ? unit.plot(v) : null));
  const found = shown.map(([name, word, split]) => ({
    ...curves[name],
    word,
    color: look[/** @type {"train" | "test" | "val"} */ (split)],
  }));
  const numbers = found.flatMap(({ mean, each }) => plot([mean, ...each].flat()).filter(known));
  const log = spec.unit !== "fraction" && spreadOf(numbers) > 8;
  const range = around(numbers, log),
    floor = log && range ? 10 ** range[0] : -Infinity;
  const traces = found.flatMap(({ at, mean, low, high, each, word, color }) => [
    // An end of an interval below zero has no place on a log axis: the band goes on to its edge.
    ...(low.some(known)
      ? band(
          at,
          plot(low).map((v) => (v === null ? v : Math.max(v, floor))),
          plot(high),
          color,
        )
      : []),
    ...each.map((values) => ({
      x: at,
      y: plot(values),
      mode: "lines",
      hoverinfo: "skip",
      line: { color: transparent(color, 0.4), width: 0.7 },
    })),
    {
      x: at,
      y: plot(mean),
      mode: at.length < 3 ? "lines+markers" : "lines",
      line: { color, width: 2 },
      hoverinfo: "text",
      hovertext: at.map((update, i) =>
        curveHover({ at, mean, low, high, each }, i, `${word} at update ${update}`, unit),
      ),
    },
  ]);
  const last = most(found.flatMap(({ at }) => at));
  return {
    traces,
    layout: {
      hovermode: "closest",
      hoverdistance: 40,
      margin: { l: 48, r: 10, t: 8, b: 36 },
      xaxis: { title: { text: "updates", standoff: 4 }, range: [0, 1.03 * last] },
      yaxis: { ...(log ? logScale(numbers) : {}), range, title: titled(unit.axis) },
    },
  };
}

/**
 * @param {CurveData} curve
 * @param {number} i
 * @param {string} name
 * @param {UnitWords} unit
 */
function curveHover(curve, i, name, unit) {
  return lines(
    name,
    unit.text(curve.mean[i]),
    known(curve.low[i]) ? interval(curve.low[i], curve.high[i], unit) : null,
    curve.each.length > 1
      ? `replicates: ${curve.each.map((v) => unit.short(v[i])).join(", ")}`
      : null,
  );
}

/**
 * @param {CurveSpec["curves"]} shown
 * @param {Record<string, CurveData>} curves
 * @param {CurveSpec} spec
 */
function curveTable(shown, curves, spec) {
  const unit = unitOf(spec.unit);
  const rows = shown.flatMap(([name, word]) =>
    curves[name].at.map((at, i) => [
      `${word}, ${at}`,
      unit.text(curves[name].mean[i]),
      interval(curves[name].low[i], curves[name].high[i], unit),
      curves[name].each.map((values) => unit.short(values[i])).join(", "),
    ]),
  );
  return table(null, ["Curve, update", "Mean", "Interval", "Replicates"], rows, { class: "plain" });
}
