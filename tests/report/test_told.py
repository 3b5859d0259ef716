"""What was left out of the data is told where its results are shown: page, terminal, JSON."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import gridscape as gs
from gridscape.cli import commands
from gridscape.report.document import document
from gridscape.report.findings import gather

pytestmark = pytest.mark.filterwarnings("default")  # as for a user, not as errors


def told_everywhere(folder, capsys):
    """What page, terminal and JSON tell of the data of a results folder."""
    land = gs.Landscape.read(folder)
    page = document(gather(land), folder, "today", {})
    capsys.readouterr()
    assert commands.exit_status(["show", str(folder), "--json"]) == 0
    of_json = json.loads(capsys.readouterr().out)["told"]
    assert commands.exit_status(["show", str(folder)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for line in page["told"]:
        assert f"Of the data: {' '.join(line.split())}" in shown
    assert not any(line in str(page["facts"]) for line in page["told"])
    assert list(page["told"]) == of_json == land.study["told"]
    return of_json


def study(**values):
    usual = {"name": "told", "model": "mlp", "updates": 3, "batch_size": 8, "replicates": 1}
    return gs.Study(**{**usual, "axes": {"hidden_size": [2]}, **values})


def test_pictures_that_were_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    for kind in ("<b>cat", "dog"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 255, (6, 6), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / kind / f"{i}.png")
    (tmp_path / "photos" / "dog" / "Thumbs.db").write_bytes(b"no picture")
    (tmp_path / "photos" / "dog" / "half.jpg").write_bytes(b"\\xff\\xd8\\xff")
    options = {"path": str(tmp_path / "photos"), "unreadable": "leave out", "layout": "flat"}
    gs.run(study(task="images", task_options=options), directory=tmp_path / "runs")
    told = told_everywhere(tmp_path / "runs", capsys)
    assert told[0] == "passed over, no pictures: 1 file: Thumbs.db"
    assert told[1].startswith("left out, cannot be read: 1 picture: half.jpg (")
    assert gs.Landscape.read(tmp_path / "runs").class_names == ("<b>cat", "dog")


def test_rows_that_were_left_out_and_mostly_one_class(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    x = np.random.default_rng(0).normal(size=200)
    table = pd.DataFrame({"x": x, "same": 1.0, "ill": np.where(x > 1, "yes", "no")})
    table.loc[[3, 5], "x"] = np.nan
    table.to_csv(tmp_path / "people.csv", index=False)
    options = {"path": str(tmp_path / "people.csv"), "target": "ill", "missing": "drop"}
    gs.run(study(task="table", task_options=options), directory=tmp_path / "runs")
    told = told_everywhere(tmp_path / "runs", capsys)
    assert "missing values (2 in 'x'): 2 rows left out" in told
    assert "constant columns, which tell nothing: 'same'" in told
    assert any("test examples are of class 'no'" in line for line in told)


def test_nothing_is_told_of_data_that_is_in_order(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    task = gs.Task.from_arrays((x, np.arange(60) % 2))
    gs.run(study(task=task), directory=tmp_path / "runs")
    land = gs.Landscape.read(tmp_path / "runs")
    assert "told" not in land.study
    assert document(gather(land), tmp_path / "runs", "today", {})["told"] == []


def test_parts_of_a_file_that_have_inputs_in_common(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    y = np.arange(60) % 2
    np.savez(tmp_path / "p.npz", x_train=x[:50], y_train=y[:50], x_test=x[45:], y_test=y[45:])
    with pytest.warns(UserWarning, match="5 of 15 test inputs are also among the training inputs"):
        made = study(task="arrays", task_options={"path": str(tmp_path / "p.npz")}).resolve()
    assert made.record()["told"] == ["5 of 15 test inputs are also among the training inputs"]


def test_the_page_says_what_guessing_gives(tmp_path):
    from gridscape.report.words import guess_words

    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    of_classes = gs.Task.from_arrays((x, np.array(["ill", "healthy"])[(np.arange(80) % 8 > 0) * 1]))
    of_numbers = gs.Task.from_arrays((x, 1000 * x.sum(axis=1)), unit="kEUR")
    said = []
    for number, task in enumerate((of_classes, of_numbers)):
        land = gs.run(study(task=task), directory=tmp_path / str(number))
        page = document(gather(land), tmp_path / str(number), "today", {})
        assert page["summary"].endswith(guess_words(land))
        assert ("guessing", "0") not in page["facts"]
        said.append(guess_words(land))
    share = np.mean(of_classes.test.targets == 0)
    assert said[0] == f"To answer the largest class always gives {100 * share:.1f} %."
    assert said[1].startswith("To answer the mean of the training targets always gives ")
    assert said[1].endswith(" kEUR.")
