// Copies the charts of the page from the npm package into gridscape/report/plotly, whence they are
// installed with Gridscape; with --check it fails where these are not the ones that
// package-lock.json names.
import { copyFileSync, readFileSync } from "node:fs";

const FROM = "node_modules/plotly.js-cartesian-dist-min/",
  TO = "gridscape/report/plotly/",
  FILES = ["plotly-cartesian.min.js", "LICENSE"];

if (!process.argv.includes("--check")) FILES.forEach((name) => copyFileSync(FROM + name, TO + name));
const stale = FILES.filter((name) => !readFileSync(FROM + name).equals(readFileSync(TO + name)));
if (stale.length) {
  console.error(`${TO}${stale.join(", ")}: not those of package-lock.json; run npm run charts`);
  process.exit(1);
}
