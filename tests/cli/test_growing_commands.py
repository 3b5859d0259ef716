"""decide, confirm and refine from the command line, on the results of a tiny study."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from calls import DEADLINE_SECONDS, environment, widest

from gridscape.store.store import Store

pytestmark = pytest.mark.usefixtures("kept_programs", "quiet_place")


@pytest.fixture
def folder(study, tmp_path):
    """A copy of the results."""
    return shutil.copytree(study[0], tmp_path / "tiny")


def files(folder):
    """What a folder holds, without what SQLite has beside an open ledger."""
    return sorted(path.name for path in folder.iterdir() if "sqlite-" not in path.name)


def test_decide_tells_rounds_and_verdicts(call, folder):
    status, out, err = call("decide", folder, "--best", "--at-most", "3", "--margin", "0")
    assert status == 0
    # Two replicates of four cells: the first round raises them to three, the only look.
    assert "up to 3 replicates: 4 networks" in err
    assert "look at 3 replicates (level 0.05): " in err
    assert "best learning_rate at hidden_size=4" in out
    assert "5 % in all" in " ".join(out.split())
    assert widest(out) <= 80
    status, out, err = call("decide", folder, "--best", "--margin", "0", "--json")
    document = json.loads(out)
    assert (document["n_trained"], document["looks"]) == (0, [3])
    assert {cell["replicates"] for cell in document["replicates"]} == {3}
    assert [d["name"] for d in document["decisions"]] == [
        "best learning_rate at hidden_size=4",
        "best learning_rate at hidden_size=8",
    ]


def test_confirm_quotes_fresh_replicates(call, folder):
    status, out, _ = call("confirm", folder, "--top", "1", "--replicates", "2")
    assert status == 0
    assert "of fresh replicates" in out
    assert "2 of 2" in out
    assert widest(out) <= 80
    status, out, _ = call("confirm", folder, "--top", "1", "--replicates", "2", "--json")
    (finalist,) = json.loads(out)["finalists"]
    assert finalist["n_fresh"] == 2
    with Store.read(folder / "confirmed") as store:
        assert len(store.trials()) == 2


def test_refine_tells_intervals_and_a_best_value_at_an_end(call, folder):
    status, out, _ = call("show", folder)
    assert "the true one may lie beyond" in " ".join(out.split())
    assert "gridscape refine DIR --optimum --axis learning_rate" in " ".join(out.split())
    status, out, _ = call("refine", folder, "--optimum", "--at-most", "1")
    assert status == 0
    assert "Optimum of learning_rate" in out
    assert widest(out) <= 80
    _, out, _ = call("show", folder, "--json")
    states = {cell["state"] for cell in json.loads(out)["cells"]}
    assert states <= {"finished", "collapsed", "not_started", "diverged", "not_asked"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("decide", "what shall be decided? (expected one of claims, best, order, found none)"),
        ("decide --best --claims", "found claims and best"),
        ("decide --order width", "unknown axis 'width'"),
        ("decide --claims --axis learning_rate", "--axis: names the axis of --best"),
        ("decide --best --minutes 0", "minutes: no time to decide in"),
        ("decide --best --at-most 1", "too few replicates to decide anything"),
        ("decide --best --at hidden_size", "--at: not an axis (expected AXIS=V1,V2"),
        ("decide --best --at hidden_size=5", "unknown value of hidden_size '5'"),
        ("confirm --top 99", "top: not that many cells to choose from (expected 1 to 4"),
        ("confirm --replicates 0", "replicates: out of range"),
        ("refine", "one of optimum, boundary"),
        ("refine --optimum --within 1", "within: not an interval (expected a ratio above 1"),
        ("refine --boundary --axis width", "unknown axis 'width'"),
        ("refine --optimum --at-most 0", "at_most: nothing to spend"),
    ],
)
def test_mistakes_are_one_line(call, study, words, told):
    command, *options = words.split()
    before = files(study[0])
    status, out, err = call(command, study[0], *options)
    assert (status in (1, 2), out) == (True, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert len(err) <= 300 + len(str(study[0]))
    assert files(study[0]) == before


def test_two_decide_at_once(call, folder):
    with Store.read(folder) as store:
        study = store.study
    with Store.create(folder, study):
        status, _, err = call("decide", folder, "--best")
    assert status == 1
    assert "another process is writing here" in err


def test_ctrl_c_keeps_what_was_trained_and_says_how_to_go_on(folder, tmp_path):
    command = [sys.executable, "-m", "gridscape", "decide", str(folder), "--best", "--at-most", "9"]
    process = subprocess.Popen(
        command, env=environment(tmp_path / "cache"), stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if "up to" in line:
                break
        time.sleep(0.2)
        process.send_signal(2)
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"to go on: gridscape decide {folder} --best --at-most 9" in err
    with Store.read(folder) as store:
        assert len(store.statuses()) >= 8
