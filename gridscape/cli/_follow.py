"""How the command line follows a run: a live table on a terminal, Ctrl-C, and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.text import Text

from gridscape.cli._live_table import LiveTable
from gridscape.cli._run_state import RunState
from gridscape.cli.tables import console
from gridscape.execution.executors import Finished
from gridscape.grid.trials import Status
from gridscape.report.words import plural
from gridscape.sweep import Event, Started, Stopping

STOPPING = "stopping after this segment; Ctrl-C again stops at once"


class Follower:
    """The listener of ``gridscape run``.

    n_ended: trials that ended in this run. failed: the results of those that failed or did not
    fit into memory.
    """

    def __init__(self) -> None:
        self.started: Started | None = None
        self.n_ended = self._n_since = 0  # in all, and since it was planned last
        self.failed: list[Finished] = []
        self._console = console(stderr=True)
        self._run: RunState | None = None
        self._table: LiveTable | None = None
        # Four times a second: more costs time that the networks need.
        self._live = Live(
            Text("reading the study and its data"),
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Started):
            self.started, self._n_since = event, 0
            if self._console.is_terminal:
                self._run = RunState(event)
                self._table = LiveTable(self._run)
                self._live.update(self._table)
        elif isinstance(event, Finished) and event.result.status is not Status.STOPPED:
            self.n_ended += 1
            self._n_since += 1
            if event.result.status in (Status.FAILED, Status.OUT_OF_MEMORY):
                self.failed.append(event)
        elif isinstance(event, Stopping):
            self._tell_stop()
            return
        if self._run:
            self._run(event)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Draw the table while this lasts, where there is a terminal."""
        if self._console.is_terminal:
            self._live.start(refresh=True)
        try:
            yield
        finally:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays, above the table."""
        self._console.print(line, soft_wrap=True)

    def _tell_stop(self) -> None:
        if self._table:
            self._table.message = STOPPING
        else:
            self._console.print(f"gridscape: {STOPPING}")

    @property
    def directory(self) -> Path:
        """Where the results are."""
        if self.started is None:
            raise RuntimeError("the run has not begun")
        return self.started.directory

    def kept(self) -> str:
        """What an interrupted run leaves behind, in words."""
        if self.started is None:
            return "before anything was trained"
        n_trials = len(self.started.todo) + self.started.n_stored
        n_stopped = self.started.n_stopped
        n_done = self.started.n_stored - n_stopped + self._n_since
        stopped = f", {n_stopped:,} stopped" if n_stopped else ""
        done = f"with {n_done:,} of {plural(n_trials, 'network')} done{stopped}"
        return f"{done}; everything trained so far is kept in {self.started.directory}"

    def failures(self) -> str:
        """How many networks failed, and why the first one did."""
        first = self.failed[0]
        return (
            f"{plural(len(self.failed), 'network')} failed or did not fit into memory, the first "
            f"one {first.trial.cell}, replicate {first.trial.replicate}: {first.result.reason}; "
            "running again tries them again"
        )
