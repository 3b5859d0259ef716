"""What a named study fixes, and how a run differs from it in words."""

import subprocess
import sys
from typing import Any

import pytest

from gridscape.errors import UnknownNameError
from gridscape.study import conditions, files
from gridscape.study.conditions import altered, differences, of_claims, of_named, of_table
from gridscape.study.study import Study

TITLE = "LSTM on MNIST rows: width x learning rate"


def record(name: str, **changes: Any) -> dict[str, Any]:
    """The plain data of a results folder, without what only a loaded task knows."""
    study = Study.load(name)
    return {key: getattr(study, key) for key in Study.model_fields} | changes


def words(study: dict[str, Any], name: str = "lstm-width-lr", **options: Any) -> list[str]:
    return [found.words for found in differences(study, of_named(name), **options)]


@pytest.mark.parametrize("name", files.names())
def test_a_named_study_is_as_published(name: str) -> None:
    assert differences(record(name), of_named(name)) == ()
    assert altered(record(name)) == ""


def test_the_defaults_are_those_of_a_study() -> None:
    """A file that does not name them means them."""
    fields = Study.model_fields
    own = {name: fields[name].default for name in conditions.SETTINGS if not is_required(name)}
    assert own == {name: v for name, v in conditions.SETTINGS.items() if not is_required(name)}
    assert all(fields[name].default == {} for name in conditions.TABLES)


def is_required(name: str) -> bool:
    return Study.model_fields[name].is_required()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"updates": 200}, "200 of 999 updates"),
        ({"updates": 2_000}, "2,000 instead of 999 updates"),
        ({"batch_size": 64}, "batch size 64 instead of 100"),
        ({"optimizer": "sgd"}, "optimizer sgd instead of adam"),
        ({"loss": "squared_error"}, "loss squared_error instead of the default"),
        ({"sampling": "draws"}, "sampling draws instead of epochs"),
        ({"precision": "bfloat16"}, "precision bfloat16 instead of float32"),
        ({"task_options": {"split": "full"}}, "split full instead of tf1"),
        ({"task_options": {}}, "split the default instead of tf1"),
        ({"model_options": {"layers": 2}}, "layers 2 instead of the default"),
        ({"hyperparameters": {"forget_bias": 0.5}}, "forget bias 0.5 instead of the default"),
        ({"task": "digits-rows", "task_options": {}}, "task digits-rows instead of mnist-rows"),
        ({"task": "mnist-rows", "objects": ["task"]}, "task from Python instead of mnist-rows"),
        ({"model": "gru", "model_options": {"layers": 2}}, "model gru instead of lstm"),
    ],
)
def test_what_differs_is_told(changes: dict[str, Any], found: str) -> None:
    assert words(record("lstm-width-lr", **changes)) == [found]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 7},
        {"replicates": 2},
        {"evaluations": 3},
        {"keep_parameters": "all"},
        {"axes": {"hidden_size": [16], "learning_rate": [0.1, 0.5]}},
        {"axes": {"hidden_size": [16], "learning_rate": [0.1], "batch_size": [50, 100]}},
    ],
)
def test_what_is_no_other_condition(changes: dict[str, Any]) -> None:
    assert words(record("lstm-width-lr", **changes)) == []


def test_an_axis_without_the_published_value_differs() -> None:
    own = Study.load("lstm-width-lr").axes
    assert words(record("lstm-width-lr", axes={**own, "batch_size": [32, 64]})) == [
        "batch size 32, 64 instead of 100"
    ]
    assert words(record("lstm-width-lr", axes={**own, "updates": [200]})) == ["200 of 999 updates"]
    assert words(record("lstm-width-lr", axes={**own, "layers": [2]})) == [
        "layers 2, which was not set"
    ]
    assert words(
        record("momentum-quadratic", task_options={"curvatures": [1, 9]}), "momentum-quadratic"
    ) == ["curvatures [1, 9] instead of [1, 25]"]


def test_a_run_is_as_published_up_to_where_it_was_trained() -> None:
    short, long = (record("lstm-width-lr", updates=n) for n in (500, 2_000))
    assert words(short, reads=[400, 500]) == []
    assert words(short, reads=[400, 501]) == ["500 of 999 updates"]
    assert words(long, reads=[999]) == []
    assert words(short | {"batch_size": 8}, reads=[400]) == ["batch size 8 instead of 100"]


def test_only_precision_does_not_matter() -> None:
    study = record("lstm-width-lr", precision="tf32", updates=200)
    found = differences(study, of_named("lstm-width-lr"))
    assert {d.name: d.matters for d in found} == {"updates": True, "precision": False}


def test_what_a_folder_does_not_tell_is_not_compared() -> None:
    old = {"name": "lstm-width-lr", "title": TITLE, "axes": {}, "replicates": 3, "updates": 999}
    assert words(old) == []
    forged = {**old, "task_options": 3, "hyperparameters": None, "updates": "many", "objects": 1}
    assert words(forged)[0] == "updates many instead of 999"
    assert words({**old, "task": {"a": [1]}, "batch_size": True})
    assert words({**old, "task": "x\n" * 99})[0].isprintable()


def test_the_first_line_of_a_run_that_bears_a_published_title() -> None:
    study = record("lstm-width-lr", updates=200, task="digits-rows", task_options={})
    told = "200 of 999 updates; task digits-rows instead of mnist-rows"
    assert altered(study) == f"Reduced run: {told}"
    assert altered(study | {"updates": 999}).startswith("Altered run: task digits-rows")
    assert altered(study | {"title": "Mine"}) == ""
    assert altered(study | {"title": ["a list"]}) == ""


def test_tables_have_the_conditions_of_the_study_that_names_them() -> None:
    assert of_table("recall_report3_loss") is of_named("recall")
    assert of_table("width_lr_report2") is of_named("lstm-width-lr")
    assert of_table("of nobody") is None
    with pytest.raises(UnknownNameError, match="did you mean 'recall'"):
        of_named("recal")


def test_a_file_of_claims_may_allow_several_values() -> None:
    allowed = of_claims("mlp-digits", {"batch_size": [30, 64]}, ["activation"])
    for size in (30, 64):
        assert differences(record("mlp-digits", batch_size=size), allowed) == ()
    assert [d.words for d in differences(record("mlp-digits", batch_size=16), allowed)] == [
        "batch size 16 instead of 30 or 64"
    ]
    both = {"activation": ["tanh"], "batch_size": [16, 64, 30]}
    assert conditions.published_values(record("mlp-digits", axes=both), allowed) == {
        "batch_size": 30
    }


def test_of_ones_own_conditions_only_what_is_stated_counts() -> None:
    stated = {"task": "hall", "task_options": {"noise": [0.1, 0.2]}, "updates": 50}
    own = of_claims("", stated, ["hidden_size"])
    study = {"task": "hall", "objects": ["task"], "model": "gru", "updates": 50, "axes": {}}
    assert differences(study | {"task_options": {"noise": 0.2, "size": 3}}, own) == ()
    found = differences(study | {"task_options": {"noise": 0.3}}, own)
    assert [d.words for d in found] == ["noise 0.3 instead of 0.1 or 0.2"]
    assert of_claims("", None, ["hidden_size"]) is None


@pytest.mark.parametrize(
    ("stated", "mistake"),
    [
        (3, "conditions: expected a table of settings, found 3"),
        ({"update": 9}, "conditions.update: unknown condition 'update'; did you mean 'updates'?"),
        ({"updates": 0}, "conditions.updates: expected a whole number from 1, or a list of them"),
        ({"updates": "999"}, "conditions.updates: expected a whole number from 1"),
        ({"batch_size": [30, 6.4]}, "conditions.batch_size: expected a whole number"),
        ({"batch_size": []}, "conditions.batch_size: expected a whole number"),
        ({"task": 3}, "conditions.task: expected a name"),
        ({"model_options": "gru"}, "conditions.model_options: expected a table, found 'gru'"),
        ({"hyperparameters": {"l2": "a"}}, "conditions.hyperparameters.l2: expected a number"),
        ({"optimizer": "adam"}, "conditions.optimizer: also an axis"),
        ({"model_options": {"optimizer": 1}}, "conditions.model_options.optimizer: also an axis"),
    ],
)
def test_what_is_wrong_with_stated_conditions(stated: Any, mistake: str) -> None:
    (found,) = conditions.mistakes(stated, ["optimizer"])
    assert found.startswith(mistake)


def test_reading_conditions_starts_no_compiler() -> None:
    code = "import sys; from gridscape.study import conditions; conditions.of_named('recall'); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print('jax' in sys.modules)"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
