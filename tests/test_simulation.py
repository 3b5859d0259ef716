"""The worlds of ``benchmarks/truth``: what they draw, what is counted, what is told."""

import importlib
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A module of the benchmark by name."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return lambda name: importlib.import_module(f"truth.{name}")


def test_beside_the_benchmarks_statistics_is_the_standard_library() -> None:
    code = "import statistics; print(statistics.median([3, 1, 2]), statistics.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    median, file = done.stdout.split()
    assert median == "2"
    assert not Path(file).is_relative_to(BENCHMARKS)


def test_a_world_draws_what_is_true_of_it(truth) -> None:
    worlds = truth("worlds")
    world = worlds.World({"hidden_size": [16, 32], "learning_rate": [0.1]}, 4000)
    means = np.array([[0.5], [0.7]])
    true = worlds.Truth(means, 0.02, collapses=0.2, diverges=0.3, missing=0.1)
    land = world.draw(np.random.default_rng(0), true)
    status, collapsed = land.data["status"].values, land.data["collapsed"].values
    assert (status == "missing").mean() == pytest.approx(0.1, abs=0.02)
    assert (status == "diverged").mean() == pytest.approx(0.9 * 0.3, abs=0.02)
    finished = status == "finished"
    assert collapsed[finished].mean() == pytest.approx(0.2, abs=0.02)
    values = land.values().values
    assert (np.isfinite(values) == finished).all()
    assert (values[collapsed] == worlds.CHANCE).all()
    learning = np.where(finished & ~collapsed, values, np.nan)
    assert np.nanmean(learning, axis=-1) == pytest.approx(means, abs=0.002)
    assert np.nanstd(learning, axis=-1) == pytest.approx(0.02, abs=0.002)
    assert np.nanmean(values, axis=-1) == pytest.approx(true.mean_of_finished(), abs=0.015)


def test_a_replicate_is_shared_by_its_cells_and_tails_keep_their_spread(truth) -> None:
    worlds = truth("worlds")
    world = worlds.World({"hidden_size": [16, 32], "learning_rate": [0.1]}, 4000)
    rng = np.random.default_rng(0)
    shared = world.draw(rng, worlds.Truth(0.5, 0.01, shared=0.02)).values().values[:, 0]
    assert np.corrcoef(shared)[0, 1] == pytest.approx(0.8, abs=0.03)
    heavy = worlds.noise(rng, "t3", (200_000,))
    assert heavy.std() == pytest.approx(1, abs=0.1)
    assert (abs(heavy) > 4).mean() > 20 * math.erfc(4 / math.sqrt(2))


def test_what_was_not_said_is_left_out_and_told(truth) -> None:
    settings = truth("settings")
    counted = settings.count([1.0, 0.0, math.nan, 1.0, 1.0])
    assert (counted.value, counted.said) == (0.75, 0.8)
    assert counted.error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    nothing = settings.count([math.nan])
    assert nothing.said == 0
    assert not nothing.misses(settings.Kind.HOLDS)


def test_most_is_what_four_of_five_stay_within(truth) -> None:
    numbers = np.random.default_rng(0).permutation(np.arange(1, 10_001) / 10_000)
    counted = truth("settings").most(numbers.tolist())
    assert counted.value == pytest.approx(0.8, abs=1e-3)
    assert counted.error == pytest.approx(0.4 / 100, rel=0.01)  # sqrt(.8 .2) / sqrt(n), density 1


@pytest.mark.parametrize(
    ("kind", "value", "error", "misses"),
    [
        ("holds", 0.93, 0.005, True),
        ("holds", 0.945, 0.005, False),
        ("false", 0.07, 0.005, True),
        ("false", 0.055, 0.005, False),
        ("power", 0.0, 0.0, False),
    ],
)
def test_a_number_misses_its_target_beyond_two_errors(truth, kind, value, error, misses) -> None:
    settings = truth("settings")
    assert settings.Count(value, error, 1.0).misses(settings.Kind(kind)) is misses


def test_every_setting_is_played_and_answers(truth) -> None:
    playing = truth("playing")
    todo = [task for task in playing.tasks(1) if task.replicates in (5, 20)]
    assert {task.place for task in todo} == set(range(len(playing.settings())))
    for task in todo:
        counts = playing.play(task)
        assert not playing.broke(counts), (task.key, counts)
        if not isinstance(counts, str):
            assert any(counted.said for counted in counts.values()), task.key


def test_intervals_and_verdicts_keep_their_level_where_nothing_is_amiss(truth) -> None:
    """200 landscapes each: beyond its target by more than four errors is no chance."""
    playing, settings = truth("playing"), truth("settings")
    for name in ("its mean: normal", "levels: near, at the margin, normal", "one rival of 8 equal"):
        task = next(t for t in playing.tasks(200, name) if t.replicates == 5)
        kinds = playing.settings()[task.place].measures
        for measure, counted in playing.play(task).items():
            far = settings.Count(counted.value, 2 * counted.error, counted.said)
            assert not far.misses(kinds[measure]), (name, measure, counted)


def test_the_same_landscapes_for_every_version_and_every_choice(truth) -> None:
    playing = truth("playing")
    task = next(t for t in playing.tasks(5, "3. winner: 24 equal") if t.replicates == 3)
    assert playing.play(task) == playing.play(task)


def test_a_setting_that_breaks_is_told_and_ends_no_other(truth, monkeypatch) -> None:
    playing, settings = truth("playing"), truth("settings")

    def breaks(n: int) -> Any:
        raise ValueError("no such world")

    broken = settings.Setting("9. none", "broken", {"": settings.Kind.HOLDS}, breaks)
    monkeypatch.setattr(playing, "settings", lambda: [broken])
    (task, *_) = playing.tasks(1)
    assert playing.play(task) == "ValueError: no such world"
    assert playing.broke(playing.play(task))
    kept = playing.record({task.key: playing.play(task)}, 1)
    assert "- now: 9. none: broken: ValueError: no such world" in playing.told(kept, None)


def test_tables_set_versions_side_by_side(truth) -> None:
    playing, settings = truth("playing"), truth("settings")
    key = ("1. t interval of a cell holds its mean", "normal", 3)
    sides = [
        playing.record({key: {"": settings.Count(value, 0.005, said)}}, 2000)
        for value, said in ((0.93, 1.0), (0.951, 0.9))
    ]
    assert playing.found_in(sides[0])[key][""].value == 0.93
    text = playing.told(sides[1], sides[0])
    assert "| normal |  | >= 95 | **93.0** / - / - | 95.1 (90 %) / - / - |" in text
    assert "- before: 1 of 1 numbers with a target are beyond it" in text
    assert "- now: 0 of 1 numbers" in text


def test_a_fixed_design_is_the_fewest_replicates_that_hold_as_often(truth) -> None:
    looking, settings = truth("looking"), truth("settings")
    count = settings.Count
    measured = {f"{looking.FIXED}{n}": count(n / 20, 0.0, 1.0) for n in looking.ONE_BY_ONE}
    assert looking.fixed_design(measured | {"holds": count(0.58, 0.0, 1.0)}) == 12
    assert math.isnan(looking.fixed_design(measured | {"holds": count(1.01, 0.0, 1.0)}))
