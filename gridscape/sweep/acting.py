"""Acts that somebody asks of a running sweep: which can be done, and what they change.

The sweep looks for acts between segments. For one that can be done it puts all works away as at
Ctrl-C, lets the act change what is to be trained, and plans anew; what cannot be done is refused at
once, and disturbs nothing. Each act may be done twice without harm: where the process dies between
the deed and the word of it, the next run does it again.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gridscape.engine.cohorts import partition
from gridscape.errors import GridscapeError, UsageError, check_known
from gridscape.execution.checkpoints import Checkpoints
from gridscape.execution.cohort_run import stopped
from gridscape.grid.asked import Asked as Numbers
from gridscape.grid.asked import joined
from gridscape.grid.axes import Axis, Cell, show
from gridscape.grid.subgrids import ZIP, is_set
from gridscape.grid.trials import Status, Trial
from gridscape.store.acts import Act, Asked
from gridscape.store.store import Store
from gridscape.study import reach
from gridscape.study.study import ResolvedStudy, Study

# A study with these values of axes and so many replicates, ready to run, and noted in its folder.
Widen = Callable[[ResolvedStudy, Mapping[str, Sequence[Any]], int | None], ResolvedStudy]

KEPT_AT_ONCE = 64  # stopped trials whose snapshots are in memory together
# An act may ask for so many: they take some seconds to plan, anew at every act, while nothing
# trains, and each becomes a file of its own. With more, whoever may ask would stall the run.
MOST_TRIALS = 100_000
DONE = (Status.FINISHED, Status.DIVERGED)


class Deed(NamedTuple):
    """An act that can be done, or is so already. words: what came of it.

    do: None where nothing is left to do.
    """

    words: str
    do: Callable[[], None] | None = None


class Acting:
    """What acts make of one sweep. trials: of the sweep, which grow; resolved: their study.

    widen: makes a wider study of it; None where the sweep itself decides what it trains. ended:
    keys of trials that ended in this sweep.
    """

    def __init__(
        self,
        store: Store,
        resolved: ResolvedStudy,
        trials: Iterable[Trial],
        checkpoints: Checkpoints,
        *,
        widen: Widen | None = None,
    ) -> None:
        self.store, self.resolved, self.trials = store, resolved, tuple(trials)
        self.ended = set[str]()
        self._own, self._room = resolved, 0  # as it was asked for, and the replicates of any cell
        self._checkpoints, self._widen = checkpoints, widen
        self._first: list[Act] = []
        self._queue = store.acts
        self._known: dict[str, Status] | None = None
        self._deeds: Mapping[str, Callable[[Act], Deed]] = {
            "stop": self._stop,
            "resume": self._resume,
            "first": self._put_first,
            "replicates": self._replicate,
            "values": self._add_values,
        }

    def begin(self) -> None:
        """Take over what earlier runs were asked for and may not have come to: more, and in order.

        What the study has no place for any more is left out, with a warning.
        """
        self._known = None
        for asked in self._queue.all():
            if asked.state != "done" or not asked.act or asked.act.kind in ("stop", "resume"):
                continue
            if asked.act.kind == "first":  # also what is stopped now, and may go on later
                self._rank_first(asked.act)
            else:
                try:
                    _do(self._deed(asked))
                except UsageError as error:
                    warnings.warn(f"asked for before, and left out now: {error}", stacklevel=2)

    def waits(self, *, at_last: bool = False) -> bool:
        """Whether an act waits that can be done; what cannot be is refused now.

        Looks into the folder only now and then, unless ``at_last``.
        """
        found, self._known = False, None
        for asked in self._queue.waiting() if at_last or self._queue.is_due() else ():
            try:
                deed = self._deed(asked)
            except GridscapeError as error:
                self.store.settle(asked, "refused", str(error))
                continue
            if deed.do is None:
                self.store.settle(asked, "done", deed.words)
            else:
                found = True
        return found

    def take_up(self) -> None:
        """Do all that waits, while nothing trains."""
        self._known = None
        for asked in self._queue.waiting():
            try:
                deed = self._deed(asked)
                _do(deed)
            except GridscapeError as error:
                self.store.settle(asked, "refused", str(error))
            else:
                self.store.settle(asked, "done", deed.words)

    def rank(self, trial: Trial) -> int:
        """The place of a trial by what is to come first: what was asked for last wins."""
        places = (
            i for i, act in enumerate(self._first, 1) if act.chooses(trial.cell, trial.replicate)
        )
        return -max(places, default=0)

    def _statuses(self) -> dict[str, Status]:
        """Of all stored trials; read once for all acts that are looked at together."""
        if self._known is None:
            self._known = self.store.statuses()
        return self._known

    def _all_ended(self) -> set[str]:
        """Keys of trials that this run trains no more, those that were stopped included."""
        known = self._statuses().items()
        return {k for k, status in known if status in (*DONE, Status.STOPPED)} | self.ended

    def _deed(self, asked: Asked) -> Deed:
        """What an act would do; raises GridscapeError where it cannot be done."""
        if asked.act is None:
            raise UsageError("not an act", where=asked.id)
        asked.act.check_in(self.store.study)
        return self._deeds[asked.act.kind](asked.act)

    # ---- to stop and to go on ----

    def _stop(self, act: Act) -> Deed:
        chosen = [t for t in self.trials if act.chooses(t.cell, t.replicate)]
        if not chosen:
            raise UsageError("no such trial in this run", where=act.target)
        statuses = self._statuses()
        ended = self._all_ended()
        left = [t for t in chosen if t.key not in ended]
        n_stopped = sum(statuses.get(t.key) is Status.STOPPED for t in chosen)
        if n_stopped and not left:
            return Deed(f"{_networks(n_stopped)} stopped already")
        if not left:
            raise UsageError("nothing to stop: all of it has ended already", where=act.target)
        n_before = len(chosen) - len(left)
        before = f"; {n_before} had ended before" if n_before else ""
        return Deed(f"{_networks(len(left))} stopped{before}", lambda: self._end(left))

    def _end(self, trials: Sequence[Trial]) -> None:
        """Store trials as stopped, and what they go on from; first of all that, then the rows."""
        progress = self._checkpoints.find({trial.key for trial in trials})
        for cohort in partition(self.resolved, trials, progress):
            for part in cohort.cut(KEPT_AT_ONCE):
                keys = [trial.key for trial in part.trials]
                snapshot = self._checkpoints.restored(keys) if part.start else None
                self._checkpoints.stopped.update(keys)
                if snapshot:
                    self._checkpoints.keep(snapshot)
                ended = stopped(part, snapshot)
                self.store.put_all([(each.trial, each.result) for each in ended])
                self._statuses().update(dict.fromkeys(keys, Status.STOPPED))

    def resume_all(self) -> None:
        """Let all stopped trials of this run go on, while nothing trains."""
        self._known = None
        keys, n_others = self._stopped_by(Act("resume", {}))
        self._let_go_on(keys)
        if n_others:
            others = f"{_networks(n_others)} of this folder, not of this run"
            warnings.warn(f"{others}: still stopped, with all they go on from", stacklevel=2)

    def _resume(self, act: Act) -> Deed:
        keys, n_others = self._stopped_by(act)
        if n_others and not keys:
            found, hint = f"{_networks(n_others)} still stopped", "run the study that has them"
            raise UsageError("not of this run", where=act.target, found=found, hint=hint)
        if not keys:
            return Deed("none of it is stopped")
        others = f"; still stopped, as not of this run: {_networks(n_others)}" if n_others else ""
        return Deed(f"{_networks(len(keys))} may go on{others}", lambda: self._let_go_on(keys))

    def _stopped_by(self, act: Act) -> tuple[list[str], int]:
        """Keys of stopped trials of this run that an act chooses; how many others are stopped.

        This run would not train the others: let go on, they would lose what they are.
        """
        ended = {key for key, status in self._statuses().items() if status is Status.STOPPED}
        if not ended:
            return [], 0
        own = {trial.key for trial in self.trials}
        all_ = (t for t in self.store.trials() if t.key in ended)
        chosen = [trial.key for trial in all_ if act.chooses(trial.cell, trial.replicate)]
        keys = [key for key in chosen if key in own]
        return keys, len(chosen) - len(keys)

    def _let_go_on(self, keys: Sequence[str]) -> None:
        self._checkpoints.stopped.difference_update(keys)
        self.store.forget(keys)
        for key in keys:
            self._statuses().pop(key, None)

    # ---- what comes next, and more ----

    def _put_first(self, act: Act) -> Deed:
        chosen = [t for t in self.trials if act.chooses(t.cell, t.replicate)]
        statuses = self._statuses()
        ended = self._all_ended()
        n_left = sum(t.key not in ended for t in chosen)
        if not n_left:
            n_stopped = sum(statuses.get(t.key) is Status.STOPPED for t in chosen)
            found = f"{_networks(n_stopped)} stopped" if n_stopped else None
            raise UsageError("nothing of it is left to train", where=act.target, found=found)
        return Deed(
            f"{_networks(n_left)} of {act.target} come first", lambda: self._rank_first(act)
        )

    def _rank_first(self, act: Act) -> None:
        same = (act.where, act.replicate)
        self._first = [a for a in self._first if (a.where, a.replicate) != same] + [act]

    def _replicate(self, act: Act) -> Deed:
        self._require_widen()
        number = act.number or 1
        asked = Numbers(self.store.study)
        own = dict.fromkeys(trial.cell for trial in self.trials)
        more = {c: number for c in own if act.chooses(c) and asked.of(c) < number}
        self._require_room(number * sum(act.chooses(cell) for cell in own), act)
        in_training = {(t.cell, t.replicate) for t in self.trials}
        new = [c for c in own if act.chooses(c) and (c, number - 1) not in in_training]
        if not new:
            return Deed(f"it has {number} replicates already")

        def do() -> None:
            if not act.where:
                self._grow({}, max(number, self._own.study.replicates))
            else:
                self._make_room(number)
                if more:
                    self._ask(more)
            self._join(self.resolved.trials({cell: range(number) for cell in new}))

        n_more = len(new) * number - sum(cell in new for cell, _ in in_training)
        return Deed(f"{_networks(n_more)} more", do)

    def _add_values(self, act: Act) -> Deed:
        self._require_widen()
        study, name = self._own.study, act.axis or ""
        check_known("axis", name, study.axes)
        _require_shared(study, name)
        axis = Axis(name, tuple(study.axes[name]))
        new = [value for value in act.values if axis.place(value) is None]
        if not new:
            return Deed(f"{name} has that already")
        there = [value for value in axis.values if value is not None]  # unset in some sub-grid
        values = joined(there, new)
        if study.grids:  # not a full product
            n_more = len(study.override({name: values}).cells()) - len(study.cells())
        else:
            n_more = len(new) * math.prod(len(v) for n, v in study.axes.items() if n != name)
        self._require_room(n_more * study.replicates, act)

        def do() -> None:
            before = {trial.cell for trial in self.trials}
            self._grow({name: values}, None)
            cells = [cell for cell in self._own.study.cells() if cell not in before]
            self._join(self._own.trials(dict.fromkeys(cells, range(study.replicates))))

        return Deed(f"added {', '.join(map(show, new))}", do)

    def _ask(self, more: Mapping[Cell, int]) -> None:
        before = self.store.study
        known = reach.is_known(before)
        self.store.ask(more)
        if known:
            reach.remember(self.store.study, self.store.study, before)

    def _require_widen(self) -> None:
        if self._widen is None:
            raise UsageError(
                "this run decides itself what it trains",
                expected="gridscape run",
                hint="stop, resume and first are taken",
            )

    def _require_room(self, n_trials: int, act: Act) -> None:
        if n_trials > MOST_TRIALS:
            raise UsageError(
                "too many networks for one act",
                where=str(act),
                expected=f"at most {MOST_TRIALS:,}",
                found=f"{n_trials:,}",
                hint="gridscape run takes a larger study",
            )

    def _grow(self, axes: Mapping[str, Sequence[Any]], replicates: int | None) -> None:
        assert self._widen is not None
        self._own = self._widen(self._own, axes, replicates)
        self._make_room(self._room)

    def _make_room(self, replicates: int) -> None:
        """Let the study have so many, for whoever follows it: some cells alone may."""
        self._room, study = max(self._room, replicates), self._own.study
        is_wide = study.replicates >= self._room
        wider = study if is_wide else study.override(replicates=self._room)
        self.resolved = replace(self._own, study=wider)

    def _join(self, trials: Iterable[Trial]) -> None:
        self.trials = tuple({t.key: t for t in (*self.trials, *trials)}.values())


def _do(deed: Deed) -> None:
    if deed.do:
        deed.do()


def _networks(number: int) -> str:
    return f"{number:,} network{'' if number == 1 else 's'}"


def _require_shared(study: Study, name: str) -> None:
    """Raise UsageError for an axis of which nobody could say to which sub-grid a new value goes."""
    own = [table[name] for table in study.grids if is_set(table, name)]
    groups = [group for table in study.grids for group in table.get(ZIP, ()) if name in group]
    if groups:
        raise UsageError(
            "axes that are walked together take no value alone",
            where=f"axis {name}",
            found=", ".join(groups[0]),
            hint="add it to the study file, and run that",
        )
    if any(None in values or values != own[0] for values in own):
        raise UsageError(
            "its sub-grids have different values of it",
            where=f"axis {name}",
            expected="the same values wherever it is set",
            hint="each grid has values of its own: add it to one of [[grids]], and run that",
        )
