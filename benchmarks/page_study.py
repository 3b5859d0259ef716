"""Results folders of any size without training: what ``momentum-quadratic`` comes to, by theory.

python benchmarks/page_study.py DIR --side 256      65,536 cells of momentum x learning rate
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import gridscape as gs
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.store.store import Store

CURVATURES = np.array([1.0, 25.0])
AT_ONCE = 2048  # trials that are stored together
HIGHEST = 1e30  # a distance above it has left float32


def write_study(folder: Path, n_rates: int, n_momenta: int, updates: int = 200) -> Path:
    """A folder of one replicate of each cell, as a run would have left it."""
    rates = [float(f"{v:.6g}") for v in np.geomspace(0.003, 0.2, n_rates)]
    momenta = [float(f"{v:.6g}") for v in np.linspace(0.0, 1.05, n_momenta)]
    study = gs.Study.load("momentum-quadratic").override(
        {"momentum": [0.0], "learning_rate": [0.01]}, replicates=1, updates=updates, evaluations=20
    )
    record = study.resolve().record()
    record["axes"] = {"momentum": momenta, "learning_rate": rates}
    with Store.create(folder, record) as store:
        for start in range(0, n_momenta, max(1, AT_ONCE // n_rates)):
            part = momenta[start : start + max(1, AT_ONCE // n_rates)]
            store.put_all(list(_ended(part, rates, updates)))
    return folder


def _ended(
    momenta: Sequence[float], rates: Sequence[float], updates: int
) -> Iterator[tuple[Trial, TrialResult]]:
    """Each trial of a part of the grid, followed for all of its updates at once."""
    momentum, rate = (m.ravel() for m in np.meshgrid(momenta, rates, indexing="ij"))
    position = np.ones((len(rate), 2))
    velocity = np.zeros_like(position)
    distances, losses = (np.empty((updates + 1, len(rate))) for _ in range(2))
    for step in range(updates + 1):
        distances[step] = np.minimum(np.sqrt((position**2).sum(axis=1)), HIGHEST)
        losses[step] = np.minimum((CURVATURES * position**2).sum(axis=1) / 2, HIGHEST)
        velocity = momentum[:, None] * velocity - rate[:, None] * CURVATURES * position
        position = np.clip(position + velocity, -HIGHEST, HIGHEST)
    for i in range(len(rate)):
        cell = Cell.of(momentum=float(momentum[i]), learning_rate=float(rate[i]))
        yield _trial(cell, distances[:, i], losses[:, i])


def _trial(cell: Cell, distance: np.ndarray, loss: np.ndarray) -> tuple[Trial, TrialResult]:
    """A trial of these distances and losses before each update and at the end."""
    trial = Trial(cell, 0, content_key(dict(cell)))
    bad = np.flatnonzero(distance >= HIGHEST)
    updates = int(bad[0]) if len(bad) else len(distance) - 1
    recorded = np.arange(1, updates + 1)
    evaluated = recorded[(len(distance) - 1) // 20 - 1 :: (len(distance) - 1) // 20]
    curves = {
        "evaluated_at": evaluated,
        "recorded_at": recorded,
        "test_distance": distance[evaluated].astype(np.float32),
        "test_loss": loss[evaluated].astype(np.float32),
        "train_distance": distance[recorded - 1].astype(np.float32),
        "train_loss": loss[recorded - 1].astype(np.float32),
    }
    finals = {"distance": float(distance[updates - 1]), "loss": float(loss[updates - 1])}
    ended = {"first_bad_update": updates + 1, "bad_quantity": "loss"} if len(bad) else {}
    result = TrialResult(
        key=trial.key,
        status=Status.DIVERGED if len(bad) else Status.FINISHED,
        updates=updates,
        metrics={f"{split}_{name}": x for split in ("test", "train") for name, x in finals.items()},
        curves=curves,
        seconds=0.006,
        n_parameters=2,
        flops=0.0,
        memory_bytes=1364,
        **ended,  # type: ignore[arg-type]
    )
    return trial, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=50, help="values of each of the two axes")
    options = parser.parse_args()
    print(write_study(options.folder, options.side, options.side))


if __name__ == "__main__":
    main()
