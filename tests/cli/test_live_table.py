"""Cells fill while their cohort trains; the table fits, and shows what trains."""

import re
from dataclasses import replace

import numpy as np
import pytest
from printing import (
    COLLAPSED,
    DIVERGED,
    FAILED,
    MISSING,
    RATES,
    finished,
    live,
    progress,
    started,
    widest,
)

from gridscape.cli._run_state import RunState
from gridscape.execution.executors import Cut
from gridscape.grid.axes import show
from gridscape.grid.trials import Status


def test_cells_fill_while_their_cohort_trains_and_show_the_mean_over_replicates():
    run = RunState(started())  # 2 widths x 2 rates x 2 replicates
    assert live(run).count(MISSING) == 4 + 1  # and the legend
    run(progress(run, 0, 6, [0.2, 0.4, 0.5, 0.7]))
    text = live(run)
    row = next(line for line in text.splitlines() if line.startswith(">"))
    assert row.split() == [">", "4", "30.0", "60.0"]
    assert "training 4 networks, hidden_size=4: update 6 of 12" in text
    assert "0 of 8 networks done" in text


def test_a_hole_of_the_grid_waits_for_nothing():
    pairs = {"hidden_size": [2, 4], "learning_rate": [0.01, 0.1]}
    run = RunState(started(pairs, replicates=1, zip=[["hidden_size", "learning_rate"]]))
    text = live(run)
    assert text.count(MISSING) == 2 + 1  # and the legend
    assert "- not asked for" in text
    assert "0 of 2 networks done" in text


def test_all_that_train_at_once_are_told_and_in_view():
    axes = {"hidden_size": list(range(2, 18)), "learning_rate": [0.1]}
    run = RunState(started(axes, replicates=1))
    for number, update in ((3, 6), (5, 4), (6, 2)):
        run(progress(run, number, update, 0.5))
    text = live(run, height=24)
    told = [line for line in text.splitlines() if line.startswith("training ")]
    assert told == [
        f"training 1 network, hidden_size={size}: update {update} of 12"
        for size, update in ((5, 6), (7, 4), (8, 2))
    ]
    assert [line.split()[1] for line in text.splitlines() if line[:1] == ">"] == ["5", "7", "8"]
    for height in (14, 16, 18, 24):
        text = live(run, height=height)
        assert len(text.splitlines()) < max(height, 15)
        assert any(line.startswith(">") for line in text.splitlines())
    assert "training 3 networks in 3 runs" in live(run, height=14)
    assert "training 2 networks in 2 more runs" in live(run, height=16)
    (ended,) = run.cohorts[3].trials
    run(finished(ended))
    assert [work for work, _ in run.training] == [5, 6]
    assert "hidden_size=5:" not in live(run)
    run(progress(run, 5, 6, 0.5))
    assert "hidden_size=7: update 6 of 12" in live(run)


def test_parts_of_a_work_that_train_side_by_side_are_told_both():
    run = RunState(started())
    whole = progress(run, 0, 6, 0.5)
    one, other = (
        replace(whole, trials=part, accuracy=whole.accuracy[: len(part)], alive=whole.alive[:1])
        for part in (whole.trials[:1], whole.trials[1:2])
    )
    run(one)
    run(replace(other, update=2))
    run(replace(one, update=8))
    assert [p.update for p in run.training.values()] == [8, 2]
    run(finished(one.trials[0]))
    assert [p.update for p in run.training.values()] == [2]


def test_a_run_that_went_on_elsewhere_or_was_cut_is_told_once():
    run = RunState(started())
    run(progress(run, 0, 6, 0.5))
    again = replace(progress(run, 0, 4, 0.5), work=7)  # from a checkpoint: its process died
    run(again)
    assert [work for work, _ in run.training] == [7]
    run(Cut(7, again.trials, 2, 1))
    assert run.training == {}
    assert "getting ready" in live(run) or "storing" in live(run)


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


def test_the_caption_tells_what_the_numbers_are_of():
    run = RunState(started(replicates=2))
    assert "test set" not in live(run)  # no number yet
    run(progress(run, 0, 6, 0.5))
    assert "; of the latest batches" in live(run)
    for trial in run.cohorts[0].trials:
        run(finished(trial))
    assert "; on the test set" in live(run)
    run(progress(run, 1, 6, 0.5))
    assert "; ended: test set, others: latest batches" in live(run, 120)


def test_cells_of_fewer_replicates_are_told():
    run = RunState(started(replicates=3))
    run.asked.reshape(-1, 3)[0, 2] = False
    assert "mean over 2 to 3 replicates" in live(run)


def test_a_mean_over_the_replicates_that_are_left_is_marked():
    run = RunState(started(replicates=3))
    trials = run.cohorts[0].trials
    run(finished(trials[0], 0.2))
    run(finished(trials[1], 0.4))
    run(finished(trials[2], status=Status.DIVERGED))
    text = live(run)
    assert "30.0*" in text
    assert "* some diverged or failed, mean over the others" in text


def test_over_a_part_of_the_columns_stand_its_own_values():
    axes = {"hidden_size": [4, 8], "learning_rate": np.geomspace(1e-5, 1, 150).tolist()}
    text = live(RunState(started(axes, replicates=1)))
    (part,) = re.findall(r"learning_rate: 1 to (\d+) of 150 values", text)
    last = show(axes["learning_rate"][int(part) - 1])
    assert f" 1e-05 to {last[:10]}" in text


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
