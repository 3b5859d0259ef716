"""Whatever stands in a results folder: it is read, or refused in one line of our own."""

import copy
import dataclasses
import json
import shutil
import sqlite3
import warnings
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import a_result, a_trial, study

from gridscape.errors import LONGEST, GridscapeError
from gridscape.grid.trials import TrialResult
from gridscape.landscape import Landscape
from gridscape.store import _entries
from gridscape.store._ledger import Row
from gridscape.store._study_shape import is_study
from gridscape.store.blobs import Content, read_blob, write_blobs
from gridscape.store.store import Store, StoreWarning

BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ODD = st.sampled_from(
    [
        *(None, True, 0, -1, 2, 10**9, 10**400, 2.5, float("nan"), "", "x", "a\0b", "\ud800"),
        *("finished", "bogus", "n" * 5_000, "\x1b]0;x", [], {}, [1], [None], [{}], [[8]]),
        *({"a": 1}, ["length", [1]], [["hidden_size"]], {"hidden_size": [1]}),
    ]
)


def places(value, at=()):
    """Every place within a document, as the names and numbers that lead there."""
    inner = value.items() if isinstance(value, dict) else ()
    for name, part in enumerate(value) if isinstance(value, list) else inner:
        yield (*at, name)
        yield from places(part, (*at, name))


@st.composite
def mutants(draw, document):
    """The document with one or two of its parts changed, gone, or under another name."""
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        known = list(places(made))
        if not known or draw(st.integers(0, 20)) == 0:
            return draw(ODD)
        *path, last = draw(st.sampled_from(known))
        folder = made
        for name in path:
            folder = folder[name]
        change = draw(st.sampled_from(["set", "set", "drop", "rename"]))
        if change == "set":
            folder[last] = copy.deepcopy(draw(ODD))
        elif change == "drop" or isinstance(folder, list):
            del folder[last]
        else:
            folder[draw(st.sampled_from(["status", "a/b", "", "x"]))] = folder.pop(last)
    return made


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Results of two trials, and a copy of them to change."""
    place = tmp_path_factory.mktemp("fuzzed")
    told = {"metrics": {"accuracy": {"better": "higher"}}, "n_examples": {"test": 40}}
    told |= {"groups": ["length", [1, 2]], "grids": [study()["axes"]], "selection": "test"}
    with Store.create(place / "whole", study(**told)) as store:
        store.put(a_trial("a1"), a_result("a1"))
        store.put(a_trial("a2", 1), a_result("a2"))
    return place / "whole", place / "changed"


def fresh(stored):
    whole, changed = stored
    shutil.rmtree(changed, ignore_errors=True)
    return shutil.copytree(whole, changed)


def ledger_of(folder):
    return closing(sqlite3.connect(folder / "ledger.sqlite"))


def read_or_refuse(folder):
    """Reads and writes the folder as commands do."""
    told = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            with Store.read(folder) as store:
                store.trials(), store.statuses(), list(store.finals())
                known = store.study
            Landscape.read(folder).table()
            Store.create(folder, known).close()
        except GridscapeError as error:
            told = str(error)
    assert len(told) <= LONGEST
    assert told.isprintable()


@BOUNDED
@given(st.data())
def test_whatever_stands_in_study_json(stored, data):
    folder = fresh(stored)
    document = json.loads((folder / "study.json").read_text())
    text = data.draw(mutants(document).map(json.dumps) | st.text(max_size=20))
    (folder / "study.json").write_text(text, encoding="utf-8", errors="replace")
    with ledger_of(folder) as ledger, ledger:
        ledger.execute("DELETE FROM meta")  # else the copy there tells the difference
    read_or_refuse(folder)


@BOUNDED
@given(st.data())
def test_whatever_stands_in_a_row(stored, data):
    folder = fresh(stored)
    with ledger_of(folder) as ledger, ledger:
        (record,) = ledger.execute("SELECT record FROM trials WHERE key = 'a1'").fetchone()
        text = data.draw(
            mutants(json.loads(record)).map(json.dumps) | st.text('[]{}"0a', max_size=9)
        )
        ledger.execute("UPDATE trials SET record = ? WHERE key = 'a1'", (text,))
    read_or_refuse(folder)


@BOUNDED
@given(st.data())
def test_whatever_stands_in_a_blob_and_its_row(stored, data):
    folder = fresh(stored)
    path = folder / "blobs" / "a1.safetensors"
    blob = read_blob(path)
    text = data.draw(mutants(json.loads(blob.text)).map(json.dumps))
    ((checksum,),) = write_blobs({path: [Content(text, blob.arrays)]})
    row = Row("a1", text, path.name, path.stat().st_size, checksum)
    with ledger_of(folder) as ledger, ledger:
        ledger.execute("REPLACE INTO trials VALUES (?, ?, ?, ?, ?)", row)
    read_or_refuse(folder)


def test_a_damaged_row_is_told_and_mended_by_its_blob(stored):
    folder = fresh(stored)
    with ledger_of(folder) as ledger, ledger:
        ledger.execute("UPDATE trials SET record = '[]' WHERE key = 'a1'")
    with Store.read(folder) as store, pytest.warns(StoreWarning, match="no record of a trial"):
        assert [trial.key for trial in store.trials()] == ["a2"]
    with Store.create(folder, study()) as store:
        assert [trial.key for trial in store.trials()] == ["a1", "a2"]


@pytest.mark.parametrize(
    "changed",
    [
        *({"format": odd} for odd in ([], {}, None, "2", -1)),
        {"study": {"name": "\x1b]0;x"}},
    ],
)
def test_an_odd_format_or_name_is_told_in_one_line(stored, changed):
    folder = fresh(stored)
    document = json.loads((folder / "study.json").read_text())
    study_of = {**document["study"], **changed.get("study", {})}
    document = {**document, **changed, "study": study_of}
    (folder / "study.json").write_text(json.dumps(document))
    with ledger_of(folder) as ledger, ledger:
        ledger.execute("DELETE FROM meta")
    read_or_refuse(folder)


@pytest.mark.parametrize("number", [10_001, 10**9, 10**400, 0, True, 2.0])
def test_replicates_and_axes_that_no_study_has(number):
    plain = {"axes": {"a": [1]}, "replicates": 1}
    assert is_study(plain)
    assert not is_study({**plain, "replicates": number})
    assert not is_study({**plain, "axes": {}})
    assert not is_study({**plain, "axes": {"a": []}})
    if number not in (0, True):
        others = [[{"a": 1}, number]]
        assert not is_study({**plain, "replicates_of": others})


def test_what_a_record_holds_is_checked_by_name():
    facts = [f.name for f in dataclasses.fields(TrialResult) if f.name not in ("curves", "params")]
    assert sorted(_entries._RESULT.kinds) == sorted(facts)
