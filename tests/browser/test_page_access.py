"""The page by the rules of WCAG 2, as axe-core reads them."""

from pathlib import Path

import pytest
from looking import Open

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
FOUND = """
async () => {
  const { violations } = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] });
  return violations.flatMap(({ id, nodes }) =>
    nodes.slice(0, 5).map((node) => `${id}: ${node.target.join(" ")}: ${node.html.slice(0, 120)}`));
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("study", ""),
        ("study", "#view=contour&only=finished&minus=cell"),
        ("four axes", ""),
        ("four axes", "#view=panels&minus=0"),
        ("four axes", "#view=parallel&from=0.9"),
    ],
)
def test_no_rule_of_access_is_broken(visit: Open, name: str, view: str, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm ci")
    page = visit(name, view, color_scheme=scheme)
    page.run("document.querySelectorAll('.chart').length")  # builds the charts
    page.tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert page.tab.evaluate(FOUND) == []
