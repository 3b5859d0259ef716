"""The state of a run, as its events tell it."""

from printing import live, progress, started

from gridscape.cli import tables
from gridscape.cli._run_state import RunState, State


def test_cells_fill_while_their_cohort_trains_and_show_the_mean_over_replicates():
    run = RunState(started())  # 2 widths x 2 rates x 2 replicates
    assert live(run).count(tables.MISSING) == 4 + 1  # and the legend
    run(progress(run, 0, 6, [0.2, 0.4, 0.5, 0.7]))
    text = live(run)
    row = next(line for line in text.splitlines() if line.startswith(">"))
    assert row.split() == [">", "4", "30.0", "60.0"]
    assert "training 4 networks, hidden_size=4: update 6 of 12" in text
    assert "0 of 8 networks done" in text


def test_states_of_trials_are_ordered_as_the_live_table_needs():
    assert min(State.FINISHED, State.COLLAPSED, State.DIVERGED, State.FAILED) > State.TRAINING
