"""Small landscapes for the tests of the analysis."""

import numpy as np
from synthetic import landscape

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


def drawn(land, accuracies):
    """The same landscape with other test accuracies (cells, R): worlds of a simulation."""
    shape = land.data["test_accuracy"].shape
    land.data["test_accuracy"] = (land.data["test_accuracy"].dims, accuracies.reshape(shape))
    return land


def diverges(*where):
    """A status function: these (learning rate, replicate) pairs diverge."""
    return lambda cell, replicate: (
        Status.DIVERGED if (cell["learning_rate"], replicate) in where else Status.FINISHED
    )
