"""The report without a browser: the page's data, its policy, its files."""

import base64
import hashlib
import json
import math
import os
import re
import shlex
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from contents import HOSTILE, content_of, per_update
from hypothesis import given
from hypothesis import strategies as st
from synthetic import RATES, landscape

from gridscape.analysis.best import best_per
from gridscape.analysis.cells import summarize
from gridscape.analysis.costs import pareto, smallest_equivalent
from gridscape.claims.records import Exclusion, Outcome
from gridscape.errors import GridscapeError, StoreError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.report import document as document_module
from gridscape.report import html
from gridscape.report.document import CURVE_NUMBERS, document, replay_command, thinned, to_json
from gridscape.report.findings import Findings, gather
from gridscape.report.words import each_for_itself, left_out
from gridscape.store.store import Store


def some_lost(cell: Cell, replicate: int) -> Status:
    if cell["learning_rate"] == 1.0:
        return Status.DIVERGED
    if cell["learning_rate"] == 0.1 and replicate:
        return Status.MISSING if cell["hidden_size"] == 16 else Status.FAILED
    return Status.FINISHED


class Parts(HTMLParser):
    """The scripts of a page and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.links: list[str] = []
        self.meta: list[dict[str, str | None]] = []
        self.title = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        self.links += [
            v or "" for k, v in attrs if k in ("src", "href", "action", "data", "srcset")
        ]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "meta":
            self.meta.append(dict(attrs))
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        if self._open and self._open[-1] == "title":
            self.title += data


# ---- the page ----


def test_the_policy_allows_exactly_the_two_scripts_that_are_there() -> None:
    parts = Parts(html.page(content_of(landscape(replicates=2))))
    policy = next(m["content"] for m in parts.meta if m.get("http-equiv"))
    assert policy is not None
    scripts = [text for attributes, text in parts.scripts if "type" not in attributes]
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert len(hashes) == 2
    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_nothing_in_the_page_points_outside() -> None:
    parts = Parts(html.page(content_of(landscape(replicates=2))))
    assert set(parts.links) <= {"#landscape"}


def test_hostile_text_cannot_leave_its_place() -> None:
    land = landscape({"learning_rate": RATES}, lambda cell: 0.5, study={"title": HOSTILE})
    parts = Parts(html.page(content_of(land)))
    assert parts.title == HOSTILE
    assert len(parts.scripts) == 3
    (data,) = [text for attributes, text in parts.scripts if attributes.get("type")]
    assert json.loads(data)["title"] == HOSTILE


@given(st.text())
def test_json_for_a_script_element_holds_any_text(text: str) -> None:
    written = to_json({"text": text})
    assert json.loads(written)["text"] == text
    assert not set("<>&\u2028\u2029") & set(written)


def test_a_script_cannot_end_its_element() -> None:
    inlined = html.inline('a = "</script><!-- x"; b = /<\\/SCRIPT>/')
    assert "</script" not in inlined
    assert "<!--" not in inlined


def test_the_code_of_a_page_is_small_and_names_its_charts() -> None:
    written = html.page(content_of(landscape(replicates=1)))
    scripts = [text for attributes, text in Parts(written).scripts if not attributes.get("type")]
    assert sum(map(len, scripts)) < 2_000_000
    assert html.environment()["plotly.js"].count(".") == 2
    assert html.plotly().startswith("/**\n* plotly.js (cartesian - minified)")


# ---- its data ----


def test_the_numbers_are_those_of_the_analysis() -> None:
    land = landscape(status=some_lost)
    content = content_of(land)
    for metric in content["metrics"][:5]:
        cells = summarize(land, metric["name"])
        for i, cell in enumerate(cells):
            for end in ("mean", "low", "high"):
                expected = getattr(cell.estimate, end)
                found = metric[end][i]
                if math.isnan(expected):
                    assert found is None
                else:
                    assert found == pytest.approx(expected, rel=1e-5)
            assert content["cells"]["statuses"][i] == list(cell.statuses)
            assert content["cells"]["state"][i] == cell.state.value
    found = smallest_equivalent(land, 0.005)
    assert found is not None
    cells_of_grid = land.grid.cells()
    assert cells_of_grid[content["smallest"]["cell"]] == found.cell.cell
    assert cells_of_grid[content["top"]["cell"]] == found.best.cell


def test_the_best_and_the_front_are_those_of_the_analysis() -> None:
    land = landscape(status=some_lost)
    content, cells = content_of(land), land.grid.cells()
    rows = best_per(land, "learning_rate")
    assert [row["value"] for row in content["best"]["rows"]] == [row.value for row in rows]
    assert {cells[i] for i in content["best"]["cells"]} == {r.best.cell for r in rows if r.best}
    for cost, shown in content["pareto"].items():
        record = pareto(land, cost)
        assert [cells[i] for i in shown["cells"]] == [p.summary.cell for p in record.points]
        assert [cells[i] for i in shown["front"]] == [p.summary.cell for p in record.front]


def test_counts_cover_every_trial() -> None:
    land = landscape(status=some_lost)
    counts = content_of(land)["counts"]
    among = {"collapsed": 0, "not_started": 0, "stopped": 0}
    assert counts == {"finished": 52, **among, "diverged": 12, "failed": 6, "missing": 2}


def test_differences_from_the_best_cell_are_paired() -> None:
    land = landscape(noise=0.001, shared_noise=0.05, replicates=5)
    content = content_of(land)
    top = content["top"]
    other = next(i for i in content["best"]["cells"] if i != top["cell"])
    apart, alone = content["cells"]["against_best"][other], content["metrics"][0]
    assert apart["high"] - apart["low"] < 0.2 * (alone["high"][other] - alone["low"][other])


@pytest.mark.parametrize("status", [Status.MISSING, Status.DIVERGED, Status.FAILED])
def test_a_study_without_any_result_has_a_page(status: Status) -> None:
    content = content_of(landscape(status=lambda cell, replicate: status))
    assert content["top"] is content["best"] is content["smallest"] is None
    assert content["pareto"] == {}
    html.page(content)


def test_reasons_are_told_for_those_that_did_not_finish() -> None:
    content = content_of(landscape(status=some_lost))
    reasons = dict(zip(content["cells"]["state"], content["cells"]["reasons"], strict=True))
    assert reasons["finished"] is None
    assert reasons["failed"] == ["", "a stated reason", "a stated reason"]
    assert reasons["diverged"] == ["loss not finite"] * 3


def test_what_cannot_be_compared_is_told() -> None:
    axes = {"cell": ["rnn", "lstm"], "hidden_size": [16, 32], "learning_rate": [1e-3, 1e-2]}
    study = {"published": ["width_lr_report1", "no_such_table"], "claims": "no-such-claims"}
    content = content_of(landscape(axes, lambda cell: 0.5, study=study))
    assert content["published"] == []
    assert len(content["notes"]) == 3
    assert any("axis cell" in note for note in content["notes"])


def test_published_tables_and_claims_are_there() -> None:
    study = {"published": ["width_lr_report1"], "claims": "lstm-width-lr"}
    content = content_of(landscape(study=study))
    (table,) = content["published"]
    assert table["columns"] == ["1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]
    first = table["rows"][0]["cells"][3]
    assert first["published"] == 0.9319
    assert first["difference"] == pytest.approx(first["published"] - first["ours"], abs=1e-5)
    assert [claim["id"] for claim in content["claims"]] == list("abcdefghi")
    assert all(claim["rule"] for claim in content["claims"])


@given(st.text(min_size=1))
def test_the_command_is_one_that_a_shell_reads(folder: str) -> None:
    words = shlex.split(replay_command(Path(folder)))
    assert words == ["gridscape", "replay", str(Path(folder)), "--cell"]


@pytest.mark.parametrize("study", [{"imported": "runs.csv"}, {"objects": ["task"]}])
def test_no_command_is_told_where_none_works(study: dict[str, Any]) -> None:
    def rising(**about: Any) -> dict[str, Any]:
        rates = {"learning_rate": [0.1, 0.2, 0.4]}
        return content_of(landscape(rates, lambda cell: float(cell["learning_rate"]), study=about))

    assert rising()["replay"].startswith("gridscape replay")
    assert rising()["best"]["command"].startswith("gridscape refine")
    told = rising(**study)
    assert (told["replay"], told["best"]["command"], told["top"]["quote"]) == ("", "", "")


def test_what_an_earlier_version_trained_is_not_replayed() -> None:
    rates = {"learning_rate": [0.1, 0.2, 0.4]}
    land = landscape(rates, lambda cell: 0.5, study={"semantics": 1})
    assert content_of(land)["replay"] == ""


def test_a_page_has_no_more_costs_than_a_chart_shows() -> None:
    axes = {"a": list(range(1, 51)), "learning_rate": np.linspace(0.1, 5, 50).tolist()}
    land = landscape(axes, lambda cell: 0.5, replicates=1)
    shown, record = content_of(land)["pareto"]["seconds"], pareto(land, "seconds")
    assert shown["n_points"] == len(record.points) == 2500
    assert len(shown["cells"]) < 2000
    assert set(shown["front"]) <= set(shown["cells"])


# ---- curves ----


@given(st.integers(1, 3000), st.integers(6, 400))
def test_thinned_points_are_spread_and_keep_both_ends(length: int, points: int) -> None:
    kept = thinned(length, points)
    assert kept[0] == 0
    assert kept[-1] == length - 1
    assert len(kept) == min(length, points)
    steps = np.diff(kept)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
    assert (steps > 0).all()


@given(st.integers(1, 100_000), st.integers(1, 100))
def test_curves_never_take_more_than_their_share(lines: int, replicates: int) -> None:
    points, single = document_module._budget(lines, replicates)
    assert points * lines * (4 + replicates * single) <= CURVE_NUMBERS


def test_the_page_says_how_curves_were_shortened() -> None:
    assert "every recorded point" in content_of(landscape())["curve_rule"]
    assert "mean of 5 recorded points" in content_of(per_update(400))["curve_rule"]


@pytest.mark.parametrize("limit", ["findings.MOST_LINES", "document.CURVE_NUMBERS"])
def test_the_page_says_that_curves_of_cells_are_left_out(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    assert not content_of(landscape())["curves_left_out"]
    monkeypatch.setattr("gridscape.report.findings.FEW_LINES", 8)
    monkeypatch.setattr(f"gridscape.report.{limit}", 10)
    assert content_of(landscape())["curves_left_out"]


@pytest.mark.slow
def test_a_large_study_still_fits() -> None:
    axes = {
        "hidden_size": [8 * i for i in range(1, 26)],
        "learning_rate": np.geomspace(1e-5, 1, 20).tolist(),
    }
    land = landscape(axes, replicates=4)  # 2,000 trials
    text = html.page(content_of(land))
    assert len(text.encode()) < 8e6


# ---- files ----


def test_write_makes_a_page_alone(folder: Path) -> None:
    path = html.write(folder)
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    content = json.loads(next(t for a, t in Parts(text).scripts if a.get("type")))
    assert content["counts"]["failed"] == 2
    assert content["cells"]["reasons"][3] == [HOSTILE] * 2
    assert content["replay"] == f"gridscape replay {folder} --cell"
    assert not (folder / "figures").exists()


def test_read_gives_the_page_and_writes_none(folder: Path) -> None:
    assert html.read(folder).startswith("<!doctype html>")
    assert not (folder / "report.html").exists()


def test_write_again_replaces_the_page(folder: Path) -> None:
    (folder / "report.html").write_text("old")
    html.write(folder)
    assert (folder / "report.html").stat().st_size > 1e6


def test_a_run_that_begins_takes_no_page_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It removes what a crash left half written, which a page is too until it has its name."""
    replace, begun = os.replace, []

    def begins(source: Path, target: Path) -> None:
        if not begun:
            begun.append(source)
            Store.create(folder, Store.read(folder).study).close()
        replace(source, target)

    monkeypatch.setattr(os, "replace", begins)
    html.write(folder)
    assert begun
    assert not begun[0].exists()
    assert (folder / "report.html").stat().st_size > 1e6


def test_write_to_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no results"):
        html.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_told(folder: Path) -> None:
    (folder / "report.html").mkdir()
    with pytest.raises(GridscapeError, match="cannot write the report"):
        html.write(folder)


def test_a_study_of_72_trials_is_quick() -> None:
    def once() -> float:
        start = time.process_time()
        found: Findings = gather(landscape(status=some_lost, updates=400))
        html.page(document(found, Path("x"), "now", html.environment()))
        return time.process_time() - start

    # A third of a second on an idle machine; a busy one gets more.
    assert min(once() for _ in range(2)) < 1


def test_cells_that_a_verdict_leaves_out_are_told_once_for_each_reason() -> None:
    def told(cells: list[Cell], reason: str = "not asked for") -> list[str]:
        return left_out(SimpleNamespace(excluded=[Exclusion(cell, reason) for cell in cells]))

    grid = [Cell.of(hidden_size=h, learning_rate=r) for h in (256, 512) for r in (1e-3, 1e-2)]
    assert told([]) == []
    assert told(grid[:1]) == ["hidden_size=256, learning_rate=0.001: not asked for"]
    (line,) = told(grid)
    assert line == "4 cells, hidden_size = 256, 512; learning_rate = 0.001, 0.01: not asked for"
    (line,) = told([*grid, Cell.of(hidden_size=16, learning_rate=1.0)])
    assert line.startswith("5 cells, hidden_size=256, learning_rate=0.001; ")
    assert line.endswith(" and 2 more: not asked for")
    both = SimpleNamespace(excluded=[Exclusion(grid[0], "stopped"), Exclusion(grid[1], "lost")])
    assert [line.split(": ")[1] for line in left_out(both)] == ["stopped", "lost"]


def test_several_statements_tell_that_each_is_tested_for_itself() -> None:
    def judged(*names: str) -> list[Any]:
        return [SimpleNamespace(outcome=Outcome(name), estimates=()) for name in names]

    assert each_for_itself(judged("holds", "not comparable")) == ""
    told = each_for_itself(judged("holds", "fails", "undecided", "not comparable", "holds"))
    assert "these 4 statements" in told  # the undecided one might have been decided wrongly
    assert "at most 2.5 % of cases" in told
    assert told.endswith("at most 10 %.")
    assert each_for_itself(judged(*40 * ["holds"])).endswith("2.5 % of cases.")
    share = SimpleNamespace(outcome=Outcome.HOLDS, estimates=(SimpleNamespace(asks="> 1/2"),))
    told = each_for_itself([*judged("holds"), share])
    assert "2.5 % of cases (where it rests on a share of runs, 5 %)" in told
    assert told.endswith("at most 7.5 %.")
    study = {"claims": "lstm-width-lr", "updates": 999, "task": "mnist-rows"}
    content = content_of(landscape(study=study))
    assert f"these {len(content['claims'])} statements" in content["claims_told"]
