"""A time series: the load of a town six hours ahead, from the last day, by a GRU.

Writes a year of hours as a CSV file with two rhythms and noise, then trains GRUs that read windows
of 24 hours. The latest hours are the test part. Prints the root of the mean squared error, in MW.
"""

import argparse

import numpy as np
import pandas as pd

import gridscape as gs

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
options = parser.parse_args()

hours = np.arange(24 * 120)
rhythm = 16 * np.sin(2 * np.pi * hours / 24) + 8 * np.sin(2 * np.pi * hours / (24 * 7))
load = 100 + rhythm + np.random.default_rng(0).normal(0, 2, len(hours))
when = pd.date_range("2024-01-01", periods=len(hours), freq="h").strftime("%Y-%m-%d %H:%M:%S")
pd.DataFrame({"when": when, "load": load.round(2)}).to_csv("town.csv", index=False)

study = gs.Study(
    name="town",
    task="table",
    task_options={
        "path": "town.csv",
        "target": "load",
        "unit": "MW",
        "time": "when",
        "window": 24,
        "horizon": 6,
    },
    model="gru",
    axes={"hidden_size": [4, 16], "learning_rate": [0.001, 0.01, 0.1]},
    updates=options.updates,
    batch_size=50,
    replicates=2,
)
land = gs.run(study)
print(land.data.test_rmse.mean("replicate").to_pandas().round(2))
