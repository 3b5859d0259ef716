"""Fresh replicates of finalists, which the search neither sees nor shares."""

import numpy as np
import pytest
from runs import assert_equal_tables, stored

import gridscape as gs
from gridscape.analysis.confirmed import confirmed
from gridscape.errors import UsageError
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import run
from gridscape.sweep.confirming import FRESH, confirm


def study(**values):
    settings = {"task": "digits-flat", "model": "mlp", "updates": 10, "batch_size": 10}
    options = {"evaluations": 1, "replicates": 2, "evaluation_examples": 50}
    axes = {"axes": {"learning_rate": [0.0001, 0.003, 0.03], "b1": [0.9, 0.8]}}
    return Study(name="tiny", **{**settings, **options, **axes, **values})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("searched") / "tiny"
    run(study(), directory=found)
    return found


def test_only_the_finalists_are_trained_apart_from_the_search(folder):
    before = stored(folder)
    found = confirm(folder, top=2, replicates=3)
    land = gs.Landscape.read(folder)
    scores = land.score().values.ravel()
    best = [land.grid.cells()[i] for i in np.argsort(-scores)[:2]]
    assert [each.cell for each in found.finalists] == best
    assert_equal_tables(stored(folder), before)
    fresh = gs.Landscape.read(found.directory)
    assert fresh.counts()["finished"] == 6
    assert fresh.study["seed"] == FRESH
    learns = dict(zip(fresh.grid.cells(), fresh.learns.reshape(-1, 3), strict=True))
    for each in found.finalists:
        numbers = fresh.values().sel(dict(each.cell)).values
        told = numbers[learns[each.cell]] if learns[each.cell].any() else numbers
        assert each.fresh.mean == pytest.approx(told.mean(), abs=1e-12)
        assert each.luck == pytest.approx(each.searched.mean - told.mean(), abs=1e-12)
        assert (each.n_fresh, each.n_learns) == (3, learns[each.cell].sum())
        searched = land.values().sel(dict(each.cell)).values
        assert not set(numbers[:2]) & set(searched)  # other random numbers


def test_again_trains_nothing_and_more_trains_the_rest(folder):
    confirm(folder, top=2, replicates=3)
    first = stored(folder / "confirmed")
    confirm(folder, top=1, replicates=4)
    second = stored(folder / "confirmed")
    assert len(second) == len(first) + 1
    assert_equal_tables({name: second[name] for name in first}, first)
    found = confirmed(folder)
    assert [each.n_fresh for each in found.finalists] == [4, 3]


def test_a_later_run_meets_nothing_of_it(folder):
    confirm(folder, top=1, replicates=2)
    land = run(study(replicates=3), directory=folder)
    assert land.counts()["finished"] == 18
    with Store.read(folder / "confirmed") as store:
        assert {trial.replicate for trial in store.trials()} <= {0, 1, 2, 3}


@pytest.mark.parametrize(("top", "replicates"), [(7, 2), (0, 2), (-1, 2)])
def test_more_finalists_than_cells(folder, top, replicates):
    with pytest.raises(UsageError, match=rf"top: .*expected 1 to 6, .*found {top}\)"):
        confirm(folder, top=top, replicates=replicates)


def test_nothing_was_confirmed(tmp_path):
    run(study(axes={"learning_rate": [0.01]}), directory=tmp_path / "tiny")
    assert confirmed(tmp_path / "tiny") is None
