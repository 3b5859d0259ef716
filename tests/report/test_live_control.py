"""The server that takes acts: asked by its own page, and by everybody else."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from runs import environment, stored
from watched import HOSTILE, Events, ask, entries, entry, post, put, served, study

from gridscape.grid.asked import grid_of
from gridscape.grid.trials import Status
from gridscape.report.live.folder import Folder
from gridscape.report.live.study import StudyView
from gridscape.store.acts import FOLDER, MOST_BYTES, Act, on_record
from gridscape.store.acts import ask as ask_for
from gridscape.store.store import Store

STOP = {"kind": "stop", "where": {"hidden_size": "16"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of two studies, one of them hostile, and its server with control."""
    runs = tmp_path_factory.mktemp("control") / "runs"
    put(runs / "first", study(), [])
    hostile = study({HOSTILE: [HOSTILE, "b"], "learning_rate": [0.1]}, title=HOSTILE, name=HOSTILE)
    put(runs / "hostile", hostile, [])
    with served(runs, "--control") as (token, port, _):
        yield runs, token, port


@pytest.fixture
def address(place):
    _, token, _ = place
    return f"/{token}/study/first/acts"


@pytest.fixture
def nothing_asked(place):
    """Whatever a test sends, nothing is asked for by it."""
    runs, _, _ = place
    before = sorted(path for path in runs.rglob("*"))
    yield
    assert sorted(path for path in runs.rglob("*")) == before


def test_an_act_is_asked_for_and_shown(place, address):
    runs, token, port = place
    status, body = post(port, address, STOP, Sec_Fetch_Site="same-origin")
    assert (status, json.loads(body)) == (200, {"words": "stop hidden_size=16"})
    (asked,) = on_record(runs / "first")
    assert (asked.act.by, asked.state) == ("page", "waiting")
    assert '"act":"stop hidden_size=16"' in ask(port, f"/{token}/study/first/")[2]


@pytest.mark.usefixtures("nothing_asked")
class TestRefused:
    """What is not from this server's own page, or is no act."""

    @pytest.mark.parametrize("part", ["", "x", "TOKENx", "%54OKEN", "TOKEN/.."])
    def test_without_the_token(self, place, part):
        _, token, port = place
        path = f"/{part.replace('TOKEN', token[:-1])}/study/first/acts"
        assert post(port, path, STOP)[0] == 403

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:PORT", ""])
    def test_by_the_name_of_somebody_else(self, place, address, host):
        port = place[2]
        host = host.replace("PORT", str(port))
        # The attacker's page is of its own name then, and says so.
        for origin in (f"http://{host}", f"http://127.0.0.1:{port}"):
            assert post(port, address, STOP, Host=host, Origin=origin)[0] in (400, 403)

    @pytest.mark.parametrize(
        "origin",
        ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://127.0.0.1:1", None],
    )
    def test_from_another_site_or_from_nowhere(self, place, address, origin):
        port = place[2]
        origin = origin and origin.replace("PORT", str(port))
        assert post(port, address, STOP, Origin=origin)[0] == 403

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
    def test_where_the_browser_says_that_it_is_from_elsewhere(self, place, address, site):
        assert post(place[2], address, STOP, Sec_Fetch_Site=site)[0] == 403

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None],
    )
    def test_as_a_form_could_send_it(self, place, address, kind):
        assert post(place[2], address, STOP, kind=kind)[0] == 403

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_by_other_methods(self, place, address, method):
        assert post(place[2], address, STOP, method=method)[0] in (403, 405, 501)

    def test_at_other_addresses(self, place):
        _, token, port = place
        for path in ("", "events", "study/first/", "study/first/events"):
            assert post(port, f"/{token}/{path}", STOP)[0] == 405
        assert ask(port, f"/{token}/study/first/acts")[0] == 405

    @pytest.mark.parametrize(
        "name", ["..", "%2e%2e", "..%2ffirst", "none", "first%00", "x" * 3_000]
    )
    def test_of_studies_that_are_none(self, place, name):
        _, token, port = place
        assert post(port, f"/{token}/study/{name}/acts", STOP)[0] in (307, 400, 403, 404, 414)

    @pytest.mark.parametrize("size", [MOST_BYTES + 1, 4_000_000])
    def test_what_is_too_long(self, place, address, size):
        body = json.dumps({**STOP, "by": "x" * size}).encode()
        try:
            status, said = post(place[2], address, body)
        except (BrokenPipeError, ConnectionResetError):  # it did not read on
            return
        assert (status, "at most" in said) == (413, True)

    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 20_000),
            json.dumps({"kind": "delete"}).encode(),
            json.dumps({"kind": "stop", "where": {"hidden_size": 17}}).encode(),
            json.dumps({"kind": "stop", "where": {"../x": 17}}).encode(),
            json.dumps({"kind": "stop", "path": "/etc/passwd"}).encode(),
            json.dumps({"kind": "replicates", "where": {}, "number": 1e9}).encode(),
            json.dumps({"kind": "values", "axis": "updates", "values": [1]}).encode(),
            b'{"kind": "values", "axis": "hidden_size", "values": [NaN]}',
            b'{"kind": "values", "axis": "hidden_size", "values": [1e999]}',
        ],
    )
    def test_what_is_no_act(self, place, address, body):
        status, said = post(place[2], address, body)
        words = json.loads(said)["words"]
        assert status == 400
        assert 0 < len(words) <= 300
        assert "\n" not in words


def test_without_control_nothing_is_taken(tmp_path):
    put(tmp_path / "it", study(), [])
    with served(tmp_path / "it") as (token, port, _):
        status, said = post(port, f"/{token}/study/it/acts", STOP)
        assert status == 403
        assert "--control" in said
        assert '"control":false' in ask(port, f"/{token}/study/it/")[2]
    assert not list((tmp_path / "it" / FOLDER).iterdir())


def test_words_of_acts_are_text(place):
    runs, token, port = place
    status, body = post(
        port, f"/{token}/study/hostile/acts", {"kind": "stop", "where": {HOSTILE: HOSTILE}}
    )
    assert status == 200
    assert json.loads(body)["words"].startswith("stop <img")  # JSON: the page makes text of it
    ask_for(runs / "hostile", Act("stop", {HOSTILE: "b"}, by="</script><img src=x>"))
    body = ask(port, f"/{token}/study/hostile/")[2]
    assert "<img" not in body


def test_two_viewers_hear_of_the_act_of_one(place, address):
    _, token, port = place
    page = ask(port, f"/{token}/study/first/")[2]
    since = json.loads(page[(i := page.index('"since":') + 8) : page.index(",", i)])
    streams = [Events(port, f"/{token}/study/first/events?since={since}") for _ in range(2)]
    assert post(port, address, {**STOP, "where": {"hidden_size": 64}})[0] == 200
    for stream in streams:
        for _ in range(20):
            _, change = stream.next()
            if any(act["act"] == "stop hidden_size=64" for act in change["live"]["acts"]):
                break
        else:
            pytest.fail("nothing was told")
        stream.close()


def test_a_server_that_dies_leaves_what_was_asked_for(tmp_path):
    put(tmp_path / "it", study(), [])
    with served(tmp_path / "it", "--control") as (token, port, server):
        assert post(port, f"/{token}/study/it/acts", STOP)[0] == 200
        server.send_signal(signal.SIGKILL)
        server.wait(30)
    assert [asked.title for asked in on_record(tmp_path / "it")] == ["stop hidden_size=16"]


# ---- what is shown of what was stopped ----


def test_a_study_with_stopped_networks_is_finished_and_says_so(tmp_path):
    plain = study()
    cells = grid_of(plain["axes"]).cells()
    put(tmp_path, plain, [*entries(plain, slice(0, 8)), entry(cells[8], 0, Status.STOPPED)])
    view = StudyView(tmp_path, control=True)
    view.look()
    assert view.live["state"] == "unfinished"
    assert "16 of 18 networks are done, 1 stopped" in view.live["words"]
    with Store.create(tmp_path, plain) as store:
        store.put(*entry(cells[8], 1, Status.STOPPED))
    view.look()
    assert (view.live["state"], view.live["share"]) == ("finished", 1.0)
    assert "--resume-stopped" in view.live["go_on"]
    assert view.shown.doc["counts"]["stopped"] == 2


def test_what_goes_on_is_no_longer_shown_as_stopped(tmp_path):
    plain = study()
    cells = grid_of(plain["axes"]).cells()
    trial, result = entry(cells[0], 0, Status.STOPPED)
    put(tmp_path, plain, [(trial, result), entry(cells[0], 1)])
    folder = Folder(tmp_path)
    folder.look()
    assert folder.trials[trial.key][1].status is Status.STOPPED
    with Store.create(tmp_path, plain) as store:
        store.forget([trial.key])
    before = folder.generation
    folder.look(thorough=True)
    assert trial.key not in folder.trials
    assert folder.generation > before
    with Store.create(tmp_path, plain) as store:
        store.put(*entry(cells[0], 0))
    folder.look(thorough=True)
    assert folder.trials[trial.key][1].status is Status.FINISHED
    folder.close()


# ---- a run, its server and an act ----

RUN = """\
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from bowls import bowl
from gridscape.sweep import run
run(bowl(updates=200_000, evaluations=2000), directory=Path(sys.argv[1]), quiet=True)
"""


@pytest.mark.slow
def test_a_running_sweep_is_acted_on_through_its_page(tmp_path):
    """Stopped by the page; the run is killed, and what it was asked for stays."""
    folder = tmp_path / "bowl"
    tests = os.path.join(os.path.dirname(os.path.dirname(__file__)), "sweep")
    trainer = subprocess.Popen([sys.executable, "-c", RUN, str(folder), tests], env=environment())
    try:
        until(lambda: (folder / "study.json").is_file() and (folder / "ledger.sqlite").is_file())
        with served(folder, "--control") as (token, port, _):
            where = {"momentum": "0.5", "learning_rate": "0.2"}
            path = f"/{token}/study/bowl/acts"
            status, said = post(port, path, {"kind": "stop", "where": where, "replicate": 1})
            assert status == 200, said
            until(lambda: [a for a in on_record(folder) if a.state == "done"])
            assert "1 stopped" in ask(port, f"/{token}/study/bowl/")[2]
    finally:
        trainer.kill()
        trainer.wait(60)
    (found,) = [r for r in stored(folder).values() if r.status is Status.STOPPED]
    assert found.reason.startswith("stopped at update")
    assert list((folder / "checkpoints").glob("stopped-*")) or found.updates == 0


def until(is_true, seconds=120.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "never true"
        time.sleep(0.1)
