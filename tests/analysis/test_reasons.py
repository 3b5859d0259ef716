"""Why a cell failed: a sentence that holds what is stored, and leaves out what is not."""

import numpy as np
import pytest
from synthetic import landscape

from gridscape.analysis.cells import summarize
from gridscape.analysis.reasons import explanations
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape

AXES = {"learning_rate": [1e-3, 1.0]}
CELL = Cell.of(learning_rate=1.0)
TEN_CLASSES = {"guessing": 0.1}


def high(cell, replicate):
    return cell["learning_rate"] == 1.0


def told(land: Landscape) -> dict[Cell, str]:
    return explanations(land, summarize(land))


def one_answer(shares, losses, answers=None, study=TEN_CLASSES, which=high) -> Landscape:
    """The high rate gives one answer; of each replicate: shares by evaluation, loss, answer."""
    n = len(losses)
    land = landscape(AXES, lambda c: 0.5, replicates=n, collapsed=which, study=study)
    data = land.data.copy(deep=True)
    data["train_loss"].loc[CELL] = losses
    if shares is not None:
        data["curve_top_answer_share"] = data["curve_test_accuracy"] * 0 + 0.2
        data["curve_top_answer_share"].loc[CELL] = shares
    if answers is not None:
        data["top_answer"] = data["test_accuracy"] * 0 + 7
        data["top_answer"].loc[CELL] = answers
    return Landscape(data, land.study)


def test_a_collapsed_cell_tells_its_answer_since_when_and_its_loss():
    # Evaluated at 50, 100, 200, 300 and 400.
    land = one_answer([[0.2, 0.2, 1, 1, 1]] * 2, [5.4, 5.6], [2, 2])
    assert told(land) == {
        CELL: "from update 200 on one answer (2) for everything, "
        "training loss 5.5, above guessing (2.3)"
    }


def test_replicates_that_differ_are_told_as_a_range():
    land = one_answer([[0.2, 1, 1, 1, 1], [1, 1, 1, 0.5, 1]], [2.31, 2.29], [4, 1])
    assert told(land)[CELL] == (
        "from update 100 to 400 on one answer (1, 4) for everything, "
        "training loss 2.3, that of guessing (2.3)"
    )


@pytest.mark.parametrize(
    ("study", "against"),
    [
        ({}, ""),
        ({"guessing": 0.0}, ""),
        ({"chances": {"train_loss": -0.0}}, ""),  # one class alone counts
        ({"chances": {"train_loss": 0.5}}, ", above guessing (0.5)"),
        ({"guessing": 0.1, "loss": "squared_error"}, ""),
        ({"guessing": 0.1, "loss": "cross_entropy"}, ", below guessing (2.3)"),
    ],
)
def test_what_is_not_stored_is_left_out(study, against):
    land = one_answer(None, [1.0, 1.0], study=study)
    assert told(land)[CELL] == f"one answer for everything, training loss 1{against}"


def test_many_different_answers_are_not_listed():
    land = one_answer(None, [1.0] * 6, [0, 1, 2, 3, 4, 5], study={})
    assert told(land)[CELL] == "one answer for everything, training loss 1"


def test_a_part_of_the_replicates_is_counted():
    land = one_answer(
        [[1, 1, 1, 1, 1], [0.2] * 5, [0.2] * 5],
        [3.0, 0.1, 0.1],
        [2, 5, 6],
        which=lambda c, r: high(c, r) and r == 0,
    )
    assert told(land)[CELL].startswith("1 of 3 replicates: from update 50 on one answer (2) for")


def test_a_cell_that_has_not_started_tells_how_its_loss_falls():
    land = one_answer([[1] * 5] * 2, [2.56, 2.56], [2, 2])
    data = land.data.copy(deep=True)
    data["curve_train_loss"].loc[CELL] = np.linspace(2.71, 2.57, data.sizes["update"])
    assert told(Landscape(data, land.study))[CELL] == (
        "it has not begun to learn: its training loss still falls, from 2.71 to 2.56, "
        "above guessing (2.3)"
    )


def test_diverged_and_failed_cells():
    def status(cell, replicate):
        if not high(cell, replicate):
            return Status.FINISHED
        return [Status.DIVERGED, Status.DIVERGED, Status.FAILED][replicate]

    land = landscape(AXES, lambda c: 0.5, status=status, study=TEN_CLASSES)
    assert told(land) == {
        CELL: "2 of 3 replicates: loss not finite at update 150, "
        "training loss before 1.58, below guessing (2.3); "
        "1 of 3 replicates: a stated reason"
    }


@pytest.mark.parametrize("status", [Status.FINISHED, Status.MISSING])
def test_nothing_is_said_where_nothing_went_wrong(status):
    land = landscape(AXES, lambda c: 0.5, status=lambda c, r: status)
    assert told(land) == {}


def test_a_landscape_without_curves_is_told_as_far_as_it_goes():
    land = one_answer(None, [5.0, 5.0], study={})
    bare = Landscape(land.data.drop_dims(["update", "evaluated_at"]), land.study)
    assert told(bare)[CELL] == "one answer for everything, training loss 5"
    lost = landscape(AXES, lambda c: 0.5, status=lambda c, r: Status.DIVERGED)
    bare = Landscape(lost.data.drop_dims(["update", "evaluated_at"]), lost.study)
    assert told(bare)[CELL] == "loss not finite at update 150"
