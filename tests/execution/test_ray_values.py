"""Code by value, on its way to Ray's workers: what a script or a notebook defines."""

import linecache
import pickle
import sys
import threading
from dataclasses import replace
from functools import partial
from types import ModuleType

import jax
import pytest
from notebooks import FILE, cell_of_notebook, own_study

import gridscape as gs
from gridscape.errors import GridscapeError, StoreError, UsageError
from gridscape.execution.executors import Job
from gridscape.execution.ray.values import packed, unpacked
from gridscape.study.parts import model_identity

pytest.importorskip("ray")


@pytest.fixture
def cell(monkeypatch):
    """What a cell of a notebook has defined."""
    return cell_of_notebook(monkeypatch)


MODELS = {
    "a function": lambda cell: cell["linear"],
    "of a class": lambda cell: cell["Linear"](),
    "init and apply": lambda cell: cell["linear"]((3,), 2),
    "declared": lambda cell: gs.hyperparameters(gain=1.0)(cell["linear"]),
    "with an option": lambda cell: partial(cell["linear"], n_outputs=3),
    "compiled": lambda cell: jax.jit(cell["linear"]),
}


@pytest.mark.parametrize("of", MODELS.values(), ids=MODELS)
def test_code_of_a_notebook_is_the_same_elsewhere(cell, of):
    model = of(cell)
    identity, content = model_identity(model), packed({"model": model})
    linecache.cache.pop(FILE)
    there = unpacked(content)["model"]
    assert there is not model
    assert model_identity(there) == identity


def test_a_study_with_own_code_is_made_again(cell):
    resolved = own_study(cell).resolve()
    job = pickle.loads(pickle.dumps(Job.of(resolved, pack=packed)))
    linecache.cache.pop(FILE)
    assert job.resolve(unpacked).trials() == resolved.trials()
    with pytest.raises(StoreError, match="other code or other data where its trials are trained"):
        replace(job, key="another").resolve(unpacked)


def test_what_is_read_from_modules_is_not_sent(cell):
    """Whether their code is the same there is still compared."""
    import processes

    told = pickle.loads(packed({"model": processes.linear, "loss": cell["sureness"]}))
    assert FILE in told.sources
    assert processes.__file__ not in told.sources


def test_objects_that_cannot_be_pickled_are_told_in_one_line(cell):
    lock = threading.Lock()

    def locked(input_shape, n_outputs):
        with lock:
            return cell["linear"](input_shape, n_outputs)

    match = r"executor ray: the model cannot be sent .*pickle.*; name it 'module:object', or use"
    with pytest.raises(UsageError, match=match) as told:
        gs.Ray("nowhere:1").open(own_study({**cell, "linear": locked}).resolve())
    assert len(str(told.value)) <= 300


def test_a_module_that_is_missing_there_is_told(monkeypatch):
    module = ModuleType("only_here")
    exec("def linear(input_shape, n_outputs): pass", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    module.linear.__module__ = "only_here"
    content = packed({"model": module.linear})
    monkeypatch.delitem(sys.modules, "only_here")
    with pytest.raises(GridscapeError, match=r"code of the study cannot be used .*only_here.*work"):
        unpacked(content)
