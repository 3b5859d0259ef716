"""What watching a large study costs: seconds of CPU per minute while cells end.

    python benchmarks/live.py [cells] [seconds]

Makes a study of that many cells of made-up results, half of them ended, looks at it in a thread as
``gridscape live`` does while somebody looks on, and stores 50 new ones every second.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gridscape.grid.asked import grid_of
from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.report.live.server import pause
from gridscape.report.live.study import StudyView
from gridscape.store.store import Store

EACH_SECOND = 50


def main() -> None:
    n_cells = int(sys.argv[1]) if len(sys.argv) > 1 else 65_536
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    side = round(n_cells**0.5)
    axes = {
        "hidden_size": list(range(1, side + 1)),
        "learning_rate": [float(f"{x:.6g}") for x in np.geomspace(1e-5, 1, side)],
    }
    study = {"name": "large", "title": "Large", "task": "none", "axes": axes, "replicates": 1}
    cells = grid_of(axes).cells()
    with tempfile.TemporaryDirectory() as folder, Store.create(folder, study) as store:
        for begin in range(0, side * side // 2, 2048):
            store.put_all(list(map(ended, cells[begin : min(begin + 2048, side * side // 2)])))
        watch(Path(folder), store, cells[side * side // 2 :], seconds)


def watch(folder: Path, store: Store, coming: list, seconds: float) -> None:
    view, begin = StudyView(folder), time.process_time()
    view.look()
    print(f"the first look and its document: {time.process_time() - begin:.1f} s of CPU")
    begin = time.process_time()
    size = len(view.page())
    print(f"the page: {size / 1e6:.1f} MB, {time.process_time() - begin:.1f} s of CPU")
    used, wrote, slowest, version, start = 0.0, 0, 0.0, view.version, time.monotonic()
    next_look = start
    sizes = []
    while time.monotonic() - start < seconds:
        store.put_all(list(map(ended, coming[wrote : wrote + EACH_SECOND])))
        wrote += EACH_SECOND
        if time.monotonic() >= next_look:
            cpu, wall = time.process_time(), time.monotonic()
            view.look()
            sizes.append(len(view.change(version)["at"]))
            version = view.version
            used += time.process_time() - cpu
            slowest = max(slowest, time.monotonic() - wall)
            next_look = time.monotonic() + pause(time.monotonic() - wall)
        time.sleep(max(0.0, start + wrote / EACH_SECOND - time.monotonic()))
    minutes = (time.monotonic() - start) / 60
    print(f"{used / minutes:.1f} s of CPU per minute, {len(sizes)} updates of {sum(sizes)} cells")
    print(f"the longest update took {slowest:.1f} s")


def ended(cell) -> tuple[Trial, TrialResult]:
    key = content_key(dict(cell))
    value = 1 / (1 + abs(np.log10(cell["learning_rate"]) + 2)) * min(1, cell["hidden_size"] / 64)
    at = np.arange(10, 101, 10)
    curves = {"recorded_at": at, "train_loss": 2.3 * np.exp(-at / 50), "evaluated_at": at[-1:]}
    curves |= {"test_accuracy": np.array([value]), "test_loss": np.array([1 - value])}
    metrics = {"test_accuracy": value, "test_loss": 1 - value, "top_answer_share": 0.2}
    result = TrialResult(key, Status.FINISHED, 100, metrics, curves, 0.1, 1000, 1e6, 4000)
    return Trial(cell, 0, key), result


if __name__ == "__main__":
    main()
