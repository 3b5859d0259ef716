"""Cells of one results folder with different numbers of replicates, and values of their own."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from runs import assert_equal_tables, stored

import gridscape as gs
from gridscape.analysis.cells import CellState, summarize
from gridscape.errors import StoreLockedError, UnknownNameError, UsageError
from gridscape.execution.executors import Finished
from gridscape.grid.asked import Asked, asked_more
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import Started, run
from gridscape.sweep.extending import Extender, extend

ONE = gs.Cell.of(momentum=0.0, learning_rate=0.1)
NEW = gs.Cell.of(momentum=0.5, learning_rate=0.02)


def study(**values):
    """One that trains in a moment; nothing in it is random."""
    axes = {"momentum": [0.0, 0.5], "learning_rate": [0.1, 1.0]}
    settings = {"task": "quadratic", "model": "point", "optimizer": "momentum", "batch_size": 1}
    options = {"task_options": {"curvatures": [1.0, 1.5]}, "evaluations": 2, "replicates": 2}
    return Study(name="tiny", axes=axes, updates=5, **{**settings, **options, **values})


def linear(input_shape, n_outputs):
    """A model that goes by no name."""

    def init(key, hyper):
        return {"w": jnp.zeros((math.prod(input_shape), n_outputs))}

    return init, lambda params, inputs, key, hyper: inputs.reshape(len(inputs), -1) @ params["w"]


class Trained:
    """A listener: the cells and replicates that were trained."""

    def __init__(self):
        self.trials = []

    def __call__(self, event):
        if isinstance(event, Finished):
            self.trials.append((event.trial.cell, event.trial.replicate))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "tiny"
    run(study(), directory=folder)
    return folder


@pytest.fixture
def folder(results, tmp_path):
    """A copy of the results of the study."""
    copy = tmp_path / "tiny"
    for path in results.rglob("*"):
        target = copy / path.relative_to(results)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return copy


def test_only_what_is_asked_for_is_trained(folder):
    before, trained = stored(folder), Trained()
    land = extend(folder, {ONE: 4, NEW: 1}, listener=trained)
    assert trained.trials == [(ONE, 2), (ONE, 3), (NEW, 0)]
    assert land.axis("learning_rate").values == (0.02, 0.1, 1.0)
    assert land.asked().sum("replicate").values.tolist() == [[0, 4, 2], [1, 2, 2]]
    assert land.data.sizes["replicate"] == 4
    assert land.counts() == {
        "finished": 11, "diverged": 0, "failed": 0, "out_of_memory": 0, "stopped": 0, "missing": 0,
    }  # fmt: skip
    after = stored(folder)
    assert_equal_tables({name: after[name] for name in before}, before)


def test_a_cell_trained_alone_has_the_numbers_of_a_run(folder, tmp_path):
    extend(folder, {ONE: 3})
    run(study(replicates=3), directory=tmp_path / "whole")
    alone, whole = stored(folder), stored(tmp_path / "whole")
    assert_equal_tables({name: whole[name] for name in alone}, alone)


def test_a_run_afterwards_trains_only_what_it_asks_for(folder):
    extend(folder, {ONE: 4, NEW: 1})
    trained = Trained()
    land = run(study(), directory=folder, listener=trained)
    assert trained.trials == []
    assert land.asked().sum("replicate").values.tolist() == [[0, 4, 2], [1, 2, 2]]
    land = run(study(replicates=3), directory=folder, listener=trained)
    assert trained.trials == [(cell, 2) for cell in study().grid.cells() if cell != ONE]
    assert land.asked().sum("replicate").values.tolist() == [[0, 4, 3], [1, 3, 3]]


def test_states_of_cells_that_nobody_asked_for(folder):
    land = extend(folder, {ONE: 4, NEW: 1})
    cells = {s.cell: s for s in summarize(land)}
    never = cells[gs.Cell.of(momentum=0.0, learning_rate=0.02)]
    assert (never.state, never.n_missing, never.n_not_asked) == (CellState.NOT_ASKED, 0, 4)
    assert (cells[NEW].n_missing, cells[NEW].n_not_asked) == (0, 3)
    with Store.create(folder, study(replicates=5).resolve().record()):
        pass  # asked for, and not trained
    waiting = {s.cell: s for s in summarize(gs.Landscape.read(folder))}
    assert waiting[ONE].n_missing == 1
    assert waiting[never.cell].state is CellState.NOT_ASKED


def test_the_part_of_a_landscape_knows_what_was_asked_for(folder):
    land = extend(folder, {ONE: 4})
    part = gs.Landscape(land.data.isel(replicate=slice(1, 3), momentum=[0]), land.study)
    np.testing.assert_array_equal(part.asked(), [[[True, True], [True, False]]])


def test_an_interrupted_extension_goes_on(folder):
    def stop(event):
        if isinstance(event, Started):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extend(folder, {ONE: 4, NEW: 3}, listener=stop)
    with Extender(folder) as extender:
        left, trained = extender.unfinished(), Trained()
        assert left == {ONE: 4, NEW: 3}
        assert extender.todo(left) == 5
        extender.listener = trained
        extender.extend(left)
        assert len(trained.trials) == 5
        assert extender.unfinished() == {}


def test_a_cell_may_come_in_other_words(folder):
    trained = Trained()
    extend(folder, {gs.Cell.of(learning_rate=0.1 + 1e-12, momentum=0): 3}, listener=trained)
    assert trained.trials == [(ONE, 2)]


@pytest.mark.parametrize(
    ("cells", "error", "words"),
    [
        ({gs.Cell.of(momentum=0.0): 3}, UsageError, "learning_rate"),
        ({gs.Cell.of(momentum=0.0, rate=1): 3}, UnknownNameError, "unknown axis 'rate'"),
        ({ONE: 0}, UsageError, "expected 1 to 10,000, found 0"),
        ({ONE: 2.5}, UsageError, "found 2.5"),
        ({gs.Cell.of(momentum=0.0, learning_rate=float("nan")): 1}, UsageError, "nan"),
        ({gs.Cell.of(momentum="much", learning_rate=0.1): 1}, Exception, "momentum"),
    ],
)
def test_mistakes_leave_the_folder_as_it_is(folder, cells, error, words):
    before = (folder / "study.json").read_bytes()
    with pytest.raises(error, match=words):
        extend(folder, cells)
    assert (folder / "study.json").read_bytes() == before


def test_one_process_at_a_time(folder):
    with Extender(folder), pytest.raises(StoreLockedError, match="another process"):
        extend(folder, {ONE: 3})


def test_a_study_of_objects_is_handed_in(tmp_path):
    axes = {"learning_rate": [0.1]}
    own = Study(
        name="own", task="digits", model=linear, axes=axes, updates=2, batch_size=5, replicates=1
    )
    run(own, directory=tmp_path / "own")
    cell = gs.Cell.of(learning_rate=0.1)
    with pytest.raises(UsageError, match="came from Python"):
        extend(tmp_path / "own", {cell: 2})
    assert extend(tmp_path / "own", {cell: 2}, study=own).counts()["finished"] == 2


def test_a_record_that_cannot_be_is_refused(folder):
    path = folder / "study.json"
    document = json.loads(path.read_text())
    document["study"]["replicates_of"] = [[{"momentum": 0.0}, 3]]
    path.write_text(json.dumps(document))
    with pytest.warns(UserWarning, match="restored from ledger"):
        assert gs.Landscape.read(folder).data.sizes["replicate"] == 2


def test_more_is_never_less():
    plain = {"axes": {"x": [1, 2], "y": ["a"]}, "replicates": 3}
    grown = asked_more(plain, {gs.Cell.of(x=3, y="b"): 2, gs.Cell.of(x=1, y="a"): 1})
    asked = Asked(grown)
    assert {(x, y): asked.of({"x": x, "y": y}) for x in (1, 2, 3) for y in "ab"} == {
        (1, "a"): 3, (2, "a"): 3, (3, "a"): 0, (1, "b"): 0, (2, "b"): 0, (3, "b"): 2,
    }  # fmt: skip
    assert asked_more(grown, {gs.Cell.of(x=2, y="a"): 3}) == grown
