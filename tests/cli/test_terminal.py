"""What stands in a terminal: right numbers, in the width there is, with and without color."""

import doctest
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import synthetic
from cohort_tools import planner_of, tiny
from rich.console import Console

from gridscape.analysis.cells import CellState
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.cli import _json, _tiles, tables
from gridscape.cli._catalog import Entry
from gridscape.cli._follow import Follower
from gridscape.cli._live_table import LiveTable
from gridscape.cli._run_state import RunState, State
from gridscape.cli._tiles import View, shade_style
from gridscape.cli._time_left import TimeLeft
from gridscape.cli.doctor import Health, SelfCheck
from gridscape.execution.executors import Finished, Progress
from gridscape.execution.replay import Replay
from gridscape.grid.axes import Axis
from gridscape.grid.trials import Status, TrialResult
from gridscape.report import layout, palette
from gridscape.report import words as report_words
from gridscape.report.words import STATES, TIMES, number, size_of
from gridscape.sweep import Started
from gridscape.tasks import fetch

COLLAPSED, DIVERGED, FAILED, MISSING = (
    STATES[state].sign
    for state in (CellState.COLLAPSED, CellState.DIVERGED, CellState.FAILED, CellState.MISSING)
)

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RATES = list(synthetic.RATES)


def printed(parts, width=80, color=False, height=24):
    """What a terminal of this size shows; plain text is what a file gets."""
    out = io.StringIO()
    system = "truecolor" if color else None
    console = Console(
        file=out,
        width=width,
        height=height,
        force_terminal=color,
        color_system=system,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for part in parts:
        console.print(part)
    return out.getvalue()


def overview(land, width=80, color=False):
    return printed(tables.overview(tables.Overview.of(land), width), width, color)


def widest(text):
    return max(len(line) for line in ESCAPE.sub("", text).splitlines())


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
        halves = [f"\u00b1{50 * (s.estimate.high - s.estimate.low):.1f}" for s in cells]
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
    )
    text = overview(land)
    row = next(line for line in text.splitlines() if line.split()[:1] == ["16"])
    missing, collapsed, _, partial, failed, diverged = (
        cell for cell in re.sub(r"\u00b1\S+", "", row).split()[1:]
    )
    assert (missing, failed, diverged) == (
        MISSING,
        FAILED,
        DIVERGED,
    )
    assert (collapsed[0], partial[0]) == (COLLAPSED, tables.PARTIAL)
    for mark in tables.LEGEND:
        assert f"{mark} {tables.LEGEND[mark]}" in text


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
        assert tables._span(row.equivalent) in line


def test_one_replicate_has_no_interval_and_says_so():
    text = overview(synthetic.landscape(replicates=1))
    assert "\u00b1" not in text
    assert "unknown" in text


def test_the_smallest_equivalent_network_and_what_it_saves():
    def plateau(cell):
        return 0.95 + 1e-5 * cell["hidden_size"] if cell["learning_rate"] == 0.01 else 0.2

    land = synthetic.landscape(accuracy=plateau, noise=0.0002)
    found, text = tables.Overview.of(land), overview(land)
    assert found.smallest.best.cell["hidden_size"] == 128
    assert found.smallest.cell.cell["hidden_size"] == 16
    share = f"{100 * found.smallest.saves_parameters:.0f} % of the parameters"
    assert "The smallest network within 0.5 points of it: hidden_size=16" in " ".join(text.split())
    assert share in " ".join(text.split())


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


# ---- the live table ---------------------------------------------------------------------------


def started(axes=None, **values):
    planner = planner_of(tiny(axes, **values))
    todo = tuple(planner.resolved.trials())
    return Started(planner.resolved, Path("nowhere"), todo, 0)


def progress(run, number, update, accuracy, alive=None):
    cohort = run.cohorts[number]
    accuracy = np.broadcast_to(accuracy, len(cohort.trials)).astype(float)
    alive = np.ones(len(cohort.trials), bool) if alive is None else alive
    updates = cohort.recipe.updates
    return Progress(number, cohort.trials, update, updates, accuracy, False, alive, 1.0)


def finished(trial, accuracy=0.9, status=Status.FINISHED, share=0.2):
    metrics = {"test_accuracy": accuracy, "top_answer_share": share}
    curves = {}
    return Finished(trial, TrialResult(trial.key, status, 12, metrics, curves, 1.0, 10, 1e6, 1000))


def live(run, width=80, height=24, color=False):
    return printed([LiveTable(run)], width, color, height)


def test_cells_fill_while_their_cohort_trains_and_show_the_mean_over_replicates():
    run = RunState(started())  # 2 widths x 2 rates x 2 replicates
    assert live(run).count(MISSING) == 4 + 1  # and the legend
    run(progress(run, 0, 6, [0.2, 0.4, 0.5, 0.7]))
    text = live(run)
    row = next(line for line in text.splitlines() if line.startswith(">"))
    assert row.split() == [">", "4", "30.0", "60.0"]
    assert "training 4 networks, hidden_size=4: update 6 of 12" in text
    assert "0 of 8 networks done" in text


def test_marks_of_the_live_table():
    run = RunState(started())
    cells = run.cohorts[0].trials  # two cells of two replicates
    run(progress(run, 0, 12, 0.1, np.array([True, True, False, True])))
    assert "60.0" not in live(run)
    for trial in cells[:2]:
        run(finished(trial, 0.1, share=1.0))
    run(finished(cells[2], status=Status.DIVERGED))
    run(finished(cells[3], status=Status.DIVERGED))
    row = next(line for line in live(run).splitlines() if line.split()[:1] == ["4"])
    assert row.split() == [
        "4",
        f"10.0{COLLAPSED}",
        DIVERGED,
    ]
    for trial in run.cohorts[1].trials:
        run(finished(trial, status=Status.FAILED))
    text = live(run)
    assert f"{FAILED} failed" in text
    assert "8 of 8 networks done" in text


@pytest.mark.parametrize(
    "axes",
    [
        {"hidden_size": [4, 8], "learning_rate": RATES},
        {"hidden_size": [4, 8], "learning_rate": np.geomspace(1e-5, 1, 13).tolist()},
        {"hidden_size": list(range(2, 18)), "learning_rate": [0.1, 1.0]},
        {"hidden_size": [4], "learning_rate": np.geomspace(1e-5, 1, 150).tolist()},
        {"hidden_size": [4], "learning_rate": [0.1], "init_scale": [0.5, 1.0]},
    ],
    ids=["usual", "13 columns", "16 rows", "150 columns", "fixed axes"],
)
def test_the_live_table_fits_and_shows_what_trains(axes):
    run = RunState(started(axes, replicates=1))
    run(progress(run, -1, 5, 0.5))
    for width, height in ((80, 24), (40, 16), (200, 60)):
        text = live(run, width, height)
        assert widest(text) <= width
        assert len(text.splitlines()) < height
        assert any(line.startswith(">") for line in text.splitlines())


def test_a_part_of_the_rows_says_which():
    axes = {"hidden_size": list(range(2, 18)), "learning_rate": [0.1]}
    run = RunState(started(axes, replicates=1))
    run(progress(run, 8, 5, 0.5))
    text = live(run, height=16)
    assert "hidden_size: 7 to 11 of 16 values" in text
    labels = [line.split()[-2] for line in text.splitlines() if line.endswith("\u00b7 ")]
    assert labels == ["8", "9", "11", "12"]  # and 10, which trains


def test_further_axes_are_averaged_and_the_caption_says_so():
    axes = {"hidden_size": [4, 8], "learning_rate": [0.01, 0.1], "init_scale": [0.5, 1.0]}
    run = RunState(started(axes, replicates=1))
    run(progress(run, 0, 5, [0.2, 0.4, 0.6, 0.8]))
    text = live(run)
    assert "mean over init_scale" in text
    row = next(line for line in text.splitlines() if line.startswith(">"))
    assert row.split() == [">", "4", "30.0", "70.0"]


def test_drawing_costs_next_to_nothing():
    import time

    run = RunState(started({"hidden_size": [4, 8, 16], "learning_rate": RATES}))
    run(progress(run, 0, 5, 0.5))
    live(run)
    begin = time.process_time()
    for _ in range(20):
        live(run)
    # Drawn four times a second: 25 ms each would take a tenth of a core.
    assert (time.process_time() - begin) / 20 < 0.025


# ---- how long still ---------------------------------------------------------------------------


def time_left(**values):
    # Two programs of two trials, 100 updates each; the second one's updates cost ten times more.
    return TimeLeft(
        flops=np.array([1.0, 1.0, 10.0, 10.0]),
        program=np.array([0, 0, 1, 1]),
        left=np.full(4, 100),
        now=0.0,
        **values,
    )


ALIVE = np.array([True, True])


def test_nothing_is_told_before_there_is_something_to_tell_it_by():
    clock = time_left()
    assert clock.seconds(1.0) is None
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 98, ALIVE, 5.1)
    assert clock.seconds(5.1) is None
    assert clock.updates_per_second is None


def test_time_left_follows_from_operations_speed_and_the_programs_to_come():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)  # ready after 5 s
    clock.advance(np.array([0, 1]), 49, ALIVE, 10.0)  # 50 updates each in 5 s
    assert clock.updates_per_second == pytest.approx(20)
    # 98 operations and 2,000 more at 20 a second, and 5 s until the second program is ready.
    assert clock.seconds(10.0) == pytest.approx(98 / 20 + 2000 / 20 + 5)
    assert clock.share_done == pytest.approx(1 - 2098 / 2200)


def test_waiting_for_a_program_counts_down_and_its_speed_is_its_own():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 0, ALIVE, 14.9)
    for trial in (0, 1):
        clock.end(trial, 15.0)
    assert clock.seconds(15.0) - clock.seconds(17.0) == pytest.approx(2)
    clock.advance(np.array([2, 3]), 99, ALIVE, 20.0)
    assert clock.updates_per_second is None
    clock.advance(np.array([2, 3]), 59, ALIVE, 22.0)  # 800 operations in 2 s
    assert clock.seconds(22.0) == pytest.approx(2 * 59 * 10 / 400)


def test_a_diverged_trial_is_no_work_done_and_none_to_do():
    clock = time_left()
    clock.advance(np.array([0, 1]), 99, ALIVE, 5.0)
    clock.advance(np.array([0, 1]), 89, np.array([True, False]), 6.0)
    assert clock.updates_per_second == pytest.approx(10)
    assert clock.left.tolist() == [89, 0, 100, 100]


def test_old_speeds_are_forgotten():
    clock = time_left()
    for second in range(20):  # 1 update a second, then 4
        left = 99 - second if second < 10 else 90 - 4 * (second - 9)
        clock.advance(np.array([0, 1]), left, ALIVE, 5.0 + second)
    assert clock.updates_per_second == pytest.approx(8)


def test_a_run_with_nothing_to_do_is_done():
    clock = TimeLeft(np.zeros(2), np.array([-1, -1]), np.zeros(2), 0.0)
    assert clock.share_done == 1.0
    assert clock.seconds(1.0) is None


# ---- Following a run --------------------------------------------------------------------------


def test_a_follower_counts_what_ended_and_tells_why_the_first_one_failed():
    follower, event = Follower(), started()
    follower(event)
    trial = event.todo[0]
    result = TrialResult(trial.key, Status.FAILED, 0, {}, {}, 0.0, 0, 0.0, 0, reason="Oops: no")
    follower(Finished(trial, result))
    follower(finished(event.todo[1]))
    assert follower.n_ended == 2
    assert follower.directory == Path("nowhere")
    assert "with 2 of 8 networks done" in follower.kept()
    assert follower.failures().startswith("1 network failed")
    assert "hidden_size=4, learning_rate=0.001, replicate 0: Oops: no" in follower.failures()


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
    assert rows["in"][4] == number(plan.memory_bytes / 1e9)
    assert rows["in"][5] == number(plan.flops / 1e12)


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
    land = synthetic.landscape()
    found = judge(land, load_claims("lstm-width-lr"))
    text = printed([tables.verdicts(found)])
    assert widest(text) <= 80
    flat = " ".join(text.split())
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
    assert re.search(r"quickstart\s+72\s+3\.3\s+30 s\s+68 MB\s", text)
    assert "a-name-of-25-characters-it" in text
    assert "reproduces: A report" in " ".join(text.split())
    assert "data set mnist is not on this machine" in " ".join(text.split())


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
        versions={"jax": "1", "plotly": None},
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
    assert "plotly" not in text


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
