// Numbers as a reader writes them. An accuracy is a percent with one decimal everywhere.

const known = (value) => typeof value === "number" && Number.isFinite(value);

const NONE = "–";

const SI = ["", "k", "M", "G", "T", "P", "E"];

function digits(value, count = 3) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= 6 || size < -4) return exponent(value, count - 2);
  return value.toFixed(Math.max(0, Math.min(count - 1 - size, 6)));
}

function exponent(value, decimals) {
  const [mantissa, power] = value.toExponential(Math.max(0, decimals)).split("e");
  return `${mantissa} × 10${superscript(String(Number(power)))}`;
}

const superscript = (text) => [...text].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");

function si(value, unit) {
  if (!known(value)) return NONE;
  const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), SI.length - 1);
  return `${digits(value / 1000 ** step)} ${SI[step]}${unit}`.trim();
}

function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 120) return `${digits(seconds, seconds < 10 ? 2 : 3)} s`;
  if (seconds < 7200) return `${digits(seconds / 60)} min`;
  return `${digits(seconds / 3600)} h`;
}

// plot: the number that a chart draws; short: without its unit; text: with it.
const UNITS = {
  fraction: {
    axis: "%",
    plot: (v) => 100 * v,
    short: (v) => (known(v) ? (100 * v).toFixed(1) : NONE),
    text: (v) => (known(v) ? `${(100 * v).toFixed(1)} %` : NONE),
  },
  seconds: { axis: "s", plot: (v) => v, short: (v) => digits(v, 2), text: duration },
  flops: { axis: "FLOP", plot: (v) => v, short: (v) => si(v, ""), text: (v) => si(v, "FLOP") },
  bytes: { axis: "bytes", plot: (v) => v, short: (v) => si(v, ""), text: (v) => si(v, "B") },
  count: {
    axis: "",
    plot: (v) => v,
    short: (v) => si(v, ""),
    text: (v) =>
      known(v) ? Math.round(v).toLocaleString("en-US").replaceAll(",", "\u202f") : NONE,
  },
  number: { axis: "", plot: (v) => v, short: (v) => digits(v), text: (v) => digits(v) },
};

const unitOf = (name) => UNITS[name] ?? UNITS.number;

// "97.2 to 98.0", and what stands in its place where replicates are too few.
function interval(low, high, unit) {
  if (!known(low) || !known(high)) return "no interval";
  return `${unit.short(low)} to ${unit.text(high)}`;
}

const points = (value) => (known(value) ? signed((100 * value).toFixed(1)) : NONE);

// A difference with its sign: in points where the numbers are fractions.
const gap = (value, unit) =>
  unit === UNITS.fraction ? points(value) : known(value) ? signed(digits(value)) : NONE;

const gapUnit = (unit) => (unit === UNITS.fraction ? " points" : "");

// A note of the analysis as a sentence.
const sentence = (text) =>
  text && text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

const signed = (text) => (text.startsWith("-") ? `−${text.slice(1)}` : `+${text}`);

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function when(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? iso
    : date.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
}

const spoken = (name) => name.replaceAll("_", " ");
