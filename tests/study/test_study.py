"""The study: every mistake at once and where, what makes a trial another one, what it compiles."""

import importlib
import json
import linecache
import sys

import jax
import numpy as np
import pytest
from cohort_tools import tiny

from gridscape.base.task import Task
from gridscape.engine.cohorts import partition
from gridscape.errors import StudyFileError, UsageError
from gridscape.study.study import Study

# ---- a study file: all of its mistakes at once, each with its line ----


def mistakes(tmp_path, text):
    """What is wrong with a study file."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(StudyFileError) as caught:
        Study.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return caught.value.mistakes


EVERYTHING_WRONG = """\
task = "digits-row"
model = "lsmt"
optimizer = "adamm"
update = 5

replicates = 0
[axes]
hidden_size = []
learning_rate = [0.1, 0, -1, nan]
"""


def test_all_mistakes_at_once_each_with_its_line(tmp_path):
    assert mistakes(tmp_path, EVERYTHING_WRONG) == [
        "line 1: task: unknown task 'digits-row'; did you mean 'digits-rows'?",
        "line 2: model: unknown model 'lsmt'; did you mean 'lstm'?",
        "line 3: optimizer: unknown optimizer 'adamm'; did you mean 'adam'?",
        "line 4: update: unknown key 'update'; did you mean 'updates'?",
        "line 6: replicates: out of range (expected a number from 1, found 0)",
        "line 8: axes.hidden_size: an axis needs at least one value",
        "line 9: axes.learning_rate: out of range (expected a finite number above 0, found 0, -1,"
        " nan)",
    ]


NOTHING_HAS_THESE = """\
task = "mnist-rows"
model = "lstm"
task_options.splitt = "tf1"
[axes]
hidden_sise = [4, 8]
optimizer = ["adam", "sgd"]
b1 = [0.5, 0.9]
[model_options]
hiden_size = 4
[hyperparameters]
forget_bais = 1.0
"""


def test_every_unknown_name_is_told_with_the_nearest(tmp_path):
    assert mistakes(tmp_path, NOTHING_HAS_THESE) == [
        "line 3: task_options.splitt: unknown task option 'splitt'; did you mean 'split'?",
        "line 5: axes.hidden_sise: unknown axis 'hidden_sise'; did you mean 'hidden_size'?",
        "line 7: axes.b1: not read by the optimizer sgd",
        "line 9: model_options.hiden_size: unknown model option 'hiden_size';"
        " did you mean 'hidden_size'?",
        "line 11: hyperparameters.forget_bais: unknown hyperparameter 'forget_bais';"
        " did you mean 'forget_bias'?",
    ]


AXES = ["[axes]\nhidden_size = [\n  4,\n  0,\n]", '["axes"]\n"hidden_size" = [0]']
AXES += ["axes.hidden_size = [0]", "axes = { hidden_size = [0] }"]


@pytest.mark.parametrize("axes", AXES)
def test_the_line_is_found_however_the_key_is_written(tmp_path, axes):
    text = f'# hidden_size = [0]\ntask = "digits-rows"\nmodel = "lstm"\n{axes}\n'
    (found,) = mistakes(tmp_path, text)
    line = 4 if axes.startswith("axes") else 5
    assert found.startswith(f"line {line}: axes.hidden_size: out of range")


def test_texts_that_look_like_a_key_are_none(tmp_path):
    texts = 'source = [\n  "updates = 1",\n]\ndescription = """\nupdates = 2\n[axes]\n"""\n'
    text = f'task = "digits-rows"\nmodel = "lstm"\n{texts}updates = 0\naxes.hidden_size = [4]\n'
    assert mistakes(tmp_path, text) == [
        "line 10: updates: out of range (expected a number from 1, found 0)"
    ]


def test_a_file_that_is_no_toml_says_where(tmp_path):
    (found,) = mistakes(tmp_path, 'task = "digits-rows"\nmodel = lstm\n')
    assert "line 2" in found


# ---- values that no study takes ----

LEARNING_RATE = "axes.learning_rate: out of range (expected a finite number above 0, found "
REFUSED = [
    ({"axes": {"learning_rate": [0.0]}}, f"{LEARNING_RATE}0.0)"),
    ({"axes": {"learning_rate": [-0.1]}}, f"{LEARNING_RATE}-0.1)"),
    ({"axes": {"learning_rate": [float("nan")]}}, f"{LEARNING_RATE}nan)"),
    ({"axes": {"learning_rate": [1e-50]}}, f"{LEARNING_RATE}1e-50, which is 0.0 as float32)"),
    ({"axes": {"learning_rate": [1e39]}}, f"{LEARNING_RATE}1e+39, which is inf as float32)"),
    ({"axes": {"learning_rate": ["fast"]}}, f"{LEARNING_RATE}'fast')"),
    (
        {"axes": {"hidden_size": [4, 0, 2.5]}},
        "axes.hidden_size: out of range (expected a whole number from 1, found 0, 2.5)",
    ),
    ({"axes": {"hidden_size": 4}}, "axes.hidden_size: wrong type (expected a list of values, f"),
    ({"axes": {"hidden_size": []}}, "axes.hidden_size: an axis needs at least one value"),
    ({"axes": {}}, "axes: a study needs at least one axis"),
    (
        {"hyperparameters": {"learning_rate": 0}},
        "hyperparameters.learning_rate: out of range (expected a finite number above 0, found 0)",
    ),
    ({"model_options": {"hidden_size": 0}}, "model_options.hidden_size: out of range"),
    ({"replicates": 0}, "replicates: out of range (expected a number from 1, found 0)"),
    ({"updates": 2.5}, "updates: wrong type (expected a whole number, found 2.5)"),
    ({"name": "../elsewhere"}, "name: not a name"),
]


@pytest.mark.parametrize(("values", "expected"), REFUSED)
def test_a_value_that_no_study_takes(values, expected):
    given = {"task": "digits-rows", "model": "lstm", "axes": {"learning_rate": [0.1]}}
    with pytest.raises(StudyFileError) as caught:
        Study(**{**given, **values})
    (found,) = caught.value.mistakes
    assert found.startswith(expected)


# ---- other values instead of a study's own ----


def test_an_axis_replaces_the_one_of_its_name_or_joins():
    study = tiny().override({"learning_rate": [1.0], "forget_bias": [0.0, 1.0]})
    expected = {"hidden_size": [4, 8], "learning_rate": [1.0], "forget_bias": [0.0, 1.0]}
    assert study.axes == expected
    assert list(study.axes) == list(expected)


def test_none_leaves_alone():
    assert tiny().override(None, task=None, replicates=None, seed=None) == tiny()
    assert tiny().override(replicates=7, seed=None) == tiny(replicates=7)


def test_a_new_task_drops_the_options_of_the_old_one():
    study = tiny(task="mnist-rows", task_options={"split": "official"})
    assert study.override(task="digits-rows").task_options == {}
    assert study.override(task="mnist-rows").task_options == {"split": "official"}
    given = study.override(task="image-folder", task_options={"path": "here"})
    assert given.task_options == {"path": "here"}


@pytest.mark.parametrize("axes", [None, {"batch_size": [5, 10]}])
def test_a_value_that_an_axis_would_hide_is_refused(axes):
    study = tiny({"batch_size": [5], "learning_rate": [0.1]} if axes is None else None)
    with pytest.raises(UsageError) as caught:
        study.override(axes, batch_size=7)
    expected = "study tiny: batch_size is an axis of this study; set its values instead:"
    assert str(caught.value) == f"{expected} batch_size=7"


def test_an_override_is_checked_like_a_study():
    with pytest.raises(StudyFileError, match="replicates: out of range"):
        tiny().override(replicates=0)
    with pytest.raises(StudyFileError, match="unknown key 'replicats'; did you mean 'replicates'"):
        tiny().override(replicats=3)


# ---- keys: what makes a trial another one ----


def keys(study):
    """The key of every trial by cell and replicate."""
    return {(t.cell, t.replicate): t.key for t in study.resolve().trials()}


def small(axes=None, **values):
    return tiny(axes or {"hidden_size": [4], "learning_rate": [0.001]}, **values)


def test_every_trial_has_a_key_of_its_own():
    found = keys(tiny({"hidden_size": [4, 8], "forget_bias": [0, 1], "optimizer": ["adam", "sgd"]}))
    assert len(found) == len(set(found.values())) == 16


DESCRIPTIONS = [{"name": "x"}, {"title": "x"}, {"description": "x"}, {"source": ["x"]}]
DESCRIPTIONS += [{"claims": "x"}, {"published": ["x"]}]


@pytest.mark.parametrize("values", DESCRIPTIONS, ids=lambda values: next(iter(values)))
def test_what_only_describes_a_study_is_not_in_its_keys(values):
    assert keys(small(**values)) == keys(small())


def test_the_order_of_axes_and_values_is_not_in_the_keys():
    turned = tiny({"learning_rate": [0.1, 0.001], "hidden_size": [8, 4]})
    assert keys(turned) == keys(tiny())


def test_more_values_and_replicates_keep_the_old_keys():
    more = tiny().override({"hidden_size": [2, 4, 8]}, replicates=3)
    assert keys(tiny()).items() < keys(more).items()


SAME_NUMBER = [(1e-05, 10**-5), (1e-05, 0.1**5), (0.3, 0.1 + 0.2), (1.0, 1)]
SAME_NUMBER += [(1e-05, np.geomspace(1e-05, 1, 6)[0]), (0.1, np.geomspace(1e-05, 1, 6)[4])]


@pytest.mark.parametrize(("one", "other"), SAME_NUMBER)
def test_a_number_has_one_key_however_it_was_computed(one, other):
    found = [keys(small({"hidden_size": [4], "learning_rate": [v]})) for v in (one, other)]
    assert set(found[0].values()) == set(found[1].values())


def test_numbers_that_float32_tells_apart_have_different_keys():
    close = float(np.nextafter(np.float32(0.1), np.float32(1)))
    found = keys(small({"hidden_size": [4], "learning_rate": [0.1, close]}, replicates=1))
    assert len(set(found.values())) == 2


SAME_TRIALS = [
    small({"hidden_size": [4]}),  # Adam's own default of the learning rate
    small({"hidden_size": [4]}, hyperparameters={"learning_rate": 0.001}),
    small({"learning_rate": [0.001]}, model_options={"hidden_size": 4}),
    small({"hidden_size": [4], "optimizer": ["adam"], "batch_size": [10]}, batch_size=99),
    small({"hidden_size": np.array([4]), "forget_bias": (1.0,), "updates": [12]}),
    small(task="digits"),
]


@pytest.mark.parametrize("study", SAME_TRIALS)
def test_the_same_trial_has_one_key_however_the_study_says_it(study):
    assert set(keys(study).values()) == set(keys(small()).values())


CHANGES = [{"seed": 1}, {"batch_size": 11}, {"updates": 13}, {"optimizer": "sgd"}]
CHANGES += [{"hyperparameters": {"forget_bias": 0.5}}, {"hyperparameters": {"b1": 0.8}}]
CHANGES += [{"sampling": "draws"}, {"loss": "squared_error"}]
CHANGES += [{"evaluations": 4}, {"evaluation_examples": 99}]  # other points of the curves


@pytest.mark.parametrize("values", CHANGES, ids=str)
def test_what_changes_a_result_changes_its_key(values):
    assert set(keys(small(**values)).values()).isdisjoint(keys(small()).values())


def arrays(**changes):
    """A small task, one number of which may be another."""
    values = {"train": np.arange(12.0).reshape(6, 2), "test": np.ones((6, 2)), "labels": [0, 1] * 3}
    for name, at in changes.items():
        values[name] = np.array(values[name])
        values[name].flat[at] = 0
    labels = values["labels"]
    return Task.from_arrays((values["train"], labels), (values["test"], labels), n_outputs=2)


def linear(factor):
    """A model, one number of whose code may be another."""

    def init(key, hyper):
        return jax.random.normal(key, (2, 2))

    def apply(params, inputs, key, hyper):
        return factor * (inputs @ params)

    return init, apply


def on_points(task=None, model=None):
    """A study of objects, not of names."""
    objects = {"task": task or arrays(), "model": model or linear(1.0)}
    return tiny({"learning_rate": [0.1]}, batch_size=2, **objects)


@pytest.mark.parametrize("change", [{"train": 3}, {"test": 3}, {"labels": 3}], ids=str)
def test_changed_data_changes_the_keys(change):
    def of(task):
        return set(keys(on_points(task)).values())

    assert of(arrays()) == of(arrays())
    assert of(arrays(**change)).isdisjoint(of(arrays()))


def test_changed_code_of_a_model_changes_the_keys():
    def of(factor):
        return set(keys(on_points(model=linear(factor))).values())

    assert of(1.0) == of(1.0)
    assert of(1.0).isdisjoint(of(2.0))


# ---- the record in a results folder ----


def test_the_study_of_a_record_has_the_same_keys():
    study = tiny(
        {"learning_rate": [1e-05, 0.1], "optimizer": ["adam", "sgd"]},
        title="Straße",
        model_options={"hidden_size": 3},
        hyperparameters={"forget_bias": 0.5},
        seed=3,
    )
    record = json.loads(json.dumps(study.resolve().record()))
    assert Study.from_record(record) == study.override(selection="test")  # told as it is chosen
    assert keys(Study.from_record(record)) == keys(study)


def test_a_record_of_objects_asks_for_them():
    record = json.loads(json.dumps(on_points().resolve().record()))
    with pytest.raises(UsageError) as caught:
        Study.from_record(record)
    words = "study tiny: the task and the model of this study came from Python (found arrays, "
    assert str(caught.value).startswith(words)
    assert str(caught.value).endswith("; hand the study in as well")


# ---- what is compiled ----

PROGRAMS = [
    ({"learning_rate": [1e-3, 1e-2], "forget_bias": [0, 1], "init_scale": [0.5, 1, 2]}, 1),
    ({"hidden_size": [4, 8], "learning_rate": [1e-3, 1e-2]}, 2),
    ({"optimizer": ["adam", "sgd"], "learning_rate": [1e-3, 1e-2], "batch_size": [5, 10]}, 4),
    ({"updates": [3, 6, 9], "b1": [0.5, 0.9]}, 3),
    ({"loss": ["cross_entropy", "squared_error"], "sampling": ["epochs", "draws"]}, 4),
]


def test_tasks_of_one_shape_have_the_same_model_and_others_have_not():
    axes = {"operands": ["report", "uniform"], "train_length": [3, 5]}
    values = {"task": "binary-addition", "model_options": {"returns": "every"}}
    resolved = tiny(axes, **values).resolve()
    models = [resolved.recipe(cell).model for cell in resolved.study.grid.cells()]
    assert models[0] is models[2] is not models[1] is models[3]


@pytest.mark.parametrize(("axes", "n_programs"), PROGRAMS)
def test_only_static_axes_make_programs(axes, n_programs):
    resolved = tiny(axes).resolve()
    cohorts = partition(resolved, resolved.trials())
    assert len(cohorts) == len(resolved.first_cells()) == n_programs
    assert sum(len(cohort.trials) for cohort in cohorts) == len(resolved.trials())
    recipes = [resolved.recipe(cell) for cell in resolved.study.grid.cells()]
    assert len({id(recipe.static) for recipe in recipes}) == n_programs
    assert len({id(recipe.model) for recipe in recipes}) == len(axes.get("hidden_size", [4]))
    assert len({id(r.optimizer) for r in recipes}) == len(axes.get("optimizer", ["adam"]))
    traced = {"learning_rate", "forget_bias", "init_scale", "b1"}
    assert resolved.traced & set(axes) == traced & set(axes)


PARTS_OF_MINE = """
import jax.numpy as jnp
import optax
from gridscape import Optimizer

RATE = "learning_rate"
rule = Optimizer(lambda hyper: optax.sgd(hyper[RATE] * {factor}), {{RATE: 0.1}})

def loss(outputs, targets):
    return {factor} * jnp.sum(outputs**2, axis=-1)
"""


@pytest.mark.parametrize("part", ["optimizer", "loss"])
def test_other_code_behind_an_import_string_is_another_trial(part, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    keys = []
    for factor in (1.0, 2.0, 2.0):
        (tmp_path / "parts_of_mine.py").write_text(PARTS_OF_MINE.format(factor=factor))
        sys.modules.pop("parts_of_mine", None)
        importlib.invalidate_caches()
        linecache.clearcache()
        name = {"optimizer": "rule", "loss": "loss"}[part]
        study = tiny(**{part: f"parts_of_mine:{name}"})
        keys.append([trial.key for trial in study.resolve().trials()])
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]


def test_numbers_of_numpy_are_those_that_they_show():
    rates = np.array([0.01, 0.1], np.float32)
    assert tiny({"learning_rate": rates}).axes["learning_rate"] == [0.01, 0.1]


def test_a_setting_that_an_axis_hides_is_told(tmp_path):
    text = 'task = "digits-rows"\nmodel = "lstm"\nbatch_size = 5\n[hyperparameters]\nb1 = 0.5\n'
    found = mistakes(tmp_path, f"{text}[axes]\nbatch_size = [7]\nb1 = [0.9]\n")
    assert found == [
        "line 3: batch_size: also an axis, which would hide it; remove one of them",
        "line 5: hyperparameters.b1: also an axis, which would hide it; remove one of them",
    ]


def test_a_file_named_without_its_suffix_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('task = "digits-rows"\n')
    with pytest.raises(UsageError, match=r"unknown study 'mine'.*: mine\.toml"):
        Study.load("mine")


IMAGE_STUDIES = {
    "lstm-width-lr": "digits-rows",
    "mlp-digits": "digits-flat",
    "cnn-vs-rnn": "digits-image",
    "lenet-optimizers": "digits-image",
    "lenet-optimizers-cifar10": "digits-image",
}


@pytest.mark.parametrize(("name", "task"), IMAGE_STUDIES.items())
def test_the_embedded_digits_stand_in_for_any_images(name, task):
    """As the error of a missing data set says: --task digits."""
    study = Study.load(name).override(task="digits", replicates=1)
    assert (study.task, study.task_options) == (task, {})
    assert study.resolve().trials()


def test_sizes_of_a_task_may_be_numbers_of_numpy():
    x, y = np.zeros((20, 4), np.float32), np.arange(20) % 3
    task = Task.from_arrays((x, y), (x, y), n_outputs=y.max() + 1)
    resolved = tiny({"learning_rate": [0.1]}, task=task, model="mlp").resolve()
    assert resolved.task.n_outputs == 3
