"""Real headless Chromium, and pages of synthetic landscapes. Skips where either is missing."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # synthetic landscapes

from pages import Pages, Visit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_SECONDS = 240  # a loaded machine is slow, not wrong
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium, with a new profile."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=PATIENCE_SECONDS * 1000
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The HTML files, each written when it is first asked for."""
    return Pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def visit(browser: Any, pages: Pages) -> Iterator[Callable[..., Visit]]:
    """Opens a page by name; at the end nothing may have been loaded or complained about."""
    screen = {"width": 1400, "height": 900}
    context = browser.new_context(viewport=screen, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    visits: list[Visit] = []

    def open_page(name: str = "study", view: str = "", **media: Any) -> Visit:
        visits.append(Visit(context.new_page(), pages.path(name), view, media))
        return visits[-1]

    yield open_page
    context.close()
    for opened in visits:
        assert opened.complaints == opened.expected_complaints
        assert set(opened.requests) == {opened.address}
