"""Two cells on the same test examples, against the stored metrics and the answers themselves."""

import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gridscape as gs
from gridscape.base.metrics import accuracy, cross_entropy
from gridscape.cli import commands
from gridscape.errors import StoreError, UnknownNameError, UsageError
from gridscape.execution.replay import trained
from gridscape.grid.trials import Status
from gridscape.inspection import answers, mcnemar
from gridscape.landscape import Landscape
from gridscape.store.store import Store

STUDY = gs.Study(
    name="paired",
    task="digits-flat",
    model="mlp",
    model_options={"hidden_size": 8},
    axes={"learning_rate": [0.001, 0.01, 1e38]},
    optimizer="sgd",
    updates=60,
    batch_size=20,
    evaluations=2,
    replicates=2,
    keep_parameters=[{"learning_rate": 0.01}],
)
A, B = {"learning_rate": 0.01}, {"learning_rate": 0.001}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("paired") / "results"
    gs.run(STUDY, directory=place)
    return place


@pytest.fixture(scope="module")
def found(folder):
    return mcnemar(folder, A, B)


def test_counts_are_those_of_the_answers(folder, found):
    assert [one.replicate for one in found.replicates] == [0, 1]
    for one in found.replicates:
        right = []
        for cell in (A, B):
            n = trained(folder, cell, replicate=one.replicate)
            right.append(np.asarray(answers.all_answers(n.recipe, n.task, n.end).is_right))
        a, b = right
        counts = one.counts
        assert (counts.only_a, counts.only_b) == ((a & ~b).sum(), (b & ~a).sum())
        assert (counts.both, counts.neither) == ((a & b).sum(), (~a & ~b).sum())
        assert one.p_value == pytest.approx(
            stats.binomtest(counts.only_a, counts.only_a + counts.only_b).pvalue
        )
        assert one.identical  # of B, which was trained again


def test_shares_are_the_stored_metrics(folder, found):
    accuracy = Landscape.read(folder).data.test_accuracy
    assert len(found.replicates) > 1
    for one in found.replicates:
        stored = [float(accuracy.sel(cell).values[one.replicate]) for cell in (A, B)]
        assert (one.counts.share_a, one.counts.share_b) == pytest.approx(stored)
        assert one.difference.mean == pytest.approx(stored[0] - stored[1])


def test_one_replicate_and_the_other_way_round(folder, found):
    other = mcnemar(folder, B, A, replicate=1)
    (one,) = other.replicates
    assert (one.counts.only_a, one.counts.only_b) == (
        found.replicates[1].counts.only_b,
        found.replicates[1].counts.only_a,
    )
    assert one.p_value == found.replicates[1].p_value


def test_cells_of_a_resampled_study_are_compared_on_the_split_of_each_replicate(tmp_path):
    study = STUDY.override({"learning_rate": [0.001, 0.01]}, resample="split", updates=10)
    land = gs.run(study, directory=tmp_path)
    pairs = mcnemar(tmp_path, A, B).replicates
    assert pairs
    for one in pairs:
        stored = float(land.data.test_accuracy.sel(A).values[one.replicate])
        assert one.counts.share_a == pytest.approx(stored)


def test_what_cannot_be_compared_is_told(folder, tmp_path):
    with pytest.raises(UsageError, match="the same cell twice"):
        mcnemar(folder, A, A)
    with pytest.raises(UsageError, match="no cell has learning_rate=3"):
        mcnemar(folder, A, {"learning_rate": 3})
    with pytest.raises(UnknownNameError, match="unknown replicate '2'; known: 0, 1"):
        mcnemar(folder, A, B, replicate=2)
    with pytest.raises(UnknownNameError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        mcnemar(folder, A, B, metric="acuracy")
    with pytest.raises(StoreError, match="no replicate has finished in both cells"):
        mcnemar(folder, A, {"learning_rate": 1e38})
    drawn = gs.Study(
        name="drawn",
        task="recall",
        model="lstm",
        model_options={"returns": "every", "hidden_size": 2},
        axes={"test_seed": [0, 1]},
        updates=2,
        replicates=1,
    )
    gs.run(drawn, directory=tmp_path)
    with pytest.raises(UsageError, match="tested on different examples"):
        mcnemar(tmp_path, {"test_seed": 0}, {"test_seed": 1})


def certainty(outputs, targets):
    """Of the true class, in (0, 1)."""
    return jnp.exp(-cross_entropy(outputs, targets))


def test_a_metric_of_degree_is_refused_and_another_may_be_named(tmp_path):
    measured = {"certainty": certainty, "accuracy": accuracy}
    axes = {"learning_rate": [0.001, 0.01]}
    study = STUDY.override(axes, metrics=measured, updates=2, replicates=1)
    gs.run(study, directory=tmp_path)
    with pytest.raises(UsageError, match="metric certainty says more than right or wrong"):
        mcnemar(tmp_path, A, B, study=study)
    assert mcnemar(tmp_path, A, B, study=study, metric="accuracy").metric == "accuracy"


def test_replicates_that_did_not_finish_are_left_out(folder, monkeypatch):
    get = Store.get

    def diverged(self, key):
        found = get(self, key)
        return replace(found, status=Status.DIVERGED) if key == lost else found

    with Store.read(folder) as store:
        lost = next(t.key for t in store.trials() if t.cell == A and t.replicate == 0)
    monkeypatch.setattr(Store, "get", diverged)
    found = mcnemar(folder, A, B)
    assert [one.replicate for one in found.replicates] == [1]
    assert found.left_out == (0,)


def test_the_command_line_shows_one_table(folder, found, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ["compare", str(folder), "--cell", "learning_rate=0.01"]
    arguments += ["--with", "learning_rate=0.001"]
    assert commands.exit_status(arguments) == 0
    out = capsys.readouterr().out
    first = found.replicates[0]
    assert f"{100 * first.difference.mean:+.2f} (" in out
    assert f"{100 * first.counts.share_a:.2f} %" in out
    assert max(map(len, out.splitlines())) <= 80
    assert commands.exit_status([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["replicates"][0]["counts"]["only_a"] == first.counts.only_a
    assert document["a"] == A


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--with", "learning_rate"], "not a cell"),
        (["--with", "learning_rate=7"], "no cell has learning_rate=7"),
        (["--with", "learning_rate=0.01"], "the same cell twice"),
        (["--with", "learning_rate=0.001", "--replicate", "9"], "unknown replicate '9'"),
        ([], "with"),
    ],
)
def test_mistakes_are_one_line(folder, arguments, told, capsys):
    status = commands.exit_status(
        ["compare", str(folder), "--cell", "learning_rate=0.01", *arguments]
    )
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert len(err) <= 300
