// Single networks: what they mistake, their filters, what their layers put out. Pictures are inside
// the page and hold pixels only; every word about them is text.

// The exhibits of a network, each under its title.
/**
 * @param {NetworkData} found
 * @returns {Array<[string, Exhibit]>}
 */
function exhibits(found) {
  const { mistakes, confusion, filters, activations, deconv, samples } = found;
  /** @type {Array<[string, Exhibit | undefined]>} */
  const all = [
    ["Mistakes", mistakes && showMistakes(mistakes)],
    ["Confusion", confusion && showConfusion(confusion)],
    ["Filters", filters && showFilters(filters)],
    ["Activations", activations && showActivations(activations)],
    ["Feature maps", deconv && showDeconv(deconv)],
    ["Samples", samples && showSamples(samples, found)],
  ];
  return all.flatMap(([title, shown]) => (shown ? [[title, shown]] : []));
}

function drawNetworks() {
  const notes = doc.network_notes.map((text) => el("p", { class: "notice" }, sentence(text)));
  if (!doc.networks.length) return section("networks", "Networks", ...notes);
  const found = doc.networks[state.network];
  const options = doc.networks.map((network, i) => [String(i), allCells[network.cell].label]);
  const parts = exhibits(found);
  section(
    "networks",
    "Networks",
    ...notes,
    el(
      "form",
      { class: "controls" },
      choice("Network", options, String(state.network), (v) => {
        state.network = Number(v);
        remember();
        drawNetworks();
      }),
    ),
    el(
      "p",
      { class: "note" },
      "One trained network: ",
      pickable(found.cell, allCells[found.cell].label),
      `, replicate ${found.replicate + 1}, over the whole test set.`,
    ),
    el(
      "div",
      { class: "exhibits" },
      parts.map(([title, { node, wide }]) =>
        el("article", { class: wide ? "wide" : null }, el("h3", {}, title), node),
      ),
    ),
  );
  for (const [, { draw }] of parts) draw?.();
  return null;
}

// A picture of few pixels, each of which stays a square.
/**
 * @param {Picture} picture
 * @param {string} alt
 * @param {number} size
 */
function pixels({ src, width, height }, alt, size) {
  const scale = Math.max(1, size / width);
  return el("img", {
    src,
    alt,
    class: "pixels",
    width: Math.round(width * scale),
    height: Math.round(height * scale),
  });
}

// ---- mistakes and confusion ----

/** @param {MistakesData} found */
function showMistakes(found) {
  const share = UNITS.fraction.text(found.n_wrong / found.n_examples);
  /** @type {(title: string, examples: Array<ExampleData>) => Array<Child>} */
  const row = (title, examples) =>
    examples.length
      ? [
          el("p", { class: "caption" }, title),
          el("ul", { class: "examples" }, examples.map(exampleItem)),
        ]
      : [];
  return {
    node: el(
      "div",
      {},
      el("p", {}, `${found.n_wrong} of ${found.n_examples} test examples are mistaken (${share}).`),
      row("The largest losses", found.wrong),
      row("The first correct ones", found.right),
    ),
  };
}

/** @param {ExampleData} record */
function exampleItem({ index, truth, answer, names, probability, loss, symbols, picture }) {
  const sure = known(probability) ? UNITS.fraction.text(probability) : "";
  const words = `true ${names[0]}, answer ${names[1]}${sure ? ` with ${sure}` : ""}`;
  return el(
    "li",
    {
      class: truth === answer ? "right" : "wrong",
      title: `example ${index}, loss ${digits(loss)}`,
    },
    picture ? pixels(picture, words, 76) : el("code", {}, symbols),
    el("span", {}, `true ${names[0]}`),
    el(
      "span",
      { class: "answer" },
      `${truth === answer ? "✓" : "✕"} ${names[1]} `,
      el("span", { class: "muted" }, sure),
    ),
  );
}

/** @param {ConfusionData} record */
function showConfusion({ counts, shares, classes: names }) {
  const classes = counts.map((_, i) => i),
    small = classes.length <= 30;
  const off = Math.max(
    ...shares.flatMap((row, i) => row.filter((_, j) => i !== j).filter(known)),
    0,
  );
  // At most half of the color, so that the numbers keep their contrast.
  /** @type {(i: number, j: number) => ?string} */
  const tint = (i, j) => {
    if (!counts[i][j]) return null;
    const share = shares[i][j] ?? 0,
      strength = Math.round(50 * (i === j ? share : off && share / off)),
      color = `var(--${i === j ? "test" : "train"})`;
    return `background:color-mix(in srgb, ${color} ${strength}%, var(--paper))`;
  };
  /** @type {(i: number, j: number) => string} */
  const tell = (i, j) =>
    `true ${names[i]}, answer ${names[j]}: ${counts[i][j]} (${UNITS.fraction.text(shares[i][j])})`;
  const shown = el(
    "table",
    { class: "confusion" },
    el("caption", {}, "Rows: true class; columns: answer. Blue is right, orange a mistake."),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("td", {}),
        classes.map((c) => el("th", { scope: "col" }, small ? names[c] : "")),
      ),
    ),
    el(
      "tbody",
      {},
      classes.map((i) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, names[i]),
          classes.map((j) =>
            el(
              "td",
              { style: tint(i, j), title: tell(i, j) },
              counts[i][j] && small ? String(counts[i][j]) : "",
            ),
          ),
        ),
      ),
    ),
  );
  return {
    node: el(
      "div",
      {},
      el("div", { class: "scroll" }, shown),
      tableSaving("confusion", () => /** @type {HTMLTableElement} */ (shown)),
    ),
  };
}

// ---- filters, activations, feature maps ----

/** @param {FiltersData} record */
function showFilters({ layer, n, shown, shape, limit, own, common }) {
  const size = `${shape[0]} × ${shape[1]}${shape[2] > 1 ? ` × ${shape[2]}` : ""}`;
  const [low, middle, high] =
    shape[2] === 3 ? ["black", "gray", "bright"] : ["blue", "white", "red"];
  /** @type {(title: string, both: StartEnd) => HTMLElement} */
  const sheets = (title, { start, end }) =>
    el(
      "div",
      {},
      el("p", { class: "caption" }, title),
      el(
        "div",
        { class: "sheets" },
        Object.entries({ start, end }).map(([when, picture]) =>
          el("figure", {}, el("figcaption", {}, when), pixels(picture, `${title}, ${when}`, 300)),
        ),
      ),
    );
  return {
    wide: true,
    node: el(
      "div",
      {},
      el(
        "p",
        {},
        `${shown < n ? `The first ${shown} of ${n}` : n} filters of ${layer}, `,
        `${size} weights each, before and after training.`,
      ),
      el(
        "div",
        { class: "pair" },
        sheets("Each from its lowest weight, black, to its highest, white", own),
        sheets(
          `All on one scale: ${low} −${digits(limit)}, ${middle} 0, ${high} ${digits(limit)}`,
          common,
        ),
      ),
    ),
  };
}

/** @param {Array<BlockData>} blocks */
function showActivations(blocks) {
  const hosts = blocks.map((block) => ({ block, mean: el("div"), zeros: el("div") }));
  const node = el(
    "div",
    {},
    el(
      "p",
      {},
      "Mean and standard deviation of each channel, and how often it is 0: ",
      stagesOf(blocks).flatMap((word) => [el("span", { class: STAGES[word] }, word), " "]),
    ),
    hosts.map(({ block, mean, zeros }) =>
      el(
        "figure",
        { class: "layer" },
        el(
          "figcaption",
          {},
          el("span", { class: "name" }, block.layer),
          el("span", { class: "muted" }, block.shape.join(" × "), shownOf(block)),
        ),
        el("div", { class: "halves" }, el("div", {}, mean), el("div", {}, zeros)),
        dataTable("table", () => activationTable(block)),
      ),
    ),
  );
  const draw = () =>
    hosts.forEach(({ block, mean, zeros }) => {
      chart(mean, `Mean and standard deviation of ${block.layer} by channel`, 150, (look) =>
        meanChart(block, look),
      );
      chart(zeros, `Share of zeros of ${block.layer} by channel`, 150, (look) =>
        zeroChart(block, look),
      );
    });
  return { node, draw, wide: true };
}

/** @type {Record<string, string>} */
const STAGES = { before: "ink-muted", after: "ink-train", pooled: "ink-test" };

/** @type {(blocks: Array<BlockData>) => Array<string>} */
const stagesOf = (blocks) =>
  Object.keys(STAGES).filter((word) =>
    blocks.some(({ stages }) => stages.some(({ stage }) => stage === word)),
  );

/** @type {(stage: string, look: Look) => string} */
const stageColor = (stage, look) =>
  stage === "after" ? look.train : stage === "pooled" ? look.test : look.muted;

/** @param {BlockData} block */
const shownOf = ({ shape, stages }) => {
  const shown = stages[0].mean.length;
  return shown < shape[shape.length - 1] ? `; the first ${shown} channels` : "";
};

/** @param {Array<StageData>} stages */
const channelAxis = ([{ mean }]) => ({
  title: { text: "channel", standoff: 2 },
  dtick: Math.max(1, Math.ceil(mean.length / 8)),
});

/**
 * @param {BlockData} record
 * @param {Look} look
 */
function meanChart({ stages }, look) {
  const traces = stages.flatMap(({ stage, mean, sd }) => {
    const x = mean.map((_, i) => i),
      color = stageColor(stage, look);
    /** @type {(trace: Trace & { line: Settings }) => Trace} */
    const step = (trace) => ({ ...trace, line: { ...trace.line, shape: "hvh" } });
    return [
      ...band(
        x,
        mean.map((m, i) => plus(m, -(sd[i] ?? NaN))),
        mean.map((m, i) => plus(m, sd[i])),
        color,
      ).map(step),
      {
        x,
        y: mean,
        mode: "lines",
        line: { color, width: 1.6, shape: "hvh" },
        hoverinfo: "text",
        hovertext: x.map((i) =>
          lines(`channel ${i}, ${stage}`, `${digits(mean[i])} ± ${digits(sd[i])}`),
        ),
      },
    ];
  });
  return {
    traces,
    layout: {
      margin: { l: 44, r: 8, t: 6, b: 34 },
      xaxis: channelAxis(stages),
      yaxis: { title: titled("mean ± sd") },
    },
  };
}

/**
 * @param {BlockData} record
 * @param {Look} look
 */
function zeroChart({ stages }, look) {
  const traces = stages.map(({ stage, zeros }) => {
    const x = zeros.map((_, i) => i);
    return {
      x,
      y: zeros.map((z) => (known(z) ? 100 * z : null)),
      mode: "lines",
      line: { color: stageColor(stage, look), width: 1.6, shape: "hvh" },
      hoverinfo: "text",
      hovertext: x.map((i) =>
        lines(`channel ${i}, ${stage}`, `${UNITS.fraction.text(zeros[i])} zeros`),
      ),
    };
  });
  return {
    traces,
    layout: {
      margin: { l: 44, r: 8, t: 6, b: 34 },
      xaxis: channelAxis(stages),
      yaxis: { title: titled("zeros, %"), range: [-4, 104] },
    },
  };
}

/** @param {BlockData} record */
function activationTable({ stages }) {
  return table(
    null,
    ["Layer", "Mean", "Standard deviation", "Zeros", "Channels that are always 0"],
    stages.map(({ layer, total: [mean, sd, zeros], silent }) => [
      layer,
      digits(mean),
      digits(sd),
      UNITS.fraction.text(zeros),
      String(silent),
    ]),
    { class: "plain" },
  );
}

/** @param {DeconvData} record */
function showDeconv({ layer, n, maps }) {
  const cut =
    maps.length < n ? `The first ${maps.length} of ${n} feature maps` : `${n} feature maps`;
  return {
    wide: true,
    node: el(
      "div",
      {},
      el(
        "p",
        {},
        `${cut} of ${layer}: the test images that activate a map most, and beside them what in ` +
          "each does (one activation walked back to the pixels; gray is 0).",
      ),
      el(
        "ul",
        { class: "maps" },
        maps.map(({ channel, strongest, indices, picture }) =>
          el(
            "li",
            {},
            pixels(
              picture,
              `Map ${channel}: examples ${indices.join(", ")} and their reconstructions`,
              190,
            ),
            el(
              "span",
              {},
              `map ${channel} `,
              el(
                "span",
                { class: "muted" },
                known(strongest) && strongest > 0 ? `up to ${digits(strongest)}` : "silent",
              ),
            ),
          ),
        ),
      ),
    ),
  };
}

// ---- sequences ----

/**
 * @param {SamplesData} record
 * @param {NetworkData} network
 */
function showSamples({ n_right, n, shown }, { group }) {
  const ofBits = shown.some(({ lines }) => lines.some(({ number }) => number));
  return {
    wide: true,
    node: el(
      "div",
      {},
      el(
        "p",
        {},
        `${n_right} of ${n} sample sequences are answered right. ` +
          "Those answered wrong come first; what is wrong in them is marked." +
          (ofBits ? " Before its bits, the least significant first, stands each number." : ""),
      ),
      el(
        "ul",
        { class: "samples" },
        shown.map((sample) =>
          el(
            "li",
            { class: "scroll" },
            el(
              "span",
              { class: "caption" },
              sample.group === null ? "" : `${group} ${sample.group} `,
              sample.right ? "✓" : "✕",
            ),
            el(
              "table",
              {},
              el(
                "tbody",
                {},
                sample.lines.map((line) =>
                  el(
                    "tr",
                    { class: line.name },
                    el("th", { scope: "row" }, line.name),
                    line.number
                      ? el(
                          "td",
                          { class: line.wrong.some(Boolean) ? "number mistaken" : "number" },
                          line.number,
                        )
                      : null,
                    line.symbols.map((symbol, i) =>
                      el("td", { class: line.wrong[i] ? "wrong" : null }, symbol),
                    ),
                  ),
                ),
              ),
            ),
          ),
        ),
      ),
    ),
  };
}
