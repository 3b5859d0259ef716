// A page that is served while its study trains: what has changed comes as events, and is put into
// the document. Sections in which the reader has opened, focused or points at something wait.

/** @type {Record<string, { parts: Array<string>, draw: () => void }>} */
const LIVE_SECTIONS = {
  curves: { parts: ["curves", "curve_names", "kinds"], draw: () => drawFamilies() },
  cost: { parts: ["cells", "pareto", "smallest", "notes"], draw: () => drawCost() },
  published: { parts: ["published"], draw: () => drawPublished() },
  claims: { parts: ["claims"], draw: () => drawClaims() },
  about: { parts: ["facts", "environment"], draw: () => drawAbout() },
};

const REDRAW_MS = 500,
  REDRAW_PICTURE_MS = 5000,
  GONE_MS = 8000;

/** @type {Set<string>} */
const unshown = new Set();

// Cells whose curves are those so far: they have none of trials that ended.
/** @type {Set<string>} */
const stillGrowing = new Set();

/** @param {ChangeData} change */
function takeOver(change) {
  const names = new Set([...Object.keys(change.parts), ...Object.keys(change.curves)]);
  const shown = doc.curve_names[state.curve]?.name;
  Object.assign(doc, change.parts);
  difference.key = "";
  putColumns(doc.cells, change.at, change.cells);
  change.metrics.forEach((columns, i) => putColumns(doc.metrics[i], change.at, columns));
  Object.assign(doc.curves, change.curves);
  for (const cell of Object.keys(change.curves)) stillGrowing.delete(cell);
  doc.live = change.live;
  grow(change.live.curves);
  state.curve = Math.max(
    0,
    doc.curve_names.findIndex((curve) => curve.name === shown),
  );
  state.kind = Math.min(state.kind, Math.max(0, doc.kinds.length - 1));
  state.cost ??= costs()[0];
  renew(bestCells, doc.best?.cells ?? []);
  renew(equalCells, doc.best?.equivalent ?? []);
  edgeRows.clear();
  for (const row of doc.edge?.rows ?? []) for (const cell of row.cells) edgeRows.set(cell, row);
  if (change.at.length) names.add("cells");
  if (Object.keys(change.curves).length || Object.keys(change.live.curves).length)
    names.add("curves");
  return names;
}

/**
 * @param {any} columns
 * @param {Array<number>} at
 * @param {any} values
 */
function putColumns(columns, at, values) {
  for (const [name, column] of Object.entries(values))
    if (column && columns[name]) at.forEach((cell, i) => (columns[name][cell] = column[i]));
}

/**
 * @param {Set<number>} set
 * @param {Array<number>} values
 */
function renew(set, values) {
  set.clear();
  for (const value of values) set.add(value);
}

// Curves so far, where a cell has none of trials that ended.
/** @param {Record<string, any>} curves */
function grow(curves) {
  const known = new Set(doc.curve_names.map(({ name }) => name));
  for (const [cell, found] of Object.entries(curves)) {
    if (doc.curves[cell] && !stillGrowing.has(cell)) continue;
    stillGrowing.add(cell);
    const kept = Object.entries(found).filter(([name]) => known.has(name));
    doc.curves[cell] = { ...doc.curves[cell], ...Object.fromEntries(kept) };
  }
}

/** @param {Set<string>} names */
function redrawChanged(names) {
  const focused = /** @type {?HTMLElement} */ (document.activeElement?.closest("#map [data-cell]"));
  const cell = focused?.dataset.cell;
  if (names.size) {
    drawHead();
    drawnView = "";
    change({});
    if (cell) within("map", `[data-cell="${cell}"]`)?.focus({ preventScroll: true });
  }
  for (const [id, { parts }] of Object.entries(LIVE_SECTIONS))
    if (parts.some((part) => names.has(part))) unshown.add(id);
  for (const id of [...unshown]) {
    const section = byId(id),
      busy = section.matches(":hover, :focus-within") || section.querySelector("details[open]");
    if (busy) continue;
    unshown.delete(id);
    LIVE_SECTIONS[id].draw();
  }
  if (names.size) drawContents();
  drawLive();
}

const liveBar = el("section", { id: "live", "aria-label": "How far the run is" });
byId("counts").after(liveBar);

function drawLive() {
  const live = doc.live;
  if (!live) return;
  liveBar.className = `live is-${live.state}`;
  const done = Math.round(1000 * live.share) / 10;
  liveBar.replaceChildren(
    el("progress", { max: 1, value: live.share, "aria-label": `${done} % of the networks` }),
    el("p", { class: "words", role: "status" }, live.words),
    live.go_on ? el("p", { class: "go-on" }, live.go_on) : "",
    live.runs.length
      ? el(
          "ul",
          { class: "runs" },
          live.runs.map((text) => el("li", {}, text)),
        )
      : "",
  );
  drawActs();
  for (const node of document.querySelectorAll("#map .is-training"))
    node.classList.remove("is-training");
  for (const index of live.training)
    within("map", `[data-cell="${index}"]`)?.classList.add("is-training");
}

/** @param {LiveData} live */
function follow(live) {
  const source = new EventSource(`events?since=${encodeURIComponent(live.since)}`);
  /** @type {Set<string>} */
  const names = new Set();
  let timer = 0,
    gone = 0;
  source.addEventListener("change", ({ data }) => {
    clearTimeout(gone);
    gone = 0;
    for (const name of takeOver(JSON.parse(data))) names.add(name);
    timer ||= setTimeout(
      () => {
        timer = 0;
        redrawChanged(names);
        names.clear();
      },
      isLarge() && names.size ? REDRAW_PICTURE_MS : REDRAW_MS,
    );
  });
  source.addEventListener("reload", () => location.reload());
  source.addEventListener("open", () => {
    clearTimeout(gone);
    gone = 0;
  });
  source.addEventListener("error", () => {
    gone ||= setTimeout(() => {
      liveBar.classList.add("is-alone");
      const at = new Date().toLocaleTimeString();
      liveBar.append(el("p", {}, `The server does not answer: this is how things stood at ${at}.`));
    }, GONE_MS);
  });
}
