// Viridis, which keeps its order for color-blind readers and in gray print; its stops come with
// the document.

/** @type {(share: number) => Channels} */
const viridis = (share) => between(doc.colors, share);

/**
 * @param {Array<Channels>} colors
 * @param {number} share
 */
function between(colors, share) {
  const place = Math.min(Math.max(share, 0), 1) * (colors.length - 1);
  const low = Math.min(Math.floor(place), colors.length - 2);
  return colors[low].map((c, i) => Math.round(c + (place - low) * (colors[low + 1][i] - c)));
}

// Plasma without its ends, for lines: an order of its own, so that no line looks like a cell.
const PLASMA = ["#5302a3", "#7e03a8", "#a82296", "#cb4679", "#e56b5d", "#f89441", "#fdc328"].map(
  (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);

/** @type {(share: number) => Channels} */
const plasma = (share) => between(PLASMA, share);

/** @type {(rgb: Channels) => string} */
const css = (rgb) => `rgb(${rgb.join(",")})`;

/** @param {Channels} rgb */
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => {
    const share = c / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// Black or white: the better of the two has a contrast of 4.58 or more on every color.
/** @param {Channels} rgb */
function inkOn(rgb) {
  const light = luminance(rgb);
  return 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 ? "#fff" : "#000";
}

// Brown below zero, blue-green above: of differences.
const BROWN_BLUE = [
  "#8c510a",
  "#d8b365",
  "#f6e8c3",
  "#f5f5f5",
  "#c7eae5",
  "#5ab4ac",
  "#01665e",
].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));

/**
 * As far to both sides of zero as the numbers go.
 * @param {Array<number>} numbers
 * @returns {ColorScale}
 */
function gapScale(numbers) {
  const high = most(numbers.map(Math.abs));
  /** @type {(v: number) => number} */
  const share = (v) => (high > 0 ? (v / high + 1) / 2 : 0.5);
  /** @type {(share: number) => Channels} */
  const ramp = (part) => between(BROWN_BLUE, part);
  return {
    ...{ low: numbers.length ? -high : Infinity, high, share, ramp },
    at: (part) => high * (2 * part - 1),
    color: (v) => ramp(share(v)),
  };
}

// What a metric's values are colored by. "fine" spends most colors near the best value.
/**
 * @param {Array<?number>} values
 * @param {ShownMetric} metric
 * @param {string} shading
 * @returns {ColorScale}
 */
function scaleOf(values, metric, shading) {
  const numbers = values.filter(known);
  if (metric.isGap) return gapScale(numbers);
  const wide = metric.unit !== "fraction" && spreadOf(numbers) > 30;
  // Zeros are colored as the smallest number above them.
  const low = least(wide ? above(numbers) : numbers),
    high = most(numbers);
  const margin = (high - low) / 50 || 1;
  /** @type {(v: number) => number} */
  let bend = (v) => v;
  if (shading === "fine" && metric.better === "higher") bend = (v) => -Math.log(high - v + margin);
  else if (shading === "fine" && metric.better === "lower")
    bend = (v) => Math.log(Math.max(v, low) - low + margin);
  else if (wide) bend = (v) => Math.log(Math.max(v, low));
  const flip = metric.better === "lower";
  /** @type {(v: number) => number} */
  const share = (v) => {
    if (high === low) return flip ? 0 : 1;
    const part = (bend(v) - bend(low)) / (bend(high) - bend(low));
    return flip ? 1 - part : part;
  };
  const log = wide && shading !== "fine";
  /** @type {(part: number) => number} */
  const at = (part) => (log ? low * (high / low) ** part : low + (high - low) * part);
  return { low, high, share, at, ramp: viridis, color: (v) => viridis(share(v)) };
}
