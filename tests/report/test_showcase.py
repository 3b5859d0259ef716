"""Which networks a report shows: those of tasks whose data set, as they declare, is at hand."""

import sys

import pytest

import gridscape as gs
from gridscape.report.showcase import showcase
from gridscape.study.parts import data_set_of
from gridscape.tasks import NAMES, fetch

VARIANTS = """
import gridscape as gs
from gridscape.tasks.images import digits_rows

def rotated() -> gs.Task:
    return digits_rows(n_train=50)

@gs.reads("mnist")
def shifted(*, n_train: int = 50) -> gs.Task:
    return digits_rows(n_train=n_train)
"""


@pytest.fixture
def without_mnist(tmp_path, monkeypatch):
    """A machine without MNIST, and a module whose tasks are named after it."""
    (tmp_path / "mnist_variants.py").write_text(VARIANTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(fetch, "absent", lambda data_dir=None: {"mnist"})
    yield tmp_path
    sys.modules.pop("mnist_variants")


def shown(folder, task):
    study = gs.Study(
        task=task,
        model="mlp",
        axes={"hidden_size": [2]},
        updates=2,
        batch_size=10,
        replicates=1,
        keep_parameters="all",
    )
    return showcase(folder, gs.run(study, directory=folder))


def test_no_name_makes_a_task_read_a_data_set(without_mnist):
    found = shown(without_mnist / "run", "mnist_variants:rotated")
    assert found.notes == ()
    assert len(found.looks) == 1


def test_what_a_task_declares_to_read_is_not_fetched_for_a_report(without_mnist):
    found = shown(without_mnist / "run", "mnist_variants:shifted")
    expected = "networks are not shown: mnist: not on this machine"
    assert (found.looks, found.notes) == ((), (expected,))


def test_every_named_task_declares_the_data_set_that_it_is_named_after():
    named = {name: data_set_of(name) for name in NAMES}
    for name, data_set in named.items():
        owners = [known for known in fetch.DATA_SETS if name.startswith(known)]
        assert data_set == max(owners, key=len, default=None)
    assert set(named.values()) == {*fetch.DATA_SETS, None}
    assert data_set_of(gs.Task.from_arrays(([[0.0]], [0]), ([[1.0]], [0]))) is None


def test_the_level_of_guessing_takes_the_tasks_alone(tmp_path):
    """Of a study with kinds of examples and no kept network, whose model is no longer there."""
    study = gs.Study(
        task="recall",
        model="rnn",
        model_options={"returns": "every"},
        axes={"hidden_size": [2]},
        updates=2,
        replicates=1,
    )
    land = gs.run(study, directory=tmp_path)
    unknown = gs.Landscape(land.data, {**land.study, "model": "nosuch"})
    assert showcase(tmp_path, land).chance == showcase(tmp_path, unknown).chance
    assert showcase(tmp_path, land).chance == 1 / 9
