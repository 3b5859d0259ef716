"""Faults of benchmarks/ray_faults.py, which draws some hundreds."""

import importlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def faults(monkeypatch):
    """The benchmark, as a script has it."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module("ray_faults")


def test_faults_are_drawn_by_seed_and_each_kind_has_its_turns(faults):
    n_round = len(faults.FAULTS) + (faults.OFTEN - 1) * len(faults.OF_WORKERS)
    drawn = [list(itertools.islice(faults.drawn(random.Random(s)), n_round)) for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    turns = Counter(drawn[0])
    assert turns.keys() == faults.FAULTS.keys()
    assert {n for name, n in turns.items() if name in faults.OF_WORKERS} == {faults.OFTEN}
    assert {n for name, n in turns.items() if name not in faults.OF_WORKERS} == {1}


def test_the_counts_of_all_faults_make_a_table(faults):
    tally = faults.Tally()
    tally.counts |= {("Ctrl-C", "tried"): 2, ("Ctrl-C", "told"): 1, ("a viewer", "tried"): 3}
    tally.add_broken("Ctrl-C", faults.BrokenError("why\nat all"))
    text = faults.report(tally)
    assert "| Ctrl-C | 2 | 0 | 1 |" in text
    assert "| all | 5 | 0 | 1 |" in text
    assert "did not hold: Ctrl-C: why at all" in text


def test_processes_are_found_by_title_and_parent(faults):
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            end = time.monotonic() + 30
            while child.pid not in faults.processes("sleep"):  # its name comes with its program
                assert time.monotonic() < end
                time.sleep(0.01)
            assert faults.parent_of(child.pid) == os.getpid()
        finally:
            child.kill()
    assert faults.parent_of(0) == 0


def test_a_run_that_ends_in_another_way_is_found(faults, tmp_path):
    place = faults.RayPlace.__new__(faults.RayPlace)
    place.told, place.nodes, place.lacks_memory = tmp_path / "told", Nobody(), False
    for status, told, found in [(3, "", "status 3"), (1, "Traceback", "told: Traceback")]:
        place.told.write_text(told)
        place.process = Ended(status)
        with pytest.raises(faults.BrokenError, match=found):
            place.finish()
    place.told.write_text("gridscape: a line\n")
    place.process = Ended(1)
    assert place.finish() == 1
    assert place.finish() == 0  # nothing runs


def test_lines_of_rays_log_are_not_ours(faults):
    rays = (
        "[*** LOG ERROR #0005 ***] [2026-11-28 00:14:59] [ray_log_sink] Failed writing to file x\n"
        "[2026-11-28 00:20:06,942 E 27200 27277] core_worker.cc:609: :info_message: Attempting\n"
    )
    assert faults.without_rays_log(f"{rays}gridscape: a line\n{rays}") == "gridscape: a line\n"
    assert faults.without_rays_log("Traceback: core_worker.cc:1:\n").startswith("Traceback")


class Ended:
    def __init__(self, status):
        self.status = status

    def wait(self, seconds):
        return self.status


class Nobody:
    def workers(self):
        return []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
def test_twenty_random_faults(faults, tmp_path, pytestconfig):
    """On workers, nodes and runs: no trial is lost, doubled, or another one."""
    pytest.importorskip("ray")
    if not pytestconfig.getoption("thorough"):
        pytest.skip("only with --thorough: some minutes")
    before, rng, tally = signal.getsignal(signal.SIGTERM), random.Random(0), faults.Tally()
    names = faults.drawn(rng)
    place = faults.RayPlace(tmp_path)
    try:
        while tally.n_tried < 20:
            faults.episode(place, rng, tally, names, 20 - tally.n_tried)
    finally:
        place.close()
        signal.signal(signal.SIGTERM, before)
    assert not tally.broken
    assert sum(tally.counts[name, "survived"] for name in faults.FAULTS) == 20
