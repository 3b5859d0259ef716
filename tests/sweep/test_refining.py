"""Values where the optimum or the edge lies: a quadratic bowl says where that is."""

import pytest

import gridscape as gs
from gridscape.errors import UnknownNameError, UsageError
from gridscape.execution.executors import Finished
from gridscape.store.acts import Act, ask
from gridscape.study.study import Study
from gridscape.sweep import run
from gridscape.sweep.refining import last_that_learns, refine


def study(rates=(0.01, 0.1, 1.0), **values):
    """A point slides into a bowl of curvature 25: stable below 2 (1 + momentum) / 25."""
    settings = {
        "task": "quadratic",
        "model": "point",
        "optimizer": "momentum",
        "batch_size": 1,
        "updates": 400,
    }
    options = {"task_options": {"curvatures": [1.0, 25.0]}, "evaluations": 1, "replicates": 1}
    axes = {"momentum": [0.0, 0.5], "learning_rate": list(rates)}
    return Study(name="tiny", axes=axes, **{**settings, **options, **values})


EDGES = {"momentum=0": 0.08, "momentum=0.5": 0.12}


def cells(folder):
    land = gs.Landscape.read(folder)
    asked = land.asked().sum("replicate").values
    return {
        row: [rate for rate, n in zip(land.axis("learning_rate").values, numbers, strict=True) if n]
        for row, numbers in zip(("momentum=0", "momentum=0.5"), asked, strict=True)
    }


def test_the_edge_of_learning_row_by_row(tmp_path):
    run(study(), directory=tmp_path)
    found = refine(tmp_path, boundary=True, threshold=1.0, within=1.2)
    assert found.why == "narrow"
    for bracket in found.brackets:
        assert bracket.low < EDGES[bracket.row] < bracket.high <= 1.2 * bracket.low
        assert bracket.value == bracket.low
    rows = cells(tmp_path)
    for bracket in found.brackets:
        assert rows[bracket.row] == sorted([0.01, 0.1, 1.0, *bracket.added])
    assert found.n_trained == sum(len(b.added) for b in found.brackets)
    again = refine(tmp_path, boundary=True, threshold=1.0, within=1.2)
    assert again.n_trained == 0
    assert [(b.low, b.high) for b in again.brackets] == [(b.low, b.high) for b in found.brackets]


def test_what_was_stopped_does_not_count_as_what_does_not_learn(tmp_path):
    def press(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(study(), directory=tmp_path, listener=press)
    ask(tmp_path, Act("stop", {"learning_rate": 0.1}))
    run(study(), directory=tmp_path)
    found = refine(tmp_path, boundary=True, threshold=1.0, within=1.2)
    for bracket in found.brackets:
        assert bracket.low < EDGES[bracket.row] < bracket.high
        assert bracket.note == "1 value left out, stopped"


def test_beyond_the_end_of_the_axis(tmp_path):
    run(study((0.001, 0.01)), directory=tmp_path)
    found = refine(tmp_path, boundary=True, threshold=1.0, at_most=1)
    assert {b.added for b in found.brackets} == {(0.1,)}
    found = refine(tmp_path, boundary=True, threshold=1.0)
    for bracket in found.brackets:
        assert bracket.low < EDGES[bracket.row] < bracket.high <= 1.3 * bracket.low * (1 + 1e-9)
        assert bracket.end == ""


def test_the_optimum(tmp_path):
    """Of a bowl with one curvature c, without momentum, it is 1 / c."""
    one = {"task_options": {"curvatures": [4.0]}, "updates": 5}
    run(study((0.01, 0.1, 1.0), **one), directory=tmp_path)
    found = refine(tmp_path, optimum=True, at={"momentum": [0.0]}, within=1.3)
    (bracket,) = found.brackets
    assert bracket.low < 0.25 < bracket.high <= 1.3 * bracket.low
    assert cells(tmp_path)["momentum=0.5"] == [0.01, 0.1, 1.0]


def test_an_end_that_cannot_be_left_is_told(tmp_path):
    run(study((0.001, 0.01)), directory=tmp_path)
    found = refine(tmp_path, optimum=True, at_most=1)
    assert found.why == "values"
    assert {b.end for b in found.brackets} <= {"last", ""}
    assert not all(b.is_narrow for b in found.brackets)


def test_whole_numbers_stay_whole(tmp_path):
    own = Study(
        name="own", task="digits-flat", model="mlp", axes={"hidden_size": [2, 4, 8]}, updates=2,
        batch_size=5, replicates=1, evaluations=1,
    )  # fmt: skip
    run(own, directory=tmp_path)
    found = refine(tmp_path, optimum=True, within=1.01, at_most=2)
    values = gs.Landscape.read(tmp_path).axis("hidden_size").values
    assert all(isinstance(value, int) and value >= 1 for value in values)
    assert len(values) == 3 + len(found.brackets[0].added) > 3


def test_stopped_it_goes_on(tmp_path):
    def stop(event):
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    run(study(), directory=tmp_path / "a")
    run(study(), directory=tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        refine(tmp_path / "a", boundary=True, threshold=1.0, listener=stop)
    ends = [
        [(b.low, b.high) for b in refine(tmp_path / name, boundary=True, threshold=1.0).brackets]
        for name in "ab"
    ]
    assert ends[0] == ends[1]
    assert cells(tmp_path / "a") == cells(tmp_path / "b")


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({}, UsageError, "one of optimum, boundary"),
        ({"optimum": True, "boundary": True}, UsageError, "found both"),
        ({"optimum": True, "axis": "width"}, UnknownNameError, "unknown axis 'width'"),
        ({"optimum": True, "within": 1.0}, UsageError, "a ratio above 1"),
        ({"optimum": True, "axis": "momentum", "within": 0}, UsageError, "difference above 0"),
        ({"optimum": True, "at_most": 0}, UsageError, "at_most: nothing to spend"),
        ({"optimum": True, "minutes": 0}, UsageError, "minutes: nothing to spend"),
    ],
)
def test_mistakes(tmp_path_factory, asked, error, words):
    folder = tmp_path_factory.getbasetemp() / "mistakes"
    if not folder.exists():
        run(study((0.01, 0.1)), directory=folder)
    with pytest.raises(error, match=words):
        refine(folder, **asked)


@pytest.mark.parametrize(
    ("shares", "last"),
    [
        ([1.0, 1.0, 0.0], 1),
        ([0.0, 0.0, 1.0], 2),
        ([0.8, 0.8, 0.8, 0.8, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0], 3),  # one learns by luck
        ([1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 0),
        ([0.6, 0.6, 0.4, 0.6, 0.2], 1),  # equal ones: the shortest
    ],
)
def test_the_edge_misplaces_the_fewest_runs(shares, last):
    assert last_that_learns(shares) == last
