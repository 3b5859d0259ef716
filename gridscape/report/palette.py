"""The colors of cells, and what is legible on them: in the terminal, on the page, in figures."""

from collections.abc import Iterable

# Viridis at even steps: its order survives color blindness and gray print.
VIRIDIS = (
    (68, 1, 84),
    (72, 26, 108),
    (71, 47, 125),
    (65, 68, 135),
    (57, 86, 140),
    (49, 104, 142),
    (42, 120, 142),
    (35, 136, 142),
    (31, 152, 139),
    (34, 168, 132),
    (53, 183, 121),
    (84, 197, 104),
    (122, 209, 81),
    (165, 219, 54),
    (210, 226, 27),
    (253, 231, 37),
)


def viridis(share: float) -> tuple[int, int, int]:
    """The color at ``share`` in [0, 1], in 256 steps a channel."""
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    low = min(int(place), len(VIRIDIS) - 2)
    ends = zip(VIRIDIS[low], VIRIDIS[low + 1], strict=True)
    red, green, blue = (round(a + (place - low) * (b - a)) for a, b in ends)
    return red, green, blue


def ink_on(color: Iterable[float]) -> str:
    """White or black, whichever has the higher contrast on this color of channels in [0, 1]."""
    return "white" if luminance(color) < 0.179 else "black"


def luminance(color: Iterable[float]) -> float:
    """Relative luminance of an sRGB color, as WCAG defines it; a fourth channel does not count."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
