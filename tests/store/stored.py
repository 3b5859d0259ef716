"""A tiny study with a result of every kind, and what folders hold, for the tests of the store."""

import dataclasses
import math
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.store import Store

ASSETS = Path(__file__).parents[1] / "assets"


STUDY = {
    "name": "tiny",
    "title": "A tiny study",
    "seed": 1,
    "task": {"name": "digits", "validation": 0.1},
    "axes": {"hidden_size": [16, 32], "learning_rate": [0.01, 1.0]},
    "replicates": 2,
}


def study(**changes):
    return {**STUDY, **changes}


def a_trial(key="a1", replicate=0, **cell):
    cell = cell or {"hidden_size": 16, "learning_rate": 0.01}
    return Trial(Cell.of(**cell), replicate, key)


def a_result(key="a1", *, loss=0.5, n=20, **changes):
    curves = {
        "train_loss": np.linspace(2.3, loss, n, dtype=np.float32),
        "recorded_at": np.arange(n),
    }
    plain = TrialResult(
        key=key,
        status=Status.FINISHED,
        updates=400,
        metrics={"test_loss": loss, "test_accuracy": 0.9},
        curves=curves,
        seconds=1.25,
        n_parameters=1242,
        flops=1e9,
        memory_bytes=9936,
        params_digest="d1",
    )
    return dataclasses.replace(plain, **changes)


# One of each kind; the folders of tests/assets/store-format-* hold these, by write_every_kind(); of
# format 2 also those of MANY, which share a file.
EVERY_KIND = [
    (
        a_trial("finished", 1, hidden_size=16, learning_rate=1e-05, cell="gru", peephole=True),
        a_result("finished", params={"lstm/kernel": np.arange(6.0).reshape(2, 3)}),
    ),
    (
        a_trial("diverged", 0, hidden_size=32, learning_rate=1.0, cell="1", peephole=False),
        a_result(
            "diverged",
            loss=math.nan,
            status=Status.DIVERGED,
            metrics={"test_loss": math.inf, "train_loss": -math.inf, "test_accuracy": math.nan},
            first_bad_update=7,
            bad_quantity="gradient",
        ),
    ),
    (
        a_trial("failed", 0, hidden_size=64, learning_rate=0.1, cell="é", peephole=True),
        a_result("failed", status=Status.FAILED, curves={}, metrics={}, reason="no such luck"),
    ),
]


EVERY_KIND_STUDY = study(
    axes={
        "hidden_size": [16, 32, 64],
        "learning_rate": [1e-05, 0.1, 1.0],
        "cell": ["gru", "1", "é"],
        "peephole": [True, False],
    }
)


MANY = [
    (
        a_trial(f"many{k:02}", k, hidden_size=16, learning_rate=1.0, cell="gru", peephole=True),
        a_result(f"many{k:02}", loss=k / 4),
    )
    for k in range(20)
]


def write_every_kind(directory):
    with Store.create(directory, EVERY_KIND_STUDY) as store:
        for trial, result in EVERY_KIND:
            store.put(trial, result)
        store.put_all(MANY)
        store.save_checkpoint("cohort", {"updates": 100}, {"params/bias": np.zeros(3)})


def same_arrays(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def same_result(one, other):
    """Bit for bit; nan equals nan."""
    plain = [repr(dataclasses.replace(result, curves={}, params=None)) for result in (one, other)]
    return (
        plain[0] == plain[1]
        and same_arrays(one.curves, other.curves)
        and same_arrays(one.params or {}, other.params or {})
    )


def contents(directory):
    """Every file below a folder, with what is in it; without the lock and SQLite's empty log."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        and path.name not in (".lock", "ledger.sqlite-shm")
        and (path.name != "ledger.sqlite-wal" or path.stat().st_size)
    }


def put(directory, *keys, **changes):
    with Store.create(directory, study()) as store:
        for key in keys:
            store.put(a_trial(key), a_result(key, **changes))


def blob(directory, key):
    return directory / "blobs" / f"{key}.safetensors"


@contextmanager
def mounted(path, size="1m"):
    """A small file system of its own, for as long as the block lasts."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True, timeout=10)


def remount(path, options):
    command = ["mount", "-o", f"remount,{options}", str(path)]
    subprocess.run(command, check=True, timeout=10)
