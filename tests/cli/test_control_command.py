"""control from the command line, on folders that nobody trains and on a run that lives."""

import json
import shutil

import pytest
from calls import TINY, widest

from gridscape.store.acts import Act, ask, on_record
from gridscape.store.store import Store

pytestmark = pytest.mark.usefixtures("kept_programs", "quiet_place")

STUDY = {"name": "x", "axes": {"momentum": [0.0, 0.5], "layers": ["64-32"]}, "replicates": 2}


@pytest.fixture
def folder(tmp_path):
    Store.create(tmp_path / "x", STUDY).close()
    return tmp_path / "x"


def test_an_act_of_a_folder_that_nobody_trains_is_kept(call, folder):
    status, out, err = call("control", folder, "stop", "--cell", "momentum=0.5", "--replicate", "1")
    assert (status, err) == (0, "")
    assert out == (
        "stop momentum=0.5, replicate 1: waiting, nobody trains there now: the next gridscape run "
        "of the study takes it up first.\n"
    )
    status, out, _ = call("control", folder, "--json")
    (told,) = json.loads(out)["acts"]
    assert (told["state"], told["by"]) == ("waiting", "command line")
    status, out, _ = call("control", folder)
    assert status == 0
    assert "stop momentum=0.5" in out
    assert widest(out) <= 80


def test_without_acts_it_says_so(call, folder):
    assert call("control", folder)[1] == "Nothing was asked of this study.\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["stpo", "--cell", "momentum=0.5"], "unknown act 'stpo'; did you mean 'stop'?"),
        (["stop"], "no cells are named"),
        (["first"], "no cells are named"),
        (["stop", "--cell", "momentum=0.7"], "unknown value of momentum '0.7'"),
        (["stop", "--cell", "momentom=0.5"], "did you mean 'momentum'?"),
        (["stop", "--cell", "0.5"], "not a cell"),
        (["stop", "--cell", "momentum=0.5", "--replicate", "-1"], "replicate: out of range"),
        (["stop", "--cell", "momentum=0.5", "--replicates", "3"], "go together"),
        (["replicates"], "go together"),
        (["replicates", "--replicates", "0"], "replicates: out of range"),
        (["values"], "go together"),
        (["values", "--set", "momentum=nan"], "not a value of an axis"),
        (["values", "--set", "width=3"], "unknown axis 'width'"),
        (["values", "--set", "momentum=1", "--set", "layers=3"], "one axis at a time"),
        (["--cell", "momentum=0.5"], "no act is named"),
    ],
)
def test_what_is_no_act_is_told_in_one_line(call, folder, arguments, why):
    status, out, err = call("control", folder, *arguments)
    assert (status, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1
    assert len(err) <= 320
    assert on_record(folder) == []


def test_a_folder_that_is_none(call, tmp_path):
    status, _, err = call("control", tmp_path / "none", "stop", "--cell", "a=1")
    assert (status, err.count("\n")) == (2, 1)


def test_lists_of_widths_are_named_as_the_axis_has_them(call, folder):
    assert call("control", folder, "stop", "--cell", "layers=[64,32]")[0] == 0
    assert call("control", folder, "values", "--set", "layers=[64],[32,16]")[0] == 0
    assert [asked.title for asked in on_record(folder)] == [
        "stop layers=64-32",
        "layers also at 64, 32-16",
    ]


def test_a_run_says_what_was_stopped_and_goes_on_with_it(call, study, tmp_path):
    place = shutil.copytree(study[0], tmp_path / "tiny")
    ask(place, Act("stop", {"learning_rate": "0.1"}))
    run = ["run", "quickstart", *TINY, "--replicates", "3", "--dir", place]
    status, out, err = call(*run)
    assert status == 0
    assert "Trained 2 networks" in out
    assert "2 networks stopped: --resume-stopped goes on with them" in err
    assert on_record(place)[0].words == "2 networks stopped; 4 had ended before"
    status, out, err = call(*run)
    assert "Nothing was left to train" in out
    assert "2 networks stopped" in err
    status, out, err = call(*run, "--resume-stopped")
    assert "Trained 2 networks" in out
    assert "stopped" not in err
