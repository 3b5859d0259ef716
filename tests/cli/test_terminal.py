"""What stands in a terminal: right numbers, in the width there is, with and without color."""

import doctest
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic
from cohort_tools import planner_of, tiny
from printing import (
    COLLAPSED,
    DIVERGED,
    FAILED,
    MISSING,
    RATES,
    overview,
    printed,
    started,
    widest,
)

from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.cli import _json, _tiles, tables
from gridscape.cli._catalog import Entry
from gridscape.cli._run_state import State
from gridscape.cli._tiles import View, shade_style
from gridscape.cli.doctor import Health, SelfCheck
from gridscape.execution.replay import Replay
from gridscape.grid.axes import Axis
from gridscape.grid.trials import Status, TrialResult
from gridscape.landscape import Landscape
from gridscape.report import layout, palette
from gridscape.report import words as report_words
from gridscape.report.words import TIMES, memory, number, size_of, value_set
from gridscape.study.known_axes import known_axes
from gridscape.study.study import Study
from gridscape.tasks import fetch


@pytest.mark.parametrize("module", [tables, report_words, _json, _tiles], ids=lambda m: m.__name__)
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


# ---- the landscape ----------------------------------------------------------------------------


def test_every_mean_and_interval_stands_in_its_place():
    land = synthetic.landscape()
    rows = [line.split() for line in overview(land).splitlines() if "\u00b1" in line][1:5]
    found = tables.Overview.of(land)
    for row, width in zip(rows, synthetic.WIDTHS, strict=True):
        cells = [s for s in found.cells if s.cell["hidden_size"] == width]
        means = [f"{100 * s.estimate.mean:.1f}" for s in cells]
        halves = [f"\u00b1{100 * s.estimate.reach:.1f}" for s in cells]
        pairs = [text for pair in zip(means, halves, strict=True) for text in pair]
        assert row == [str(width), *pairs]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize(
    "axes",
    [
        {"hidden_size": [16, 32], "learning_rate": RATES},
        {"hidden_size": [16, 32], "learning_rate": [10**-k for k in np.arange(0, 6, 0.25)]},
        {"hidden_size": list(range(10, 50)), "learning_rate": [0.1, 1.0]},
        {"learning_rate": [0.1], "hidden_size": [16]},
        {"hidden_size": [16], "learning_rate": [0.01, 0.1], "cell": ["rnn", "lstm"]},
        {"hidden_size": [16, 32], "learning_rate": [0.01, 0.1], "b": [1, 2], "c": [3, 4, 5]},
    ],
    ids=["usual", "many columns", "many rows", "one cell", "categories", "four axes"],
)
def test_nothing_is_wider_than_the_terminal_and_no_cell_is_lost(axes, width):
    land = synthetic.landscape(axes, replicates=2)
    text = overview(land, width)
    assert widest(text) <= width
    found = tables.Overview.of(land)
    values = [f"{100 * s.estimate.mean:.1f}" for s in found.cells]
    numbers = re.findall(r"\d+\.\d", text)
    for value in values:
        assert value in numbers


def test_diverged_collapsed_failed_and_missing_cells_are_marked_and_explained():
    kinds = {
        1.0: Status.DIVERGED,
        0.1: Status.FAILED,
        1e-5: Status.MISSING,
    }
    land = synthetic.landscape(
        status=lambda cell, replicate: (
            Status.DIVERGED
            if cell["learning_rate"] == 0.01 and replicate == 0
            else kinds.get(cell["learning_rate"], Status.FINISHED)
        ),
        collapsed=lambda cell, replicate: cell["learning_rate"] == 1e-4,
        not_started=lambda cell, r: cell["learning_rate"] == 1e-3 and cell["hidden_size"] == 32,
    )
    text = overview(land)
    row = next(line for line in text.splitlines() if line.split()[:1] == ["16"])
    missing, collapsed, _, partial, share, failed, diverged = (
        cell for cell in re.sub(r"\u00b1\S+", "", row).split()[1:]
    )
    assert (missing, failed, diverged) == (
        MISSING,
        FAILED,
        DIVERGED,
    )
    assert (collapsed[0], partial[0], share) == (COLLAPSED, "9", "2/3")
    assert "2/3 so many of its runs learn; the mean is of those that do" in text
    text += "".join(map(overview, (asked_for_in_part(), failed_in_part(), stopped_in_part())))
    for mark in tables.LEGEND:
        assert f"{mark} {tables.LEGEND[mark]}" in text


def asked_for_in_part():
    """A landscape whose first cell nobody asked for."""
    first = {"hidden_size": 16, "learning_rate": 1e-5}
    whole = synthetic.landscape(
        status=lambda cell, replicate: Status.MISSING if cell == first else Status.FINISHED
    )
    return Landscape(whole.data, {**whole.study, "replicates_of": [[first, 0]]})


def failed_in_part():
    """A landscape of which one run ended in an error."""
    return synthetic.landscape(
        status=lambda cell, r: (
            Status.FAILED if r == 0 and cell["learning_rate"] == 0.01 else Status.FINISHED
        )
    )


def stopped_in_part():
    """A landscape of which somebody stopped a column."""
    return synthetic.landscape(
        status=lambda cell, r: Status.STOPPED if cell["learning_rate"] == 1 else Status.FINISHED
    )


def test_a_healthy_landscape_needs_no_legend():
    assert not any(words in overview(synthetic.landscape()) for words in tables.LEGEND.values())


def test_the_best_of_each_row_stands_with_its_interval():
    land = synthetic.landscape(noise=0.001)
    text = overview(land)
    assert "Best learning rate of each hidden_size" in text
    for row in tables.Overview.of(land).best:
        line = next(
            line
            for line in text[text.index("Best learning") :].splitlines()
            if line.split()[:1] == [str(row.row["hidden_size"])]
        )
        assert f"{row.value:g}" in line
        assert value_set(row.equivalent, land.axis("learning_rate")) in line


def test_one_replicate_has_no_interval_and_says_so():
    text = overview(synthetic.landscape(replicates=1))
    assert "\u00b1" not in text
    assert "unknown" in text


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_three_replicates_give_one_warning_and_no_verdict(n):
    land = synthetic.landscape(replicates=n)
    found, text = tables.Overview.of(land), overview(land)
    warning = f"{n} replicate{'s' if n > 1 else ''}: intervals and verdicts need 3 or more;"
    assert text.count(warning) == (n < 3)
    assert ("\u00b1" in text) == (n >= 3)
    assert ("smallest network" in text or "smaller network" in text) == (n >= 3)
    assert all(row.known == (n >= 3) for row in found.best)
    document = _json.plain(_json.overview(found, Path("runs/it")))
    assert (document["cells"][0]["estimate"]["low"] is None) == (n < 3)


def test_a_cell_of_which_two_replicates_ended_has_no_interval():
    land = synthetic.landscape(
        {"learning_rate": [0.01, 0.1]},
        lambda cell: 0.5,
        status=lambda cell, r: (
            Status.DIVERGED if r == 2 and cell["learning_rate"] == 0.1 else Status.FINISHED
        ),
    )
    (low, high) = tables.Overview.of(land).cells
    assert (low.estimate.known, high.estimate.known) == (True, False)
    assert "need 3 or more" not in overview(land)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0.01,), "0.01"),
        ((0.001, 0.01), "0.001, 0.01"),
        ((0.001, 0.01, 0.1), "0.001 to 0.1 (3 values)"),
        ((0.001, 0.1), "0.001, 0.1"),
        ((1e-4, 0.01, 0.1, 1.0), "0.0001, 0.01, 0.1, 1"),
    ],
)
def test_a_set_of_values_with_holes_is_listed(values, words):
    assert value_set(values, Axis("learning_rate", tuple(RATES))) == words


def test_a_set_of_words_is_listed():
    cells = ("rnn", "gru", "lstm")
    assert value_set(cells, Axis("cell", cells)) == "rnn, gru, lstm"


def test_the_smallest_equivalent_network_and_what_it_saves():
    def plateau(cell):
        return 0.95 + 1e-5 * cell["hidden_size"] if cell["learning_rate"] == 0.01 else 0.2

    land = synthetic.landscape(accuracy=plateau, noise=0.0002)
    found, text = tables.Overview.of(land), overview(land)
    assert found.smallest.best.cell["hidden_size"] == 128
    assert found.smallest.cell.cell["hidden_size"] == 16
    share = f"{100 * found.smallest.saves_parameters:.0f} % of the parameters"
    words = "The smallest network shown to be within 0.5 points of it: hidden_size=16"
    assert words in " ".join(text.split())
    assert share in " ".join(text.split())


def test_of_a_large_landscape_evenly_chosen_values_are_shown():
    axes = {"hidden_size": list(range(1, 101)), "learning_rate": np.linspace(0.1, 5, 41).tolist()}
    land = synthetic.landscape(axes, lambda cell: 0.5, replicates=1)
    text = " ".join(overview(land).split())
    told = "Every 3rd value of hidden_size and every 2nd value of learning_rate"
    assert f"{told}: 714 of 4,100 cells; the report shows all." in text
    assert "Every 3rd of 100 rows; the report shows all." in text
    assert max(map(len, overview(land).splitlines())) <= 80


def test_a_landscape_of_which_nothing_is_trained_can_be_shown():
    land = synthetic.landscape(status=lambda cell, replicate: Status.MISSING)
    text = overview(land)
    assert tables.LEGEND[MISSING] in text
    assert "Best" not in text


def test_the_heading_tells_a_budget_only_where_all_cells_share_it():
    shared = overview(synthetic.landscape())
    assert "3 replicates each, trained on none\nfor 400 updates of 100 examples\n" in shared
    axes = {"hidden_size": [8], "learning_rate": [0.01], "updates": [400, 800]}
    varied = synthetic.landscape(axes=axes)
    heading = " ".join(" ".join(overview(varied).splitlines()[1:3]).split())
    axes = f" {TIMES} ".join(("1 hidden_size", "1 learning_rate", "2 updates"))
    assert heading == f"6 networks: {axes}, 3 replicates each, trained on none"
    assert heading == size_of(varied)


def test_plain_output_has_no_escapes_and_color_has_one_background_a_shaded_cell():
    land = synthetic.landscape(
        status=lambda cell, _: Status.DIVERGED if cell["learning_rate"] == 1 else Status.FINISHED
    )
    assert "\x1b" not in overview(land)
    colored = overview(land, color=True)
    assert len(re.findall(r"48;2;", colored)) == 20  # 24 cells without the 4 that diverged


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    colored = overview(synthetic.landscape(), color=True)
    assert "48;2;" not in colored
    assert "38;" not in colored


def test_the_colors_keep_their_order_in_gray_and_their_text_is_legible():
    def luminance(rgb):
        linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    grays = [luminance(rgb) for rgb in palette.VIRIDIS]
    assert grays == sorted(grays)
    for shade in np.linspace(0, 1, 101):
        style = shade_style(float(shade))
        pair = sorted(luminance(color.get_truecolor()) for color in (style.color, style.bgcolor))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5  # WCAG's contrast of normal text


def test_shades_beyond_the_ends_are_the_ends():
    assert shade_style(-1.0) == shade_style(0.0)
    assert shade_style(2.0) == shade_style(1.0)


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "further", "fixed"),
    [
        ({"a": 2, "b": 3}, "a", "b", [], []),
        ({"a": 1, "b": 3, "c": 2}, "b", "c", [], ["a"]),
        ({"a": 2, "b": 1, "c": 1}, "a", "b", [], ["c"]),
        ({"a": 1, "b": 1}, "b", "a", [], []),
        ({"a": 4}, "a", None, [], []),
        ({"a": 2, "b": 3, "c": 4}, "a", "c", ["b"], []),
        ({"learning_rate": 6, "a": 2, "b": 3}, "a", "learning_rate", ["b"], []),
    ],
)
def test_a_table_shows_the_axes_that_the_page_shows(shape, rows, columns, further, fixed):
    axes = [Axis(name, tuple(range(size))) for name, size in shape.items()]
    view, page = View.of(axes), layout.view(axes)
    assert {view.rows, view.columns} == {page.rows, page.columns}
    is_turned = view.rows == page.columns
    assert is_turned == (page.rows is None or len(page.rows.values) == 1)
    assert view.rows.name == rows
    assert (view.columns and view.columns.name) == columns
    assert [axis.name for axis in view.further] == further
    assert [axis.name for axis in view.fixed] == fixed


# ---- other tables -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planner():
    return planner_of(tiny())


@pytest.fixture(scope="module")
def plan(planner):
    return planner.plan(planner.resolved.trials(), timed=False)


def test_the_plan_adds_up(plan):
    text = printed(tables.plan(plan))
    assert widest(text) <= 80
    assert "8 networks, 0 stored already, 8 to train in 2 programs on 2 devices" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["hidden_size=4"][1:3] == ["4", "1"]
    assert rows["in"][2:4] == ["8", "2"]
    assert " ".join(rows["in"][4:6]) == memory(plan.memory_bytes)
    assert rows["in"][6] == number(plan.flops / 1e12)


def test_of_many_programs_the_slowest_have_a_row_each(plan):
    first = plan.cohorts[0]
    many = tuple(replace(first, flops=float(i) * 1e12) for i in range(1, 13))
    text = printed(tables.plan(replace(plan, cohorts=many)))
    rows = [line for line in text.splitlines() if "hidden_size=4" in line]
    assert len(rows) == 5
    assert re.search(r"7 faster programs\s+28\s+7\s", text)
    assert re.search(r"in all\s+48\s+12\s.*\s78\s", text)  # 1 + 2 + ... + 12


def test_a_plan_of_what_is_stored_already_says_so(planner):
    trials = planner.resolved.trials()
    done = planner.plan(trials, [trial.key for trial in trials], timed=False)
    assert "Nothing is left to train." in printed(tables.plan(done))


def test_a_resumed_program_says_from_where(plan):
    first = plan.cohorts[0]
    later = replace(first, cohort=replace(first.cohort, start=5))
    text = printed(tables.plan(replace(plan, cohorts=(later,))))
    assert "hidden_size=4, from update 5" in text


def test_verdicts_show_statement_estimate_interval_and_rule():
    published = {"updates": 999, "task": "mnist-rows"}
    found = judge(synthetic.landscape(study=published), load_claims("lstm-width-lr"))
    text = printed(tables.verdicts(found))
    assert widest(text) <= 80
    flat = " ".join(text.split())
    assert "is tested for itself" in flat
    for verdict in found:
        assert verdict.outcome.value in flat
        assert " ".join(verdict.claim.statement.split()) in flat
        assert " ".join(verdict.rule.split()) in flat
        for estimate in verdict.estimates[:1]:
            assert f"{estimate.interval.mean:.3g}" in flat
            assert f"{estimate.interval.low:.3g}" in flat


def test_a_replay_tells_the_differences():
    trial = started().todo[0]
    curves = {"train_loss": np.array([1.0, 2.0])}
    make = lambda loss, digest: TrialResult(  # noqa: E731
        trial.key, Status.FINISHED, 12, {"test_loss": loss}, curves, 1.0, 1, 1.0, 1, None, None,
        None, digest,
    )  # fmt: skip
    same = Replay(trial, make(0.5, "a"), make(0.5, "a"))
    assert "identical bit for bit" in printed(tables.replay(same))
    other = printed(tables.replay(Replay(trial, make(0.5, "a"), make(0.75, "b"))))
    assert "differs" in other
    assert re.search(r"test_loss\s+0\.25", other)
    assert re.search(r"curve train_loss\s+0\b", other)


def test_studies_with_missing_data_say_so():
    entries = [
        Entry("quickstart", "A title", (), 72, 3.3e12, 30.0, 6.8e7, None),
        Entry(
            "a-name-of-25-characters-it", "Another", ("A report",), 1000, None, None, None, "mnist"
        ),
    ]
    text = printed(tables.studies(entries))
    assert widest(text) <= 80
    assert re.search(r"quickstart\s+72\s+30 s\s+68 MB\s+A title", text)
    assert re.search(r"a-name-of-25-characters-it\s+1,000\s+needs mnist: Another", text)
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 2 + 2 + 3  # the head, a line a study, the hints
    told = printed(tables.study(entries[1], "What it is.", {"hidden_size": [4, 8]}))
    assert "a-name-of-25-characters-it: Another" in told
    assert "hidden_size: 4, 8" in told
    assert "Reproduces: A report" in told
    assert "gridscape data fetch mnist" in told
    assert "72 networks, about 30 s and 68 MB here; 3.3 TFLOP." in printed(
        tables.study(entries[0], "", {})
    )


def test_what_may_be_an_axis_is_told_with_its_meaning():
    found = known_axes(Study.load("binary-addition"))
    text = printed(tables.axes(found))
    assert widest(text) <= 80
    by_name = {axis.name: axis for axis in found}
    assert by_name["operands"].values == ("report", "uniform")
    assert by_name["operands"].meaning.startswith('"report" draws the sum uniformly')
    assert "bce: " in by_name["loss"].meaning
    assert by_name["learning_rate"].is_traced
    assert by_name["hidden_size"].is_traced is False
    assert [axis.name for axis in found if axis.values] == list(
        dict.fromkeys(a.name for a in found if a.name in Study.load("binary-addition").axes)
    )
    assert "hidden_size *" in text


def test_every_state_of_a_data_set_has_its_word():
    def data_set(**values):
        base = {"name": "x", "files": ("f",), "found_at": Path("place"), "size_bytes": 1_500_000}
        known = {"checksum_ok": None, "embedded": False, "note": "a note"}
        return fetch.DataSetStatus(**{**base, **known, **values})

    sets = [
        data_set(embedded=True, found_at=None, size_bytes=0),
        data_set(found_at=None),
        data_set(checksum_ok=False),
        data_set(checksum_ok=True),
        data_set(),
    ]
    text = printed(tables.data_sets(sets, ["a", "b"]))
    assert widest(text) <= 80
    for word in ("embedded", "missing", "damaged", "verified", "found", "1.5", "a, b"):
        assert word in text


def test_the_doctors_words():
    checks = (SelfCheck("good", 1e-7), SelfCheck("bad", 0.5))
    found = Health(
        versions={"jax": "1", "pyarrow": None},
        devices=("cpu 0",),
        n_cores=2,
        memory_bytes=8_000_000_000,
        flops_per_second=3e11,
        kernels={"lstm": "XLA"},
        bfloat16="AVX512_BF16",
        data_folders=(Path("data"),),
        program_cache=None,
        checks=checks,
        advice=("wrong numbers in: bad",),
    )
    text = printed(tables.health(found))
    assert widest(text) <= 80
    for words in ("8.0 GB", "300 GFLOP/s", "XLA: lstm", "AVX512_BF16", "WRONG", "! wrong numbers"):
        assert words in text
    assert "pyarrow" not in text


# ---- JSON -------------------------------------------------------------------------------------


def test_json_has_no_nan_and_keeps_what_it_knows():
    import json

    land = synthetic.landscape(replicates=1)
    document = _json.overview(tables.Overview.of(land), Path("runs/x"))
    read = json.loads(_json.to_json(document))
    assert read["cells"][0]["estimate"]["low"] is None
    assert read["cells"][0]["cell"] == {"hidden_size": 16, "learning_rate": 1e-5}
    assert read["directory"] == "runs/x"
    assert read["counts"]["finished"] == 24


def test_states_of_trials_are_ordered_as_the_live_table_needs():
    assert min(State.FINISHED, State.COLLAPSED, State.DIVERGED, State.FAILED) > State.TRAINING


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_cell_of_which_a_part_collapsed_says_how_many_learn(n):
    """Beside the mean, which is of those that learn: two numbers for two kinds of networks."""
    land = synthetic.landscape(
        {"learning_rate": [0.01, 0.1]},
        lambda cell: 0.5 + float(cell["learning_rate"]),
        collapsed=lambda cell, r: cell["learning_rate"] == 0.1 and r < n,
    )
    text = overview(land)
    assert (f"{3 - n}/3 so many of its runs learn" in text) == (n < 3)
    assert (f"= {tables.LEGEND['=']}" in text) == (n > 1)
    assert tables.LEGEND[DIVERGED] not in text
    assert (f"it learns in {3 - n} of 3" in text) == (n < 2)
