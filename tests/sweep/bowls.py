"""The cheapest study of which acts are asked for while it trains, and who asks."""

from runs import stored

from gridscape.execution.executors import Progress
from gridscape.grid.trials import Status
from gridscape.store.acts import ask, on_record
from gridscape.study.study import Study
from gridscape.sweep import Started

ROW = {"momentum": 0.5}
CELL = {"momentum": 0.5, "learning_rate": 0.1}


def bowl(**values):
    """Four cells that one program trains in a moment, evaluated every second update."""
    settings = {
        "name": "bowl",
        "task": "quadratic",
        "task_options": {"curvatures": [1.0, 1.5]},
        "model": "point",
        "optimizer": "momentum",
        "axes": {"momentum": [0.0, 0.5], "learning_rate": [0.1, 0.2]},
        "batch_size": 1,
        "updates": 12,
        "evaluations": 6,
        "replicates": 2,
    }
    return Study(**{**settings, **values})


class Asking:
    """A listener that asks for acts once some trials are at an update; it notes what it hears."""

    def __init__(self, directory, *wanted, update=4):
        self.directory, self.wanted, self.update = directory, wanted, update
        self.progress, self.started = [], []

    def __call__(self, event):
        if isinstance(event, Started):
            self.started.append(event)
        if not isinstance(event, Progress):
            return
        self.progress.append(event)
        if event.update >= self.update:
            for act in self.wanted:
                ask(self.directory, act)
            self.wanted = ()


def told(directory):
    return [(asked.title, asked.state, asked.words) for asked in on_record(directory)]


def words(directory):
    return [(asked.state, asked.words) for asked in on_record(directory)]


def stopped(directory):
    return {n: r for n, r in stored(directory).items() if r.status is Status.STOPPED}
