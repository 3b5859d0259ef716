"""Acts in a folder: asked for by anybody, believed by nobody, settled once."""

import json
import os
from datetime import UTC, datetime

import pytest
from stored import STUDY, a_result, a_trial

from gridscape.errors import StoreError, UsageError
from gridscape.grid.axes import Cell
from gridscape.store import acts
from gridscape.store.acts import Act, Queue, ask, on_record
from gridscape.store.imported import IMPORTED
from gridscape.store.store import Store

WIDE = Cell.of(hidden_size=32, learning_rate=0.01)


@pytest.fixture
def folder(tmp_path):
    Store.create(tmp_path, STUDY).close()
    return tmp_path


def test_what_is_asked_for_is_on_record_until_it_is_settled(folder):
    first = ask(folder, Act("stop", {"hidden_size": 32}, by="page"))
    second = ask(folder, Act("replicates", {}, number=5))
    assert [(a.id, a.state, a.title) for a in on_record(folder)] == [
        (first, "waiting", "stop hidden_size=32"),
        (second, "waiting", "5 replicates of all cells"),
    ]
    with Store.create(folder, STUDY) as store:
        store.settle(on_record(folder)[0], "done", "2 networks stopped")
    done, waiting = on_record(folder)
    assert (done.state, done.words, done.act.by) == ("done", "2 networks stopped", "page")
    assert Queue(folder).waiting() == [waiting]


def test_what_is_settled_is_read_once(folder, monkeypatch):
    ask(folder, Act("stop", {"hidden_size": 32}))
    queue = Queue(folder)
    with Store.create(folder, STUDY) as store:
        store.settle(*queue.waiting(), "done", "")
    assert [asked.state for asked in queue.all()] == ["done"]
    monkeypatch.setattr(acts, "_read", lambda *_: pytest.fail("read again"))
    assert [asked.state for asked in queue.all()] == ["done"]


def test_what_was_half_asked_for_is_removed_when_nobody_writes_on(folder):
    place = folder / acts.FOLDER
    old, new = place / "x.json.1.tmp", place / "x.json.2.tmp"
    for path in (old, new):
        path.write_text("{")
    os.utime(old, (0, 0))
    Store.create(folder, STUDY).close()
    assert [path.name for path in place.iterdir()] == [new.name]


def test_the_writer_makes_the_place_of_acts(folder):
    assert (folder / acts.FOLDER).is_dir()


def test_a_folder_with_the_name_of_half_an_act_is_let_be(folder):
    odd = folder / acts.FOLDER / "x.tmp"
    odd.mkdir(parents=True)
    os.utime(odd, (0, 0))
    Store.create(folder, STUDY).close()
    assert odd.is_dir()


def test_a_file_where_acts_should_be_holds_none(folder):
    (folder / acts.FOLDER).rmdir()
    (folder / acts.FOLDER).touch()
    Store.create(folder, STUDY).close()
    assert on_record(folder) == []


@pytest.mark.parametrize("when", ["opened", "settled"])
def test_the_newest_of_what_is_settled_are_kept(folder, monkeypatch, when):
    with Store.create(folder, STUDY) as store:
        ids = [ask(folder, Act("stop", {"hidden_size": 32})) for _ in range(4)]
        if when == "settled":
            monkeypatch.setattr(acts, "MOST_SETTLED", 2, raising=False)
        for asked in on_record(folder)[:3]:
            store.settle(asked, "done", "")
    monkeypatch.setattr(acts, "MOST_SETTLED", 2, raising=False)
    if when == "opened":
        Store.create(folder, STUDY).close()
    assert [asked.id for asked in on_record(folder)] == ids[1:]


def test_only_the_writer_settles(folder):
    ask(folder, Act("stop", {"hidden_size": 32}))
    with Store.read(folder) as store, pytest.raises(StoreError, match="reading only"):
        store.settle(on_record(folder)[0], "done", "")


def test_nothing_is_asked_of_a_folder_without_results(tmp_path):
    with pytest.raises(StoreError, match="holds no results"):
        ask(tmp_path, Act("stop", {}))
    assert not list(tmp_path.iterdir())


def test_nothing_is_asked_of_runs_that_were_made_elsewhere():
    Act("stop", {"hidden_size": 32}).check_in(STUDY)
    with pytest.raises(StoreError, match="runs made elsewhere"):
        Act("stop", {"hidden_size": 32}).check_in({**STUDY, IMPORTED: "runs.csv"})


def test_there_is_an_end_of_what_may_wait(folder, monkeypatch):
    monkeypatch.setattr(acts, "MOST_WAITING", 2)
    for _ in range(2):
        ask(folder, Act("stop", {"hidden_size": 32}))
    with pytest.raises(StoreError, match="too many acts wait"):
        ask(folder, Act("stop", {"hidden_size": 32}))


@pytest.mark.parametrize(
    ("where", "replicate", "is_chosen"),
    [
        ({}, None, True),
        ({"hidden_size": 32}, None, True),
        ({"hidden_size": "32", "learning_rate": "1e-2"}, None, True),
        ({"hidden_size": 32, "learning_rate": 0.01}, 1, False),
        ({"hidden_size": 16}, None, False),
        ({"width": 32}, None, False),
        ({"hidden_size": None}, None, False),
    ],
)
def test_cells_are_chosen_by_their_values(where, replicate, is_chosen):
    assert Act("stop", where, replicate).chooses(WIDE, 0) is is_chosen


def test_an_unset_value_chooses_by_its_word():
    cell = Cell.of(momentum=None)
    assert Act("stop", {"momentum": "unset"}).chooses(cell)
    assert Act("stop", {"momentum": None}).chooses(cell)
    assert not Act("stop", {"momentum": 0.5}).chooses(cell)


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], "stop", 3, {}, {"kind": "delete"}, {"kind": ["stop"]}),
        {"kind": "stop", "path": "../x"},
        {"kind": "stop", "where": []},
        {"kind": "stop", "where": {"a": [1]}},
        {"kind": "stop", "where": {"a": float("nan")}},
        {"kind": "stop", "where": {str(i): i for i in range(101)}},
        {"kind": "stop", "replicate": -1},
        {"kind": "stop", "replicate": True},
        {"kind": "stop", "number": 3},
        {"kind": "replicates"},
        {"kind": "replicates", "number": 10_001},
        {"kind": "replicates", "number": 2.5},
        {"kind": "replicates", "number": 3, "replicate": 1},
        {"kind": "values", "axis": "a"},
        {"kind": "values", "values": [1]},
        {"kind": "values", "axis": "a", "values": "12"},
        {"kind": "values", "axis": "a", "values": [None]},
        {"kind": "values", "axis": "a", "values": [float("inf")]},
        {"kind": "values", "axis": "a", "values": list(range(101))},
        {"kind": "values", "axis": "a", "values": [0.3, 0.3]},
        {"kind": "values", "axis": "a", "values": [0.3, "0.3"]},
        {"kind": "values", "axis": "a", "values": [1], "where": {"b": 1}},
        {"kind": "first", "axis": "a", "values": [1]},
        {"kind": "stop", "by": 3},
        {"kind": "stop", "by": "\ud800"},
        {"kind": "stop", "where": {"a": "\ud800"}},
        {"kind": "stop", "where": {"\udfff": 1}},
        {"kind": "values", "axis": "a", "values": ["\ud800"]},
    ],
)
def test_what_is_no_act_is_told_in_one_line(content):
    with pytest.raises(UsageError) as found:
        Act.of(content)
    assert len(str(found.value)) <= 300
    assert "\n" not in str(found.value)


def test_files_of_anybody_are_read_with_care(folder, tmp_path_factory):
    """Torn, huge, deep, of other names, links out of the folder: each is told, or left out."""
    place, name = folder / acts.FOLDER, "{:016x}-00000000.json".format
    (place / name(1)).write_text("{torn")
    (place / name(2)).write_text(json.dumps({"act": {"kind": "stop"}, "asked": "x" * 70_000}))
    (place / name(3)).write_text("[" * 30_000)
    (place / name(4)).write_text(json.dumps({"act": {"kind": "stop"}, "state": 7, "words": []}))
    (place / name(5)).write_bytes(b"\xff\xfe")
    (place / "..json").write_text("{}")
    (place / f"{name(6)}.tmp").write_text("{}")
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.json"
    secret.write_text(json.dumps({"act": {"kind": "stop"}}))
    (place / name(7)).symlink_to(secret)
    os.mkfifo(place / name(8))
    (place / name(9)).mkdir()
    found = on_record(folder)
    assert [asked.title for asked in found] == [*["not an act"] * 3, "stop all cells", "not an act"]
    assert {(asked.state, asked.words, asked.asked) for asked in found} == {("waiting", "", 0.0)}
    with Store.create(folder, STUDY) as store:
        for asked in found:
            store.settle(asked, "refused", "x" * 1_000)
    assert {len(asked.words) for asked in on_record(folder)} == {300}
    assert json.loads(secret.read_text()) == {"act": {"kind": "stop"}}


@pytest.mark.parametrize(
    "asked", [1e300, -1e300, 10**400, "x", True, None], ids=lambda asked: str(asked)[:9]
)
def test_whatever_stands_there_can_be_written_and_told(folder, asked):
    place = folder / acts.FOLDER
    content = {"act": {"kind": "stop"}, "asked": asked, "state": "done", "words": "\ud800"}
    (place / "0000000000000001-00000000.json").write_text(json.dumps(content))
    (found,) = on_record(folder)
    assert datetime.fromtimestamp(found.asked, UTC).year < 2100
    assert found.words.encode() == b""


def test_a_folder_of_acts_that_leads_elsewhere_is_none(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / acts.FOLDER).rmdir()
    (folder / acts.FOLDER).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="leads out of this folder"):
        ask(folder, Act("stop", {}))
    assert on_record(folder) == []
    assert not list(elsewhere.iterdir())
    with pytest.raises(StoreError, match="leads out of this folder"):
        Store.create(folder, STUDY)


def test_a_place_that_cannot_be_written_is_told(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(acts, "write_whole", full)
    with pytest.raises(StoreError, match="No space left on device"):
        ask(folder, Act("stop", {}))


def test_what_is_forgotten_is_as_if_it_had_not_ended(folder):
    with Store.create(folder, STUDY) as store:
        store.put(a_trial(), a_result())
        store.put(a_trial("b2"), a_result("b2"))
        store.forget(["a1", "nobody"])
        assert list(store.statuses()) == ["b2"]
        assert store.blobs() == {"b2.safetensors"}
    with Store.create(folder, STUDY) as store:
        assert list(store.statuses()) == ["b2"]
