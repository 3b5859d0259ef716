"""Tables of the page as files."""

import csv
from pathlib import Path

import pytest
from looking import Open

pytestmark = pytest.mark.slow


def saved(page: object, where: str, kind: str) -> tuple[str, str]:
    """The name and the text of a table that is saved by its button."""
    with page.tab.expect_download() as download:
        page.tab.locator(f"{where} .save button", has_text=kind).first.click()
    return download.value.suggested_filename, Path(download.value.path()).read_text()


def test_the_landscape_is_saved_as_it_is_shown(visit: Open) -> None:
    page = visit()
    name, text = saved(page, "#map-key", "CSV")
    assert name.endswith(".csv")
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["hidden_size", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]
    assert [row[0] for row in rows[1:]] == ["16", "32", "64", "128"]
    assert rows[1][4].startswith(page.cell(0, 3).locator(".value").inner_text())
    assert rows[3][6] == "diverged"
    name, text = saved(page, "#map-key", "Markdown")
    assert name.endswith(".md")
    assert text.startswith("| hidden\\_size | 1e-05 |")
    assert text.splitlines()[1] == "|" + "|".join([" --- "] * 7) + "|"
    name, text = saved(page, "#map-key", "LaTeX")
    assert name.endswith(".tex")
    lines = text.splitlines()
    assert lines[0] == "\\begin{tabular}{lrrrrrr}"
    assert lines[2].startswith("hidden\\_size & 1e-05 &")
    assert "\\%)" in lines[4]
    assert lines[-1] == "\\end{tabular}"


def test_the_table_of_a_chart_is_saved_under_its_name(visit: Open) -> None:
    page = visit()
    page.tab.locator("#cost .data summary").click()
    name, text = saved(page, "#cost .data", "CSV")
    assert name == "test_accuracy_against_FLOP_of_training.csv"
    assert text.startswith("Cell,FLOP of training,test accuracy,Interval,On the front\n")
    assert '"hidden_size=16, learning_rate=' in text


def test_long_values_of_an_axis_are_short_in_heads(visit: Open) -> None:
    page = visit("long values")
    heads = page.tab.locator(".landscape thead th[title]")
    assert heads.all_inner_texts() == ["0.00478", "0.0309", "0.2"]
    assert heads.first.get_attribute("title") == "0.00478385"
    ticks = page.run("document.querySelector('#best .chart').layout.xaxis.ticktext")
    assert ticks == ["0.00478", "0.0309", "0.2"]


def test_the_replicates_of_a_cell_and_the_confusion_are_saved_too(visit: Open) -> None:
    page = visit()
    page.cell(1, 2).click()
    page.tab.locator("#cell .more summary").click()
    name, text = saved(page, "#cell .more", "CSV")
    assert name == "replicates_of_hidden_size=32_learning_rate=0.001.csv"
    assert text.startswith("Replicate,test accuracy,Ended,Key\n1,")
    assert len(text.splitlines()) == 1 + 3


def test_lines_are_told_apart_without_their_colors(visit: Open) -> None:
    page = visit()
    dashes = page.run("document.querySelector('#best .chart').data.map((t) => t.line.dash)")
    assert dashes == ["solid", "dash", "dot", "dashdot"]
