// State, and what is drawn when it changes.

/** @type {PageData} */
const doc = JSON.parse(results);

// The document has a column for each thing; a cell reads its entries when it is asked.
class Cell {
  /** @param {number} index */
  constructor(index) {
    this.index = index;
  }

  /**
   * A metric of this cell.
   * @param {string} name
   * @returns {CellValue}
   */
  value(name) {
    return this.of(metricOf(name));
  }

  /**
   * @param {MetricData} metric
   * @returns {CellValue}
   */
  of({ mean, low, high, each }) {
    const index = this.index;
    return { mean: mean[index], low: low?.[index], high: high?.[index], each: each?.[index] };
  }

  get counts() {
    const statuses = doc.cells.statuses[this.index];
    /** @type {(...words: Array<string>) => number} */
    const among = (...words) => statuses.filter((status) => words.includes(status)).length;
    return {
      finished: among("finished"),
      collapsed: doc.cells.collapsed[this.index].filter(Boolean).length,
      not_started: doc.cells.not_started[this.index].filter(Boolean).length,
      diverged: among("diverged"),
      failed: among("failed", "out_of_memory"),
      stopped: among("stopped"),
      missing: among("missing"),
    };
  }

  get command() {
    const statuses = doc.cells.statuses[this.index];
    const ended = doc.cells.keys[this.index].map((key, i) => key && statuses[i] !== "stopped");
    const replicate = ended.findIndex(Boolean); // the first that is there
    if (!doc.replay || replicate < 0) return "";
    const values = positionOf(this.index).map((place, axis) => {
      const { name, labels } = doc.axes[axis];
      return `${name}=${labels[place]}`;
    });
    const which = replicate ? ` --replicate ${replicate}` : "";
    return `${doc.replay} ${quoted(values.join(","))}${which}`;
  }
}

for (const [name, column] of Object.entries(doc.cells))
  Object.defineProperty(Cell.prototype, name, {
    get() {
      return column[this.index];
    },
  });

const allCells = /** @type {Array<ShownCell>} */ (
  /** @type {unknown} */ (doc.cells.label.map((_, index) => new Cell(index)))
);

const isLarge = () => allCells.length > MOST_IN_TABLE;

const isOnPaper = () => document.body.classList.contains("on-paper");

const bestCells = new Set(doc.best?.cells),
  equalCells = new Set(doc.best?.equivalent);

// The rows of the edge of learning by the cells that they hold.
/** @type {Map<number, EdgeRow>} */
const edgeRows = new Map(
  doc.edge?.rows.flatMap((row) => row.cells.map((cell) => [cell, row])) ?? [],
);

/** @type {State} */
const state = {
  metric: 0,
  rows: doc.rows,
  columns: doc.columns,
  fixed: positionOf(doc.start),
  cell: doc.start,
  shading: "even",
  cost: costs()[0],
  theme: "auto",
  curve: Math.max(
    0,
    doc.curve_names.findIndex((m) => m.name === doc.metrics[0].name),
  ),
  along: "updates",
  color: doc.lines.color,
  style: doc.lines.style,
  kind: 0,
  network: 0,
  view: "map",
  by: "",
  minus: "",
  against: doc.start,
  only: "",
  sift: 0,
  from: null,
  to: null,
};

/** Those that have something to weigh. */
function costs() {
  return /** @type {Array<Cost>} */ (Object.keys(doc.pareto));
}

const THEMES = ["auto", "light", "dark"];

// All but the chosen cell that decides what the map and the slices show.
const viewNow = () =>
  [
    ...[state.metric, state.rows, state.columns, state.shading, state.view, state.by],
    ...[state.minus, state.against, filterNow()],
    ...state.fixed.filter((_, i) => i !== state.rows && i !== state.columns),
  ].join();

const filterNow = () => [state.only, state.sift, state.from, state.to].join();

let drawnView = "",
  drawnFilter = filterNow();

/** @param {Partial<State>} update */
function change(update) {
  Object.assign(state, update);
  remember();
  const same = viewNow() === drawnView;
  drawnView = viewNow();
  if (same) moveChoice();
  else {
    drawControls();
    drawMap();
    drawBest();
  }
  drawCell();
  if (filterNow() !== drawnFilter) {
    drawnFilter = filterNow();
    drawFamilies();
    drawCost();
  }
}

// Shows a cell; the landscape turns to a slice that holds it.
/**
 * @param {number} index
 * @param {boolean} scroll
 */
function select(index, scroll) {
  const position = positionOf(index);
  state.fixed = position;
  const focused = byId("map").contains(document.activeElement);
  change({ cell: index });
  if (focused) within("map", `[data-cell="${index}"]`)?.focus({ preventScroll: true });
  hideTip();
  const narrow = matchMedia("(max-width: 60rem)").matches;
  if (scroll || narrow) byId("cell").scrollIntoView({ block: "nearest", behavior: motion() });
}

const motion = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

// The view is kept in the address, so that a link or a reload shows the same again.
function remember() {
  // Within a notebook an address would be the notebook's.
  if (location.protocol === "about:") return;
  const view = new URLSearchParams({
    cell: String(state.cell),
    metric: doc.metrics[state.metric].name,
    rows: String(state.rows ?? ""),
    columns: String(state.columns),
    scale: state.shading,
    cost: state.cost ?? "",
    theme: state.theme,
    curve: doc.curve_names[state.curve]?.name ?? "",
    along: state.along,
    color: String(state.color),
    style: String(state.style ?? ""),
    kind: String(state.kind),
    network: String(state.network),
    view: state.view,
    by: state.by,
    minus: state.minus,
    against: String(state.against),
    only: state.only,
    sift: doc.metrics[state.sift].name,
    from: String(state.from ?? ""),
    to: String(state.to ?? ""),
  });
  location.replace(`#${view}`);
}

// Of studies side by side, the difference to the first is what is seen at first.
function beginBeside() {
  if (!doc.beside || !doc.top) return;
  const { axis } = doc.beside,
    position = positionOf(doc.top.cell);
  const against = indexOf(position.with(axis, 0)),
    cell = indexOf(position.with(axis, Math.max(1, position[axis])));
  Object.assign(state, { cell, fixed: positionOf(cell), minus: String(axis), against });
}

function recall() {
  const view = new URLSearchParams(location.hash.slice(1));
  /** @type {(name: string, limit: number) => ?number} */
  const whole = (name, limit) => {
    const value = view.get(name);
    return /^\d+$/.test(value ?? "") && Number(value) < limit ? Number(value) : null;
  };
  const metric = doc.metrics.findIndex((m) => m.name === view.get("metric"));
  if (metric >= 0) state.metric = metric;
  const rows = whole("rows", doc.axes.length),
    columns = whole("columns", doc.axes.length);
  if (state.rows !== null && rows !== null && columns !== null && rows !== columns) {
    Object.assign(state, { rows, columns });
  }
  /** @type {(name: string, allowed: Array<string>) => ?string} */
  const word = (name, allowed) => allowed.find((one) => one === view.get(name)) ?? null;
  state.shading = word("scale", ["even", "fine"]) ?? state.shading;
  state.cost = costs().find((name) => name === view.get("cost")) ?? state.cost;
  state.theme = word("theme", THEMES) ?? state.theme;
  const curve = doc.curve_names.findIndex((m) => m.name === view.get("curve"));
  if (curve >= 0) state.curve = curve;
  state.along = word("along", ALONG) ?? state.along;
  const color = whole("color", doc.axes.length),
    style = whole("style", doc.axes.length);
  if (color !== null && color !== style) Object.assign(state, { color, style });
  state.kind = whole("kind", doc.kinds.length) ?? state.kind;
  state.network = whole("network", doc.networks.length) ?? state.network;
  state.view = word("view", Object.keys(VIEWS)) ?? state.view;
  const axes = doc.axes.map((_, i) => String(i));
  state.by = word("by", axes) ?? state.by;
  state.minus = word("minus", ["cell", ...axes]) ?? state.minus;
  state.against = whole("against", allCells.length) ?? state.against;
  state.only = word("only", ["finished", ...Object.keys(doc.marks)]) ?? state.only;
  const sift = doc.metrics.findIndex((m) => m.name === view.get("sift"));
  if (sift >= 0) state.sift = sift;
  /** @type {(name: string) => ?number} */
  const real = (name) => (view.get(name) ? Number(view.get(name)) : null);
  for (const end of /** @type {const} */ (["from", "to"]))
    if (known(real(end))) state[end] = real(end);
  drawnFilter = "";
  const cell = whole("cell", allCells.length);
  if (cell !== null) Object.assign(state, { cell, fixed: positionOf(cell) });
}

function drawHead() {
  byId("altered").textContent = doc.altered;
  byId("altered").hidden = !doc.altered;
  byId("title").textContent = doc.title;
  byId("level").textContent = `${Math.round(100 * doc.level)} %`;
  fill("lede", lede());
  byId("story").textContent = doc.story;
  byId("few").textContent = sentence(doc.few);
  byId("few").hidden = !doc.few;
  byId("told").hidden = !doc.told.length;
  fill(
    "told",
    doc.told.map((text) => el("p", {}, sentence(`of the data: ${text}`))),
  );
  const { counts } = doc;
  /** @type {Record<string, string>} */
  const words = {
    collapsed: "of them collapsed",
    not_started: "of them not started",
    missing: doc.marks.missing.word,
  };
  fill(
    "counts",
    Object.entries(counts)
      .filter(([name, count]) => count || name === "finished")
      .map(([name, count]) =>
        el(
          "li",
          {},
          el("span", { class: `swatch is-${name} ${BLANK.includes(name) ? "is-blank" : ""}` }),
          el("b", {}, UNITS.count.text(count)),
          ` ${words[name] ?? name}`,
        ),
      ),
  );
  byId("curve-rule").textContent = doc.curve_rule;
  fill(
    "marks",
    Object.values(doc.marks).flatMap(({ word, meaning }) => [
      el("dt", {}, word),
      el("dd", {}, meaning),
    ]),
  );
  fill(
    "foot",
    `Gridscape ${doc.version}, ${moment(doc.made)}. Self-contained: this file loads nothing.`,
  );
}

function lede() {
  /** @type {Array<string | Node>} */
  const parts = [doc.summary + " "];
  if (doc.top) {
    const unit = unitOf(doc.metrics[0].unit);
    parts.push(
      "The best cell, ",
      pickable(doc.top.cell, allCells[doc.top.cell].label),
      `, ${doc.chosen}, reaches `,
      el("b", {}, unit.text(doc.top.mean)),
      ` ${behind(doc.metrics[0])}`,
      known(doc.top.low)
        ? ` (${interval(doc.top.low, doc.top.high, unit)})${besideBest()}.`
        : `${besideBest()}; too few of its replicates finished for an interval.`,
    );
  } else
    parts.push(
      doc.counts.missing
        ? "No cell has finished yet in most of its replicates."
        : "No cell finished in most of its replicates.",
    );
  return parts;
}

// What stands beside the number of the best cell where not all of its runs learn.
function besideBest() {
  const cell = doc.top && allCells[doc.top.cell];
  if (!cell) return "";
  return (cell.share ? `; it ${cell.learns}` : "") + (cell.at_edge ? "; it is at the edge" : "");
}

function drawContents() {
  const names = {
    landscape: "Landscape",
    beside: "Side by side",
    best: "Best",
    curves: "Curves",
    kinds: `By ${doc.kinds[0]?.kind ?? ""}`,
    cost: "Cost",
    networks: "Networks",
    published: "Published",
    claims: "Claims",
    reading: "How to read",
    about: "About",
  };
  fill(
    "contents",
    Object.entries(names)
      .filter(([id]) => !byId(id).hidden)
      .map(([id, text]) =>
        el(
          "a",
          {
            href: `#${id}`,
            onclick: (event) => {
              event.preventDefault();
              byId(id).scrollIntoView({ behavior: motion() });
            },
          },
          text,
        ),
      ),
  );
}

// ---- dark and light ----

/** @param {string} name */
function setTheme(name) {
  state.theme = name;
  document.documentElement.dataset.theme = name;
  const button = byId("theme");
  button.textContent = heading(name);
  button.setAttribute("aria-label", `Colors: ${name}; select to change`);
  redraw();
}

byId("theme").addEventListener("click", () => {
  setTheme(THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length]);
  remember();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// ---- print: light, everything open, charts as wide as the paper ----

/** @type {(selector: string) => NodeListOf<HTMLDetailsElement>} */
const everyDetails = (selector) =>
  /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(`details${selector}`));

function toPaper() {
  document.body.classList.add("on-paper");
  for (const details of everyDetails(":not([open])")) {
    details.open = true;
    details.dataset.opened = "for print";
    details.dispatchEvent(new Event("toggle"));
    const rows = details.querySelectorAll("tbody tr").length;
    if (details.classList.contains("data") && rows > PRINTED_ROWS) details.open = false;
  }
  redraw();
}

function fromPaper() {
  document.body.classList.remove("on-paper");
  for (const details of everyDetails("[data-opened]")) {
    details.open = false;
    delete details.dataset.opened;
  }
  redraw();
}

document.querySelector(".skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  byId("landscape").scrollIntoView();
  /** @type {?HTMLElement} */ (within("landscape", "[tabindex='0'], select"))?.focus();
});

addEventListener("beforeprint", toPaper);
addEventListener("afterprint", fromPaper);

beginBeside();
recall();
setTheme(state.theme);
drawHead();
change({});
drawBeside();
drawFamilies();
drawCost();
drawNetworks();
drawPublished();
drawClaims();
drawAbout();
drawContents();
cover();
