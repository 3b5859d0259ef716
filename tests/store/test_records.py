"""What a row of the ledger says of a trial: of the right kind, or damaged."""

import json
from pathlib import Path

import pytest
from stored import a_result, a_trial

from gridscape.store._entries import read_record, record_of
from gridscape.store.blobs import DamagedError

ODD_RECORDS = [
    ("trial", "replicate", True),
    ("trial", "replicate", -1),
    ("trial", "replicate", 1.0),
    ("trial", "cell", {"hidden_size": [16]}),
    ("trial", "cell", None),
    ("trial", "of_long_ago", 1),
    ("result", "status", "done"),
    ("result", "status", ["finished"]),
    ("result", "updates", -1),
    ("result", "updates", "400"),
    ("result", "metrics", {"test_accuracy": "high"}),
    ("result", "metrics", {"test_accuracy": True}),
    ("result", "metrics", None),
    ("result", "seconds", False),
    ("result", "reason", 3),
]


@pytest.mark.parametrize(("part", "name", "value"), ODD_RECORDS)
def test_a_record_of_another_shape_is_damaged(part, name, value):
    trial, result = a_trial("a1"), a_result("a1")
    record = record_of(trial, result)
    where = Path("ledger.sqlite")
    assert read_record(json.dumps(record), where)[0] == trial
    record[part][name] = value
    with pytest.raises(DamagedError, match="is no record of a trial"):
        read_record(json.dumps(record), where)


def test_what_an_older_record_lacks_is_none():
    record = record_of(a_trial("a1"), a_result("a1"))
    for name in ("updates", "seconds", "reason", "first_bad_update"):
        del record["result"][name]
    _, result = read_record(json.dumps(record), Path("ledger.sqlite"))
    assert (result.updates, result.seconds, result.reason) == (None, None, None)
