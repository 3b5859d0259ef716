// Numbers as a reader writes them. An accuracy is a percent with one decimal everywhere.

/**
 * @param {unknown} value
 * @returns {value is number}
 */
const known = (value) => typeof value === "number" && Number.isFinite(value);

const NONE = "–";

const SI = ["", "k", "M", "G", "T", "P", "E"];

// Decimals as Python rounds them, ties to even: 97.25 is 97.2 here and in the terminal.
/**
 * @param {number} value
 * @param {number} decimals
 */
function fixed(value, decimals) {
  const nearest = value.toFixed(decimals),
    exact = value.toFixed(decimals + 30),
    below = exact.slice(0, -30).replace(/\.$/, "");
  return /50{29}$/.test(exact) && /[02468]$/.test(below) ? below : nearest;
}

/** @type {(text: string) => string} */
const withoutZeros = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

// Three digits that count; an exponent only where zeros would hide them. As meanings.digits.
/** @param {Maybe} value */
function digits(value) {
  if (!known(value)) return NONE;
  const [mantissa, power] = value.toExponential(2).split("e");
  if (-5 < Number(power) && Number(power) < 6)
    return withoutZeros(fixed(value, Math.max(0, 2 - Number(power))));
  return `${withoutZeros(mantissa)} × 10${superscript(String(Number(power)))}`;
}

// Two digits that count, never an exponent. As words.number.
/** @param {Maybe} value */
function number(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  if (Math.abs(value) < 0.001) return "<0.001";
  if (Math.abs(value) >= 99.5) return grouped(value);
  const power = Number(value.toExponential(1).split("e")[1]);
  return withoutZeros(fixed(value, Math.max(0, 1 - power)));
}

/** @type {(value: number) => string} */
const grouped = (value) => fixed(value, 0).replace(/\B(?=(\d{3})+$)/g, ",");

/** @type {(text: string) => string} */
const superscript = (text) => [...text].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)] ?? "⁻").join("");

/**
 * @param {Maybe} value
 * @param {string} unit
 */
function si(value, unit) {
  if (!known(value)) return NONE;
  const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), SI.length - 1);
  return `${digits(value / 1000 ** step)} ${SI[step]}${unit}`.trim();
}

// A time as people say it. As words.duration.
/** @param {Maybe} seconds */
function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds >= 1.5 * 86400) return `${number(seconds / 86400)} days`;
  if (seconds >= 1.5 * 3600) return `${number(seconds / 3600)} h`;
  if (seconds >= 1.5 * 60) return `${number(seconds / 60)} min`;
  return `${fixed(seconds, seconds >= 0.95 ? 0 : 1)} s`;
}

// An amount of memory as people say it. As words.memory.
/** @param {Maybe} bytes */
function memory(bytes) {
  if (!known(bytes)) return NONE;
  const mega = bytes / 1e6;
  return mega < 999.5 ? `${number(mega)} MB` : `${number(mega / 1000)} GB`;
}

// plot: the number that a chart draws; short: without its unit; text: with it.
/** @type {Record<Unit, UnitWords>} */
const UNITS = {
  fraction: {
    axis: "%",
    plot: (v) => 100 * v,
    short: (v) => (known(v) ? fixed(100 * v, 1) : NONE),
    text: (v) => (known(v) ? `${fixed(100 * v, 1)} %` : NONE),
  },
  seconds: { axis: "s", plot: (v) => v, short: digits, text: duration },
  flops: { axis: "FLOP", plot: (v) => v, short: (v) => si(v, ""), text: (v) => si(v, "FLOP") },
  bytes: { axis: "bytes", plot: (v) => v, short: (v) => si(v, ""), text: memory },
  count: {
    axis: "",
    plot: (v) => v,
    short: (v) => si(v, ""),
    text: (v) => (known(v) ? grouped(v) : NONE),
  },
  number: { axis: "", plot: (v) => v, short: digits, text: digits },
};

/** @type {(name: Unit) => UnitWords} */
const unitOf = (name) => UNITS[name] ?? UNITS.number;

// Differences of a metric, with their sign.
/** @type {(unit: UnitWords) => UnitWords} */
const gapWords = (unit) => ({
  axis: unit === UNITS.fraction ? "points" : unit.axis,
  plot: unit.plot,
  short: (v) => gap(v, unit),
  text: (v) => gap(v, unit) + (known(v) ? gapUnit(unit) : ""),
});

/** @type {(metric: ShownMetric) => UnitWords} */
const wordsOf = ({ unit, isGap }) => (isGap ? gapWords(unitOf(unit)) : unitOf(unit));

// A metric behind its number: with its unit, where the number has none.
/** @type {(metric: MetricName | MetricData) => string} */
const behind = ({ unit, label, with_unit }) => (unit === "number" ? with_unit : label);

// "97.2 to 98.0", and what stands in its place where replicates are too few.
/**
 * @param {Maybe} low
 * @param {Maybe} high
 * @param {UnitWords} unit
 */
function interval(low, high, unit) {
  if (!known(low) || !known(high)) return "no interval";
  return `${unit.short(low)} to ${unit.text(high)}`;
}

/** @type {(value: Maybe) => string} */
const points = (value) => (known(value) ? signed(fixed(100 * value, 1)) : NONE);

// A difference with its sign: in points where the numbers are fractions.
/** @type {(value: Maybe, unit: UnitWords) => string} */
const gap = (value, unit) =>
  unit === UNITS.fraction ? points(value) : known(value) ? signed(digits(value)) : NONE;

/** @type {(unit: UnitWords) => string} */
const gapUnit = (unit) => (unit === UNITS.fraction ? " points" : "");

// A note of the analysis as a sentence.
/** @type {(text: string) => string} */
const sentence = (text) =>
  text && text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

/** @type {(text: string) => string} */
const signed = (text) => {
  if (!/[1-9]/.test(text)) return text.replace("-", ""); // nothing has no sign
  return text.startsWith("-") ? `−${text.slice(1)}` : `+${text}`;
};

/**
 * The larger of the two sides of an interval; half of it, where it is even.
 * @param {CellValue} found
 */
const reach = ({ mean, low, high }) =>
  known(mean) && known(low) && known(high) ? Math.max(mean - low, high - mean) : null;

// A sum; null where one of the two is not known.
/** @type {(a: Maybe, b: Maybe) => ?number} */
const plus = (a, b) => (known(a) && known(b) ? a + b : null);

/** @type {(count: number, word: string) => string} */
const plural = (count, word) => `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;

/** @param {string} iso */
function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? iso
    : date.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
}

/** @type {(name: string) => string} */
const spoken = (name) => name.replaceAll("_", " ");

// Words as a shell takes them: as Python's shlex.quote.
/** @type {(text: string) => string} */
const quoted = (text) =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
