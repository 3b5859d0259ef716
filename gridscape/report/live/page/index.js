"use strict";
// The rows of the list follow the studies. Text is always a text node.
{
  const body = document.getElementById("studies"),
    told = document.getElementById("told");
  const el = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const line = ({ name, row }) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        el("a", { href: `study/${encodeURIComponent(name)}/` }, row.title),
        " ",
        el("small", {}, name),
      ),
      el("td", {}, el("progress", { max: 1, value: row.share })),
      el("td", {}, row.state),
      el("td", {}, row.words),
      el("td", {}, row.best),
    );
  const source = new EventSource("events");
  source.addEventListener("studies", ({ data }) => {
    told.textContent = "";
    body.replaceChildren(...JSON.parse(data).map(line));
  });
  source.addEventListener("error", () => {
    told.textContent = "The server does not answer: this is how things stood.";
  });
}
