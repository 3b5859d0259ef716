"""Chosen on the validation set, told on the test set: every choice, and the words for it."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from contents import content_of
from rich.console import Console
from synthetic import landscape

from gridscape.analysis import selection
from gridscape.analysis.best import best_per
from gridscape.analysis.cells import summarize
from gridscape.cli import _json, tables
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.inspection.kinds import best_cell
from gridscape.landscape import Landscape
from gridscape.report import figures
from gridscape.report.findings import gather

AXES = {"hidden_size": [16, 32], "learning_rate": [1e-3, 1e-2, 1e-1]}


def on_test(cell: Cell) -> float:
    """The test set likes the highest rate."""
    return 0.5 + 0.1 * AXES["learning_rate"].index(float(cell["learning_rate"]))


def on_validation(cell: Cell) -> float:
    """The validation set likes the lowest rate, and the narrow network."""
    return 1.4 - on_test(cell) - 0.001 * float(cell["hidden_size"])


def validated(**options) -> Landscape:
    options = {"noise": 1e-4, "validation": on_validation} | options
    return landscape(AXES, on_test, **options)


@pytest.mark.parametrize("asked", ["validation", "test", None])
@pytest.mark.parametrize("is_there", [True, False])
def test_selection_is_what_the_study_asks_and_what_is_there(asked, is_there):
    study = {} if asked is None else {"selection": asked}
    land = validated(validation=on_validation if is_there else None)
    land = Landscape(
        land.data.drop_attrs(deep=False),
        {k: v for k, v in land.study.items() if k != "selection"} | study,
    )
    on_validation_set = asked == "validation" and is_there
    assert land.selection == ("validation" if on_validation_set else "test")
    assert land.selection_metric == ("val_accuracy" if on_validation_set else "test_accuracy")
    assert land.main_metric == "test_accuracy"


def test_a_validation_set_that_some_trials_lack_chooses_nothing():
    """As where the axis of tasks has one with, one without."""
    land = validated()
    one = land.data["val_accuracy"].where(land.data["hidden_size"] == 16)
    assert Landscape(land.data.assign(val_accuracy=one), land.study).selection == "test"
    nothing = land.data["val_accuracy"] * np.nan
    assert Landscape(land.data.assign(val_accuracy=nothing), land.study).selection == "test"


def test_trials_that_did_not_finish_need_no_validation():
    land = validated(status=lambda c, r: Status.DIVERGED if r == 0 else Status.FINISHED)
    assert land.selection == "validation"


def test_choices_are_made_on_validation_and_told_on_test():
    land = validated()
    found = land.best("learning_rate")
    assert found["learning_rate"].values.tolist() == [1e-3, 1e-3]
    assert found["test_accuracy"].values == pytest.approx([0.5, 0.5], abs=1e-3)
    assert found.attrs["chosen_by"] == "val_accuracy"
    assert [cell["learning_rate"] for cell in land.best_cells()] == [1e-3, 1e-3]
    assert best_cell(land) == Cell.of(hidden_size=16, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("metric", "by"),
    [
        ("test_accuracy", "val_accuracy"),
        ("test_loss", "val_loss"),
        ("val_loss", "val_loss"),
        ("train_loss", "train_loss"),
        ("top_answer_share", "top_answer_share"),
    ],
)
def test_a_metric_that_is_named_is_shown_and_its_twin_chooses(metric, by):
    land = validated()
    assert land.chosen_by(metric) == by
    chosen = land.best("learning_rate", metric=metric)
    assert metric in chosen
    assert chosen.attrs["chosen_by"] == by
    on_the_test_set = Landscape(land.data, {**land.study, "selection": "test"})
    assert on_the_test_set.chosen_by(metric) == metric


def test_records_are_chosen_on_validation_and_hold_test_numbers():
    land = validated()
    cells = summarize(land)
    assert selection.top(land, cells) is cells[0]
    for row, by_validation in zip(
        selection.best_rows(land, "learning_rate", cells),
        best_per(land, metric="val_accuracy"),
        strict=True,
    ):
        assert row.value == by_validation.value == 1e-3
        assert row.equivalent == by_validation.equivalent
        assert row.best.metric == "test_accuracy"
    front = selection.fronts(land, ["flops"], cells)["flops"]
    assert [p.summary.cell["learning_rate"] for p in front.front] == [1e-3]
    assert front.metric == front.points[0].summary.metric == "test_accuracy"
    smallest = selection.smallest(land, cells)
    assert smallest.cell is smallest.best is cells[0]


@pytest.mark.parametrize("on", ["validation", "test"])
def test_every_best_says_on_which_set_it_was_chosen(on):
    land, words = validated(study={"selection": on}), f"chosen on the {on} set"
    rate = 1e-3 if on == "validation" else 1e-1
    overview = tables.Overview.of(land)
    shown = printed(overview)
    (best,) = [line for line in shown.splitlines() if line.startswith("The best,")]
    assert f"The best, {words}: hidden_size=" in best
    assert f"learning_rate={rate:g}" in best
    assert f"Best learning rate of each hidden_size, {words}" in shown
    by = " by validation accuracy" if on == "validation" else ""
    assert f"Chosen among {len(overview.cells)} cells{by}: " in shown
    document = json.loads(_json.to_json(_json.overview(overview, Path("runs/it"))))
    assert document["selection"] == on
    assert {cell["metric"] for cell in document["cells"]} == {"test_accuracy"}
    assert {cell["metric"] for cell in document["cells_by_selection"]} == {land.selection_metric}
    assert document["winner"]["best"] == document["top"]
    assert document["winner"]["n_cells"] == len(overview.cells)
    assert document["top"]["learning_rate"] == rate
    assert {row["value"] for row in document["best"]} == {rate}
    assert {row["best"]["metric"] for row in document["best"]} == {"test_accuracy"}
    page = content_of(land)
    assert (page["selection"], page["chosen"]) == (on, words)
    assert page["cells"]["label"][page["top"]["cell"]].endswith(f"learning_rate={rate:g}")
    assert land.data.attrs["selection"] == on
    drawn = figures.draw_all(gather(land))
    for name in ("landscape", "curves_of_the_best", "best_learning_rate", "cost_flops"):
        assert words in texts_of(drawn[name]), name


def printed(overview: tables.Overview) -> str:
    console = Console(file=io.StringIO(), width=100)
    for part in tables.overview(overview, 100):
        console.print(part)
    return console.file.getvalue()


def texts_of(figure) -> str:
    import matplotlib.text

    return "\n".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))


def test_in_a_notebook_the_best_over_further_axes_is_chosen_on_validation():
    axes = {"a": [1], "b": [1], "learning_rate": [1e-3, 1e-1]}
    land = landscape(axes, on_test, validation=lambda c: 1 - on_test(c), noise=0.0)
    page = land._repr_html_()
    assert "best over learning_rate, chosen on the validation set" in page
    assert "0.5000" in page
    assert "0.7000" not in page


def test_validation_stands_in_curves_tables_and_exports(tmp_path):
    land = validated()
    assert {"val_accuracy", "val_loss"} <= {*land.metrics} & {*land.curves}
    assert {"val_accuracy", "val_loss"} <= {*land.table().columns}
    page = content_of(land)
    assert "validation accuracy" in [metric["label"] for metric in page["metrics"]]
    (name,) = [c for c in page["curve_names"] if c["name"] == "val_accuracy"]
    assert (name["split"], name["shared"]) == ("val", "accuracy")
