"""Names of other libraries in a study: what they are called here, and where they stand."""

import inspect
from itertools import chain

import pytest
from cohort_tools import tiny

from gridscape import models, optimizers, tasks
from gridscape.base.parts import declared
from gridscape.errors import StudyFileError
from gridscape.optimizers import extras, schedules
from gridscape.study.parts import load_object, load_optimizer
from gridscape.study.study import Study
from gridscape.study.synonyms import SYNONYMS, TABLES, meaning

EPOCHS = "use 'epochs': walks through the training examples"
HYPER, OPTION = "under [axes] or [hyperparameters]", "under [axes] or [model_options]"

KEYS = [
    ("n_epochs", EPOCHS),
    ("nb_epoch", EPOCHS),
    ("max-iter", EPOCHS),
    ("steps", "use 'updates'"),
    ("batch", "use 'batch_size'"),
    ("batchSize", "use 'batch_size'"),
    ("lr", f"use 'learning_rate', {HYPER}"),
    ("learning-rate", f"use 'learning_rate', {HYPER}"),
    ("learning_rate", f"it is {HYPER}"),
    ("units", f"use 'hidden_size', {OPTION}"),
    ("hidden_size", f"it is {OPTION}"),
    ("dropout", f"use 'keep', {HYPER}: keep = 1 - dropout"),
    ("warmup", f"it is {HYPER}"),
    ("warmup_steps", f"use 'warmup', {HYPER}: the share of all updates in which the rate rises"),
    ("random_state", "use 'seed'"),
    ("solver", "use 'optimizer'"),
    ("updatess", "did you mean 'updates'?"),
]


@pytest.mark.parametrize(("name", "told"), KEYS)
def test_a_key_of_another_library_is_told_with_ours(name, told):
    with pytest.raises(StudyFileError) as caught:
        tiny(**{name: 5})
    assert caught.value.mistakes == [f"{name}: unknown key {name!r}; {told}"]


def test_alpha_may_be_two_things():
    with pytest.raises(StudyFileError, match=r"use 'l2'.* alpha of PyTorch's RMSprop is 'decay'"):
        tiny(alpha=1e-4)


IN_TABLES = [
    ({"axes": {"lr": [0.1]}}, "axes.lr: unknown axis 'lr'; use 'learning_rate'"),
    ({"axes": {"n_epochs": [1]}}, f"axes.n_epochs: unknown axis 'n_epochs'; {EPOCHS}"),
    (
        {"axes": {"keep_parameters": ["best"]}},
        "axes.keep_parameters: unknown axis 'keep_parameters'; it is a key of the study itself",
    ),
    (
        {"axes": {"KeepParameters": ["best"]}},
        "axes.KeepParameters: unknown axis 'KeepParameters';"
        " use 'keep_parameters', a key of the study itself",
    ),
    (
        {"axes": {"runs": [1]}},
        "axes.runs: unknown axis 'runs'; use 'replicates', a key of the study itself",
    ),
    (
        {"hyperparameters": {"units": 4}},
        f"hyperparameters.units: unknown hyperparameter 'units'; use 'hidden_size', {OPTION}",
    ),
    (
        {"model_options": {"learning_rate": 0.1}},
        "model_options.learning_rate: unknown model option 'learning_rate'; it is " + HYPER,
    ),
    (
        {"model_options": {"num_layers": 2}},
        "model_options.num_layers: unknown model option 'num_layers'; use 'layers'",
    ),
]


@pytest.mark.parametrize(("values", "told"), IN_TABLES)
def test_so_is_one_in_a_table(values, told):
    axes = {"batch_size": [5]}
    assert (
        told in Study(**{"task": "digits", "model": "lstm", "axes": axes} | values).unknown_names()
    )


def test_what_no_part_here_reads_is_not_offered():
    (found,) = tiny({"dropout": [0.5]}).unknown_names()  # an LSTM keeps all of its units
    assert found.startswith("axes.dropout: unknown axis 'dropout'; known: b1, ")


def test_every_name_of_ours_is_one():
    """So that no hint leads to a name that was renamed."""
    of_models = [load_object("model", name, models.NAMES) for name in models.NAMES]
    of_tasks = [load_object("task", name, tasks.NAMES) for name in tasks.NAMES]
    rules = [load_optimizer(name) for name in optimizers.NAMES]
    traced = set(chain(*(x.hyperparameters for x in [*rules, *map(declared, of_models)])))
    traced |= {*extras.LIMITS, *schedules.LIMITS}
    assert set(TABLES["hyperparameters"]) <= traced
    assert set(TABLES["model_options"]) <= parameters(of_models)
    assert set(TABLES["task_options"]) <= parameters(of_tasks)
    assert {s.ours for s in SYNONYMS} <= {*Study.model_fields, *chain(*TABLES.values())}


def parameters(factories):
    return set(chain(*(inspect.signature(factory).parameters for factory in factories)))


def test_no_name_has_two_meanings_or_is_one_of_ours():
    others = list(chain(*(s.others.split() for s in SYNONYMS)))
    assert len(others) == len(set(others))
    for key in ["updates", "learning_rate", "hidden_size", "seed", "replicates"]:
        assert meaning(key).ours == key
