"""Small landscapes for the tests of the analysis."""

from dataclasses import replace

import numpy as np
from synthetic import landscape

from gridscape.analysis.statistics import share_interval, t_interval
from gridscape.grid.balance import balanced_means
from gridscape.grid.trials import Status

ONE_AXIS = {"learning_rate": [1e-3, 1e-2, 1e-1]}


THREE_AXES = {
    "cell": ["lstm", "gru"],
    "hidden_size": [16, 32],
    "learning_rate": [1e-3, 1e-2, 1e-1],
}


def fixed(axes, accuracies, **options):
    """A landscape whose trials have exactly these values: cell by cell, (cells, R)."""
    replicates = len(accuracies[0])
    land = landscape(axes, lambda cell: 0.0, replicates=replicates, noise=0.0, **options)
    shape = land.data["test_accuracy"].shape
    accuracies = np.array(accuracies, float).reshape(shape)
    finished = land.data["status"] == "finished"
    land.data["test_accuracy"] = (land.data["test_accuracy"].dims, accuracies)
    land.data["test_accuracy"] = land.data["test_accuracy"].where(finished)
    return land


def diverges(*where):
    """A status function: these (learning rate, replicate) pairs diverge."""
    return lambda cell, replicate: (
        Status.DIVERGED if (cell["learning_rate"], replicate) in where else Status.FINISHED
    )


def redrawn(summaries, values):
    """These cells with other values (cells, R), all of which learn where they are finite."""
    means = balanced_means(values, np.ones(len(values), bool))
    return [
        replace(
            summary,
            values=tuple(row.tolist()),
            learns=tuple(np.isfinite(row).tolist()),
            share=share_interval(int(np.isfinite(row).sum()), len(row)),
            estimate=t_interval(row),
            balanced=mean,
            at_edge=False,
            n_examples=None,
        )
        for summary, row, mean in zip(summaries, values, means.tolist(), strict=True)
    ]
