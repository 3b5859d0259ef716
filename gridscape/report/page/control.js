// What was asked of the run, and, where the server takes acts, the means to ask for more: for the
// chosen cell, its rows and its replicates. The one who trains does them, after a segment.

const MOST_CHOICES = 20; // replicates that can be chosen one by one

const acts = el("section", { id: "acts", class: "live", "aria-label": "Acts on the run" }),
  asking = el("div", { class: "asking" }),
  answer = el("p", { role: "status", class: "muted" }),
  record = el("ul", { class: "runs" });

/** @param {Record<string, unknown>} act */
async function askFor(act) {
  answer.textContent = "Asking ...";
  try {
    const reply = await fetch("acts", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(act),
    });
    const text = await reply.text();
    const { words } = text.startsWith("{") ? JSON.parse(text) : { words: text };
    answer.textContent = reply.ok ? `Asked for: ${words}.` : sentence(words);
  } catch {
    answer.textContent = "The server does not answer: whether it was asked for shows below.";
  }
}

// What an act may be about: the chosen cell, all cells that share a value with it, one replicate.
function targets() {
  const places = positionOf(state.cell);
  const values = doc.axes.map(({ name, labels }, axis) => [name, labels[places[axis]]]);
  const rows = values.length > 1 ? values : [];
  const statuses = allCells[state.cell].statuses.slice(0, MOST_CHOICES);
  return [
    { words: "this cell", act: { where: Object.fromEntries(values) } },
    ...rows.map(([name, value]) => ({
      words: `all cells of ${name}=${value}`,
      act: { where: { [name]: value } },
    })),
    ...statuses.map((_, replicate) => ({
      words: `its replicate ${replicate + 1}`,
      act: { where: Object.fromEntries(values), replicate },
    })),
  ];
}

// A number, true or false where the text is one, as a study file would have it.
/** @param {string} text */
function axisValue(text) {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/**
 * @param {string} words
 * @param {() => void} onclick
 */
const actButton = (words, onclick) =>
  el("button", { type: "button", class: "quiet", onclick }, words);

function drawAsking() {
  const found = targets();
  let at = "0",
    axis = doc.axes[0].name;
  const chosen = () => found[Number(at)].act;
  /** @param {string} kind */
  const button = (kind) => () => askFor({ kind, ...chosen() });
  const number = /** @type {HTMLInputElement} */ (
    el("input", {
      type: "number",
      min: 1,
      max: 10_000,
      value: doc.replicates + 1,
      "aria-label": "Replicates",
    })
  );
  const values = /** @type {HTMLInputElement} */ (
    el("input", { type: "text", placeholder: "0.3, 1", "aria-label": "Values to add" })
  );
  const more = () => askFor({ kind: "replicates", ...chosen(), number: Number(number.value) });
  const add = () => {
    const parts = values.value.split(",").map((part) => axisValue(part.trim()));
    askFor({ kind: "values", axis, values: parts.filter((part) => part !== "") });
  };
  asking.replaceChildren(
    el("p", {}, el("b", {}, "Act on the run: "), allCells[state.cell].label),
    el(
      "div",
      { class: "acting" },
      choice(
        "of",
        found.map(({ words }, i) => [String(i), words]),
        at,
        (value) => (at = value),
      ),
      actButton("Stop", button("stop")),
      actButton("Go on", button("resume")),
      actButton("Train first", button("first")),
      number,
      actButton("Replicates it shall have", more),
    ),
    el(
      "div",
      { class: "acting" },
      choice(
        "axis",
        doc.axes.map(({ name }) => [name, name]),
        axis,
        (value) => (axis = value),
      ),
      values,
      actButton("Add values", add),
    ),
  );
}

function drawActs() {
  const live = doc.live;
  if (!live) return;
  acts.hidden = !live.control && !live.acts.length;
  asking.hidden = answer.hidden = !live.control;
  record.replaceChildren(
    ...live.acts.map(({ act, state: how, words, asked, by }) =>
      el(
        "li",
        { class: `is-${how}` },
        el("b", {}, act),
        `: ${how}${words ? `, ${words}` : ""} `,
        el("span", { class: "muted" }, `(${moment(asked)}${by ? `, ${by}` : ""})`),
      ),
    ),
  );
  if (live.control && live.state !== "training" && !answer.textContent)
    answer.textContent = "Nobody trains here now: what is asked for waits for the next run.";
}

if (doc.live) {
  liveBar.after(acts);
  acts.append(asking, answer, record);
  grow(doc.live.curves);
  drawLive();
  follow(doc.live);
  if (doc.live.control) {
    drawAsking();
    let shown = state.cell;
    new MutationObserver(() => {
      if (shown !== state.cell) drawAsking();
      shown = state.cell;
    }).observe(byId("cell"), { childList: true });
  }
}
