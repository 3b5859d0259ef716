"""The landscape seen otherwise: contours, slices, all axes, differences, and a filter."""

import pytest
from looking import Open

pytestmark = pytest.mark.slow


def sifted(page, label: str, value: str) -> None:  # type: ignore[no-untyped-def]
    """Sets a field or menu of the difference and the filter."""
    details = page.tab.locator("#controls .sift")
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    field = details.get_by_label(label, exact=True)
    if field.evaluate("(node) => node.tagName") == "SELECT":
        field.select_option(label=value)
    else:
        field.fill(value)
        field.press("Tab")


def test_slices_stand_side_by_side_by_any_axis(visit: Open) -> None:
    page = visit("four axes")
    page.choose("As", "panels")
    names = "[...document.querySelectorAll('#map figcaption')].map((n) => n.textContent)"
    optimizers, cells = ("adam", "sgd"), ("rnn", "lstm")
    assert page.run(names) == [f"optimizer={o}, cell={c}" for o in optimizers for c in cells]
    texts = "[...document.querySelectorAll('#map .chart')].map((c) => c.data[0].text.flat())"
    assert [len(of_panel) for of_panel in page.run(texts)] == [6, 6, 6, 6]
    page.choose("A map for each", "0")
    assert page.run(names) == ["optimizer=adam", "optimizer=sgd"]
    page.run(
        "[...document.querySelectorAll('#map .chart')][1]"
        ".emit('plotly_click', {points: [{x: 2, y: 1}]})"
    )
    assert "optimizer=sgd, cell=rnn, hidden_size=32, learning_rate=0.1" in page.text("#cell-title")
    page.tab.reload()  # the address keeps it
    assert page.run(names) == ["optimizer=adam", "optimizer=sgd"]


def test_all_axes_at_once_have_a_line_a_cell(visit: Open) -> None:
    page = visit("four axes")
    page.choose("As", "parallel")
    lines = page.run("document.querySelector('#map .chart').data")
    cells = {cell for line in lines for cell in line["customdata"]}
    assert cells == set(range(24))
    heights = [y for line in lines for y in line["y"] if y is not None]
    assert 0 <= min(heights) <= max(heights) <= 1
    page.run(
        "document.querySelector('#map .chart').emit('plotly_click', {points: [{customdata: 7}]})"
    )
    chosen = page.run("document.querySelector('#map .chart').data.at(-1).customdata")
    page.tab.locator("#map .data summary").click()
    page.until("document.querySelectorAll('#map .data tbody tr').length === 24")
    assert "cell=lstm" in page.text("#cell-title")
    assert len(set(chosen)) == 1


def test_contours_have_labels_in_the_unit_shown(visit: Open) -> None:
    page = visit()
    page.choose("As", "contour")
    kinds = page.run("document.querySelector('#map .chart').data.map((t) => t.type ?? t.mode)")
    assert kinds.count("contour") == 2
    z = page.run("document.querySelector('#map .chart').data.find((t) => t.type === 'contour').z")
    assert 90 < max(v for row in z for v in row if v is not None) <= 100  # percent
    assert "Between cells, contours are drawn, not trained." in page.text("#map-notes")
    categories = visit("categories")
    assert categories.tab.locator("#controls option[value=contour]").count() == 0


def test_a_difference_is_paired_and_told(visit: Open) -> None:
    page = visit()
    metric = page.run("JSON.parse(results.textContent).metrics[0]")
    page.cell(0, 3).click()
    sifted(page, "Minus", "the chosen cell")
    # Cell 9 has the same rate at twice the width: paired by replicate.
    pairs = [100 * (a - b) for a, b in zip(metric["each"][9], metric["each"][3], strict=True)]
    mean = sum(pairs) / 3
    spread = (sum((p - mean) ** 2 for p in pairs) / 2) ** 0.5
    half = 4.302652729 * spread / 3**0.5  # Student's t of two degrees of freedom
    value, interval = page.cell(1, 3).inner_text().split()
    assert float(value.replace("\u2212", "-").replace("+", "")) == pytest.approx(mean, abs=0.051)
    assert float(interval[1:]) == pytest.approx(half, abs=0.051)
    assert page.cell(0, 3).inner_text().split()[0] == "0.0"
    assert "by seed" in page.text("#map-notes")
    page.cell(2, 2).click()  # what it is compared with stays
    assert page.cell(0, 3).inner_text().split()[0] == "0.0"
    sifted(page, "Minus", "learning_rate=0.01")
    assert page.cell(1, 3).inner_text().split()[0] == "0.0"
    assert page.cell(2, 5).inner_text() == "div."
    page.tab.reload()
    assert "minus learning_rate=0.01" in page.text("#map-key")


def test_one_filter_acts_on_every_view(visit: Open) -> None:
    page = visit()
    lines = "document.querySelectorAll('#curves .chart').length"
    cost = "document.querySelector('#cost .chart').data[1].customdata.length"
    before = page.run(lines), page.run(cost)
    sifted(page, "test accuracy from", "90")
    told = page.text("#map-notes")
    n = int(told.split()[0])
    assert told.startswith(f"{n} of 24 cells pass the filter")
    assert page.tab.locator(".landscape .is-out").count() == 24 - n
    assert page.run(cost) == n < before[1]
    assert page.run(lines) < before[0]
    page.choose("Show", "1")  # the filter stays one of accuracy
    assert page.tab.locator("#controls .sift").get_by_label("test accuracy from").count() == 1
    page.tab.reload()
    assert page.text("#map-notes") == told
    page.choose("As", "parallel")
    cells = page.run("document.querySelector('#map .chart').data.flatMap((t) => t.customdata)")
    assert len(set(cells)) == n
    page.tab.get_by_role("button", name="show all").click()
    assert page.text("#map-notes") == ""
    sifted(page, "Only", "diverged")
    page.choose("As", "map")
    assert page.tab.locator(".landscape .cell:not(.is-out)").count() == 2


def test_further_axes_are_fixed_and_told(visit: Open) -> None:
    page = visit("four axes")
    assert page.text("#map-notes").startswith("At optimizer=adam, cell=rnn. No axis is averaged")


def test_chance_is_marked_on_the_colors(visit: Open) -> None:
    page = visit("reduced")
    assert page.tab.locator("#map-key .chance").count() == 0  # nobody told it
    page = visit("guessed")
    assert page.text("#map-key .chance") == "chance 20.0"
    left, width = page.run(
        "(() => { const [m, r] = ['.chance', '.ramp'].map((s) => document.querySelector('#map-key '"
        " + s).getBoundingClientRect()); return [m.left - r.left, r.width]; })()"
    )
    low, high = (float(t) for t in page.text("#map-key .ramp-ticks").split()[::4])
    assert left / width == pytest.approx((20 - low) / (high - low), abs=0.01)


def test_numbers_have_room_or_are_left_out(visit: Open) -> None:
    page = visit("twenty rates")
    overlaps = """(() => {
      const boxes = [...document.querySelectorAll('.landscape .value, .landscape thead th')]
        .filter((n) => n.offsetWidth && n.textContent).map((n) => {
          const range = document.createRange(); range.selectNodeContents(n);
          return range.getBoundingClientRect(); });
      return boxes.filter((a, i) => boxes.some((b, k) => k > i && a.left < b.right - 0.5 &&
        b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5)).length;
    })()"""
    for width in (1400, 900, 390):
        page.tab.set_viewport_size({"width": width, "height": 800})
        page.tab.wait_for_timeout(200)
        assert page.run(overlaps) == 0, width


def test_studies_side_by_side_open_with_their_difference(visit: Open) -> None:
    page = visit("beside")
    assert "minus study=a" in page.text("#map-key")
    assert "study=b" in page.text("#cell-title")
    assert page.cell(0, 3).inner_text().startswith("\u2212")
    section = page.text("#beside")
    assert "b against a" in section
    assert "shown to be better in 0, worse in 1" in section
    rows = page.tab.locator("#beside table tr").all()[:2]
    cells = [row.inner_text().split("\t") for row in rows]
    assert cells == [["Setting", "a", "b"], ["updates", "100", "60"]]
    page.tab.locator("#beside button", has_text="hidden_size=16").click()
    assert "study=b, hidden_size=16, learning_rate=0.01" in page.text("#cell-title")


@pytest.mark.parametrize(
    "view", ["contour", "panels", "parallel", "parallel&minus=0", "map&minus=0"]
)
def test_without_any_number_every_view_is_empty(visit: Open, view: str) -> None:
    page = visit("nothing yet", f"#view={view}")
    assert page.run("document.querySelectorAll('#map *').length") > 0
    page.run("document.querySelectorAll('#map .chart').length")  # builds them
    assert "NaN" not in page.text("#landscape")


def test_a_rate_that_changes_is_drawn(visit: Open) -> None:
    page = visit("schedules")
    page.cell(1, 1).click()
    line = page.run("document.querySelector('#cell .rate .chart').data[0]")
    assert line["y"][0] == 0  # the warm-up
    assert max(line["y"]) == pytest.approx(0.1, rel=0.01)
    assert line["y"][-1] < 0.001
    assert "cosine" in page.text("#cell .rate")
    assert visit().tab.locator("#cell .rate").count() == 0
