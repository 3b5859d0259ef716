"""Own data from the command line: looked at, trained on, and told where it cannot be."""

import json

import numpy as np
import pandas as pd
import pytest

from gridscape.cli import commands


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Runs a command in this process: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    x = np.random.default_rng(0).normal(size=(60, 2))
    table = pd.DataFrame({"x": x[:, 0], "y": x[:, 1], "side": np.where(x[:, 0] > 0, "<b>", "b'")})
    table.to_csv("my points.csv", index=False)
    table.assign(z=[None, *range(59)]).to_csv("holes.csv", index=False)

    def run_command(*arguments):
        capsys.readouterr()
        status = commands.exit_status([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run_command


def test_look_tells_columns_classes_and_the_next_step(call):
    status, out, err = call("data", "look", "my points.csv", "--target", "side")
    assert (status, err) == (0, "")
    assert "table: 60 rows, 3 columns" in out
    assert "Predicts 2 classes from inputs (2,)" in out
    assert "--target side --model mlp" in out
    document = json.loads(call("data", "look", "my points.csv", "--target", "side", "--json")[1])
    assert sum(document["examples"].values()) == 60
    assert [one["name"] for one in document["classes"]] == ["<b>", "b'"]
    assert document["trouble"] == []


def test_look_tells_trouble(call):
    status, out, _ = call("data", "look", "holes.csv", "--target", "side")
    assert status == 0
    assert "missing values: 1 in 'z'" in out
    out = call("data", "look", "holes.csv", "--target", "side", "--option", "missing=drop")[1]
    assert "59" not in out.split("Predicts")[0]
    assert "1 rows left out" in out


def walks(path, **others):
    """Sixty sequences of 2 to 9 steps in a file of arrays, NaN as padding."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 10, 60)
    steps = rng.normal(size=(60, 12, 2))
    steps[np.arange(12) >= lengths[:, None]] = np.nan
    kinds = {"y": np.where(steps[:, 0, 0] > 0, "up", "down"), "lengths": lengths}
    np.savez(path, X=steps, **(kinds | others))


def test_look_tells_lengths_and_a_model_that_reads_them(call, tmp_path):
    walks(tmp_path / "walks.npz")
    status, out, err = call("data", "look", "walks.npz")
    assert (status, err) == (0, "")
    assert "lengths of all: 2 to 9" in out
    assert "Predicts 2 classes from inputs (9, 2)" in out
    median = int(np.median(np.load("walks.npz")["lengths"]))
    assert f"Sequences of 2 to 9 steps, {median} in the median." in out
    assert "--data walks.npz --model lstm" in out
    assert json.loads(call("data", "look", "walks.npz", "--json")[1])["lengths"] == [2, median, 9]
    walks(tmp_path / "steps.npz", y=np.tile([0, 1], (60, 6)))
    out = call("data", "look", "steps.npz")[1]
    assert "Predicts 2 classes at every step" in out
    walks(tmp_path / "long.npz", lengths=np.full(60, 13))
    assert "a length out of range (expected 1 to 12" in " ".join(
        call("data", "look", "long.npz")[1].split()
    )


def test_run_reads_sequences_to_their_ends(call, tmp_path):
    walks(tmp_path / "walks.npz")
    walks(tmp_path / "steps.npz", y=np.tile([0, 1], (60, 6)))
    few = ("--updates", 3, "--replicates", 1)
    one = ("--set", "learning_rate=0.1", "--set", "hidden_size=4")
    for name in ("walks", "steps"):
        status, out, _ = call("run", "--data", f"{name}.npz", *few, *one)
        assert status == 0
        assert f"lstm on {name}.npz" in out
        assert (tmp_path / "runs" / name / "report.html").is_file()
    assert "Confusion" in call("inspect", "walks")[1]
    assert "Sample sequences" in call("inspect", "steps")[1]
    for model in ("mlp", "lenet5"):
        status, out, err = call("run", "--data", "walks.npz", "--model", model)
        assert (status, out) in ((1, ""), (2, ""))
        assert "sequences of different lengths" in err
        assert "lstm, gru" in err
        assert err.count("\n") == 1
        assert len(err) <= 320


@pytest.mark.filterwarnings("default")  # as for a user, not as errors
def test_run_and_plan_take_a_file(call, tmp_path):
    own = ("--data", "my points.csv", "--target", "side", "--updates", 5, "--replicates", 1)
    status, out, err = call("plan", *own)
    assert (status, err) == (0, "")
    assert "8 networks" in out
    pd.read_csv("my points.csv").assign(same=1.0).to_csv("my points.csv", index=False)
    status, out, err = call("run", *own, "--set", "learning_rate=0.1", "--set", "hidden_size=4")
    assert status == 0
    assert "mlp on my points.csv" in out
    assert err.count("warning: table: constant columns") == 1, "told once"
    assert (tmp_path / "runs" / "my-points" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--target", "sid", "--data", "my points.csv"), "did you mean 'side'?"),
        (("--target", "side"), "--target: only with --data"),
        (("--model", "lstm"), "--model: only with --data"),
        (("quickstart", "--data", "my points.csv"), "a study and --data"),
        (("--data", "gone.csv"), "no such file or folder"),
        (("--data", "holes.csv", "--target", "side"), "missing values: 1 in 'z'"),
        (("--data", "my points.csv", "--option", "drop"), "--option: not an option"),
    ],
)
def test_requests_that_cannot_be(call, arguments, line):
    status, out, err = call("run", *arguments)
    assert status in (1, 2)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert len(err) <= 320


def test_classes_keep_their_names_and_changed_data_is_told(call, tmp_path):
    own = ("--data", "my points.csv", "--target", "side", "--updates", 5, "--replicates", 1)
    one = ("--set", "learning_rate=0.1", "--set", "hidden_size=4")
    assert call("run", *own, *one)[0] == 0
    status, out, _ = call("inspect", "my-points", "--what", "confusion", "--what", "mistakes")
    assert status == 0
    assert "<b> " in out
    assert "b'" in out
    assert r"\u003c" in (tmp_path / "runs" / "my-points" / "report.html").read_text()
    table = pd.read_csv("my points.csv")
    table.assign(x=table["x"] + 1).to_csv("my points.csv", index=False)
    for arguments in (("inspect", "my-points"), ("run", *own, *one)):
        status, out, err = call(*arguments)
        assert status == 1
        assert "what the task reads has changed since" in err
