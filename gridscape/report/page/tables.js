// Tables as files for a paper, a note or a spreadsheet, as they are shown.

/** @typedef {Array<Array<string>>} Rows */

/** @type {(table: HTMLTableElement) => Rows} */
const rowsOf = (table) =>
  [...table.rows].map((row) => [...row.cells].map((cell) => (cell.textContent ?? "").trim()));

/** @type {(text: string) => string} */
const inCsv = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** @type {(text: string) => string} */
const inMarkdown = (text) => text.replace(/[\\|`*_<>[\]]/g, "\\$&");

/** @type {Record<string, string>} */
const LATEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "$<$",
  ">": "$>$",
  "−": "$-$",
  "–": "--",
  "±": "$\\pm$",
  "×": "$\\times$",
};

/** @type {(text: string) => string} */
const inLatex = (text) =>
  text
    .replace(/[\\~^<>−–±×&%$#_{}]/g, (sign) => LATEX[sign] ?? `\\${sign}`)
    .replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+/g, (power) => {
      const figures = [...power].map((sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(sign));
      return `$^{${figures.map((figure) => (figure < 0 ? "-" : figure)).join("")}}$`;
    });

/** @type {(cells: Array<string>) => string} */
const markdownRow = (cells) => `| ${cells.map(inMarkdown).join(" | ")} |`;

/** @type {(cells: Array<string>) => string} */
const latexRow = (cells) => `${cells.map(inLatex).join(" & ")} \\\\`;

/** @type {Record<string, { ending: string, write: (rows: Rows) => Array<string> }>} */
const TABLE_FORMATS = {
  CSV: { ending: "csv", write: (rows) => rows.map((row) => row.map(inCsv).join(",")) },
  Markdown: {
    ending: "md",
    write: ([head, ...rows]) => [
      markdownRow(head),
      `|${head.map(() => " --- ").join("|")}|`,
      ...rows.map(markdownRow),
    ],
  },
  LaTeX: {
    ending: "tex",
    write: ([head, ...rows]) => [
      `\\begin{tabular}{l${"r".repeat(head.length - 1)}}`,
      "\\hline",
      latexRow(head),
      "\\hline",
      ...rows.map(latexRow),
      "\\hline",
      "\\end{tabular}",
    ],
  },
};

// Buttons that save a table, which is built when one is pressed.
/**
 * @param {string} name
 * @param {() => HTMLElement} build
 */
function tableSaving(name, build) {
  const button = (/** @type {string} */ format) =>
    el(
      "button",
      {
        type: "button",
        class: "link",
        "aria-label": `Save the table as ${format}: ${name}`,
        onclick: () => {
          const { ending, write } = TABLE_FORMATS[format],
            rows = rowsOf(/** @type {HTMLTableElement} */ (build()));
          saveText(`${fileName(name)}.${ending}`, `${write(rows).join("\n")}\n`);
        },
      },
      format,
    );
  const buttons = Object.keys(TABLE_FORMATS).flatMap((format) => [" ", button(format)]);
  return el("div", { class: "save" }, "table as", buttons);
}

/**
 * @param {string} name
 * @param {string} text
 */
function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  /** @type {HTMLAnchorElement} */ (el("a", { href: address, download: name })).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
