"""Runs made elsewhere: a table of another library's results as a landscape with its page.

Trains forests of scikit-learn with five seeds each, writes one row a run as a tracker would, and
imports the file. The same from the command line, without Python:

    gridscape import forests.csv --axes max_depth,max_features --replicate seed --metric accuracy
"""

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import gridscape as gs

digits = load_digits()
x, x_test, y, y_test = train_test_split(digits.data, digits.target, test_size=0.5, random_state=0)
rows = []
for depth in (2, 4, 8):
    for features in (1, 4, 16):
        for seed in range(5):
            forest = RandomForestClassifier(
                n_estimators=10, max_depth=depth, max_features=features, random_state=seed
            ).fit(x, y)
            accuracy = forest.score(x_test, y_test)
            rows.append((depth, features, seed, "finished", accuracy))
columns = ["params.max_depth", "params.max_features", "params.seed", "status", "metrics.accuracy"]
pd.DataFrame(rows, columns=columns).to_csv("forests.csv", index=False)

land = gs.import_runs(
    "forests.csv", axes=["max_depth", "max_features"], metric="accuracy", replicate="seed"
)
for line in land.study["told"]:
    print(f"({line})")
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
best = gs.analysis.best_per(land, "max_features")
for row in best:
    print(f"{row.row}: best max_features {row.value}, not shown to be worse: {row.equivalent}")
print(gs.report.write("runs/forests"))
