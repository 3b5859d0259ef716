// A page for a class: the map is covered until the reader has marked where learning works, which
// value is best in each row, and how sure they are. Then it is uncovered with their score.

/** @type {Set<number>} */
const marked = new Set();
/** @type {Map<number, string>} */
const guessedBest = new Map();
const SURE = ["50", "60", "70", "80", "90", "100"];
let sure = "70";

function cover() {
  // Before any run has ended there is nothing to be right about.
  if (!doc.predict?.works.some((one) => one !== null)) return section("predict");
  document.body.classList.add("is-covered");
  const columns = doc.axes[state.columns],
    rows = state.rows === null ? null : doc.axes[state.rows],
    shown = shownCells();
  const axis = doc.best ? doc.axes.findIndex(({ name }) => name === doc.best?.axis) : -1;
  const isAcross = axis === state.columns;
  const head = [rows?.name ?? "", ...columns.labels, ...(isAcross ? [`best ${columns.name}`] : [])];
  const body = shown.map((line, r) => [
    rows ? rows.labels[r] : columns.name,
    ...line.map((index) => markButton(index)),
    ...(isAcross ? [bestGuess(r, columns, rows)] : []),
  ]);
  const options = SURE.map((one) => [one, `${one} %`]);
  return section(
    "predict",
    "Predict first",
    el(
      "p",
      {},
      `Mark every cell of ${doc.metrics[0].label} in which you expect learning to work: ` +
        `to come at least half of the way from guessing to the best. ${fixedWords()}`,
    ),
    el("div", { class: "scroll" }, table(null, head, body, { class: "guess" })),
    el(
      "form",
      { class: "controls" },
      choice("How sure are you of a cell?", options, sure, (v) => {
        sure = v;
      }),
      el("button", { type: "button", class: "quiet", onclick: () => uncover(shown) }, "Uncover"),
    ),
  );
}

/** @param {number} index */
function markButton(index) {
  const { label } = allCells[index];
  const button = el(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      "aria-label": `${label}: learning works`,
      onclick: () => {
        const works = !marked.delete(index);
        if (works) marked.add(index);
        button.setAttribute("aria-pressed", String(works));
        button.textContent = works ? "works" : "";
      },
    },
    "",
  );
  return button;
}

/**
 * @param {number} row
 * @param {AxisData} columns
 * @param {?AxisData} rows
 */
function bestGuess(row, columns, rows) {
  const options = [["", "?"], ...columns.labels.map((text, i) => [String(i), text])];
  const where = rows ? ` at ${rows.name}=${rows.labels[row]}` : "";
  const select = choice(`best${where}`, options, "", (v) => guessedBest.set(row, v));
  select.querySelector("label")?.classList.add("unseen");
  return select;
}

/** @param {Array<Array<number>>} shown */
function uncover(shown) {
  document.body.classList.remove("is-covered");
  section(
    "predict",
    "Your prediction",
    score(shown).map((text) => el("p", {}, text)),
  );
  redraw();
  change({});
  byId("predict").scrollIntoView({ block: "nearest", behavior: motion() });
}

/**
 * What the reader had right, in sentences.
 * @param {Array<Array<number>>} shown
 */
function score(shown) {
  const works = doc.predict?.works ?? [];
  const told = shown.flat().filter((index) => typeof works[index] === "boolean");
  const right = told.filter((index) => works[index] === marked.has(index)).length;
  const missed = told.filter((index) => works[index] && !marked.has(index)).length;
  const share = told.length ? right / told.length : 0;
  const sentences = [
    `You had ${right} of ${plural(told.length, "cell")} right (${UNITS.fraction.text(share)}): ` +
      `${missed} work that you did not mark, ` +
      `${told.length - right - missed} do not that you marked. ` +
      `A cell works where ${doc.predict?.told ?? ""}.`,
    calibration(share),
  ];
  const guessed = [...guessedBest].filter(([, value]) => value !== "");
  if (guessed.length) {
    const cells = guessed.map(([row, value]) => shown[row][Number(value)]);
    const best = cells.filter((index) => bestCells.has(index)).length,
      equal = cells.filter((index) => equalCells.has(index)).length;
    sentences.push(
      `Of ${plural(guessed.length, "best value")} that you named, ` +
        `${best} are best by their means and ${equal} more are not shown to be worse.`,
    );
  }
  return sentences;
}

/** @param {number} share */
function calibration(share) {
  const off = Number(sure) / 100 - share;
  const words =
    Math.abs(off) <= 0.1
      ? "that fits"
      : off > 0
        ? "you were surer than you were right"
        : "you were right more often than you thought";
  return `You were ${sure} % sure of a cell: ${words}.`;
}
