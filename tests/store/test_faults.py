"""A few faults of benchmarks/faults.py, which draws them for hours."""

import importlib
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def faults(monkeypatch):
    """The benchmark, as a script has it."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module("faults")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what is damaged is told by warnings
@pytest.mark.parametrize("name", ["kill -9", "a torn file"])
def test_after_a_fault_all_is_there(faults, tmp_path, name):
    place, rng = faults.Place(tmp_path, updates=300), random.Random(2)
    faults.FAULTS[name](place, rng)
    place.run()
    place.require_whole()
    for _ in range(5):
        faults.made_up_folder(place, rng)
        faults.made_up_arguments(place, rng)


def test_a_table_that_differs_is_found(faults, tmp_path, monkeypatch):
    place = faults.Place.__new__(faults.Place)
    place.results, place.calm = tmp_path, [{"key": "a"}, {"key": "b"}]
    (tmp_path / "checkpoints").mkdir()
    for found, told in [
        ([{"key": "a"}, {"key": "a"}], "a trial twice"),
        ([{"key": "a"}], "another table"),
    ]:
        monkeypatch.setattr(faults.Place, "table", lambda self, found=found: found)
        with pytest.raises(faults.BrokenError, match=told):
            place.require_whole()
    monkeypatch.setattr(faults.Place, "table", lambda self: place.calm)
    place.require_whole()
    (tmp_path / "study.json.x.tmp").touch()
    with pytest.raises(faults.BrokenError, match="half written"):
        place.require_whole()


@pytest.mark.parametrize(
    "told",
    ["Traceback (most recent call last):", "gridscape: unexpected X", "gridscape: " + "x" * 301],
)
def test_a_word_that_is_not_ours_is_found(faults, told):
    with pytest.raises(faults.BrokenError):
        faults.check_lines(told, 1)
    faults.check_lines("gridscape: a line\n", 1)


def test_the_counts_make_a_table(faults):
    counts = Counter({("kill -9", "tried"): 2, ("kill -9", "survived"): 1})
    assert "| kill -9 | 2 | 1 | 0 |" in faults.report(counts, ["why"])
    assert "did not hold: why" in faults.report(counts, ["why"])
