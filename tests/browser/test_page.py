"""The page in a browser: every chart and table, by mouse and by keyboard."""

import re
from pathlib import Path

import pytest
from looking import PAINTED, TRACES, Open, contrast, data_of
from pages import HOSTILE, LANDSCAPES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", [name for name in LANDSCAPES if name != "predict"])
def test_every_kind_of_study_opens_and_fits(visit: Open, name: str) -> None:
    page = visit(name)
    page.tab.locator(".landscape [data-cell], .picture svg").first.wait_for()
    for word in ("undefined", "NaN", "null"):
        assert word not in page.text("body")
    for width in (1400, 700, 380):
        page.tab.set_viewport_size({"width": width, "height": 800})
        assert page.run("document.documentElement.scrollWidth") <= width


def test_hover_shows_interval_and_every_replicate(visit: Open) -> None:
    page = visit()
    page.cell(3, 4).hover()
    tip = page.text("#tip")
    assert "hidden_size=128, learning_rate=0.1" in tip
    assert "diverged at update 150" in tip
    assert "2 finished, 1 diverged" in tip
    assert page.tab.locator("#tip li").count() == 3
    assert "1 of 3 replicates: loss not finite at update 150" in tip
    assert "Learns in 2 of 3, 9 to 99 %." in tip
    assert "62." in tip
    assert "%)" not in tip  # of two replicates no interval
    page.cell(0, 3).hover()
    assert " to " in page.text("#tip")
    page.tab.mouse.move(2, 2)
    page.tab.locator("#tip").wait_for(state="hidden")


def test_click_shows_curves_and_facts(visit: Open) -> None:
    page = visit()
    page.cell(1, 2).click()
    panel = page.text("#cell")
    assert "hidden_size=32, learning_rate=0.001" in panel
    assert "gridscape replay runs/it --cell hidden_size=32,learning_rate=0.001" in panel
    assert "4,416" in panel  # parameters: 4 H^2 + 10 H
    curves = page.run("[...document.querySelectorAll('#cell .chart')].map((c) => c.data.length)")
    # Two curves a panel, each with two edges of a band, three replicates and a mean.
    assert curves == [12, 12]
    page.tab.locator("#cell .more summary").click()
    assert page.tab.locator("#cell .more tbody tr").count() == 3
    assert len(page.tab.locator("#cell .more tbody code").first.get_attribute("title")) == 32


def test_the_command_can_be_copied(visit: Open) -> None:
    page = visit()
    page.tab.get_by_role("button", name="Copy").click()
    said = page.tab.locator("#cell .command button")
    said.filter(has_text=re.compile("Copied|Selected")).wait_for()  # by what the browser allows
    assert page.run("getSelection().toString()").startswith("gridscape replay runs/it --cell")


def test_a_cell_whose_curves_are_left_out_says_so(visit: Open) -> None:
    page = visit("few curves")
    page.cell(1, 2).click()
    assert "Curves of this cell are left out of this page." in page.text("#cell")
    page.cell(2, 0).click()
    assert "No curves are stored for this cell." in page.text("#cell")  # it has not trained


def test_curves_of_one_replicate_have_no_band(visit: Open) -> None:
    page = visit("one replicate")
    filled = page.run(f"{TRACES}.filter((trace) => trace.fill).length")
    assert filled == 0
    assert "no interval" in page.text("#cell")
    assert page.tab.locator(".landscape .spread").count() == 0


def test_the_keyboard_walks_and_chooses(visit: Open) -> None:
    page = visit()
    page.cell(3, 3).focus()
    for key in ("ArrowUp", "ArrowLeft"):
        page.tab.keyboard.press(key)
    active = "document.activeElement.dataset"
    assert page.run(f"[{active}.row, {active}.column]") == ["2", "2"]
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert "learning_rate=0.001" in page.text("#tip")
    page.tab.keyboard.press("Enter")
    assert "hidden_size=64, learning_rate=0.001" in page.text("#cell-title")
    assert page.run(f"[{active}.row, {active}.column]") == ["2", "2"]
    assert page.tab.locator('.landscape [aria-selected="true"]').count() == 1
    for key, column in (("End", "5"), ("ArrowRight", "5"), ("Home", "0"), ("ArrowLeft", "0")):
        page.tab.keyboard.press(key)
        assert page.run(f"{active}.column") == column
    page.tab.keyboard.press("Escape")
    assert page.tab.locator("#tip").is_hidden()


def test_one_tab_stop_leads_into_the_landscape(visit: Open) -> None:
    page = visit()
    assert page.tab.locator('.landscape [tabindex="0"]').count() == 1
    page.choose("Rows", "1")
    assert page.tab.locator('.landscape [tabindex="0"]').count() == 1


def test_metrics_and_axes_can_be_chosen(visit: Open) -> None:
    page = visit("four axes")
    assert (
        page.tab.locator("#controls > .choice select").count() == 7
    )  # show, as, rows, columns, two fixed, scale
    before = page.text(".landscape tbody tr:nth-child(1)")
    page.choose("optimizer", "1")
    assert page.text(".landscape tbody tr:nth-child(1)") != before
    assert "optimizer=sgd" in page.text("#cell-title")
    page.choose("Rows", "0")
    assert page.text(".landscape tbody tr:nth-child(1) th") == "adam"
    page.choose("Columns", "0")  # taken by the rows: the two swap
    assert page.text(".landscape thead .axis-name") == "optimizer"
    page.choose("Show", "6")
    assert "seconds per trial" in page.text("#map-key")


def test_the_scale_can_be_finer_near_the_best(visit: Open) -> None:
    page = visit()
    color = "(cell) => getComputedStyle(cell).backgroundColor"
    before = page.cell(0, 3).evaluate(color)
    page.choose("Scale", "fine")
    assert page.cell(0, 3).evaluate(color) != before
    assert page.run("document.querySelector('#best .chart').layout.yaxis.type") == "log"


def test_what_went_wrong_is_seen_and_said(visit: Open) -> None:
    page = visit()
    cells = {"finished": (0, 0), "collapsed": (0, 5), "diverged": (2, 5), "failed": (3, 0)}
    pattern = "(cell) => getComputedStyle(cell).backgroundImage"
    patterns = {name: page.cell(*at).evaluate(pattern) for name, at in cells.items()}
    assert patterns["finished"] == "none"
    assert len(set(patterns.values())) == 4
    border = page.cell(2, 0).evaluate("(cell) => getComputedStyle(cell).borderStyle")
    assert border == "dashed"  # not trained yet
    for name in ("collapsed", "diverged", "failed", "not trained yet"):
        assert name in page.text("#map-key")
    assert "diverged" in page.cell(2, 5).get_attribute("aria-label")
    assert "2/3" in page.cell(3, 4).inner_text()
    page.cell(3, 0).click()
    page.tab.locator("#cell .more summary").click()
    assert "failed: a stated reason" in page.text("#cell .more")


def test_maps_of_runs_that_learn_and_the_edge_row_by_row(visit: Open) -> None:
    page = visit()
    names = [metric["name"] for metric in page.run("JSON.parse(results.textContent).metrics")]
    page.choose("Show", str(names.index("learns")))
    assert "66.7\n2 of 3" in page.cell(3, 4).inner_text()
    assert page.text("#map-key .ramp-ticks").split() == ["0.0", "25.0", "50.0", "75.0", "100.0"]
    assert "edge of learning: up to here runs reach" in page.text("#map-key")
    lines = page.tab.locator("#map .edge-line.across")
    assert lines.count() == 2  # two rows lack trials that would tell
    page.choose("Rows", "1")
    assert page.tab.locator("#map .edge-line.down").count() == 2


def test_charts_have_log_axes_where_the_study_has(visit: Open) -> None:
    page = visit()
    charts = "[...document.querySelectorAll('#best .chart')]"
    axes = page.run(f"{charts}.map((c) => [c.layout.xaxis.type, c.layout.yaxis.type])")
    assert axes == [["log", "linear"], ["log", "log"]]
    ticks = page.run("document.querySelector('#best .chart').layout.xaxis.ticktext")
    assert ticks == ["1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]


def test_a_point_of_a_chart_chooses_its_cell(visit: Open) -> None:
    page = visit()
    page.run(
        "document.querySelector('#cost .chart').emit('plotly_click', {points: [{customdata: 7}]})"
    )
    assert "hidden_size=32, learning_rate=0.0001" in page.text("#cell-title")


def test_every_chart_has_its_numbers_as_a_table(visit: Open) -> None:
    page = visit()
    charts, tables = page.tab.locator(".chart"), page.tab.locator("figure details.data")
    assert charts.count() == tables.count() == 11
    for i in range(tables.count()):
        tables.nth(i).locator("summary").click()
        tables.nth(i).locator("tbody tr").first.wait_for()
    page.tab.locator("#cost .data button").first.click()
    assert "hidden_size=16" in page.text("#cell-title")
    assert all(chart.get_attribute("aria-label") for chart in charts.all())


@pytest.mark.parametrize("kind", ["svg", "png"])
@pytest.mark.parametrize("where", ["#map-key", "#cost"])
def test_maps_and_charts_are_saved_as_files(visit: Open, where: str, kind: str) -> None:
    page = visit()
    with page.tab.expect_download() as download:
        page.tab.locator(f"{where} .save button", has_text=kind.upper()).click()
    content = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename.endswith(f".{kind}")
    beginning = {"svg": b"<svg", "png": b"\x89PNG"}[kind]
    assert content.startswith(beginning)
    assert len(content) > 5000
    if (where, kind) == ("#map-key", "svg"):  # the number of a cell is text
        best = page.tab.locator(".landscape .is-best .value").first.inner_text()
        assert f">{best}<" in content.decode()


def test_the_curves_of_all_cells_stand_side_by_side(visit: Open) -> None:
    page = visit()
    # 24 cells, of which one was not trained and another one failed: a panel for each rate.
    panels = data_of(page, "curves")
    assert [len(panel) for panel in panels] == [3, 4, 4, 4, 4, 4]
    names = page.tab.locator("#curves figcaption .name").all_inner_texts()
    assert names == [f"learning_rate={v}" for v in ("1e-05", "0.0001", "0.001", "0.01", "0.1", "1")]
    ranges = page.run(
        "[...document.querySelectorAll('#curves .chart')].map((c) => c.layout.yaxis.range.join())"
    )
    assert len(set(ranges)) == 1  # all on one scale
    key = page.text("#curves .family-key")
    assert [word for word in ("16", "32", "64", "128") if word in key] == ["16", "32", "64", "128"]


def test_curve_color_and_style_can_be_chosen(visit: Open) -> None:
    page = visit()
    controls = page.tab.locator("#curves .controls")
    controls.get_by_label("Curve", exact=True).select_option(label="train loss")
    assert page.run("document.querySelector('#curves .chart').getAttribute('aria-label')") == (
        "train loss by update learning_rate=1e-05"
    )
    controls.get_by_label("Color", exact=True).select_option(label="learning_rate")
    controls.get_by_label("Line style", exact=True).select_option(label="hidden_size")
    (lines,) = data_of(page, "curves")
    assert {line["line"]["dash"] for line in lines} == {"solid", "dash", "dot", "dashdot"}
    assert len({line["line"]["color"] for line in lines}) == 6
    page.tab.reload()  # the choice is kept in the address
    assert len(data_of(page, "curves")) == 1


def test_a_line_leads_to_its_cell(visit: Open) -> None:
    page = visit()
    page.run(
        "document.querySelector('#curves .chart').emit('plotly_click', {points: [{customdata: 7}]})"
    )
    assert "hidden_size=32, learning_rate=0.0001" in page.text("#cell-title")


def test_accuracy_by_length_has_a_line_a_cell_and_marks_chance(visit: Open) -> None:
    page = visit("by length")
    (lines,) = data_of(page, "kinds")
    assert len(lines) == 6
    assert lines[0]["x"] == [3, 4, 5, 6]
    first, *_, last = lines[0]["y"]
    assert last / first == pytest.approx(0.7, abs=0.001)
    layout = "document.querySelector('#kinds .chart').layout"
    assert page.run(f"{layout}.shapes.map((s) => s.y0)") == [10]  # percent
    assert page.run(f"{layout}.annotations[0].text") == "chance"
    page.tab.locator("#kinds .controls").get_by_label("Show").select_option(label="test loss")
    assert page.run(f"{layout}.shapes") == []
    assert "By length" in page.text("#contents")


def test_a_metric_that_is_no_fraction_is_read_on_log_scales(visit: Open) -> None:
    page = visit("distances")
    text = page.text("body")
    assert "test distance" in page.text(".lede")
    assert "points of the best" not in text
    assert "%" not in page.text("#map")
    types = page.run(
        "[...document.querySelectorAll('#best .chart')].map((c) => c.layout.yaxis.type)"
    )
    assert types[0] == "log"
    fills = [
        page.cell(0, column).evaluate("(c) => c.style.getPropertyValue('--fill')")
        for column in range(4)
    ]
    assert len(set(fills)) == 4  # not all but one of the same color
    assert "is-best" in page.cell(0, 0).get_attribute("class")  # the lowest


def test_many_cells_of_text_axes_are_told_apart(visit: Open) -> None:
    page = visit("text axes")
    panels = data_of(page, "curves")
    assert sum(map(len, panels)) == 96
    names = page.tab.locator("#curves figcaption .name").all_inner_texts()
    assert "layers=a layer with a long name, bidirectional=True" in names
    for panel in panels:
        told = [(line["line"]["color"], line["line"]["dash"]) for line in panel]
        assert len(set(told)) == len(told)


def test_a_map_of_many_cells_is_a_picture_with_tips_and_keys(visit: Open) -> None:
    page = visit("a picture")
    assert page.run("document.getElementById('results').dataset.packed") == "gzip"
    page.tab.locator("#map .picture svg").first.wait_for()
    assert page.tab.locator(".landscape [data-cell]").count() == 0
    picture = page.tab.locator("#map .picture")
    picture.scroll_into_view_if_needed()
    middle = "document.querySelector('.picture .nsewdrag').getBoundingClientRect()"
    box = page.run(f"(({{x, y, width, height}}) => [x, y, width, height])({middle})")
    x, y = box[0] + box[2] * 30.5 / 60, box[1] + box[3] * 20.5 / 60
    page.tab.mouse.move(x, y)
    page.tab.locator("#tip:not([hidden])").wait_for()
    assert "hidden_size=168, learning_rate=" in page.text("#tip")
    page.tab.mouse.click(x, y)
    page.tab.locator("#cell-title", has_text="hidden_size=168,").wait_for()
    picture.focus()
    page.tab.keyboard.press("ArrowDown")
    page.tab.locator("#cell-title", has_text="hidden_size=176,").wait_for()
    (frame,) = page.run("document.querySelector('.picture').layout.shapes")
    assert (frame["y0"] + frame["y1"]) / 2 == 21
    assert "diverged" in page.text("#map-key")
    assert "1,683 of 3,360 cells are drawn" in page.text("#cost")


@pytest.mark.parametrize("name", ["study", "a picture"])
def test_charts_are_built_when_they_come_into_view(visit: Open, name: str) -> None:
    page = visit(name)
    page.tab.locator("#cell .chart svg").first.wait_for()
    built = "Boolean(document.querySelector('#cost .chart').data)"
    assert not page.tab.evaluate(built)
    height = "document.querySelector('#cost .chart').clientHeight"
    before = page.tab.evaluate(height)
    page.tab.locator("#cost .chart").scroll_into_view_if_needed()
    page.until(built)
    assert page.run(height) == before  # its room was kept


def test_a_choice_moves_in_the_map_that_stays(visit: Open) -> None:
    page = visit()
    page.run("document.querySelector('.landscape').dataset.seen = 'yes'")
    page.cell(1, 2).click()
    assert page.run("document.querySelector('.landscape').dataset.seen") == "yes"
    chosen = page.tab.locator(".landscape .is-selected")
    assert chosen.count() == 1
    assert chosen.get_attribute("aria-selected") == "true"
    assert page.tab.locator('.landscape [tabindex="0"]').count() == 1


def test_networks_show_their_pictures_and_load_nothing(visit: Open) -> None:
    page = visit("networks")
    shown = page.text("#networks")
    assert HOSTILE in shown  # a note
    for words in ("2 of 40 test examples", "map 2 silent", "true 1"):
        assert words in shown
    pictures = page.tab.locator("#networks img")
    assert pictures.count() == 9 + 4 + 3
    loaded = "(pictures) => pictures.every((i) => i.complete && i.naturalWidth > 0)"
    assert pictures.evaluate_all(loaded)
    assert all(picture.get_attribute("alt") for picture in pictures.all())
    assert page.tab.locator("#networks .confusion td[style]").count() == 4
    assert page.tab.locator("#networks .samples td.wrong").all_inner_texts() == ["1"]
    assert page.tab.locator("#networks .chart").count() == 4
    page.tab.locator("#networks").get_by_label("Network", exact=True).select_option("1")
    assert "hidden_size=32, learning_rate=0.01" in page.text("#networks .note")
    assert page.run("window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_networks_can_be_read_in_light_and_dark(visit: Open, scheme: str) -> None:
    page = visit("networks", color_scheme=scheme)
    cells = page.tab.locator("#networks .confusion td[style], #networks .samples td.wrong")
    pairs = cells.evaluate_all(PAINTED)
    assert len(pairs) >= 5
    assert min(contrast(*pair) for pair in pairs) >= 4.5


def test_cost_can_be_chosen(visit: Open) -> None:
    page = visit()
    page.tab.locator("#cost select").select_option("n_parameters")
    found = page.run("document.querySelector('#cost .chart').data[1].x")
    assert min(found) == 1184  # 4 H^2 + 10 H at H = 16
    assert "smallest network" in page.text("#cost")


def test_published_tables_and_claims(visit: Open) -> None:
    page = visit()
    assert page.tab.locator("#published table").count() == 2
    assert page.tab.locator("#published .agree.outside").count() > 1
    assert "not run" in page.text("#published")
    assert page.tab.locator("#claims .claim").count() == 9
    first = page.text("#claims .claim")
    assert "Rule:" in first
    assert "asked for" in first
    page.tab.locator("#claims summary").first.click()
    assert page.tab.locator("#claims .claim table tbody tr").first.is_visible()
