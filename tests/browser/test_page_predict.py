"""A page that is covered until its reader has predicted what it shows."""

import pytest
from looking import Open
from test_page_access import AXE, FOUND

pytestmark = pytest.mark.slow


def test_the_map_is_covered_until_it_is_predicted(visit: Open) -> None:
    page = visit("predict")
    for covered in ("#map", "#lede", "#story", "#counts", "#contents"):
        assert page.tab.locator(covered).is_hidden()
    works = page.run("JSON.parse(results.textContent).predict.works")
    marks = page.tab.locator(".guess button")
    assert marks.count() == len(works) == 24
    if AXE.exists():
        page.tab.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.tab.evaluate(FOUND) == []
    wrong = works.index(True)
    for index, does in enumerate(works):  # all right but one, by keyboard
        if does and index != wrong:
            marks.nth(index).press("Enter")
    assert page.tab.locator('.guess [aria-pressed="true"]').count() == sum(works) - 1
    best = page.run("JSON.parse(results.textContent).best.rows[0].index")
    page.tab.get_by_label("best at hidden_size=16").select_option(str(best))
    page.tab.get_by_label("How sure are you of a cell?").select_option("60")
    page.tab.get_by_role("button", name="Uncover").click()
    told = page.text("#predict")
    assert "You had 23 of 24 cells right (95.8 %): 1 work that you did not mark, 0 do not" in told
    assert "You were 60 % sure of a cell: you were right more often than you thought." in told
    assert "Of 1 best value that you named, 1 are best by their means" in told
    assert page.tab.locator(".landscape [data-cell]").count() == 24
    assert page.tab.locator("#story").is_visible()


def test_nothing_is_covered_before_a_run_has_ended(visit: Open) -> None:
    page = visit("predict nothing")
    assert page.tab.locator("#predict").is_hidden()
    assert page.tab.locator("#map").is_visible()
