"""The served page in a browser: cells fill and curves grow without loading it again."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from watched import HOSTILE, entries, put, served, study

from gridscape.store.acts import on_record
from gridscape.store.progress import born
from gridscape.store.store import Store

pytestmark = pytest.mark.slow


def training(*points: Any) -> dict[str, Any]:
    """What a run of this process tells that trains the fourth cell."""
    run = {"trials": [[[32, 0.001], 0]], "n": 1, "update": 100, "updates": 400, "points": points}
    here = {"process": os.getpid(), "host": socket.gethostname(), "born": born(os.getpid())}
    return {**here, "state": "training", "metric": "accuracy", "seconds_left": 60, "runs": [run]}


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page of which every request and complaint is kept."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text))
    yield page
    context.close()


def until(tab: Any, script: str) -> None:
    for _ in range(600):
        if tab.evaluate(script):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never true: {script}; {tab.inner_text('#live')}")


def test_a_run_is_followed_to_its_end(tmp_path: Path, tab: Any) -> None:
    plain = study()
    put(tmp_path / "it", plain, entries(plain, slice(0, 3)), training([50, False, [0.3]]))
    with served(tmp_path / "it") as (token, port, _):
        address = f"http://127.0.0.1:{port}/{token}/"
        tab.goto(address)
        assert "6 of 18 networks are done" in tab.inner_text("#live .words")
        assert tab.locator("#map .is-training").get_attribute("data-cell") == "3"
        tab.locator('#map [data-cell="3"]').click()
        tab.evaluate("window.kept = 'yes'")
        told = training([50, False, [0.3]], [100, True, [0.6]], [150, False, [0.7]])
        put(tmp_path / "it", plain, [], told)
        drawn = "[...document.querySelectorAll('#cell .chart')].flatMap((c) => c.data ?? [])"
        until(tab, f"{drawn}.some((t) => t.y?.length === 2 && Math.abs(t.y[1] - 70) < 1e-6)")
        put(tmp_path / "it", plain, entries(plain, slice(3, 9)), {**told, "state": "ended"})
        until(tab, "document.querySelectorAll('#map .is-finished').length === 9")
        until(tab, "document.querySelector('#live').className.includes('is-finished')")
        assert "18" in tab.inner_text("#counts")
        assert "hidden_size=32, learning_rate=0.001" in tab.inner_text("#cell-title")
        assert tab.evaluate("window.kept") == "yes"  # it was not loaded again
        assert tab.locator("#best").is_visible()
        wider = study({**plain["axes"], "learning_rate": [0.001, 0.01, 0.1, 1.0]})
        with tab.expect_navigation():
            put(tmp_path / "it", wider, [])
        until(tab, "document.querySelectorAll('#map [data-cell]').length === 12")
        assert tab.complaints == []
        assert all(url.startswith(address) for url in tab.asked)


def test_curves_of_ended_trials_stay_whole(tmp_path: Path, tab: Any) -> None:
    """Also where the run still tells of a trial that has ended, as it does for a moment."""
    plain = study()
    told = training([50, False, [0.3]])
    put(tmp_path / "it", plain, entries(plain, slice(0, 4)), told)
    longest = (
        "Math.max(...[...document.querySelectorAll('#cell .chart')]"
        ".flatMap((c) => c.data ?? []).filter((t) => t.y).map((t) => t.y.length))"
    )
    with served(tmp_path / "it") as (token, port, _):
        tab.goto(f"http://127.0.0.1:{port}/{token}/")
        tab.locator('#map [data-cell="3"]').click()
        until(tab, f"{longest} > 3")
        charts = "[...document.querySelectorAll('#cell .chart')].map((c) => JSON.stringify(c.data))"
        before = tab.evaluate(charts)
        put(tmp_path / "it", plain, [], training([50, False, [0.3]], [100, False, [0.4]]))
        put(tmp_path / "it", plain, entries(plain, slice(4, 6)))
        until(tab, "document.querySelectorAll('#map .is-finished').length === 6")
        tab.locator('#map [data-cell="0"]').click()
        tab.locator('#map [data-cell="3"]').click()
        until(tab, f"{longest} > 3")
        assert tab.evaluate(charts) == before
        assert tab.complaints == []


def test_hostile_words_of_a_run_are_text(tmp_path: Path, tab: Any) -> None:
    plain = study({HOSTILE: [HOSTILE, "b"], "learning_rate": [0.1]}, title=HOSTILE, name=HOSTILE)
    run = {"trials": [[[HOSTILE, 0.1], 0]], "n": 1, "update": 1, "updates": 2, "points": []}
    put(tmp_path / "it" / "x", plain, [], {**training(), "runs": [run]})
    with served(tmp_path / "it") as (token, port, _):
        tab.goto(f"http://127.0.0.1:{port}/{token}/")
        tab.locator("tbody a").click()
        until(tab, "document.querySelector('#live .runs')")
        assert HOSTILE in tab.inner_text("#live .runs")
        put(
            tmp_path / "it" / "x", plain, [], {**training(), "born": 1, "command": ["run", HOSTILE]}
        )
        until(tab, "document.querySelector('#live .go-on')")
        assert "<img" in tab.inner_text("#live .go-on")
        assert tab.evaluate("window.hacked") is None
        assert tab.locator("img").count() == 0
        assert tab.complaints == [], json.dumps(tab.complaints)


def test_without_javascript_there_is_a_table(tmp_path: Path, browser: Any) -> None:
    plain = study()
    put(tmp_path / "it", plain, entries(plain, slice(0, 3)))
    context = browser.new_context(java_script_enabled=False)
    with served(tmp_path / "it") as (token, port, _):
        tab = context.new_page()
        tab.goto(f"http://127.0.0.1:{port}/{token}/")
        assert tab.locator("noscript table tbody tr").count() == 9
        assert "6 of 18 networks are done" in tab.inner_text("noscript")
    context.close()


def test_an_act_is_asked_for_by_keys_and_what_came_of_it_is_shown(tmp_path: Path, tab: Any) -> None:
    plain, it = study(), tmp_path / "it"
    put(it, plain, entries(plain, slice(0, 3)), training())
    with served(it, "--control") as (token, port, _):
        tab.goto(f"http://127.0.0.1:{port}/{token}/")
        tab.locator('#map [data-cell="4"]').click()
        assert "hidden_size=32, learning_rate=0.01" in tab.inner_text("#acts")
        tab.locator("#acts button", has_text="Stop").focus()
        tab.keyboard.press("Enter")
        until(tab, "document.querySelector('#acts li')?.innerText.includes('waiting')")
        (asked,) = on_record(it)
        assert asked.title == "stop hidden_size=32, learning_rate=0.01"
        tab.locator("#acts select").first.select_option(label="all cells of learning_rate=0.01")
        tab.locator("#acts button", has_text="Train first").click()
        tab.locator("#acts input[type=number]").fill("0")
        tab.locator("#acts button", has_text="Replicates").click()
        until(tab, "document.querySelector('#acts [role=status]').innerText.includes('range')")
        tab.locator("#acts input[type=text]").fill("128, x<b>")
        tab.locator("#acts button", has_text="Add values").click()
        until(tab, "document.querySelectorAll('#acts li').length === 3")
        assert [asked.title for asked in on_record(it)[1:]] == [
            "learning_rate=0.01 first",
            "hidden_size also at 128, x<b>",
        ]
        with Store.create(it, plain) as store:
            store.settle(on_record(it)[0], "refused", "<img src=x> has ended")
        until(tab, "document.querySelector('#acts .is-refused')")
        assert "refused, <img src=x> has ended" in tab.inner_text("#acts")
        assert tab.locator("#acts img, #acts b b").count() == 0
        assert all("400 (Bad Request)" in said for said in tab.complaints), tab.complaints


def test_without_control_there_is_nothing_to_act_with(tmp_path: Path, tab: Any) -> None:
    plain = study()
    put(tmp_path / "it", plain, entries(plain, slice(0, 3)), training())
    with served(tmp_path / "it") as (token, port, _):
        tab.goto(f"http://127.0.0.1:{port}/{token}/")
        assert tab.locator("#live").is_visible()
        assert not tab.locator("#acts").is_visible()
        assert tab.locator("#acts button").count() == 0
