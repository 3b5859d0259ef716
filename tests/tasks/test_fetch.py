"""Data sets are found in order, fetched whole or not at all, and refused when altered."""

import hashlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import pytest

from gridscape.errors import DataCorruptError, DataError, DataMissingError, UnknownNameError
from gridscape.tasks import fetch

pytestmark = pytest.mark.slow

CONTENTS = {"first.bin": bytes(range(256)) * 400, "second.bin": b"labels"}


def data_set(*mirrors: str) -> fetch.DataSet:
    files = tuple(
        fetch.DataFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in CONTENTS.items()
    )
    return fetch.DataSet("tiny", files, mirrors, "made up for the tests")


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or CONTENTS:
        (folder / name).write_bytes(CONTENTS[name])
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no $GRIDSCAPE_DATA, long limits, and a data set "tiny" without mirrors."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(fetch, "cache_folder", lambda: folder)
    # A loaded machine answers late; tests of mirrors that never do are not so patient.
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 240.0)
    monkeypatch.setattr(fetch, "STALL_SECONDS", 240.0)
    monkeypatch.delenv("GRIDSCAPE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(fetch.DATA_SETS, "tiny", data_set())
    return folder


Respond = Callable[[BaseHTTPRequestHandler, bytes], None]


def send(request: BaseHTTPRequestHandler, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)


@contextmanager
def mirror(respond: Respond = send) -> Iterator[tuple[str, list[str]]]:
    """A server of CONTENTS on this machine: its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200 if self.path[1:] in CONTENTS else 404)
            self.end_headers()

        def do_GET(self) -> None:
            asked.append(self.path[1:])
            respond(self, CONTENTS[self.path[1:]])

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join(timeout=60)
        server.server_close()


def served_by(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> None:
    monkeypatch.setitem(fetch.DATA_SETS, "tiny", data_set(*mirrors))


def test_folders_are_searched_in_order(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, variable = tmp_path / "given", tmp_path / "variable"
    monkeypatch.setenv("GRIDSCAPE_DATA", str(variable))
    assert fetch.search_folders(given) == [given, variable, cache]
    for folder in (cache, variable, given):
        put(folder / "tiny")
        assert fetch.check("tiny", given).found_at == folder / "tiny"


def test_files_may_lie_flat_or_in_the_sub_folder(cache: Path, tmp_path: Path) -> None:
    put(tmp_path / "sub" / "tiny")
    assert fetch.load("tiny", tmp_path / "sub") == CONTENTS
    put(tmp_path / "flat")
    assert fetch.load("tiny", str(tmp_path / "flat")) == CONTENTS


def test_a_folder_counts_only_with_all_files(cache: Path, tmp_path: Path) -> None:
    put(tmp_path / "part", "first.bin")
    put(cache)
    assert fetch.check("tiny", tmp_path / "part").found_at == cache


def test_status_reads_nothing_and_sees_a_wrong_size(cache: Path) -> None:
    def tiny() -> fetch.DataSetStatus:
        return next(s for s in fetch.status() if s.name == "tiny")

    assert (tiny().found_at, tiny().checksum_ok, tiny().embedded) == (None, None, False)
    put(cache)
    assert (tiny().found_at, tiny().checksum_ok) == (cache, None)
    assert tiny().size_bytes == sum(map(len, CONTENTS.values()))
    assert fetch.check("tiny").checksum_ok is True
    (cache / "second.bin").write_bytes(b"label")
    assert tiny().checksum_ok is False


OTHER = b"all the same in another form"


@pytest.fixture
def two_editions(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set "tiny", which other.bin holds as well."""
    other = fetch.DataFile("other.bin", hashlib.sha256(OTHER).hexdigest(), len(OTHER))
    monkeypatch.setitem(fetch.DATA_SETS, "tiny", replace(data_set(), instead=(other,)))


def test_another_edition_does_as_well(two_editions: None, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "other.bin").write_bytes(OTHER)
    found = fetch.check("tiny", tmp_path / "given")
    assert (found.files, found.found_at) == (("other.bin",), tmp_path / "given")
    assert (found.size_bytes, found.checksum_ok) == (len(OTHER), True)
    assert fetch.load("tiny", tmp_path / "given") == {"other.bin": OTHER}
    put(tmp_path / "given")  # beside it, the edition that can be fetched goes first
    assert fetch.load("tiny", tmp_path / "given") == CONTENTS


def test_the_first_folder_goes_before_the_first_edition(
    two_editions: None, cache: Path, tmp_path: Path
) -> None:
    put(cache)
    (tmp_path / "other.bin").write_bytes(OTHER)
    assert fetch.load("tiny", tmp_path) == {"other.bin": OTHER}


def test_an_altered_edition_is_refused(two_editions: None, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(OTHER[:-1])
    status = next(s for s in fetch.status(tmp_path) if s.name == "tiny")
    assert (status.found_at, status.checksum_ok) == (tmp_path, False)
    with pytest.raises(DataCorruptError, match=r"other\.bin: the file is truncated or altered"):
        fetch.load("tiny", tmp_path)


def test_missing_names_every_edition(two_editions: None) -> None:
    with pytest.raises(
        DataMissingError,
        match=r"expected first\.bin, second\.bin, or other\.bin",
    ):
        fetch.check("tiny")


def test_embedded_digits_need_nothing(cache: Path) -> None:
    for digits in (fetch.status()[0], fetch.check("digits"), fetch.fetch("digits")):
        assert (digits.name, digits.embedded, digits.found_at) == ("digits", True, None)
    assert not cache.exists()


def test_unknown_data_set_offers_the_nearest(cache: Path) -> None:
    for verb in (fetch.check, fetch.fetch, fetch.load):
        with pytest.raises(
            UnknownNameError, match=r"unknown data set 'mnits'; did you mean 'mnist'"
        ):
            verb("mnits")


@pytest.mark.parametrize("content", [CONTENTS["first.bin"][:-1], CONTENTS["first.bin"][:-1] + b"!"])
@pytest.mark.parametrize("verb", [fetch.load, fetch.check, fetch.fetch])
def test_truncated_or_altered_file_is_refused_and_kept(
    cache: Path, tmp_path: Path, verb: Callable[..., object], content: bytes
) -> None:
    path = put(tmp_path / "given") / "first.bin"
    path.write_bytes(content)
    put(cache)  # a good copy further down does not hide the bad one
    with pytest.raises(DataCorruptError) as caught:
        verb("tiny", tmp_path / "given")
    message = str(caught.value)
    for part in (
        f"{path}: the file is truncated or altered",
        hashlib.sha256(CONTENTS["first.bin"]).hexdigest()[:16],
        hashlib.sha256(content).hexdigest()[:16],
        f"{len(content)} bytes",
        "delete it and copy it anew",
    ):
        assert part in message
    assert path.read_bytes() == content


def test_the_next_step_of_an_altered_file_is_to_fetch_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_by(monkeypatch, "http://127.0.0.1:9/")
    (put(cache) / "second.bin").write_bytes(b"")
    with pytest.raises(DataCorruptError, match="delete it and run `gridscape data fetch tiny`"):
        fetch.load("tiny")


def test_missing_says_what_where_and_the_way_out(cache: Path, tmp_path: Path) -> None:
    put(tmp_path, "second.bin")
    with pytest.raises(DataMissingError) as caught:
        fetch.load("tiny", tmp_path)
    message = str(caught.value)
    for part in (
        "tiny: not on this machine",
        "expected first.bin, second.bin",
        f"found {tmp_path} without first.bin",
        f"put them into {tmp_path / 'tiny'}",
        "--task digits",
    ):
        assert part in message
    assert "fetch" not in message  # it has no mirror


def test_check_does_not_fetch(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirror() as (address, asked):
        served_by(monkeypatch, address)
        with pytest.raises(
            DataMissingError, match="run `gridscape data fetch tiny`, put them into"
        ):
            fetch.check("tiny")
        assert asked == []


def test_unreadable_file_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(fetch, "content_of", refuse)
    with pytest.raises(DataError, match=r"first\.bin: cannot be read \(found Permission denied\)"):
        fetch.load("tiny")


def test_load_fetches_into_the_cache_once(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pooch.get_logger().setLevel("INFO")
    monkeypatch.setattr(pooch.get_logger(), "handlers", [caplog.handler])
    with mirror() as (address, asked):
        served_by(monkeypatch, address)
        for _ in range(2):
            assert fetch.load("tiny", tmp_path / "given") == CONTENTS
        assert asked == ["first.bin", "second.bin"]
    assert sorted(os.listdir(cache / "tiny")) == ["first.bin", "second.bin"]
    assert not (tmp_path / "given").exists()
    assert (capfd.readouterr(), caplog.messages) == (("", ""), [])  # no terminal, no progress


def test_fetch_writes_where_it_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mirror() as (address, asked):
        served_by(monkeypatch, address)
        found = fetch.fetch("tiny", tmp_path / "given")
        assert (found.found_at, found.checksum_ok) == (tmp_path / "given" / "tiny", True)
        assert fetch.fetch("tiny", tmp_path / "given") == found
        assert len(asked) == 2
    assert not cache.exists()


def test_only_what_is_missing_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache / "tiny", "first.bin")
    with mirror() as (address, asked):
        served_by(monkeypatch, address)
        assert fetch.load("tiny") == CONTENTS
        assert asked == ["second.bin"]


def test_fetching_the_rest_replaces_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache / "tiny", "first.bin").joinpath("first.bin").write_bytes(b"the user's own")
    with mirror() as (address, _):
        served_by(monkeypatch, address)
        with pytest.raises(DataCorruptError, match=r"first\.bin: the file is truncated or altered"):
            fetch.fetch("tiny")
    assert (cache / "tiny" / "first.bin").read_bytes() == b"the user's own"


def test_an_altered_download_is_rejected(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def altered(request: BaseHTTPRequestHandler, content: bytes) -> None:
        send(request, content[:-1] + b"!")

    with mirror(altered) as (address, asked):
        served_by(monkeypatch, address)
        with pytest.raises(DataMissingError, match="sent other files, by their SHA-256"):
            fetch.load("tiny")
        assert asked == ["first.bin"]  # no endless retry
    assert os.listdir(cache / "tiny") == []


def test_the_second_mirror_takes_over(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def second_file_fails(request: BaseHTTPRequestHandler, content: bytes) -> None:
        if content == CONTENTS["second.bin"]:
            request.send_error(503)
        else:
            send(request, content)

    with mirror(second_file_fails) as (bad, asked_bad), mirror() as (good, asked_good):
        served_by(monkeypatch, bad, good)
        assert fetch.load("tiny") == CONTENTS
        assert (asked_bad, asked_good) == (["first.bin", "second.bin"], ["second.bin"])


@pytest.mark.parametrize("stalls", [True, False], ids=["stalls", "hangs up"])
def test_a_download_that_breaks_off_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, stalls: bool
) -> None:
    if stalls:
        monkeypatch.setattr(fetch, "STALL_SECONDS", 2.0)
    given_up, ended, gave_up = threading.Event(), threading.Event(), []
    names_halfway: list[str] = []

    def half(request: BaseHTTPRequestHandler, content: bytes) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.wfile.flush()
        names_halfway.extend(os.listdir(cache / "tiny"))
        if stalls:
            gave_up.append(given_up.wait(300))
            ended.set()

    with mirror(half) as (address, _):
        served_by(monkeypatch, address)
        with pytest.raises(DataMissingError, match="failed"):
            fetch.load("tiny")
        given_up.set()
        assert not stalls or ended.wait(60)
    assert gave_up == [True] * stalls
    assert len(names_halfway) == 1  # a temporary name
    assert "first.bin" not in names_halfway
    assert os.listdir(cache / "tiny") == []


def test_silent_and_absent_mirrors_cost_seconds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 5.0)  # in which the others must answer
    with socket.create_server(("127.0.0.1", 0)) as silent, mirror() as (address, _):
        mirrors = (
            f"http://127.0.0.1:{silent.getsockname()[1]}/",  # accepts, never answers
            "http://127.0.0.1:9/",  # refuses
            f"{address}elsewhere/",  # 404
        )
        served_by(monkeypatch, *mirrors)
        with pytest.raises(DataMissingError) as caught:
            fetch.load("tiny")  # where it waited for ever, so would this
    message = str(caught.value)
    hosts = [urlsplit(m).netloc for m in mirrors]
    assert f"{hosts[0]}, {hosts[1]} did not answer" in message
    assert f"{hosts[2]} does not serve it" in message
    assert "--task digits" in message
    assert not cache.exists()


def test_names_that_never_resolve_cost_seconds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.5)
    awake, resolved = threading.Event(), []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args, **kwargs: resolved.append(awake.wait(300)) or []
    )
    served_by(monkeypatch, "http://mirror.invalid/", "http://other.invalid/")
    with pytest.raises(DataMissingError, match="did not answer"):
        fetch.load("tiny")
    assert resolved == []  # given up before
    awake.set()


def test_a_folder_that_cannot_be_written_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("a file, no folder")
    with mirror() as (address, _):
        served_by(monkeypatch, address)
        with pytest.raises(DataError, match=r"cannot be written .*GRIDSCAPE_DATA"):
            fetch.fetch("tiny", tmp_path / "occupied")


def test_progress_is_shown_on_a_terminal(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with mirror() as (address, _):
        served_by(monkeypatch, address)
        fetch.load("tiny")
    assert "first.bin" in screen.getvalue()
    assert "100%" in screen.getvalue()


def test_every_checksum_is_pinned() -> None:
    assert any(listed.files for listed in fetch.DATA_SETS.values())
    for listed in fetch.DATA_SETS.values():
        for file in (*listed.files, *listed.instead):
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size_bytes > 0
        assert all(m.startswith("https://") and m.endswith("/") for m in listed.mirrors)


def test_the_command_line_lists_data_without_jax() -> None:
    code = "import sys, gridscape.tasks.fetch as f; f.status(); sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=False, timeout=600)
    assert done.returncode == 0


def test_what_came_from_elsewhere_is_kept_and_verified(cache: Path) -> None:
    fetch.keep("tiny", CONTENTS)
    assert fetch.load("tiny") == CONTENTS
    assert sorted(path.name for path in (cache / "tiny").iterdir()) == sorted(CONTENTS)
    fetch.keep("tiny", {"second.bin": b"others"})
    with pytest.raises(DataCorruptError):
        fetch.load("tiny")
