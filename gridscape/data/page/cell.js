// The chosen cell: its number, its curves, its facts, and the command that trains it again.

function drawCell() {
  const cell = doc.cells[state.cell], main = doc.metrics[0], unit = unitOf(main.unit);
  const found = cell.values[main.name];
  const panel = byId("cell");
  panel.replaceChildren(
    el("h2", { id: "cell-title", "aria-live": "polite" }, cell.label),
    el("p", { class: "reading" },
      el("b", {}, found && known(found.mean) ? unit.text(found.mean) : cellWord(cell)), " ",
      found && known(found.mean) ? main.label : "",
      el("span", { class: "muted" }, readingNote(cell, found, unit))),
    el("div", { class: "curves" }),
    el("div", { class: "facts" }, facts(cell)),
    replicates(cell, main),
    replayLine(cell));
  drawCurves(panel.querySelector(".curves"), cell);
}

const cellWord = (cell) => (MARKS[cell.state] ?? [cell.state])[0];

function readingNote(cell, found, unit) {
  const range = found && known(found.low) ? `${interval(found.low, found.high, unit)}; ` : "";
  const single = found && known(found.mean) && !range ? "no interval: one replicate finished; " : "";
  return ` ${range}${single}${endings(cell.counts)}`;
}

function facts(cell) {
  const fact = (name, unit) => unit.text(cell.values[name].mean);
  const items = [
    ["Parameters", fact("n_parameters", UNITS.count)],
    ["Training", fact("flops", UNITS.flops)],
    ["Time", fact("seconds", UNITS.seconds)],
    ["Memory", fact("memory_bytes", UNITS.bytes)],
  ];
  if (cell.against_best && cell.index !== doc.top.cell) {
    const { mean, low, high } = cell.against_best;
    items.push(["Against the best cell", `${points(mean)} points` +
      (known(low) ? ` (${points(low)} to ${points(high)}, paired)` : "")]);
  }
  return el("dl", {}, items.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
}

function replicates(cell, main) {
  const unit = unitOf(main.unit), found = cell.values[main.name];
  const rows = cell.statuses.map((status, i) => [
    String(i + 1),
    found && known(found.each?.[i]) ? unit.text(found.each[i]) : NONE,
    ending(cell, i) + (cell.reasons?.[i] ? `: ${cell.reasons[i]}` : ""),
    cell.keys[i] ? el("code", { title: cell.keys[i] }, cell.keys[i].slice(0, 10)) : NONE,
  ]);
  return el("details", { class: "more" }, el("summary", {}, plural(doc.replicates, "replicate")),
    el("div", { class: "scroll" },
      table(null, ["Replicate", main.label, "Ended", "Key"], rows, { class: "plain" })));
}

function replayLine(cell) {
  const code = el("code", {}, cell.command);
  const button = el("button", { type: "button", class: "quiet", onclick: () => copy(code, button) },
    "Copy");
  return el("div", { class: "command" },
    el("span", { class: "muted" }, "Train it again, alone:"), el("div", {}, code, button));
}

async function copy(node, button) {
  getSelection().selectAllChildren(node);
  let done = true;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(node.textContent).catch(() => { done = false; });
  } else done = document.execCommand("copy");
  button.textContent = done ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

const CURVES = [
  { title: "Loss", unit: "nats", curves: [["train_loss", "train", "train"], ["test_loss", "test", "test"]] },
  { title: "Accuracy", unit: "fraction",
    curves: [["train_accuracy", "train", "train"], ["test_accuracy", "test", "test"]] },
];

function drawCurves(host, cell) {
  const curves = doc.curves[cell.index];
  if (!curves) {
    host.append(el("p", { class: "notice" }, "No curves are stored for this cell."));
    return;
  }
  for (const spec of CURVES) {
    const shown = spec.curves.filter(([name]) => curves[name]);
    if (!shown.length) continue;
    const box = el("div");
    host.append(el("figure", {}, el("figcaption", {}, el("span", { class: "name" }, spec.title),
      shown.map(([, word, color]) => el("span", { class: `ink-${color}` }, word))),
    box, dataTable("table", () => curveTable(shown, curves, spec))));
    chart(box, `${spec.title} of ${cell.label} by update`, (look) =>
      curveChart(shown, curves, spec, look));
  }
}

function curveChart(shown, curves, spec, look) {
  const unit = unitOf(spec.unit), traces = [];
  const plot = (values) => values.map((v) => known(v) ? unit.plot(v) : null);
  let low = Infinity, high = -Infinity, last = 0;
  for (const [name, word, colorName] of shown) {
    const curve = curves[name], color = look[colorName];
    last = Math.max(last, curve.at.at(-1));
    for (const v of curve.mean.filter(known)) [low, high] = [Math.min(low, v), Math.max(high, v)];
    if (curve.low.some(known)) traces.push(...band(curve.at, plot(curve.low), plot(curve.high), color));
    for (const values of curve.each) {
      traces.push({ x: curve.at, y: plot(values), mode: "lines", hoverinfo: "skip",
        line: { color: transparent(color, 0.45), width: 0.8 } });
    }
    traces.push({
      x: curve.at, y: plot(curve.mean), mode: curve.at.length < 3 ? "lines+markers" : "lines",
      line: { color, width: 2 }, hoverinfo: "text",
      hovertext: curve.at.map((at, i) => curveHover(curve, i, `${word} at update ${at}`, unit)),
    });
  }
  const log = spec.unit === "nats" && low > 0 && high / low > 8;
  return {
    traces,
    layout: {
      height: 180, hovermode: "closest", hoverdistance: 40, margin: { l: 48, r: 10, t: 8, b: 36 },
      xaxis: { title: { text: "updates", standoff: 4 }, range: [0, 1.03 * last] },
      yaxis: log ? { type: "log", title: titled(unit.axis), dtick: "D2", minor: { ticks: "outside" } }
        : { title: titled(unit.axis) },
    },
  };
}

function curveHover(curve, i, name, unit) {
  return lines(name, unit.text(curve.mean[i]),
    known(curve.low[i]) ? interval(curve.low[i], curve.high[i], unit) : null,
    curve.each.length > 1 ? `replicates: ${curve.each.map((v) => unit.short(v[i])).join(", ")}` : null);
}

function curveTable(shown, curves, spec) {
  const unit = unitOf(spec.unit);
  const rows = shown.flatMap(([name, word]) => curves[name].at.map((at, i) => [
    `${word}, ${at}`, unit.text(curves[name].mean[i]),
    interval(curves[name].low[i], curves[name].high[i], unit),
    curves[name].each.map((values) => unit.short(values[i])).join(", "),
  ]));
  return table(null, ["Curve, update", "Mean", "Interval", "Replicates"], rows, { class: "plain" });
}
