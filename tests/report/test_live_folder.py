"""A folder on show: only what is new is read, and the document is that of the report."""

import os
import shutil
import socket

import pytest
from watched import AXES, HOSTILE, TRAINING, entries, entry, put, study

from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.report.document import document
from gridscape.report.findings import gather
from gridscape.report.html import environment
from gridscape.report.live.folder import Folder, Numbers, n_asked
from gridscape.report.live.shown import Shown, growing
from gridscape.report.live.study import StudyView, table
from gridscape.store.progress import lives, read_progress
from gridscape.store.store import Store

CELL = Cell.of(hidden_size=16, learning_rate=0.001)


def test_only_new_trials_are_read(tmp_path, monkeypatch):
    plain = study()
    put(tmp_path, plain, entries(plain, slice(0, 3)))
    folder, read = Folder(tmp_path), []
    final = Store._final
    monkeypatch.setattr(Store, "_final", lambda s, row, z: read.append(row.key) or final(s, row, z))
    assert len(folder.look()) == 6
    put(tmp_path, plain, entries(plain, slice(3, 4)))
    read.clear()
    found = folder.look()
    assert {folder.trials[key][0].cell for key in found} == {
        Cell.of(hidden_size=32, learning_rate=0.001)
    }
    assert sorted(read) == sorted(found)
    assert folder.look() == set()
    assert folder.generation == 1


def test_a_trial_that_was_replaced_is_read_again(tmp_path):
    plain = study()
    put(tmp_path, plain, [entry(CELL, 0, Status.FAILED)])
    folder = Folder(tmp_path)
    (key,) = folder.look()
    put(tmp_path, plain, [entry(CELL, 0)])
    assert folder.look() == {key}
    assert folder.trials[key][1].status is Status.FINISHED
    # Twice between two looks: the blob has its old name again.
    put(tmp_path, plain, [entry(CELL, 0, Status.FAILED)])
    put(tmp_path, plain, [entry(CELL, 0, accuracy=0.3)])
    assert folder.look(thorough=True) == {key}
    assert folder.trials[key][1].metrics["test_accuracy"] == 0.3


@pytest.mark.parametrize("begin", [0, 4])
def test_filled_cell_by_cell_the_document_is_that_of_the_report(tmp_path, begin):
    plain = study()
    put(tmp_path, plain, entries(plain, slice(0, begin)))
    folder = Folder(tmp_path)
    shown = Shown(folder)
    shown.update(folder.look())
    shown._next = float("inf")  # no analysis of all: only the cells that are new
    versions = [shown.version]
    for i in range(begin, 9):
        put(tmp_path, plain, entries(plain, slice(i, i + 1)))
        shown.update(folder.look())
        versions.append(shown.version)
    land = Landscape.read(tmp_path)
    whole = document(gather(land, tmp_path), tmp_path, "now", environment())
    if begin:
        for name in ("state", "statuses", "share", "keys", "label"):
            assert shown.doc["cells"][name] == whole["cells"][name], name
        for one, other in zip(shown.doc["metrics"], whole["metrics"], strict=True):
            assert one["mean"] == other["mean"], one["name"]
        assert shown.doc["counts"] == whole["counts"]
        change = shown.since(versions[1], StudyView(tmp_path).live)
        assert change["at"] == list(range(begin + 1, 9))
        assert change["cells"]["state"] == ["finished"] * (8 - begin)
    shown._next = 0.0
    shown._stale = True
    shown.update(set())
    assert {**shown.doc, "made": ""} == {**whole, "made": ""}


def test_a_study_that_grows_to_other_axes_has_another_shape(tmp_path):
    plain = study()
    put(tmp_path, plain, entries(plain))
    view = StudyView(tmp_path)
    view.look()
    shape = view.shape
    assert not view.look()
    wider = study({**AXES, "learning_rate": [*AXES["learning_rate"], 1.0]})
    put(tmp_path, wider, [])
    assert view.look()
    assert view.shape == shape + 1
    assert "18 of 24 networks are done" in view.live["words"]
    assert len(view.shown.doc["cells"]["label"]) == 12


def test_half_written_and_torn_blobs_are_told_and_harm_nothing(tmp_path):
    plain = study()
    put(tmp_path, plain, entries(plain, slice(0, 2)))
    victim = sorted((tmp_path / "blobs").glob("*"))[0]
    victim.write_bytes(victim.read_bytes()[:100])
    (tmp_path / "blobs" / "abc.safetensors.1234.tmp").write_bytes(b"half")
    (tmp_path / "blobs" / "no-row-yet.safetensors").write_bytes(b"half")
    view = StudyView(tmp_path)
    view.look()
    assert "3 of 18 networks are done" in view.live["words"]
    assert "1 result cannot be read" in view.live["words"]
    assert view.page()


def test_a_folder_that_is_deleted_and_replaced(tmp_path):
    folder, plain = tmp_path / "it", study()
    put(folder, plain, entries(plain))
    view = StudyView(folder)
    view.look()
    shutil.rmtree(folder)
    view.look()
    assert view.live["state"] == "gone"
    assert "is gone" in view.live["words"]
    assert view.page()  # the last that was read
    put(folder, study(title="Another"), entries(plain, slice(0, 1)))
    view.look()
    assert "2 of 18 networks are done" in view.live["words"]
    assert view.shown.doc["title"] == "Another"
    assert view.shown.doc["counts"]["finished"] == 2


def test_a_run_that_lives_ends_is_interrupted_or_died(tmp_path):
    plain = study()
    put(tmp_path, plain, entries(plain, slice(0, 1)), TRAINING)
    view = StudyView(tmp_path)
    view.look()
    live = view.live
    assert live["state"] == "training"
    assert live["words"] == "Training: 2 of 18 networks are done, about 1.5 min left."
    assert live["runs"] == ["hidden_size=16, learning_rate=0.01 and 1 more: update 100 of 400"]
    assert live["training"] == [1]
    assert live["curves"]["1"]["test_accuracy"]["each"] == [[0.5], [None]]
    assert live["curves"]["1"]["train_accuracy"]["mean"] == [0.3]
    command = ["run", "tiny study.toml", "--updates", "4"]
    put(tmp_path, plain, [], {**TRAINING, "born": 1, "command": command})
    view.look()
    assert view.live["state"] == "crashed"
    assert view.live["go_on"].endswith("gridscape run 'tiny study.toml' --updates 4")
    put(tmp_path, plain, [], {**TRAINING, "state": "interrupted"})
    view.look()
    assert view.live["words"].startswith("Interrupted: 2 of 18")
    put(tmp_path, plain, entries(plain), {**TRAINING, "state": "ended"})
    view.look()
    assert (view.live["state"], view.live["go_on"]) == ("finished", "")


@pytest.mark.parametrize(
    "command",
    [["rm", "-rf", "/"], ["run", "x", "--trust"], ["run", "a\nb"], ["run", 3], "run", [[]], None],
)
def test_a_command_that_nobody_should_be_told_is_not(tmp_path, command):
    plain = study()
    put(tmp_path, plain, [], {**TRAINING, "born": 1, "command": command})
    view = StudyView(tmp_path)
    view.look()
    assert view.live["go_on"].endswith("goes on from there.")


def test_the_command_of_a_study_with_code_of_others_is_not_told(tmp_path):
    put(tmp_path, study(task="os:getcwd"), [], {**TRAINING, "born": 1, "command": ["run", "x"]})
    view = StudyView(tmp_path)
    view.look()
    assert "gridscape run" not in view.live["go_on"]


@pytest.mark.parametrize(
    "runs",
    [
        None,
        3,
        [3],
        [{}],
        [{"trials": 1, "points": 2}],
        [{"trials": [[]], "points": [[]]}],
        [{"trials": [[[16, {}], 0]], "points": []}],
        [{"trials": [[[16, 0.01], 0]], "points": [[1, True, ["x"]], [1, True, []], 7]}],
        [{"trials": [[[16, 0.01], 0]], "n": "x", "update": None, "updates": [], "points": [[]]}],
    ],
)
def test_progress_of_anybody_breaks_nothing(tmp_path, runs):
    put(tmp_path, study(), [], {**TRAINING, "runs": runs, "metric": [], "seconds_left": "x"})
    view = StudyView(tmp_path)
    view.look()
    assert view.live["words"] == "Training: 0 of 18 networks are done."
    for text in ("[" * 100_000, "null", '{"state": NaN}', "\xff"):
        (tmp_path / "progress.json").write_text(text, "latin-1")
        view.look()
        assert view.live["state"] == "unfinished"


def test_progress_that_is_a_link_is_not_followed(tmp_path):
    put(tmp_path / "it", study(), [])
    (tmp_path / "secret").write_text('{"state": "training"}')
    (tmp_path / "it" / "progress.json").symlink_to(tmp_path / "secret")
    assert read_progress(tmp_path / "it") == {}


def test_a_process_of_another_machine_lives_while_it_speaks():
    assert not lives({"host": "elsewhere", "told": 1.0})
    assert lives({"host": "elsewhere", "told": 4e9})
    assert not lives({"host": socket.gethostname(), "process": -1})
    assert lives({"host": socket.gethostname(), "process": os.getpid()})


def test_cells_have_the_numbers_of_the_grid():
    numbers = Numbers(study())
    assert numbers.of(Cell.of(learning_rate=0.1, hidden_size=32)) == 5
    assert numbers.of(Cell.of(learning_rate=0.2, hidden_size=32)) is None
    assert numbers.box([1, 5]) == {"hidden_size": [16, 32], "learning_rate": [0.01, 0.1]}
    assert growing([], numbers, "accuracy") == ({}, [])
    listed = [[{"hidden_size": 16, "learning_rate": 0.01}, 5]]
    assert n_asked(study(replicates_of=listed)) == 18 + 3


def test_the_table_without_javascript_escapes_what_comes_from_data(tmp_path):
    axes = {HOSTILE: [HOSTILE, "b"], "learning_rate": [0.1]}
    plain = study(axes, title=HOSTILE, name=HOSTILE)
    put(tmp_path, plain, [])
    view = StudyView(tmp_path)
    view.look()
    text = table(view.shown.page_document(view.live))
    assert "<img" not in text
    assert "</script" not in text
    assert "<img" not in view.page().decode()
    assert "&lt;img" in text
