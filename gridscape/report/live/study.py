"""A study on show: its folder, its document, and how far its run is, in words.

Used by one thread, as all that reads. Nothing here waits for the run or is waited for by it.
"""

import html
import shlex
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gridscape.analysis import selection
from gridscape.analysis.cells import summarize
from gridscape.errors import UntrustedError
from gridscape.grid.axes import show
from gridscape.grid.many import many_records
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.report.contract import ActData, ChangeData, LiveData
from gridscape.report.html import page
from gridscape.report.live.folder import Folder, Numbers, n_asked
from gridscape.report.live.shown import SHARE, Shown, growing
from gridscape.report.words import duration, plural
from gridscape.store.acts import Asked, Queue
from gridscape.store.imported import is_imported
from gridscape.store.progress import lives, read_progress
from gridscape.study import reach

State = Literal["training", "finished", "unfinished", "interrupted", "crashed", "gone"]
DONE = (Status.FINISHED, Status.DIVERGED)
VERBS = ("run", "decide", "confirm", "refine")
MOST_RUNS = 4  # that are told one by one
MOST_ACTS = 20  # that are told, the last ones
ABSENCE_SECONDS = 30  # unseen for so long, a folder is compared as a whole
STOPPED_GO_ON = "What was stopped is kept: the same command with --resume-stopped goes on with it"
AGAIN = "The same command, or the same call in Python, goes on from there"


class Line(NamedTuple):
    """A study in the list of all. best: in words, "" where there is none yet."""

    title: str
    name: str
    state: State
    words: str
    share: float
    best: str


class StudyView:
    """One results folder for those who look on. control: whether they may act."""

    def __init__(self, directory: Path, *, control: bool = False) -> None:
        self.folder, self.control = Folder(directory), control
        self._acts = Queue(directory)
        self.shown = Shown(self.folder)
        self.live: LiveData = _live("unfinished", "Reading the results.")
        self._looked, self._changed = 0.0, set[str]()
        self._best, self._best_next = "", 0.0
        self._n_ended = self._n_stopped = 0
        self._counted = -1  # of which generation
        self._numbers: tuple[int, Numbers] | None = None

    # ---- looking ----

    def look(self, *, analyze: bool = True) -> bool:
        """Read what is new; whether what is shown has changed.

        analyze: whether the document is brought up to date, too; the list of studies needs none.
        """
        now = time.perf_counter()
        away = now - self._looked > ABSENCE_SECONDS
        self._looked = now
        found = self.folder.look(thorough=away)
        self._changed |= found
        if found or self._counted != self.folder.generation:
            self._n_ended, self._n_stopped = self._count(DONE), self._count((Status.STOPPED,))
            self._counted = self.folder.generation
        before, told = self._stamp(), self.live
        if analyze and (self._changed or not self.shown.doc or not self.folder.trouble):
            self.shown.update(self._changed)
            self._changed.clear()
        self.live = self._told()
        return self._stamp() != before or self.live != {**told, "since": ""}

    @property
    def shape(self) -> int:
        """Another number where a page has to be loaded again."""
        return self.shown.shape

    @property
    def version(self) -> int:
        """Of the document."""
        return self.shown.version

    def _stamp(self) -> tuple[int, int]:
        return self.shown.shape, self.shown.version

    def _count(self, statuses: Collection[Status]) -> int:
        """Trials of the grid that ended in one of these ways."""
        numbers, study = self._grid(), self.folder.study
        if numbers is None:
            return 0
        most = int(study["replicates"])
        return sum(
            result.status in statuses and numbers.of(trial.cell) is not None
            for trial, result in self.folder.trials.values()
            if trial.replicate < most or study.get("replicates_of")
        )

    def _grid(self) -> Numbers | None:
        if not self.folder.study:
            return None
        if self._numbers is None or self._numbers[0] != self.folder.generation:
            self._numbers = self.folder.generation, Numbers(self.folder.study)
        return self._numbers[1]

    # ---- how far it is ----

    def _told(self) -> LiveData:
        folder, numbers = self.folder, self._grid()
        if folder.trouble:
            went_on = " This is the last that was read of it." if folder.study else ""
            return _live("gone", f"{_sentence(folder.trouble)}{went_on}")
        if numbers is None:
            return self.live
        progress = read_progress(folder.directory)
        asked, ended = n_asked(folder.study), self._n_ended
        state = _state(progress, ended + self._n_stopped >= asked)
        runs = progress.get("runs") if state == "training" else None
        metric = progress.get("metric")
        curves, training = growing(
            runs if isinstance(runs, list) else [],
            numbers,
            metric if isinstance(metric, str) else "",
        )
        found = _live(state, self._words(state, progress, ended, asked))
        found["go_on"] = self._go_on(state, progress)
        found["share"] = round((ended + self._n_stopped) / asked, 4) if asked else 1.0
        found["runs"] = _runs(runs, numbers)
        found["training"], found["curves"] = training, curves
        found["control"] = self.control and not is_imported(folder.study)
        found["acts"] = [_act(asked) for asked in self._acts.all()[: -MOST_ACTS - 1 : -1]]
        return found

    def _words(self, state: State, progress: Mapping[str, Any], ended: int, asked: int) -> str:
        done = f"{ended:,} of {plural(asked, 'network')} {'is' if ended == 1 else 'are'} done"
        begin = {
            "training": "Training",
            "finished": "Finished",
            "unfinished": "Not all is trained",
            "interrupted": "Interrupted",
            "crashed": "The process that trained it has died",
            "gone": "",
        }[state]
        left = progress.get("seconds_left")
        known = state == "training" and isinstance(left, int | float) and 0 <= left < 1e9
        time_left = f", about {duration(left)} left" if known and isinstance(left, float) else ""
        damaged = len(self.folder.damaged)
        lost = f" {plural(damaged, 'result')} cannot be read: the next run trains it again."
        stopped = f", {self._n_stopped:,} stopped" if self._n_stopped else ""
        return f"{begin}: {done}{stopped}{time_left}.{lost if damaged else ''}"

    def _go_on(self, state: State, progress: Mapping[str, Any]) -> str:
        """What to do where something is left and nobody trains it."""
        if state == "finished" and self._n_stopped:
            return f"{STOPPED_GO_ON}."
        if state in ("training", "finished", "gone"):
            return ""
        kept = "Everything trained so far is kept."
        words = self._command(progress)
        return f"{kept} {AGAIN}: {words}" if words else f"{kept} {AGAIN}."

    def _command(self, progress: Mapping[str, Any]) -> str:
        """The command that began the run, where this user may be told to give it again."""
        words = progress.get("command")
        if not isinstance(words, list) or not words or words[0] not in VERBS:
            return ""
        if not all(isinstance(word, str) and word.isprintable() for word in words):
            return ""
        try:
            reach.check(self.folder.study)
        except UntrustedError:
            return ""
        told = shlex.join(["gridscape", *words])
        return told if "--trust" not in words and len(told) <= 1_000 else ""

    # ---- what is sent ----

    def change(self, version: int) -> ChangeData:
        """What has changed since a version of this shape."""
        return self.shown.since(version, self.live)

    def page(self) -> bytes:
        """The page as it stands now; without JavaScript, a table of it."""
        if not self.shown.doc:
            return b""
        document = self.shown.page_document(self.live)
        return page(document, table=table(document)).encode()

    def line(self) -> Line:
        """This study in the list of all."""
        study = self.folder.study
        name = self.folder.directory.name
        title = str(study.get("title") or study.get("name") or name)
        live = self.live
        return Line(title, name, live["state"], live["words"], live["share"], self._best_words())

    def _best_words(self) -> str:
        """The best cell so far; looked for at most a tenth of the time."""
        folder, now = self.folder, time.perf_counter()
        if not self._n_ended or now < self._best_next:
            return self._best
        with many_records():
            land = Landscape.of(folder.study, folder.trials.values())
            top = selection.top(land, summarize(land, land.main_metric))
        meaning = land.meaning(land.main_metric)
        unit = f" {meaning.shown_unit}" if meaning.shown_unit else ""
        self._best = f"{meaning.text(top.estimate.mean)}{unit} at {top.cell}" if top else ""
        end = time.perf_counter()
        self._best_next = end + (end - now) * (1 - SHARE) / SHARE
        return self._best


def _live(state: State, words: str) -> LiveData:
    return {
        "since": "",  # the server knows
        "state": state,
        "words": words,
        "go_on": "",
        "share": 0.0,
        "runs": [],
        "training": [],
        "curves": {},
        "control": False,
        "acts": [],
    }


def _act(asked: Asked) -> ActData:
    """An act as the page shows it; its texts are anybody's."""
    by = asked.act.by if asked.act else ""
    moment = datetime.fromtimestamp(asked.asked, UTC)
    return {
        "id": asked.id,
        "act": asked.title,
        "by": by,
        "asked": moment.isoformat(timespec="seconds"),
        "state": asked.state,
        "words": asked.words,
    }


def _state(progress: Mapping[str, Any], all_done: bool) -> State:
    """How the run stands, by what it told last."""
    told = progress.get("state")
    if told == "training":
        return "training" if lives(progress) else "finished" if all_done else "crashed"
    if all_done:
        return "finished"
    return "interrupted" if told == "interrupted" else "unfinished"


def _runs(runs: Any, numbers: Numbers) -> list[str]:
    """What is in training, in words."""
    lines = []
    for run in runs if isinstance(runs, list) else []:
        match run:
            case {
                "trials": [[list(first), int()], *_],
                "n": int(n),
                "update": int(u),
                "updates": m,
            }:
                if numbers.of_values(first) is None:
                    continue
                values = zip(numbers.axes, first, strict=True)
                label = ", ".join(f"{name}={show(value)}" for name, value in values)
                others = f" and {n - 1:,} more" if n > 1 else ""
                lines.append(
                    f"{label}{others}: update {u:,} of {m:,}" if isinstance(m, int) else label
                )
    more = len(lines) - MOST_RUNS
    return [*lines[:MOST_RUNS], *([f"and {more} more runs"] if more > 0 else [])]


MOST_ROWS = 1_000  # of the table of a browser without JavaScript


def table(document: Mapping[str, Any]) -> str:
    """Every cell with its number, as HTML: for a browser that runs no JavaScript."""
    metric, cells, live = document["metrics"][0], document["cells"], document["live"]
    rows = [
        f"<tr><th scope=row>{_text(label)}</th><td>{_text(state)}</td>"
        f"<td>{'' if mean is None else _text(f'{mean:.4g}')}</td></tr>"
        for label, state, mean in zip(
            cells["label"][:MOST_ROWS], cells["state"], metric["mean"], strict=False
        )
    ]
    more = len(cells["label"]) - len(rows)
    rest = f"<p>{plural(more, 'further cell')} not in this table.</p>" if more > 0 else ""
    return (
        f"<h1>{_text(document['title'])}</h1><p>{_text(live['words'])}</p>"
        f"<p>{_text(live['go_on'])}</p><table><thead><tr><th scope=col>cell</th>"
        f"<th scope=col>state</th><th scope=col>{_text(metric['label'])}</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{rest}"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}.".replace("..", ".")
