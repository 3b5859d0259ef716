// Elements from plain data. Text is always a text node: nothing that a study, a cell value or an
// error message holds can become markup.

/**
 * @param {string} tag
 * @param {Attributes} attributes
 * @param {...(Child | Array<Child>)} children
 */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on"))
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "style") node.style.cssText = String(value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

/**
 * An element of page.html, which has it.
 * @param {string} id
 * @returns {HTMLElement}
 */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * The first element of such a selector within another.
 * @param {string} id
 * @param {string} selector
 * @returns {?HTMLElement}
 */
const within = (id, selector) => byId(id).querySelector(selector);

// Text cut to what a chart has room for.
/** @type {(text: unknown, most?: number) => string} */
const cut = (text, most = 28) => {
  const words = String(text);
  return words.length > most ? `${words.slice(0, most - 1)}…` : words;
};

// A name that may break after its underscores.
/** @type {(name: string) => Array<Child>} */
const breakable = (name) =>
  name.split(/(?<=_)/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

/**
 * @param {string} id
 * @param {...(Child | Array<Child>)} children
 */
function fill(id, ...children) {
  byId(id).replaceChildren(...children.flat().filter((child) => child != null));
}

// A labelled <select>; options are [value, text] pairs.
let choices = 0;

/**
 * @param {string} label
 * @param {Array<Array<string>>} options
 * @param {?string} value
 * @param {(value: string) => void} onchange
 */
function choice(label, options, value, onchange) {
  const id = `choice-${(choices += 1)}`;
  const select = /** @type {HTMLSelectElement} */ (
    el(
      "select",
      { id, onchange: () => onchange(select.value) },
      options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)),
    )
  );
  return el("div", { class: "choice" }, el("label", { for: id }, label), select);
}

// A plain table; the first cell of each row is its header. Cells may be nodes or text.
/**
 * @param {?string} caption
 * @param {Array<string>} head
 * @param {Array<Array<Child | Array<Child>>>} rows
 * @param {Attributes} attributes
 */
function table(caption, head, rows, attributes = {}) {
  return el(
    "table",
    attributes,
    caption ? el("caption", {}, caption) : null,
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        head.map((text) => el("th", { scope: "col" }, text)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          {},
          row.map((item, i) => (i ? el("td", {}, item) : el("th", { scope: "row" }, item))),
        ),
      ),
    ),
  );
}

// The numbers behind a chart, built when first opened. Longer ones are not printed.
const PRINTED_ROWS = 60;

/**
 * @param {string} summary
 * @param {() => Node} build
 */
function dataTable(summary, build) {
  const details = /** @type {HTMLDetailsElement} */ (
    el("details", { class: "data" }, el("summary", {}, summary))
  );
  details.addEventListener("toggle", () => {
    if (!details.open || details.dataset.built) return;
    details.dataset.built = "yes";
    details.append(el("div", { class: "scroll" }, build()));
  });
  return details;
}

/**
 * @param {number} index
 * @param {string} text
 */
function pickable(index, text) {
  return el("button", { type: "button", class: "link", onclick: () => select(index, true) }, text);
}
