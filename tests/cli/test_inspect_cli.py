"""``gridscape inspect``, and the networks of a report, on studies that train for a moment."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from declarations import mistakes

from gridscape.cli import commands, networks
from gridscape.engine.machine import Machine
from gridscape.engine.training import Training, named_leaves
from gridscape.errors import StoreError
from gridscape.execution import replay
from gridscape.execution.planner import Planner
from gridscape.inspection import kinds
from gridscape.landscape import Landscape
from gridscape.report import figures, html
from gridscape.report.document import document, to_json
from gridscape.report.findings import gather
from gridscape.report.showcase import MOST_CELLS, showcase
from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import run

LENET = {"channels1": 2, "channels2": 3, "hidden_size": 4}
SMALL = {"updates": 8, "batch_size": 20, "evaluations": 2, "replicates": 2}
STUDIES = {
    "mlp": {
        "task": "digits-flat",
        "model": "mlp",
        "axes": {"hidden_size": [4, 8], "learning_rate": [0.01, 0.1]},
        "keep_parameters": "best",
    },
    "lenet": {
        "task": "digits-image",
        "model": "lenet5",
        "model_options": LENET,
        "axes": {"learning_rate": [0.01]},
        "keep_parameters": "all",
        "replicates": 1,
    },
    "recall": {
        "task": "recall",
        "task_options": {"n_test": 21},
        "model": "lstm",
        "model_options": {"returns": "every"},
        "axes": {"hidden_size": [3], "learning_rate": [0.01]},
        "replicates": 1,
    },
    "addition": {
        "task": "binary-addition",
        "task_options": {"longest_test": 6, "n_test_per_length": 3},
        "model": "lstm",
        "model_options": {"returns": "every"},
        "axes": {"hidden_size": [2], "learning_rate": [0.01]},
        "keep_parameters": "all",
        "replicates": 1,
    },
    "mixed": {
        "task": "digits-flat",
        "model": "mlp",
        "model_options": {"hidden_size": 4},
        "axes": {"layers": [1, "4-3"], "bias": [True]},
        "keep_parameters": "all",
        "replicates": 1,
        "updates": 4,
    },
    "own": {
        "task": "digits-flat",
        "model": "own_models:linear",
        "axes": {"learning_rate": [0.01]},
        "replicates": 1,
    },
    "bowl": {
        "task": "quadratic",
        "model": "point",
        "optimizer": "sgd",
        "axes": {"learning_rate": [0.003, 0.03, 10.0]},
        "batch_size": 1,
        "updates": 200,
        "replicates": 1,
    },
}


OWN_MODEL = """
import jax.numpy as jnp
from gridscape import Model

def linear(input_shape, n_outputs):
    def init(key, hyper):
        return {"kernel": jnp.zeros((*input_shape, n_outputs))}

    def apply(params, inputs, key, hyper):
        return inputs @ params["kernel"]

    return Model(init, apply)
"""


@pytest.fixture(scope="module", autouse=True)
def own_model(tmp_path_factory):
    """A user's model, found by its import string."""
    place = tmp_path_factory.mktemp("models")
    (place / "own_models.py").write_text(OWN_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        yield


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The results of a study, trained when first asked for."""
    root = tmp_path_factory.mktemp("studies")

    def folder(name):
        if not (root / name).exists():
            run(Study(name=name, **{**SMALL, **STUDIES[name]}), directory=root / name)
        return root / name

    return folder


@pytest.fixture(scope="module", autouse=True)
def no_data(tmp_path_factory):
    """No data set but the embedded one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDSCAPE_DATA", str(tmp_path_factory.mktemp("no-data")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def call(capsys, monkeypatch):
    """Runs a command in this process: (status, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "80")

    def run_command(*arguments):
        capsys.readouterr()
        status = commands.exit_status([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run_command


# ---- parameters of a stored trial ----


def leaves(params):
    return {name: np.asarray(leaf) for name, leaf in named_leaves(params).items()}


def test_kept_parameters_are_taken_as_they_are(folder_of):
    folder = folder_of("mlp")
    (cell, *_) = Landscape.read(folder).best_cells()
    found = replay.trained(folder, cell, replicate=1)
    assert (found.trained_again, found.identical) == (False, True)
    with Store.read(folder) as store:
        stored = store.get(found.trial.key).params
    assert stored.keys() == leaves(found.end).keys()
    for name, array in leaves(found.end).items():
        np.testing.assert_array_equal(array, stored[name])


def test_parameters_that_were_not_kept_are_trained_again_to_the_same(folder_of):
    folder = folder_of("mlp")
    land = Landscape.read(folder)
    (other, *_) = [cell for cell in land.grid.cells() if cell not in land.best_cells()]
    found = replay.trained(folder, other)
    assert (found.trained_again, found.identical) == (True, True)
    assert found.recipe.hyper["learning_rate"] == other["learning_rate"]


def test_the_start_is_that_of_the_program(folder_of):
    folder = folder_of("mlp")
    (cell, *_) = Landscape.read(folder).best_cells()
    found = replay.trained(folder, cell)
    with Store.read(folder) as store:
        resolved = Study.from_record(store.study).resolve()
    trials = [t for t in resolved.trials() if t.cell["hidden_size"] == cell["hidden_size"]]
    (cohort,) = replay.partition(resolved, trials)
    started = Training(Planner(resolved, Machine.local()).program(cohort), cohort)
    expected = started.params([t.key for t in trials].index(found.trial.key))
    for name, array in leaves(found.start).items():
        np.testing.assert_array_equal(array, expected[name])
    moved = [
        not np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (found.start, found.end)), strict=True)
    ]
    assert all(moved)


def test_a_digest_that_differs_is_told(folder_of, call, undrawn, monkeypatch):
    original = Store.get

    def altered(self, key):
        return replace(original(self, key), params=None, params_digest="another")

    monkeypatch.setattr(Store, "get", altered)
    status, out, _ = call("inspect", folder_of("mlp"), "--what", "confusion")
    assert status == 0
    assert "trained again, DIFFERENT from what is stored" in " ".join(out.split())


def test_a_trial_without_parameters_is_told(folder_of, monkeypatch):
    folder = folder_of("lenet")
    with Store.read(folder) as store:
        (result,) = [result for _, result in store.results()]
    failed = replace(result, params=None, params_digest=None, reason="it broke")
    monkeypatch.setattr(Store, "get", lambda self, key: failed)
    monkeypatch.setattr(replay, "_alone", lambda planner, cohort: failed)
    with pytest.raises(StoreError, match="this trial has no parameters"):
        replay.trained(folder, {"learning_rate": 0.01})


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures: what is tested is what is told."""
    monkeypatch.setattr(networks, "_draw", lambda found, directory: [])


# ---- the command ----


def widest(text):
    return max(len(line) for line in text.splitlines())


@pytest.mark.parametrize(
    ("name", "kinds", "words"),
    [
        ("mlp", "mistakes confusion filters activations", "filters of dense1, 8 x 8 weights each"),
        ("lenet", "mistakes confusion filters activations deconv", "Feature maps of relu2"),
        ("recall", "mistakes confusion samples", "trained again, identical to what is stored"),
        ("addition", "samples", "Sample sequences:"),
        ("own", "mistakes confusion", "The largest losses among them"),
    ],
)
def test_all_that_fits_is_told_and_drawn(folder_of, call, name, kinds, words):
    folder = folder_of(name)
    status, out, err = call("inspect", folder)
    assert status == 0
    assert err.startswith("gridscape: uses the module 'own_models'") if name == "own" else not err
    assert words in out
    assert widest(out.rpartition("\nPictures:")[0]) <= 80
    (place,) = (folder / "figures" / "inspect").iterdir()
    assert out.endswith(f"Pictures: {place}\n")
    assert {path.name for path in place.iterdir()} == {
        f"{kind}.{suffix}" for kind in kinds.split() for suffix in ("png", "svg", "pdf")
    }


def test_without_a_cell_the_best_one_is_looked_at(folder_of, call, undrawn):
    folder = folder_of("mlp")
    best = Landscape.read(folder).score().argmax(...)
    status, out, _ = call("inspect", folder, "--what", "confusion")
    assert status == 0
    grid = Landscape.read(folder).axes
    expected = ", ".join(f"{a.name}={a.values[int(best[a.name])]}" for a in grid)
    assert out.startswith(f"{expected}, replicate 0\nThe best cell, chosen on the test set; test ")


def test_the_best_distance_is_the_smallest(folder_of):
    land = Landscape.read(folder_of("bowl"))
    assert land.main_metric == "test_distance"
    assert kinds.best_cell(land)["learning_rate"] == 0.03


def test_json_holds_the_numbers_and_no_pixels(folder_of, call, undrawn):
    status, out, _ = call("inspect", folder_of("lenet"), "--json")
    told = json.loads(out)
    assert status == 0
    assert {"cell", "replicate", "trained_again", "identical", "files"} <= told.keys()
    assert len(out) < 100_000
    assert "reconstructions" not in told["deconv"]
    assert len(told["deconv"]["indices"]) == LENET["channels2"]
    counts = np.array(told["confusion"]["counts"])
    wrong = counts.sum() - np.trace(counts)
    assert told["mistakes"]["n_wrong"] == wrong
    assert [layer["layer"] for layer in told["activations"]][:2] == ["conv1", "relu1"]


def test_one_layer_can_be_named(folder_of, call, undrawn):
    chosen = ("--what", "deconv", "--what", "activations", "--layer", "relu1", "--json")
    _, out, _ = call("inspect", folder_of("lenet"), *chosen)
    told = json.loads(out)
    assert told["deconv"]["layer"] == "relu1"
    assert [layer["layer"] for layer in told["activations"]] == ["relu1"]


def test_a_second_replicate_has_its_own_pictures(folder_of, call):
    folder = folder_of("mlp")
    status, out, _ = call("inspect", folder, "--what", "confusion", "--replicate", 1)
    assert status == 0
    assert ", replicate 1\n" in out
    assert list((folder / "figures" / "inspect").rglob("confusion_replicate_1.svg"))


@pytest.mark.parametrize(
    ("name", "options", "status", "words"),
    [
        ("mlp", ["--what", "foo"], 2, "unknown kind of inspection 'foo'; known: activations"),
        ("mlp", ["--what", "mistake"], 2, "did you mean 'mistakes'?"),
        ("mlp", ["--what", "deconv"], 2, "no convolutions to walk back through"),
        ("mlp", ["--layer", "relu1"], 2, "only activations and deconv look at one layer"),
        ("mlp", ["--what", "activations", "--layer", "x"], 2, "unknown layer 'x'"),
        ("mlp", ["--cell", "hidden_size=5"], 2, "no cell has hidden_size=5"),
        ("mlp", ["--replicate", "9"], 2, "unknown replicate '9'"),
        ("addition", ["--what", "mistakes"], 2, "look at samples instead"),
        ("recall", ["--what", "filters"], 2, "expected a feed-forward network"),
        ("bowl", [], 2, "nothing to look at"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(folder_of, call, name, options, status, words):
    found, out, err = call("inspect", folder_of(name), *options)
    assert (found, out) == (status, "")
    assert err.count("\n") == 1
    assert words in err


def test_without_the_extra_there_are_tables_and_a_hint(folder_of, call, monkeypatch):
    monkeypatch.setattr(networks, "find_spec", lambda name: None)
    status, out, err = call("inspect", folder_of("mlp"), "--what", "confusion")
    assert status == 0
    assert "Confusion" in out
    assert "Pictures" not in out
    assert "pip install 'gridscape[report]'" in err


# ---- the report ----


def content(folder):
    """The data of the page, without writing it and its figures."""
    land = Landscape.read(folder)
    found = document(gather(land), folder, "now", {}, showcase(folder, land))
    assert mistakes(json.loads(to_json(found))) == []
    return found


def test_the_report_shows_the_networks_that_were_kept(folder_of):
    folder = folder_of("lenet")
    text = html.write(folder).read_text(encoding="utf-8")
    found = json.loads(re.search(r'id="results">(.*?)</script>', text, re.DOTALL)[1])
    land = Landscape.read(folder)
    shown = [land.grid.cells()[network["cell"]] for network in found["networks"]]
    assert shown == land.best_cells()
    example = found["networks"][0]["mistakes"]["wrong"][0]
    assert example["picture"]["src"].startswith("data:image/png")
    assert found["network_notes"] == []
    assert len(text) < 8e6


def test_figures_has_the_pictures_of_the_networks_too(folder_of, call):
    folder = folder_of("lenet")
    status, out, _ = call("figures", folder)
    assert status == 0
    paths = [Path(line) for line in out.splitlines()]
    assert all(path.is_file() for path in paths)
    assert {"landscape.png", "deconv.svg", "mistakes.png"} <= {path.name for path in paths}


def test_the_page_of_a_running_study_does_not_wait_for_networks(folder_of):
    assert '"networks":[]' in html.read(folder_of("mlp"))


def test_no_more_cells_than_a_page_has_room_for(folder_of, monkeypatch):
    monkeypatch.setattr("gridscape.report.showcase.MOST_CELLS", 1)
    folder = folder_of("mlp")
    found = showcase(folder, Landscape.read(folder))
    assert len(found.looks) == 1 < MOST_CELLS
    assert found.notes == (
        "1 further cells have kept their parameters: gridscape inspect shows them",
    )


def test_axes_of_numbers_texts_and_truth_values_are_looked_at(folder_of, call, undrawn):
    folder = folder_of("mixed")
    found = content(folder)
    layers = {n["cell"]: [b["layer"] for b in n["activations"]] for n in found["networks"]}
    one, two = ["dense1", "output"], ["dense1", "dense2", "output"]
    assert layers == {0: one, 1: two}
    cell = "layers=4-3,bias=True"
    status, out, _ = call("inspect", folder, "--cell", cell, "--what", "activations")
    assert status == 0
    assert out.startswith("layers=4-3, bias=True, replicate 0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "mnist-flat"}, "mnist: not on this machine"),
        ({"objects": ["model"]}, "the model of this study came from Python"),
        ({"seed": 5}, "trained under other conditions"),
    ],
)
def test_networks_that_cannot_be_shown_leave_a_note(folder_of, monkeypatch, change, words):
    def fetched(*_, **__):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("gridscape.tasks.fetch._fetch_into", fetched)
    folder = folder_of("mlp")
    land = Landscape.read(folder)
    found = showcase(folder, replace(land, study={**land.study, **change}))
    assert found.looks == ()
    assert words in found.notes[0]


def test_nothing_is_looked_at_where_nothing_was_kept(folder_of, monkeypatch):
    folder = folder_of("bowl")
    monkeypatch.setattr(Study, "resolve", lambda *_: pytest.fail("a task was loaded"))
    assert showcase(folder, Landscape.read(folder)).looks == ()


def test_chance_is_one_in_so_many_symbols(folder_of):
    folder = folder_of("recall")
    assert showcase(folder, Landscape.read(folder)).chance == pytest.approx(1 / 9)
    found = content(folder)
    assert found["kinds"][0]["kind"] == "length"
    assert found["kinds"][0]["values"] == list(range(3, 10))
    addition = folder_of("addition")
    assert showcase(addition, Landscape.read(addition)).chance is None


def test_a_study_without_accuracy_has_a_whole_report(folder_of, call):
    folder = folder_of("bowl")
    found = content(folder)
    assert found["metrics"][0] == {
        **found["metrics"][0],
        "name": "test_distance",
        "better": "lower",
    }
    assert found["smallest"] is None
    assert found["best"]["metric"] == "test_distance"
    assert "curves_test_distance" in figures.draw_all(gather(Landscape.read(folder)))
    status, out, _ = call("show", folder)
    assert status == 0
    assert "Test distance" in out
    assert "The best, chosen on the test set: learning_rate=0.03" in out
    assert "points" not in out
