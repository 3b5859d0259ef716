"""The page in a browser: safe, legible, printable, and at home with any reader."""

import itertools
from typing import Any

import pytest
from looking import CONTRAST, Open, contrast
from pages import HOSTILE


def test_hostile_text_stays_text(visit: Open) -> None:
    page = visit("hostile")
    assert page.run("document.title") == HOSTILE
    assert page.text("h1") == HOSTILE
    page.cell(1, 0).click()
    page.tab.locator("#cell .more summary").click()
    assert HOSTILE in page.text("#cell .more")  # why it failed
    page.choose("Rows", "1")
    page.cell(1, 0).hover()
    assert HOSTILE in page.text("#tip")
    assert page.run("window.hacked") is None
    assert page.tab.locator("img").count() == 0
    assert page.tab.locator("body b", has_text="&").count() == 0


def test_the_policy_forbids_scripts_and_loads(visit: Open) -> None:
    page = visit()
    page.run(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          const image = document.createElement("img");
          image.setAttribute("onerror", "window.hacked = 1");
          image.src = "https://example.org/x.png";
          document.body.append(image);
          await fetch("https://example.org/").catch(() => null);
        }"""
    )
    assert page.run("window.hacked") is None
    assert len(page.complaints) >= 3
    assert all("Content Security Policy" in text or "Fetch" in text for text in page.complaints)
    page.expected_complaints = page.complaints
    page.requests = [page.address]  # the forbidden image is told of, though it is never sent


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(visit: Open, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    inks = ("ink", "muted", "accent", "good", "bad", "train", "test")
    pairs = [(ink, ground) for ink in inks for ground in ("paper", "raised", "sunk")]
    for ink, ground, first, second in page.tab.evaluate(CONTRAST, pairs):
        assert contrast(first, second) >= 4.5, (scheme, ink, ground)
    cells = page.run(
        """[...document.querySelectorAll(".landscape .cell .in")].map((text) => {
          const style = getComputedStyle(text);
          const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
          return [numbers(style.color), numbers(style.backgroundColor)];
        })"""
    )
    solid = [pair for pair in cells if len(pair[1]) == 3]
    assert len(solid) >= 20
    assert min(contrast(*pair) for pair in solid) >= 4.5


def test_dark_and_light_follow_the_system_and_the_button(visit: Open) -> None:
    page = visit(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelector('.chart').layout.font.color"
    dark, dark_ink = page.run(ground), page.run(ink)
    page.tab.emulate_media(color_scheme="light")
    page.until(f"{ink} !== '{dark_ink}'")  # charts are redrawn
    assert page.run(ground) != dark
    page.tab.locator("#theme").click()
    page.tab.locator("#theme").click()
    assert page.text("#theme") == "Dark"
    assert page.run(ground) == dark
    assert page.run(ink) == dark_ink


def test_print_is_light_expanded_and_whole(visit: Open) -> None:
    page = visit(color_scheme="dark")
    page.tab.emulate_media(media="print", color_scheme="dark")
    page.run("dispatchEvent(new Event('beforeprint'))")
    shut = "[...document.querySelectorAll('details:not([open])')].map((d) => d.className)"
    assert page.run(shut) == []
    assert page.run("getComputedStyle(document.body).colorScheme") == "light"
    assert page.run("document.querySelector('.chart').layout.font.color") == "rgb(27, 29, 33)"
    widest = page.run(
        "Math.max(...[...document.querySelectorAll('.chart')].map((c) => c.layout.width))"
    )
    assert widest <= page.run("document.body.clientWidth")
    assert page.run("document.body.clientWidth") <= 690  # A4 less its margins, in CSS pixels
    assert page.tab.locator(".controls").first.is_hidden()
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.tab.locator("details[open]").count() == 0


def test_it_prints(visit: Open) -> None:
    pdf = visit().tab.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    assert (
        pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") + pdf.count(b"/Type /Page ") >= 4
    )


def test_a_reload_keeps_the_view(visit: Open) -> None:
    page = visit()
    page.cell(1, 2).click()
    page.choose("Scale", "fine")
    page.tab.locator("#theme").click()
    page.tab.reload()
    assert "hidden_size=32, learning_rate=0.001" in page.text("#cell-title")
    assert page.tab.get_by_label("Scale").input_value() == "fine"
    assert page.text("#theme") == "Light"


def test_a_link_leads_to_a_cell(visit: Open) -> None:
    page = visit("study", "#cell=3&metric=test_loss&rows=1&columns=0&cost=seconds&theme=dark")
    assert "hidden_size=16, learning_rate=0.01" in page.text("#cell-title")
    assert "test loss" in page.text("#map-key")
    assert page.text("#theme") == "Dark"
    assert "against seconds" in page.text("#cost figcaption")
    assert page.text(".landscape thead .axis-name") == "hidden_size"


@pytest.mark.parametrize(
    "view",
    [
        "#cell=999&metric=x",
        "#cell=-1&rows=0&columns=0&%",
        "#view=panels&by=9&minus=7&against=999&only=x&sift=x&from=x&to=NaN",
    ],
)
def test_a_wrong_link_changes_nothing(visit: Open, view: str) -> None:
    page = visit("study", view)
    assert "hidden_size=16, learning_rate=0.1" in page.text("#cell-title")  # the best
    assert page.text(".landscape thead .axis-name") == "learning_rate"


def test_headings_landmarks_and_labels(visit: Open) -> None:
    page = visit()
    levels = page.run(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for landmark in ("header", "nav", "main", "aside", "footer"):
        assert page.tab.locator(landmark).count() == 1
    selects = "[...document.querySelectorAll('select')]"
    unlabeled = f"{selects}.filter((s) => !s.labels[0]?.textContent.trim()).length"
    assert page.run(unlabeled) == 0
    names = page.run(
        "[...document.querySelectorAll('section')].map((s) => s.getAttribute('aria-labelledby'))"
    )
    assert all(page.tab.locator(f"#{name}").count() == 1 for name in names)


def test_the_first_screen_shows_the_landscape(visit: Open) -> None:
    page = visit()
    for selector in (".landscape", "#map-key", ".curves"):
        box = page.tab.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 900, selector


def test_without_scripts_it_says_where_the_pictures_are(browser: Any, pages: Any) -> None:
    apart = browser.new_context(java_script_enabled=False)
    tab = apart.new_page()
    tab.goto(pages.path("study").as_uri())
    assert "figures" in tab.locator("noscript").inner_text()
    apart.close()
