"""Results folders of synthetic landscapes: nothing is trained."""

from pathlib import Path

from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.landscape import Landscape
from gridscape.store.store import Store


def stored(folder: Path, land: Landscape, **study: object) -> Path:
    """A results folder of a landscape, without curves; the seed, 0 by default, is in its keys."""
    record = {**land.study, "seed": 0, **study}
    with Store.create(folder, record) as store:
        for cell in land.grid.cells():
            for replicate in range(land.n_replicates):
                at = land.data.sel(dict(cell)).isel(replicate=replicate)
                status = Status(str(at["status"].values))
                if status is Status.MISSING:
                    continue
                of_trial = {"cell": dict(cell), "replicate": replicate, "seed": record["seed"]}
                key = content_key(of_trial)
                metrics = {name: float(at[name]) for name in land.metrics}
                result = TrialResult(key, status, 400, metrics, {}, 1.0, 10, 1.0, 8)
                store.put(Trial(cell, replicate, key), result)
    return folder
