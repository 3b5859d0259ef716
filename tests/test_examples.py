"""Each example runs as a user would run it, in a process of its own, and learns something."""

import ast
import csv
import re
from pathlib import Path

import pytest
from scripts import run_python

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: Path, *command: str, paths: tuple[Path, ...] = (EXAMPLES.parent,)) -> str:
    """What ``python COMMAND`` prints, run in a folder, warnings being errors."""
    return run_python(command, folder, paths)


def table(text: str, rows: str) -> list[list[float]]:
    """The numbers of the first table printed whose rows are named so, the row's own name first."""
    lines = text[text.index(f"\n{rows}") :].splitlines()[2:]
    numbers = []
    for line in lines:
        if not re.match(r"[\d.]+ ", line):
            break
        numbers.append([float(word) for word in line.split()])
    return numbers


def best(rows: list[list[float]]) -> float:
    accuracies = [value for _, *row in rows for value in row]
    assert all(0 <= value <= 1 for value in accuracies)
    return max(accuracies)


def test_own_arrays(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_arrays.py"), "--updates=150")
    rows = table(text, "init_scale")
    assert [name for name, *_ in rows] == [0.1, 1, 10, 100]
    assert best(rows) > 0.9
    assert text.count("\ninit_scale") == 2, "the best learning rate of each scale"
    assert (tmp_path / "runs" / "spirals" / "study.json").is_file()


def test_image_folder(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "image_folder.py"), "--updates=100")
    assert text.startswith("3 classes of pictures (16, 16): level, slanted, upright\n")
    rows = table(text, "hidden_size")
    assert [name for name, *_ in rows] == [8, 32]
    assert best(rows) > 0.6, "chance is 1/3"
    assert not list(tmp_path.iterdir()), "all in a folder that is gone"


def test_own_table(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_table.py"), "--updates=100")
    assert "flowers to learn from: setosa, versicolor, virginica" in text
    assert best(table(text, "hidden_size")) > 0.9


def test_runs_elsewhere(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "runs_elsewhere.py"))
    assert best(table(text, "max_depth")) > 0.9
    assert "max_depth=8: best max_features" in text
    assert (tmp_path / "runs" / "forests" / "report.html").is_file()


def test_own_numbers(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_numbers.py"), "--updates=200")
    errors = [error for _, *row in table(text, "hidden_size") for error in row]
    assert 40 < min(errors) < 65, "in points; the mean of all is 77 off"
    assert float(text.rsplit(maxsplit=1)[-1]) > 0.3


def test_own_series(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_series.py"), "--updates=150")
    errors = [error for _, *row in table(text, "hidden_size") for error in row]
    assert min(errors) < 5, "in MW; the mean of all is about 14 off"


def test_own_sequences(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_sequences.py"), "--updates=150")
    assert text.startswith("1500 signals of 2 to 38 moments\n")
    rows = table(text, "directions")
    assert [name for name, *_ in rows] == [1, 2]
    assert best(rows) > 0.75, "chance is 1/8"


def test_own_photos(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_photos.py"))
    assert "error: photos: 1 of 83 pictures cannot be read (found half.jpg (damaged))" in text
    assert "80 of 16 x 16 gray, 1 of 16 x 16 in color, 1 of 20 x 18 gray" in text
    assert "told: images: passed over, no pictures: 1 file: Thumbs.db" in text
    assert max(ast.literal_eval(text.splitlines()[-1]).values()) > 0.8
    assert not list(tmp_path.iterdir())


def test_own_unequal(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_unequal.py"))
    assert text.startswith("answering 'healthy' always: accuracy 0.940, balanced accuracy 0.500")
    none, balanced = (line.split()[1:] for line in text.splitlines()[-2:])
    assert float(none[1]) > 0.93, "as accurate as answering one class"
    assert float(balanced[0]) > float(none[0]) + 0.1
    assert float(balanced[3]) > 0.6 > float(none[3]), "of the ill are found"


def test_flax_model(tmp_path: Path) -> None:
    pytest.importorskip("flax")
    text = run(tmp_path, str(EXAMPLES / "flax_model.py"), "--updates=60")
    assert "norm" in text


def test_equinox_model(tmp_path: Path) -> None:
    pytest.importorskip("equinox")
    text = run(tmp_path, str(EXAMPLES / "equinox_model.py"), "--updates=60")
    assert best(table(text, "depth")) > 0.8
    assert re.search(r"\n1 +2410\n3 +4522\n", text), "parameters of 64-32-10 and 64-32-32-32-10"


def test_torch_lstm(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    text = run(tmp_path, str(EXAMPLES / "torch_lstm.py"), "--updates=60")
    assert best(table(text, "hidden_size")) > 0.6
    found, stored = re.findall(r"(0\.\d+) in PyTorch, (0\.\d+) stored", text)[0]
    assert found == stored


def test_import_string(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "import_string.py"), "--updates=60")
    assert "recurrent_scale 3 x learning_rate 4 x 3 replicates; 36 finished" in text
    assert best(table(text, "recurrent_scale")) > 0.6


def test_import_string_from_the_command_line(tmp_path: Path) -> None:
    study = ["run", str(EXAMPLES / "rotation.toml"), "--updates=5", "--replicates=2"]
    run(tmp_path, "-m", "gridscape", *study, paths=(EXAMPLES.parent, EXAMPLES))
    text = run(tmp_path, "-m", "gridscape", "show", "rotation")
    assert "24 networks" in text


def test_rules_that_read_different_numbers(tmp_path: Path) -> None:
    run(tmp_path, "-m", "gridscape", "run", str(EXAMPLES / "rules.toml"), "--updates=60")
    text = run(tmp_path, "-m", "gridscape", "show", "rules")
    assert text.splitlines()[1].startswith("36 networks: 12 of the 27 cells of 3 learning_rate")
    assert [text.count(f"\nmomentum={value}\n") for value in ("unset", 0.5, 0.9)] == [1, 1, 1]
    assert "not trained yet" not in text


def test_batches_of_the_same_epochs(tmp_path: Path) -> None:
    study = str(EXAMPLES / "batches.toml")
    run(tmp_path, "-m", "gridscape", "run", study, "--epochs=1", "--replicates=1")
    text = run(tmp_path, "-m", "gridscape", "show", "batches")
    assert "trained on digits-flat for 1 epoch" in " ".join(text.split())
    run(tmp_path, "-m", "gridscape", "export", "batches")
    with (tmp_path / "batches.csv").open(newline="") as file:
        updates = {row["batch_size"]: row["updates"] for row in csv.DictReader(file)}
    assert updates == {"25": "53.0", "100": "13.0", "400": "3.0"}


def test_every_example_is_tested() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")} - {"my_models"}
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert scripts
    assert scripts <= tested
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 90, path.name


def test_own_parts(tmp_path: Path) -> None:
    text = run(tmp_path, str(EXAMPLES / "own_parts.py"), "--updates=60")
    losses = dict(line.split(" ", 1) for line in text.splitlines())
    assert list(losses) == ["log_loss", "distance"]
    for accuracies in map(ast.literal_eval, losses.values()):
        assert list(accuracies) == [0.001, 0.01, 0.1, 1.0]
        assert max(accuracies.values()) > 0.8, "chance is 1/2"
