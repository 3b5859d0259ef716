"""A hundred faults and odd inputs of benchmarks/faults.py and fuzzing.py, which go on for hours."""

import importlib
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from forks import start_server

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def faults(monkeypatch):
    """The benchmark, as a script has it."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module("faults")


@pytest.fixture
def fuzzing(faults):
    return importlib.import_module("fuzzing")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # what is damaged is told by warnings
@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_faults_lose_nothing(faults, tmp_path, monkeypatch, seed):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    start_server()
    place, rng, counts = faults.QuickPlace(tmp_path), random.Random(seed), Counter()
    names = faults.drawn(faults.names_here(), rng)
    while (n_left := 25 - faults.n_tried(counts)) > 0:
        faults.episode(place, rng, counts, names, min(faults.EACH_EPISODE, n_left))
    assert sum(counts[name, "survived"] for name in faults.FAULTS) == 25
    # Of folders that are whole, half begin anew, to be whole again after one fault or two.
    assert sum(counts[name, "work left"] for name in faults.FAULTS) >= 25 / 4


@pytest.mark.filterwarnings("ignore")
def test_every_door_is_given_odd_input(fuzzing, faults, tmp_path):
    place, counts = faults.Place(tmp_path, updates=20), Counter()
    assert (
        fuzzing.fuzz(place, seed=6, numbers=range(8 * (len(fuzzing.DOORS) + 1)), counts=counts)
        == []
    )
    for name in (*fuzzing.DOORS, fuzzing.REQUESTS):
        assert counts[name, "tried"] == counts[name, "held"] == 8
    # What is odd in a small way is taken: no door refuses all for a reason of its own.
    for name in set(fuzzing.DOORS) - {"arguments", "archives of arrays"}:  # which have checksums
        assert counts[name, "refused"] < 8, name


def test_input_that_hangs_is_found(fuzzing, faults):
    with pytest.raises(faults.BrokenError, match="no answer"), fuzzing.bounded():
        signal.raise_signal(signal.SIGALRM)


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
    assert "| kill -9 | 2 | 1 | 0 |" in faults.report(faults.FAULTS, counts, ["why"])
    assert "did not hold: why" in faults.report(faults.FAULTS, counts, ["why"])
