"""Every named study: its file, its claims and tables, and a tiny run on embedded data."""

from dataclasses import replace

import pytest

import gridscape as gs
from gridscape.analysis.published import compare_published
from gridscape.claims.files import load_claims
from gridscape.claims.judging import judge
from gridscape.claims.records import Outcome
from gridscape.claims.tables import published
from gridscape.grid.axes import same
from gridscape.report.showcase import showcase
from gridscape.study.files import names
from gridscape.study.study import Study
from gridscape.tasks import fetch

NAMED = [name for name in names() if name != "quickstart"]
# What a task is replaced by in tiny runs: the embedded digits in the same layout.
EMBEDDED = {
    "mnist-rows": "digits-rows",
    "mnist-flat": "digits-flat",
    "mnist-image": "digits-image",
    "cifar10": "digits-image",
    "cifar10-gray28": "digits-image",
}
PLACES = {"update", "length"}  # of numbers that are no final metrics
TRACED = {"learning_rate", "l2", "momentum"}  # all other axes of the studies change the program


def is_on_axis(value, values):
    return any(same(value, other) for other in values)


def test_the_published_experiments_are_here():
    assert set(NAMED) == {
        "lstm-width-lr",
        "recurrent-mnist",
        "recall",
        "binary-addition",
        "cell-types",
        "lenet-optimizers",
        "lenet-optimizers-cifar10",
        "cnn-vs-rnn",
        "mlp-digits",
        "mlp-subsets",
        "mlp-early-stopping",
        "momentum",
        "momentum-quadratic",
    }


@pytest.mark.parametrize("name", NAMED)
def test_a_study_says_what_it_is(name):
    study = Study.load(name)
    assert study.title
    assert study.description
    assert study.source
    assert study.claims
    assert study.replicates >= 3


@pytest.mark.parametrize("name", NAMED)
def test_claims_are_made_on_the_axes_of_the_study(name):
    study = Study.load(name)
    claims = load_claims(study.claims)
    assert claims
    for claim in claims:
        assert {axis.name: list(axis.values) for axis in claim.axes} == study.axes
        assert claim.source.split(",")[0] in "; ".join(study.source)


@pytest.mark.parametrize("name", NAMED)
def test_every_published_number_has_a_place_in_the_study(name):
    study = Study.load(name)
    for table in map(published, study.published):
        assert table.values
        for cell, _ in table.values:
            place = {**table.at, **cell}
            assert PLACES | study.axes.keys() >= place.keys()
            assert all(is_on_axis(place[axis], study.axes[axis]) for axis in place.keys() - PLACES)
            assert place.get("update", 0) <= study.updates


@pytest.mark.parametrize("name", NAMED)
def test_every_cell_of_a_study_can_be_trained(name):
    """By shapes, on the study's own data."""
    study = Study.load(name)
    absent = [s.name for s in fetch.status() if not s.embedded and s.found_at is None]
    lacking = next((data for data in absent if study.task.startswith(data)), None)
    if lacking:
        pytest.skip(f"needs {lacking}, which is not on this machine")
    assert study.resolve().trials()


@pytest.mark.parametrize("name", NAMED)
def test_a_study_runs_and_its_claims_are_judged(name, tmp_path):
    study = tiny(Study.load(name))
    land = gs.run(study, directory=tmp_path / name)
    assert land.counts()["finished"] == len(study.grid.cells()) * study.replicates
    claims = load_claims(study.claims)
    assert {v.outcome for v in judge(land, claims)} == {Outcome.NOT_COMPARABLE}
    anyway = [replace(claim, conditions=None) for claim in claims]  # every rule runs on its task
    verdicts = judge(land, anyway, folder=tmp_path / name)
    assert {verdict.outcome for verdict in verdicts} <= set(Outcome) - {Outcome.NOT_COMPARABLE}
    for table in map(published, study.published):
        assert compare_published(land, table).cells


@pytest.mark.parametrize("name", ["recall", "binary-addition"])
def test_the_report_shows_sequences_with_their_answers(name, tmp_path):
    land = gs.run(tiny(Study.load(name)), directory=tmp_path)
    shown = showcase(tmp_path, land)
    assert shown.looks
    assert all("samples" in look.records for look in shown.looks)


def tiny(study):
    """A few updates of the two smallest values of each traced axis, and the smallest of the others.

    The test before this one looks at all cells: a program for each would take minutes.
    """
    axes = {
        axis: sorted(values, key=ranked)[: 2 if axis in TRACED else 1]
        for axis, values in study.axes.items()
    }
    on_an_axis = "updates" in axes
    return study.override(
        {**axes, **({"updates": [4]} if on_an_axis else {})},
        task=EMBEDDED.get(study.task, study.task),
        task_options={k: v for k, v in study.task_options.items() if k != "split"},
        updates=None if on_an_axis else 4,
        replicates=2,
        batch_size=min(study.batch_size, 8),
        evaluations=2,
    )


def ranked(value):
    """Texts by their length, "64" before "64-64"; numbers by size."""
    return (len(value), value) if isinstance(value, str) else value
