"""The server under attack, in a crowd, and when something dies."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from runs import environment
from watched import HOSTILE, Events, ask, cpu_seconds, entries, put, served, study

from gridscape.report.live.guard import host_names, new_token

SECRET = "what lies beside the folder"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of two studies, one of them hostile, beside a secret; and its server."""
    root = tmp_path_factory.mktemp("live")
    runs = root / "runs"
    plain = study()
    put(runs / "first", plain, entries(plain, slice(0, 3)))
    hostile = study({HOSTILE: [HOSTILE, "b"], "learning_rate": [0.1]}, title=HOSTILE, name=HOSTILE)
    put(runs / 'x<b>"', hostile, [])
    (root / "study.json").write_text(SECRET)
    with served(runs, "--port", str(free_port())) as (token, port, server):
        yield runs, token, port, server


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_the_page_and_the_list_are_served(place):
    _, token, port, _ = place
    status, headers, body = ask(port, f"/{token}/")
    assert status == 200
    assert "A watched study" in body
    assert "6 of 18 networks are done" in body
    status, headers, body = ask(port, f"/{token}/study/first/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe" not in policy
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert "<noscript>" in body
    assert "<th scope=row>hidden_size=16, learning_rate=0.001</th>" in body


@pytest.mark.parametrize("part", ["", "x", "TOKENx", "token", "TOKEN%00", "%54OKEN", "TOKEN/.."])
def test_without_the_token_nothing_is_told(place, part):
    _, token, port, _ = place
    wrong = part.replace("TOKEN", token[:-1])
    for path in ("/", "/study/first/", "/study/first/events", "/events"):
        status, _, body = ask(port, f"/{wrong}{path}")
        assert status == 403
        assert "watched" not in body
        assert token not in body


def test_tokens_are_compared_in_constant_time_and_are_long(place, monkeypatch):
    from gridscape.report.live import guard

    asked = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: asked.append((a, b)))
    scope = {"scheme": "http", "method": "GET", "path": "/abc/x", "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost:1")], "raw_path": b"/abc/x"}
    trouble, _ = guard.Guard(None, "secret", host_names("127.0.0.1"))._judge(scope)
    assert trouble
    assert asked == [(b"abc", b"secret")]
    assert len({new_token() for _ in range(100)}) == 100
    assert len(new_token()) >= 43


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:PORT", "localhost@evil", ""]
)
def test_a_name_of_somebody_else_is_refused(place, host):
    """DNS rebinding: the browser asks this machine by the attacker's name."""
    _, token, port, _ = place
    status, _, body = ask(port, f"/{token}/", Host=host.replace("PORT", str(port)))
    assert status in (400, 403)
    assert "watched" not in body


@pytest.mark.parametrize("host", ["localhost:PORT", "127.0.0.1:9999", "[::1]:PORT", "LOCALHOST"])
def test_own_names_at_any_port_are_taken(place, host):
    """A tunnel ends at another port."""
    _, token, port, _ = place
    assert ask(port, f"/{token}/", Host=host.replace("PORT", str(port)))[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://127.0.0.1:1", ""]
)
def test_another_site_is_refused(place, origin):
    _, token, port, _ = place
    found = ask(port, f"/{token}/", Origin=origin.replace("PORT", str(port)))
    assert found[0] == 403
    own = f"http://127.0.0.1:{port}"
    assert ask(port, f"/{token}/", Origin=own)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_asked_to_change(place, method):
    _, token, port, _ = place
    assert ask(port, f"/{token}/study/first/", method)[0] in (403, 405, 501)


@pytest.mark.parametrize(
    "name",
    [
        *("..", "../..", "%2e%2e", "..%2f", "..%2f..", "%2e%2e%2f", "/etc", "%2fetc", "first%2f.."),
        *(".", "first/../..", "first%00", "blobs", "none", "~", "x" * 1_000, "x" * 3_000),
    ],
)
def test_no_path_of_a_request_reaches_the_disk(place, name):
    _, token, port, _ = place
    for end in ("/", "/events"):
        status, _, body = ask(port, f"/{token}/study/{name}{end}")
        assert status in (303, 307, 400, 403, 404, 414)
        assert SECRET not in body


def test_what_comes_from_data_is_text(place):
    _, token, port, _ = place
    body = ask(port, f"/{token}/")[2]
    assert "<img" not in body
    assert "<b>" not in body
    body = ask(port, f"/{token}/study/x%3Cb%3E%22/")[2]
    assert "<img" not in body
    events = Events(port, f"/{token}/events")
    name, rows = events.next()
    events.close()
    assert name == "studies"
    assert any(row["row"]["title"] == HOSTILE for row in rows)


def test_opening_a_folder_imports_no_code_of_it(tmp_path):
    (tmp_path / "planted.py").write_text("open('was_imported', 'w').write('yes')\n")
    plain = study(task="planted:task", model="planted:model", claims=str(tmp_path / "c.toml"))
    put(tmp_path / "it", plain, entries(plain))
    with served(tmp_path / "it") as (token, port, _):
        assert ask(port, f"/{token}/study/it/")[0] == 200
        assert ask(port, f"/{token}/")[0] == 303
    assert not list(tmp_path.rglob("was_imported"))


def test_the_server_imports_no_jax():
    code = "import sys, gridscape.report.live.server; sys.exit('jax' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment(), timeout=300).returncode == 0


# ---- a crowd ----


def test_twenty_viewers_and_one_that_never_reads_hear_of_what_is_new(tmp_path):
    plain = study(replicates=3)
    put(tmp_path / "it", plain, entries(plain, slice(0, 2)))
    with served(tmp_path / "it") as (token, port, server):
        page = ask(port, f"/{token}/study/it/")[2]
        since = page.split('"since":"')[1].split('"')[0]
        path = f"/{token}/study/it/events?since={since}"
        deaf = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for each in deaf:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        viewers = [Events(port, path) for _ in range(20)]
        assert all(each.next()[0] == "change" for each in viewers)
        used = cpu_seconds(server.pid)
        put(tmp_path / "it", plain, entries(plain, slice(2, 5)))
        for each in viewers:
            for _ in range(100):
                name, change = each.next()
                if change["at"]:
                    break
            assert name == "change"
            assert set(change["at"]) >= {2, 3, 4}
            assert change["cells"]["state"][:1] == ["finished"]
            each.close()
        assert cpu_seconds(server.pid) - used < 30  # one summary for all of them
        assert ask(port, f"/{token}/study/it/")[0] == 200
        for each in deaf:
            each.close()


def test_a_reader_of_another_server_or_shape_loads_the_page_again(place):
    _, token, port, _ = place
    ask(port, f"/{token}/study/first/")
    for since in ("", "x.1.1", "' or 1", "1.1.1"):
        events = Events(port, f"/{token}/study/first/events?since={since.replace(' ', '%20')}")
        assert events.next()[0] == "reload"
        events.close()


# ---- faults ----


def test_a_port_in_use_is_told_with_the_next_free_one(tmp_path):
    put(tmp_path / "it", study(), [])
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gridscape", "live", str(tmp_path / "it")]
        found = subprocess.run(
            [*command, "--port", str(port)],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert "the port is in use; --port" in line
    assert "is free" in line


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["--port", "0"], ["--port", "99999"]])
def test_what_cannot_be_served_is_told_in_one_line(tmp_path, arguments):
    found = subprocess.run(
        [sys.executable, "-m", "gridscape", "live", *arguments],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1
    assert len(found.stderr) <= 300


def test_a_folder_that_goes_is_told_and_comes_back(tmp_path):
    plain = study()
    put(tmp_path / "it", plain, entries(plain))
    with served(tmp_path / "it") as (token, port, _):
        assert ask(port, f"/{token}/study/it/")[0] == 200
        shutil.rmtree(tmp_path / "it")
        status, _, body = ask(port, f"/{token}/study/it/")
        assert status == 200
        assert "is gone; the page goes on when it is back" in body
        put(tmp_path / "it", plain, entries(plain, slice(0, 1)))
        assert "2 of 18 networks are done" in ask(port, f"/{token}/study/it/")[2]


def test_a_server_that_is_killed_leaves_the_folder_as_it_was(tmp_path):
    plain = study()
    put(tmp_path / "it", plain, entries(plain))
    before = {p: p.read_bytes() for p in (tmp_path / "it").rglob("*.safetensors")}
    with served(tmp_path / "it") as (token, port, server):
        ask(port, f"/{token}/study/it/")
        os.kill(server.pid, signal.SIGKILL)
        server.wait(30)
    assert {p: p.read_bytes() for p in (tmp_path / "it").rglob("*.safetensors")} == before
    put(tmp_path / "it", plain, entries(plain, slice(0, 1)))


def test_ctrl_c_ends_it_without_a_word(tmp_path):
    put(tmp_path / "it", study(), [])
    with served(tmp_path / "it") as (token, port, server):
        events = Events(port, f"/{token}/study/it/events")
        server.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert server.wait(60) == 0
        assert time.monotonic() - begin < 30
        events.close()
        said = server.stdout.read()
    assert "Traceback" not in said
    assert "rror" not in said


def test_events_are_json_without_nan(place):
    _, token, port, _ = place
    page = ask(port, f"/{token}/study/first/")[2]
    since = page.split('"since":"')[1].split('"')[0]
    events = Events(port, f"/{token}/study/first/events?since={since}")
    name, change = events.next()
    events.close()
    assert name == "change"
    assert "NaN" not in json.dumps(change)
