"""What the benchmarks compute from their measurements."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A benchmark's module by name; they import each other as scripts do."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module


def test_rounds_begin_with_another_side_and_stop_in_time(benchmark) -> None:
    harness, order = benchmark("harness"), []
    sides = {name: lambda name=name: order.append(name) for name in "abc"}
    harness.interleave(sides, 2)
    assert "".join(order) == "abcbca"
    assert len(harness.interleave(sides, 5, seconds=0)["a"]) == 1


def test_networks_are_dealt_through_all_programs(benchmark) -> None:
    programs = [{"networks": ["a", "b", "c"]}, {"networks": ["d"]}, {"networks": ["e", "f"]}]
    shares = [benchmark("studies").deal(programs, number, 2) for number in range(2)]
    names = [[program["networks"] for program in share] for share in shares]
    assert names == [[["a", "c"], [], ["e"]], [["b"], ["d"], ["f"]]]


def test_a_script_is_extrapolated_from_what_it_measured(benchmark) -> None:
    amounts = [{"networks": 1, "updates": 100, "examples": 50}] * 2
    tally = {"networks": [1, 0.5], "updates": [10, 2.0], "examples": [25, 1.0]}
    one = 0.5 + 10 * 2.0 + 2 * 1.0
    told = [
        {"start_seconds": 3.0, "programs": [tally, tally]},
        {"start_seconds": 2.0, "programs": [tally]},
    ]
    turn = benchmark("studies").together(told, [[2, 1], [0, 1]], amounts)
    assert turn.seconds == pytest.approx(3 + 4 * one / 2)
    assert turn.facts["measured_share"] == pytest.approx(3 * 3.5 / (4 * one))


def test_the_table_of_studies_tells_the_goal_by_the_better_loop(benchmark) -> None:
    studies, sides = benchmark("studies"), benchmark("sides")
    facts = {"compile_seconds": 4.0, "again_seconds": 5.0}
    ours = [studies.Turn(seconds, facts) for seconds in (8.0, 10.0)]
    slow, fast = ([studies.Turn(s, {"measured_share": 0.5})] * 2 for s in (60.0, 40.0))
    turns = {
        sides.GRIDSCAPE: ours,
        **dict(zip(sides.LOOPS, (slow, fast), strict=True)),
    }
    entry = studies.Entry("recall", 5)
    row = studies._row(studies.Measured(entry, 45, 9, 1_500, turns))
    assert row[:5] == ["recall", "45", "1500", "9.0", "4.0"]
    assert row[5:8] == ["60.0", "40.0", "50%"]
    assert row[8:] == ["**4.50**", "4.00 to 5.00 (2)", "5.0", "5, missed"]


@pytest.mark.parametrize(("share", "told"), [(0.8, "80 (80%)"), (0.5, "50 (50%, missed)")])
def test_the_table_of_layers_tells_the_share_of_the_peak(benchmark, share, told) -> None:
    recurrent, sides = benchmark("recurrent"), benchmark("sides")
    names = (sides.GRIDSCAPE, recurrent.PLAIN, *sides.LOOPS)
    times = {name: [float(k)] for k, name in enumerate(names, 1)}
    flops = share * 1e8  # in a millisecond
    row = recurrent._row(recurrent.Measured("lstm", 64, 8, times, [100.0], flops), peak=100.0)
    assert row[-6:] == ["4", "**3.00**", "3.00 to 3.00", "1.4, met", "2.00", told]


def test_modules_are_compared_with_the_faster_loop(benchmark) -> None:
    modules, sides = benchmark("modules"), benchmark("sides")
    names = (sides.GRIDSCAPE, sides.ONE_LOOP, sides.MANY_LOOPS)
    seconds = ((4.0, 5.0), (40.0, 40.0), (20.0, 30.0))
    each = [[modules.Turn(s, 0.9) for s in side] for side in seconds]
    case = modules.Case.parse("mlp:6000", 600)
    row = modules._row(case, dict(zip(names, each, strict=True)))
    assert row[:6] == ["mlp", "6,000", "2", "4.5", "40.0", "25.0"]
    assert row[6:] == ["**5.50** (5.00 to 6.00)", "5, reached", "", "0.900, 0.900, 0.900"]
    # 8e9 operations at 4e9 a second are 2 seconds, where the faster loop takes 25.
    turns = dict(zip(names, each, strict=True)) | {modules.PRODUCT: [modules.Turn(2.0, flops=8e9)]}
    turns[sides.GRIDSCAPE] = [turn._replace(flops=8e9) for turn in turns[sides.GRIDSCAPE]]
    assert modules._row(case, turns)[8] == "12.50"


@pytest.mark.parametrize("text", ["mlps", "mlp:", "mlp:0", "mlp:-1", "mlp:²", "mlp:1e3", ""])
def test_a_case_of_modules_that_is_none_is_told(benchmark, text) -> None:
    modules = benchmark("modules")
    assert modules.Case.parse("mlp", 600) == modules.Case.parse("mlp:600", 7)
    with pytest.raises(SystemExit, match="expected lstm, cnn, mlp, or such as mlp:6000"):
        modules.Case.parse(text, 600)


def test_cases_of_modules_that_were_measured_before_stay(benchmark, monkeypatch, tmp_path) -> None:
    modules, harness = benchmark("modules"), benchmark("harness")
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    facts = {"cpu": "a chip"}
    turns = {"lstm:600": {"Gridscape": [{"seconds": 2.0, "accuracy": 0.9}]}}
    record = {"settings": {"replicates": 5}, "turns": turns}
    harness.write("modules", facts, "", record)
    monkeypatch.setattr("sys.argv", ["modules.py"])
    options = modules._options()
    found = {modules.Case("lstm", 600): {"Gridscape": [modules.Turn(2.0, 0.9)]}}
    assert modules._stored(facts, options) == found
    options.replicates = 10
    with pytest.raises(SystemExit, match="other settings"):
        modules._stored(facts, options)


def test_what_it_takes_to_store_a_trial_is_without_what_a_run_takes(benchmark, monkeypatch) -> None:
    cluster = benchmark("cluster")
    noise = iter([0.3, 0.0, 0.2, 0.0])

    def timed(executor: Any, study: Any) -> Any:
        return cluster.Timed(1.0, 5.0 + 0.002 * len(study.cells()) + next(noise))

    monkeypatch.setattr(cluster, "timed", timed)
    assert cluster.stored_seconds(10, 40, 2) == pytest.approx(0.002)
    noise = iter([9.0, 0.0])
    with pytest.raises(RuntimeError, match="too busy"):
        cluster.stored_seconds(10, 40, 1)
