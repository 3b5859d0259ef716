"""Task, optimizer and loss as objects, names and import strings; what parts declare is a field."""

import json
import sys
from dataclasses import replace
from functools import partial, wraps

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import gridscape as gs
from gridscape.base.parts import declared
from gridscape.cli.commands import exit_status
from gridscape.execution.executors import Finished
from gridscape.identity.code import code_identity
from gridscape.models.feedforward import lenet5, mlp
from gridscape.optimizers import adam, sgd
from gridscape.study.parts import in_precision, load_optimizer, model_factory, part_identity
from gridscape.study.study import Study

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = (X.sum(axis=1) > 0).astype(int)


def points(n_classes: int = 2) -> gs.Task:
    """Points of two classes."""
    return gs.Task.from_arrays((X[:40], Y[:40]), (X[40:], Y[40:]), n_outputs=n_classes)


def descent(factor=1.0):
    """Gradient descent, a number of whose code may be another."""
    make = lambda hyper: optax.sgd(hyper["learning_rate"] * factor)  # noqa: E731
    return gs.Optimizer(make, {"learning_rate": 0.1}, {"learning_rate": gs.Limit(gt=0, le=2)})


def absolute(outputs, targets):
    return jnp.abs(outputs - jax.nn.one_hot(targets, outputs.shape[-1])).sum(axis=-1)


def study(**values):
    usual = {"name": "mine", "task": points, "model": "mlp", "axes": {"hidden_size": [2, 3]}}
    usual |= {"updates": 4, "batch_size": 10, "replicates": 1}
    return Study(**{**usual, **values})


def keys(**values):
    return [trial.key for trial in study(**values).resolve().trials()]


# ---- objects ----

OBJECTS = {
    "optimizer": (descent(), descent(2.0)),
    "optax": (optax.adam(1e-2), optax.adam(1e-3)),
    "chain": (
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
        optax.chain(optax.clip_by_global_norm(2.0), optax.sgd(0.1)),
    ),
    "made": (lambda: descent(), lambda: descent(3.0)),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_optimizer_may_be_an_object_told_apart_by_its_code(kind):
    one, other = OBJECTS[kind]
    assert keys(optimizer=one) == keys(optimizer=one) != keys(optimizer=other)
    assert set(keys(optimizer=one)).isdisjoint(keys(optimizer="sgd"))


def test_an_equal_object_has_equal_keys():
    assert keys(optimizer=optax.adam(1e-2)) == keys(optimizer=optax.adam(1e-2))
    assert keys(optimizer=descent()) == keys(optimizer=descent())
    assert keys(task=points()) == keys(task=points) == keys(task=points, task_options={})


def test_a_loss_may_be_an_object():
    assert keys(loss=absolute) != keys() != keys(loss="squared_error")
    assert keys(loss=lambda o, t: absolute(o, t)) != keys(loss=lambda o, t: 2 * absolute(o, t))


def test_a_function_that_makes_tasks_has_options_and_axes():
    axes = {"n_classes": [2, 3], "learning_rate": [0.1]}
    resolved = study(axes=axes).resolve()
    assert [task.n_outputs for task in resolved.tasks.values()] == [2, 3]
    assert keys(task_options={"n_classes": 3}) == keys(task=points(3))


WRONG = [
    ({"optimizer": 5}, "optimizer: wrong type (expected the name of an optimizer, an Optimizer"),
    ({"optimizer": (1, 2)}, "optimizer: wrong type (expected the name of an optimizer"),
    ({"optimizer": optax.adam}, "optimizer: the optimizer cannot be made (found TypeError: adam()"),
    ({"optimizer": dict}, "optimizer: not an optimizer (expected an Optimizer, an optax transf"),
    ({"loss": 5}, "loss: wrong type (expected the name of a loss, or a function"),
    ({"task": 5}, "task: wrong type (expected the name of a task, a Task, or a function"),
    ({"task_options": {"m": 1}}, "task_options.m: unknown task option 'm'; known: n_classes"),
    ({"axes": {"optimizer": [descent(), "adam"]}}, "axes.optimizer: wrong type (expected names or"),
    ({"axes": {"loss": [absolute]}}, "axes.loss: wrong type (expected names or import strings of"),
    ({"axes": {"model": ["mlp", mlp]}}, "axes.model: wrong type (expected no such axis: make"),
    ({"axes": {"task": [points]}}, "axes.task: wrong type (expected no such axis: make a stud"),
    ({"axes": {"hidden_size": [absolute]}}, "axes.hidden_size: wrong type (expected numbers, te"),
    ({"axes": {"learning_rate": [absolute, 0.1]}}, "axes.learning_rate: wrong type (expected nu"),
]


@pytest.mark.parametrize(("values", "told"), WRONG, ids=[told[:30] for _, told in WRONG])
def test_what_is_no_part_is_told_in_one_line(values, told):
    with pytest.raises(gs.GridscapeError) as caught:
        study(**values).resolve()
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(told)
    assert len(mistake) <= 300


@pytest.mark.parametrize("axis", [{"optimizer": [descent(), "adam"]}, {"loss": [absolute]}])
def test_an_object_on_an_axis_is_told_how_to_get_there(axis):
    with pytest.raises(gs.GridscapeError) as caught:
        study(axes=axis)
    (mistake,) = caught.value.mistakes
    assert mistake.endswith("; put an object in a module and name it 'module:object'")
    assert len(mistake) <= 300


def test_a_task_whose_function_fails_is_told():
    with pytest.raises(gs.GridscapeError, match=r"task: the task cannot be made .*ZeroDivision"):
        study(task=lambda: 1 / 0).resolve()


def test_a_study_of_objects_is_stored_opened_and_goes_on(tmp_path, capsys):
    """Its folder tells of it; from the command line, what it lacks is told in one line."""
    mine = study(optimizer=descent(), loss=absolute, keep_parameters="all")
    folder = tmp_path / "mine"
    land = gs.run(mine, directory=folder)
    record = json.loads((folder / "study.json").read_text())["study"]
    assert record["objects"] == ["task", "optimizer", "loss"]
    assert record["loss"].startswith(f"{__name__}.absolute@")
    xr.testing.assert_identical(gs.Landscape.read(folder).data, land.data)
    assert gs.report.write(folder).stat().st_size > 1000

    events = []
    mine = study(optimizer=descent(), loss=absolute, keep_parameters="all")
    gs.run(mine.override({"hidden_size": [2, 3, 4]}), directory=folder, listener=events.append)
    assert sum(isinstance(event, Finished) for event in events) == 1
    with pytest.raises(gs.GridscapeError, match="other"):
        gs.run(study(optimizer=descent(2.0), loss=absolute), directory=folder)

    for command in ("inspect", "replay"):
        capsys.readouterr()
        status = exit_status([command, str(folder), "--cell", "hidden_size=2"])
        err = capsys.readouterr().err
        assert status == 2
        assert err.count("\n") == 1
        assert len(err) <= 300
        assert "the task and the optimizer and the loss of this study came from Python" in err


def test_names_import_strings_and_objects_train_the_same(tmp_path, monkeypatch):
    (tmp_path / "rules_of_mine.py").write_text(
        "import optax\nfrom gridscape.optimizers import sgd\n"
        "def rule() -> 'Optimizer':\n    return sgd()\n"
        "from gridscape import Optimizer\nfixed = optax.sgd(0.01)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    given = ["sgd", sgd(), sgd, "rules_of_mine:rule", "rules_of_mine:fixed", optax.sgd(0.01)]
    found = [
        gs.run(study(optimizer=one), directory=tmp_path / str(k)).data.test_loss.values
        for k, one in enumerate(given)
    ]
    for other in found[1:4]:
        np.testing.assert_array_equal(other, found[0])
    for other in found[4:]:  # optax's own step, without native code
        np.testing.assert_allclose(other, found[0], rtol=1e-5)
    sys.modules.pop("rules_of_mine")


# ---- what parts declare ----


def test_a_wrapped_model_keeps_its_layers():
    model = lenet5((8, 8, 1), 3)
    wrapped = model._replace(apply=jax.checkpoint(model.apply))
    assert wrapped.layers == model.layers != ()
    assert [x.name for x in in_precision(wrapped, "tf32").layers] == [x.name for x in model.layers]


def counted(factory):
    @wraps(factory)
    def make(*args, **options):
        return factory(*args, **options)

    return make


WRAPPED = [partial(mlp, hidden_size=3), counted(mlp), partial(counted(mlp), activation="tanh")]


@pytest.mark.parametrize("factory", WRAPPED)
def test_a_wrapped_factory_keeps_its_numbers_and_their_limits(factory):
    assert declared(factory).hyperparameters == mlp.hyperparameters == {"init_scale": 1.0}
    assert study(model=factory, axes={"init_scale": [0.5]}).resolve().traced >= {"init_scale"}
    with pytest.raises(gs.GridscapeError, match=r"axes\.init_scale: out of range"):
        study(model=factory, axes={"init_scale": [-0.5]})


def test_an_optimizer_of_another_make_loses_its_native_step_and_says_so():
    assert adam().native_rule == "adam"
    other = adam()._replace(make=partial(adam().make))
    assert other.native_rule is None
    with pytest.warns(UserWarning, match="trained without that step.*native=None"):
        load_optimizer(other)
    assert load_optimizer(other._replace(native=None)).native_rule is None


def test_own_numbers_may_have_limits():
    @gs.hyperparameters({"gain": gs.Limit(ge=1, lt=4)}, gain=2.0)
    def mine(input_shape, n_outputs):
        return gs.Model(*mlp(input_shape, n_outputs)[:2])

    told = r"axes\.gain: out of range \(expected a number in \[1, 4\), found 4, 'x'\)"
    with pytest.raises(gs.GridscapeError, match=told):
        study(model=mine, axes={"gain": [1, 4, "x"]})
    told = r"learning_rate: out of range \(expected a number in \(0, 2\], found 3"
    with pytest.raises(gs.GridscapeError, match=f"hyperparameters.{told}"):
        study(optimizer=descent(), hyperparameters={"learning_rate": 3})
    pair = gs.Model(lambda k, h: {}, lambda *a: a[1], {"gain": 2.0}, {"gain": gs.Limit(ge=1)})
    with pytest.raises(gs.GridscapeError, match=r"from 1, found 0\)"):
        study(model=pair, axes={"gain": [0]})


def test_limits_are_those_of_the_parts_that_a_study_has():
    study(optimizer=descent()._replace(limits={}), axes={"learning_rate": [-1.0]})
    study(model=gs.Model(lambda k, h: {}, lambda *a: a[1], {"keep": 2.0}), axes={"keep": [2.0]})


def test_what_declares_something_is_told_apart_as_its_function_is():
    @gs.hyperparameters(gain=1.0)
    def mine(input_shape, n_outputs):
        return None

    assert code_identity(mine) == code_identity(mine.make)
    assert code_identity(partial(mine, 3)) == code_identity(partial(mine.make, 3))
    assert part_identity("optimizer", "adam", {"adam": ""}) == "adam"
    assert declared(model_factory(gs.Model(1 and len, len, {"g": 1.0}))).hyperparameters == {"g": 1}


# ---- the fingerprint of a task of one's own ----


def own(**values):
    split = gs.Split(X[:40], Y[:40])
    usual = {"name": "own", "train": split, "test": split, "input_shape": (4,), "n_outputs": 2}
    return gs.Task(**{**usual, **values})


CHANGES = {
    "data": {"test": gs.Split(X[:39], Y[:39])},
    "prepare": {"prepare": lambda x: 2 * x},
    "loss": {"loss": absolute},
    "metrics": {"metrics": {"wrong": absolute}},
    "groups": {"groups": gs.Groups("kind", (0, 1), lambda targets: targets)},
    "stream": {"train": gs.Stream(lambda k, n: None, gs.Split(X[:40], Y[:40]))},
    "name": {"name": "another"},
    "n_outputs": {"n_outputs": 3},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_is_made_of_data_and_code(change):
    assert own().fingerprint == own().fingerprint
    assert own(**CHANGES[change]).fingerprint != own().fingerprint
    assert replace(own(), **CHANGES[change]).fingerprint == own(**CHANGES[change]).fingerprint
    assert own(**CHANGES[change], fingerprint="mine").fingerprint == "mine"


def test_a_task_of_arrays_is_that_of_its_parts():
    split = (X[:40], Y[:40])
    assert (
        gs.Task.from_arrays(split, split, name="own").fingerprint
        == own(
            train=gs.Split(X[:40], Y[:40].astype(np.int32)),
            test=gs.Split(X[:40], Y[:40].astype(np.int32)),
        ).fingerprint
    )


def with_a_derivative(factor, kind):
    """The same numbers, of which the gradient is another."""

    def same(x):
        return x

    function = getattr(jax, kind)(same)
    if kind == "custom_vjp":
        function.defvjp(lambda x: (x, None), lambda _, d: (factor * d,))
    else:
        function.defjvp(lambda primals, tangents: (primals[0], factor * tangents[0]))
    return function


@pytest.mark.parametrize("kind", ["custom_vjp", "custom_jvp"])
def test_a_derivative_of_its_own_is_a_part_of_a_function(kind):
    one, again, other = (code_identity(with_a_derivative(f, kind)) for f in (1, 1, 3))
    assert one == again != other
