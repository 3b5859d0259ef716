"""Shares of runs, the edge of learning, the optimum, luck: in words, on the page, in figures."""

import math
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from contents import content_of
from synthetic import landscape

from gridscape.analysis.boundaries import edge_of_learning
from gridscape.analysis.cells import CellState, summarize, top_cell
from gridscape.analysis.confirmed import Confirmation, Finalist
from gridscape.analysis.shares import shares
from gridscape.analysis.statistics import Interval, share_interval
from gridscape.analysis.winner import winner
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Look, Outcome
from gridscape.cli import tables
from gridscape.grid.axes import Axis
from gridscape.grid.trials import Status
from gridscape.report import document, figures, layout, words
from gridscape.report.findings import gather

RATES = (0.001, 0.01, 0.1, 1.0)


def failing():
    """A wide network fails one step earlier: 2 of 5 of its runs diverge there, 1 collapses."""

    def status(cell, r):
        rate, width = cell["learning_rate"], cell["hidden_size"]
        is_lost = rate == 1.0 or (rate == 0.1 and width == 64 and r < 2)
        return Status.DIVERGED if is_lost else Status.FINISHED

    return landscape(
        {"hidden_size": (16, 64), "learning_rate": RATES},
        lambda cell: 0.8 + 0.1 * float(cell["learning_rate"] == 0.01),
        replicates=5,
        status=status,
        collapsed=lambda c, r: (c["learning_rate"], c["hidden_size"], r) == (0.1, 64, 4),
        study={"guessing": 0.1},
    )


@pytest.fixture(scope="module")
def land():
    return failing()


def test_shares_are_counted_of_the_runs_that_ended(land):
    learns, diverges, collapses = shares(summarize(land))
    assert [s.name for s in (learns, diverges, collapses)] == ["learns", "diverges", "collapses"]
    assert learns.counts == (5, 5, 5, 0, 5, 5, 2, 0)
    assert diverges.counts == (0, 0, 0, 5, 0, 0, 2, 5)
    assert collapses.counts == (0, 0, 0, 0, 0, 0, 1, 0)
    assert learns.estimates[6] == share_interval(2, 5)


def test_where_all_runs_learn_there_are_no_maps_of_them():
    assert shares(summarize(landscape())) == ()


def test_a_cell_that_hardly_learns_is_called_diverged_only_where_most_diverged():
    half = landscape(
        {"learning_rate": (0.1, 0.2)}, lambda c: 0.9, replicates=2, collapsed=lambda c, r: r == 0
    )
    assert {s.state for s in summarize(half)} == {CellState.COLLAPSED}


def test_the_edge_lies_half_of_the_way_from_guessing_to_the_best(land):
    top = top_cell(summarize(land))
    narrow, wide = edge_of_learning(land, "learning_rate", top)
    assert narrow.threshold == pytest.approx((0.1 + top.estimate.mean) / 2)
    assert narrow.estimate.mean == pytest.approx(math.sqrt(0.1))  # half way, by logarithm
    assert wide.estimate.mean < narrow.estimate.mean
    assert edge_of_learning(land, "learning_rate", None) == ()


def test_there_is_no_edge_where_every_row_learns_everywhere():
    everywhere = landscape({"learning_rate": RATES}, lambda cell: 0.9)
    top = top_cell(summarize(everywhere))
    assert edge_of_learning(everywhere, "learning_rate", top) == ()


@pytest.mark.parametrize(
    ("value", "place"),
    [(0.01, 1.0), (math.sqrt(1e-5), 0.5), (0.0, -0.5), (math.inf, 3.5), (math.nan, None)],
)
def test_a_number_has_its_place_between_the_values_of_a_log_axis(value, place):
    found = layout.place_on(Axis("learning_rate", RATES), value)
    assert found == (None if place is None else pytest.approx(place))


def test_values_that_do_not_rise_have_no_places():
    assert layout.place_on(Axis("width", (3, 1, 2)), 1.5) is None
    assert layout.place_on(Axis("cell", ("rnn", "gru")), 1.0) is None


def test_the_page_has_maps_of_shares_with_exact_intervals(land):
    page = content_of(land)
    metrics = {metric["name"]: metric for metric in page["metrics"]}
    assert metrics["learns"]["counts"][6] == "2 of 5"
    assert metrics["diverges"]["better"] == "lower"
    exact = share_interval(2, 5)
    assert metrics["learns"]["low"][6] == pytest.approx(exact.low, rel=1e-5)
    assert metrics["test_accuracy"]["counts"] is None
    cells = page["cells"]
    assert (cells["share"][6], cells["learns"][6]) == ("2/5", "learns in 2 of 5, 5 to 85 %")
    assert cells["share"][0] == ""
    assert cells["at_edge"][:4] == [False, False, True, True]


def test_the_page_has_the_edge_of_each_row(land):
    page = content_of(land)
    narrow, wide = page["edge"]["rows"]
    assert page["edge"]["axis"] == 1
    assert "half of the way" in page["edge"]["told"]
    assert (narrow["cells"], wide["cells"]) == ([0, 1, 2, 3], [4, 5, 6, 7])
    assert narrow["place"] == pytest.approx(2.5)
    assert narrow["low"] < narrow["place"] < narrow["high"]
    assert wide["place"] < narrow["place"]
    assert page["best"]["rows"][0]["edge"] == narrow["text"]
    assert narrow["text"].startswith("0.32 (")


def test_the_figure_draws_the_edge_and_says_how_many_learn(land):
    found = gather(land)
    with_edge = figures.heat_map(land.axes, found.main, edge=found.edge)
    without = figures.heat_map(land.axes, found.main)
    lines = [len(figure.axes[0].lines) for figure in (with_edge, without)]
    assert lines == [8, 0]  # of two rows a line and a band, each with its halo
    texts = [text.get_text() for text in with_edge.findobj(mpl.text.Text)]
    assert any("2/5" in text for text in texts)
    assert any("edge of learning" in text for text in texts)


def test_the_optimum_of_a_row_is_open_where_it_reaches_an_end(land):
    axis = land.axis("learning_rate")
    row = gather(land).best[0]
    assert words.optimum_words(row, axis).startswith("0.01 (0.0032 to 0.032)")
    low = replace(row, optimum=Interval(0.001, 0.0, 0.003, 5), at_end=True)
    assert words.optimum_words(low, axis) == "0.001 (0.003 or less), at the end"
    high = replace(row, optimum=Interval(1.0, 0.3, math.inf, 5))
    assert words.optimum_words(high, axis) == "1 (0.3 or more)"
    nowhere = replace(row, optimum=Interval(1.0, 0.0, math.inf, 5))
    assert words.optimum_words(nowhere, axis) == "1 (anywhere)"
    assert words.optimum_words(replace(row, equivalent=()), axis) == ""


def test_the_luck_of_the_best_is_told_with_the_number_to_quote(land):
    found = gather(land)
    told = winner(land, land.selection_metric)
    meaning = told.best.meaning
    luck = words.winner_words(told, land.main_metric)
    assert luck.startswith(f"Chosen among {told.n_cells} cells: ")
    assert f"shrunken to their mean {meaning.text(told.shrunken)} %" in luck
    assert " by test accuracy: " in words.winner_words(told, "val_accuracy")
    assert words.winner_words(replace(told, n_cells=1), land.main_metric) == ""
    top = content_of(land)["top"]
    assert (top["luck"], top["quote"][-7:]) == (luck, "--top 3")
    fresh = Finalist(found.top.cell, found.top.estimate, Interval(0.88, 0.87, 0.89, 10), 10, 9)
    confirmation = Confirmation("test_accuracy", meaning, "", 8, (fresh,), Path("confirmed"), 1.0)
    quote = words.to_quote(confirmation, found.top.cell, "runs/it")
    assert "10 fresh replicates: 88.0 % (87.0 to 89.0), learns in 9 of them" in quote
    overview = replace(tables.Overview.of(land), confirmed=confirmation)
    assert quote in next(str(part) for part in tables._luck(overview))


def test_few_replicates_tell_no_luck_and_no_interval_of_a_share():
    two = landscape(replicates=2, collapsed=lambda c, r: c["learning_rate"] == 1.0)
    page = content_of(two)
    assert (page["top"]["luck"], page["top"]["quote"]) == ("", "")
    assert page["cells"]["learns"][0] == "learns in 2 of 2"
    learns = next(metric for metric in page["metrics"] if metric["name"] == "learns")
    assert set(learns["low"]) == {None}


def test_open_numbers_of_a_claim_have_a_line_each_and_a_decided_one_its_look():
    land = landscape(study={"task": "mnist-rows", "updates": 999})
    verdict = judge(land, load_claims("lstm-width-lr"))[0]
    first, *_ = verdict.estimates
    open_ = replace(first, says=Outcome.UNDECIDED, outlook="5 replicates can show 1 point")
    undecided = replace(verdict, outcome=Outcome.UNDECIDED, estimates=(open_, first))
    assert document._claim(undecided)["open"] == [(first.name, open_.outlook)]
    assert document._claim(undecided)["look"] == ""
    held = replace(undecided, outcome=Outcome.HOLDS, decided=Look(8, 0.005, "2024-05-01"))
    assert (document._claim(held)["open"], document._claim(held)["look"]) == (
        [],
        "at look 8 of decide",
    )
