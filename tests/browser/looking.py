"""What several tests of the page need: measures of what is painted."""

from collections.abc import Callable
from typing import Any

from pages import Visit

Open = Callable[..., Visit]


TRACES = "[...document.querySelectorAll('#cell .chart')].flatMap((chart) => chart.data)"


CONTRAST = """
(pairs) => {
  const probe = document.body.appendChild(document.createElement("span"));
  const channels = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  };
  return pairs.map(([a, b]) => [a, b, channels(a), channels(b)]);
}
"""


# Ink and ground of each cell as they are painted on the page.
PAINTED = """
(cells) => cells.map((cell) => {
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (color) => {
    for (const fill of [getComputedStyle(document.body).backgroundColor, color]) {
      brush.fillStyle = fill;
      brush.fillRect(0, 0, 1, 1);
    }
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const style = getComputedStyle(cell);
  return [painted(style.color), painted(style.backgroundColor)];
})
"""


def contrast(first: list[float], second: list[float]) -> float:
    """The contrast of two sRGB colors as WCAG 2 defines it, from 1 to 21."""

    def luminance(color: list[float]) -> float:
        shares = [c / 255 for c in color]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def data_of(page: Visit, section: str) -> list[list[dict[str, Any]]]:
    """The lines of every chart of a section, without the edges of bands."""
    charts = f"[...document.querySelectorAll('#{section} .chart')]"
    return page.run(f"{charts}.map((c) => c.data.filter((t) => t.hoverinfo === 'text'))")
