"""Works on the workers of a Ray cluster; this process owns the results folder.

Each worker is an actor with a ``station.Station``. Work goes there as plain data. What happens
there is fetched again and again by a call that waits for it, so that a worker which dies is heard
of at once, and one that hangs is told by its silence. Actor calls may be lost, or run without an
answer: a part of a work whose worker is lost is trained again from the last snapshot of it that
came here, and what comes of the lost worker afterwards is never read.
"""

import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from numbers import Real
from pathlib import Path
from typing import Any

from gridscape.errors import DataMissingError, GridscapeError, UsageError, one_line, short
from gridscape.execution import crew
from gridscape.execution.executors import Event, Finished, Idle, Job, Room, Saved, Snapshot, Work
from gridscape.execution.parts import Part, Seat
from gridscape.execution.planner import Costs
from gridscape.execution.ray.cluster import Cluster, Node, Share, shares, too_large
from gridscape.execution.ray.station import Leaving, Parting, Ready, Station, Wanted, Word, versions
from gridscape.execution.ray.values import packed
from gridscape.grid.trials import Trial
from gridscape.study.study import ResolvedStudy
from gridscape.tasks import fetch

HEAR_SECONDS = 10.0  # a call waits so long for something to happen
LOOK_SECONDS = 2.0  # between two looks at the nodes of the cluster
START_SECONDS = 300.0  # in which the first worker must be ready
SNAPSHOT_SECONDS = 60.0  # in which a worker must have ended its segment, else it is left out
LEAST_PATIENCE = 1.0  # a segment takes half of it
LEAST_SHARE = 0.01  # of a GPU: its memory is shared, too
# Calls that a worker answers at once: what it is asked while another call waits for events.
CALLS = 4
# A part goes back to the sweep, which trains it last and in smaller runs, after so many deaths:
# in a cluster workers are lost for many a reason.
MOST_DEATHS = 3
# A node on which so many workers in a row were never ready gets no more of them.
MOST_FALSE_STARTS = 3


@dataclass(eq=False)
class Hand(crew.Member):
    """The driver's end of a worker.

    asked: the call that is out. begun: one that is answered when the worker has its cores; None
    once it was. ready: None until the worker is. heard: when it last said something. brought: data
    sets that it was sent. is_leaving: whether it was told to end, so that its death is nobody's
    fault.
    """

    actor: Any
    node: Node
    wanted: Wanted
    asked: Any
    ready: Ready | None = None
    begun: Any = None
    heard: float = field(default_factory=time.monotonic)
    brought: set[str] = field(default_factory=set)
    is_leaving: bool = False


@dataclass(frozen=True, eq=False)
class Kept:
    """Snapshots of a run that came here, in Ray's store, after so many updates."""

    snapshots: Any
    update: int


@dataclass(eq=False)
class Out(crew.Out):
    """A work that is out.

    kept: by the keys of trials, the last snapshot that came here. ended: keys of its trials that
    have ended.
    """

    kept: dict[str, Kept] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


class Ray(crew.Crew[Hand, Out]):
    """The executor of a Ray cluster.

    address: of the cluster ("auto", "host:6379", "ray://host:10001"); by default a Ray of this
    machine alone, which ends with the run. cpus_per_worker, gpus_per_worker: what each worker has;
    by default all cores of a node or, where the cluster has GPUs, one of them and its share of the
    cores. Cores are whole; a part of a GPU, from 0.01, such as 0.5, is shared with other workers.
    working_dir: a folder with own code, which is copied to all nodes. patience: seconds, at least
    1, after which a worker that says nothing is given up; longer than any segment takes, compiling
    included. One that begins is given five minutes, if that is more.

    Raises UsageError for numbers that cannot be.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus_per_worker: float | None = None,
        gpus_per_worker: float | None = None,
        working_dir: str | Path | None = None,
        patience: float = 600.0,
    ) -> None:
        _check_text(address=address, working_dir=working_dir)
        if cpus_per_worker is not None:
            expected = "a whole number of cores, at least 1"
            cpus_per_worker = _number("cpus_per_worker", cpus_per_worker, expected, _is_whole)
        if gpus_per_worker is not None:
            expected = f"0, a part of one GPU from {LEAST_SHARE:g}, or a whole number of them"
            gpus_per_worker = _number("gpus_per_worker", gpus_per_worker, expected, _is_share)
        expected = f"seconds, at least {LEAST_PATIENCE:g}"
        self.patience = _number("patience", patience, expected, lambda s: s >= LEAST_PATIENCE)
        self.address = None if address is None else str(address)
        self.cpus_per_worker, self.gpus_per_worker = cpus_per_worker, gpus_per_worker
        self.working_dir = None if working_dir is None else str(Path(working_dir).absolute())
        self._cluster: Cluster | None = None
        super().__init__(Out)

    def _clear(self) -> None:
        super()._clear()
        self._rooms: list[Room] = []
        self._data = dict[str, Any]()  # sets that some node lacks, in Ray's store
        self._false_starts: dict[str, int] = {}
        self._trouble: Exception | None = None
        self._is_open, self._looked, self._manned = False, 0.0, 0.0
        self._ids = count()

    # ---- what an executor owes ----

    def open(self, resolved: ResolvedStudy, data_dir: str | Path | None = None) -> None:
        """See Executor; raises UsageError without a cluster, working_dir or large enough node."""
        self.close()
        if self.working_dir is not None and not Path(self.working_dir).is_dir():
            raise UsageError("no such folder", where="working_dir", found=self.working_dir)
        self._resolved = resolved
        job, self._data_dir = Job.of(resolved, data_dir, packed), data_dir
        self._cluster = Cluster.connect(self.address, self.working_dir, self.cpus_per_worker)
        try:
            with self._cluster.answering():
                self._job = self._ray.put(pickle.dumps(job))
                self._actor = self._ray.remote(Station)
                self._hire()
                self._await_first()
            self._is_open = True
        except BaseException:
            self.close()
            raise

    def room(self) -> Room:
        """See Executor: of the smallest worker that there was, also while none is ready."""
        if not self._rooms:
            raise UsageError("the executor is not open", where="Ray")
        return min(self._rooms, key=lambda room: room.free_bytes)

    def costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        """See Executor: measured by one worker, and shared among all."""
        with self._connected.answering():
            return self._costs(trials, timed)

    def _costs(self, trials: Sequence[Trial], timed: bool) -> Costs:
        self._await_all()
        ready = [hand for hand in self._hands if hand.ready]
        if not ready:
            raise GridscapeError("no worker is ready", where="executor ray", found=self._trouble)
        first = max(ready, key=lambda hand: hand.seat.n_devices)
        found = self._costs_of(first, trials, timed)
        devices = [f"{h.ready.host}: {d}" for h in ready if h.ready for d in h.ready.devices]
        share = first.seat.n_devices / len(devices)
        programs = tuple(
            replace(cost, seconds=None if cost.seconds is None else cost.seconds * share)
            for cost in found.programs
        )
        return Costs(tuple(devices), programs)

    def _costs_of(self, hand: Hand, trials: Sequence[Trial], timed: bool) -> Costs:
        """The answer of one worker, as long as it is there and says so."""
        asked = hand.actor.costs.remote(list(trials), timed)
        heard = time.monotonic()
        end = heard + self.patience * len(self._resolved.first_cells())
        while hand in self._hands and time.monotonic() < min(heard + self.patience, end):
            there, _ = self._ray.wait([asked, hand.asked], num_returns=1, timeout=LOOK_SECONDS)
            if asked in there:
                try:
                    found: Costs = self._ray.get(asked)
                except Exception as error:
                    raise self._own(error, hand) from error
                return found
            if there:  # it has nothing to tell, but lives
                heard = time.monotonic()
                self._hear(hand)
        raise GridscapeError(
            "a worker does not tell what the study takes",
            where=f"node {hand.ready.host if hand.ready else hand.node.host}",
            found=f"nothing within {self.patience:g} s",
            hint="try again; patience is how long a worker may say nothing",
        )

    def submit(self, work: Work, saved: Saved) -> None:
        """See Executor."""
        self._add(self._resolved, work, saved)

    def events(self) -> Iterator[Event]:
        """See Executor."""
        with self._connected.answering():
            while True:
                self._hand_out()  # who has nothing to do does not wait until all told is stored
                while self._told:
                    yield self._told.popleft()
                if not self._out:
                    return
                self._hand_out()
                self._listen()
                if self._out and not self._told and not any(hand.part for hand in self._hands):
                    yield Idle()

    def snapshots(self, work: int) -> Iterator[Snapshot]:
        """See Executor."""
        with self._connected.answering():
            yield from self._snapshots(work)

    def _snapshots(self, work: int) -> Iterator[Snapshot]:
        members = [(hand, part) for hand, part in self._members(work) if hand.run]
        asked = {hand.actor.snapshots.remote(part.work.id): hand for hand, part in members}
        if not asked:
            return
        seconds = min(SNAPSHOT_SECONDS, self.patience)
        there, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        for reference in there:
            try:
                found: list[Snapshot] = self._ray.get(reference)
            except Exception:  # a worker that died is heard of among the events
                continue
            self._keep(work, reference, found)
            yield from found

    def _cancel(self, members: Sequence[tuple[Hand, Part]]) -> None:
        with self._connected.answering():
            for hand, part in members:
                hand.actor.cancel.remote(part.work.id)

    def close(self) -> None:
        """See Executor."""
        hands, cluster, self._cluster = self._hands, self._cluster, None
        self._clear()
        if cluster is None:
            return
        try:
            # Where the connection is lost, workers end as Ray notices that this process has.
            with suppress(GridscapeError), cluster.answering():
                for hand in hands:
                    cluster.ray.kill(hand.actor, no_restart=True)
        finally:
            cluster.close()

    # ---- workers ----

    @property
    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise UsageError("the executor is not open", where="Ray")
        return self._cluster

    @property
    def _ray(self) -> Any:
        return self._connected.ray

    def _hire(self) -> None:
        """A worker for every place in the cluster that has none, on nodes that joined, too."""
        assert self._cluster is not None
        self._looked = time.monotonic()
        self._cluster.require_raylet()
        nodes = self._cluster.nodes()
        places = shares(nodes, self.cpus_per_worker, self.gpus_per_worker)
        if not places and not self._is_open:
            raise too_large(nodes, self.cpus_per_worker, self.gpus_per_worker)
        for node in nodes:
            if node.id in places and self._false_starts.get(node.id, 0) < MOST_FALSE_STARTS:
                there = sum(hand.node.id == node.id for hand in self._hands)
                for _ in range(places[node.id].n_workers - there):
                    self._hands.append(self._hired(node, places[node.id]))
        if self._hands:
            self._manned = self._looked
        elif self._false_starts or self._looked - self._manned > START_SECONDS:
            found = None if self._trouble is None else one_line(self._trouble)
            raise GridscapeError("no worker is left", where="executor ray", found=found)

    def _hired(self, node: Node, share: Share) -> Hand:
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node.id, soft=False
        )
        actor = self._actor.options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            max_concurrency=CALLS,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=strategy,
        ).remote()
        wanted = Wanted(
            n_cores=max(int(share.cpus), 1),
            n_beside=share.n_workers,
            gpu_share=share.gpus,
            versions=versions(),
            folder=os.getcwd(),
            path=tuple(str(Path(p).absolute()) for p in sys.path),
        )
        seat = Seat(next(self._ids), node.id)
        asked = actor.open.remote(wanted, self._job)
        return Hand(actor, node, wanted, asked, begun=actor.begun.remote(), seat=seat)

    def _await_first(self) -> None:
        """Wait until a worker is ready; raises GridscapeError where none gets ready."""
        end = time.monotonic() + START_SECONDS
        while not any(hand.ready for hand in self._hands):
            if time.monotonic() > end:
                raise GridscapeError(
                    "no worker has begun",
                    where="executor ray",
                    found=f"nothing after {START_SECONDS:g} s",
                    hint="others may use the cores: see ray status, or set cpus_per_worker",
                )
            self._listen()

    def _await_all(self) -> None:
        """Wait for the others, but not for those whose cores somebody else uses."""
        end = time.monotonic() + min(START_SECONDS, 60.0)
        while not all(hand.ready for hand in self._hands) and time.monotonic() < end:
            self._listen()

    def _hand_out(self) -> None:
        """Give every worker that has nothing to do a part to train."""
        ready = [hand for hand in self._hands if hand.ready]
        for hand in ready:
            if hand.is_leaving or hand.part is not None:
                continue
            if taken := self._parts.take(hand.seat, len(self._hands)):
                self._begin(hand, *taken)

    def _begin(self, hand: Hand, part: Part, reserve: Part | None) -> None:
        out, work = self._out[part.of], part.work
        snapshots: Any = []
        if work.start > out.work.start:
            snapshots = out.kept[work.trials[0].key].snapshots
            if not self._is_there(snapshots):  # it went with a node
                work, snapshots = replace(work, start=out.work.start), []
                for trial in work.trials:
                    out.kept.pop(trial.key, None)
        if work.start and work.start == out.work.start:
            snapshots = [out.saved([trial.key for trial in work.trials])]
        coming = [reserve.work] if reserve is not None and reserve.is_plain else []
        hand.part, hand.run, hand.heard = replace(part, work=work), (), time.monotonic()
        out.training += 1
        hand.actor.train.remote(work, coming, snapshots)

    def _is_there(self, reference: Any) -> bool:
        try:
            self._ray.get(reference, timeout=SNAPSHOT_SECONDS)
        except self._ray.exceptions.RayError:
            return False
        return True

    def _keep(self, work: int, reference: Any, snapshots: Sequence[Snapshot]) -> None:
        """Remember the last snapshots, from which a part goes on whose worker is lost."""
        for part in snapshots:
            kept = Kept(reference, part.meta["update"])
            self._out[work].kept |= dict.fromkeys(part.meta["keys"], kept)

    # ---- what happens ----

    def _listen(self) -> None:
        """Wait until some worker says something, or it is time to look at the cluster again."""
        asked = {hand.asked: hand for hand in self._hands}
        there: list[Any] = []
        if asked:
            there, _ = self._ray.wait(list(asked), num_returns=1, timeout=LOOK_SECONDS / 2)
        else:
            time.sleep(LOOK_SECONDS / 2)
        if there and len(asked) > 1:  # all that are there by now
            there, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        for reference in there:
            self._hear(asked[reference])
        for hand in list(self._hands):
            if self._is_silent(hand):
                self._lose(hand)
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._hire()

    def _is_silent(self, hand: Hand) -> bool:
        """Whether a worker that trains, or that has its cores and begins, says nothing for long."""
        if hand.ready is not None:
            return hand.part is not None and time.monotonic() - hand.heard > self.patience
        if hand.begun is not None and self._ray.wait([hand.begun], num_returns=1, timeout=0)[0]:
            hand.begun, hand.heard = None, time.monotonic()
        is_there = hand.begun is None
        return is_there and time.monotonic() - hand.heard > max(self.patience, START_SECONDS)

    def _hear(self, hand: Hand) -> None:
        try:
            told = self._ray.get(hand.asked)
        except self._ray.exceptions.RayTaskError as error:
            own = self._own(error, hand)
            if not self._bring_data(hand, own):
                self._refuse(hand, own)
            return
        except self._ray.exceptions.RayError as error:
            self._trouble = error
            self._lose(hand)
            return
        if isinstance(told, Ready):
            self._false_starts.pop(hand.node.id, None)
            hand.ready = told
            self._rooms.append(told.room)
            hand.seat = replace(hand.seat, n_devices=len(told.devices), is_batched=told.is_batched)
        hand.asked = hand.actor.hear.remote(min(HEAR_SECONDS, self.patience / 2))
        for word in () if isinstance(told, Ready) else told:
            self._heed(hand, word)

    def _bring_data(self, hand: Hand, error: GridscapeError) -> bool:
        """Give a worker a data set that its node lacks, once; whether that could be done."""
        name = str(error.where)
        if not isinstance(error, DataMissingError) or name in hand.brought:
            return False
        try:
            if name not in self._data:
                self._data[name] = self._ray.put(fetch.load(name, self._data_dir))
        except GridscapeError:  # it is not here either
            return False
        hand.brought.add(name)
        hand.asked = hand.actor.open.remote(hand.wanted, self._job, name, self._data[name])
        hand.heard = time.monotonic()
        return True

    def _refuse(self, hand: Hand, error: GridscapeError) -> None:
        """A worker cannot begin: other versions or other data; the others go on without it."""
        self._lose(hand, is_false_start=True)
        self._false_starts[hand.node.id] = MOST_FALSE_STARTS
        self._trouble = error
        if not self._hands:
            raise error
        warnings.warn(f"a node is left out: {error}", stacklevel=2)

    def _own(self, error: Exception, hand: Hand) -> GridscapeError:
        """What a call raised on a worker, as an error of our own."""
        cause = getattr(error, "cause", None)
        if isinstance(cause, GridscapeError):
            return cause
        host = hand.ready.host if hand.ready else hand.node.host
        return GridscapeError("a worker failed", where=f"node {host}", found=one_line(error))

    def _heed(self, hand: Hand, word: Word) -> None:
        """Take note of what a worker said."""
        hand.heard = time.monotonic()
        match word:
            case GridscapeError():
                raise word
            case Leaving():
                hand.is_leaving = True
            case Parting():
                self._part_with(hand, word)
            case _:
                self._note(hand, word)

    def _note(self, hand: Hand, event: Event) -> None:
        super()._note(hand, event)
        if isinstance(event, Finished) and hand.part is not None:
            out = self._out[hand.part.of]
            out.ended.add(event.trial.key)
            out.kept.pop(event.trial.key, None)

    def _part_with(self, hand: Hand, word: Parting) -> None:
        """A worker was told to end, and did so between two segments: nobody is to blame."""
        hand.is_leaving = True
        if word.snapshots and hand.part is not None:
            snapshots = list(word.snapshots)
            self._keep(hand.part.of, self._ray.put(snapshots), snapshots)
        self._lose(hand)

    def _lose(self, hand: Hand, is_false_start: bool = False) -> None:
        """A worker is gone, or given up: others train what is left of its part."""
        if hand not in self._hands:
            return
        self._hands.remove(hand)
        self._ray.kill(hand.actor, no_restart=True)
        self._parts.free(hand.seat)
        if hand.ready is None and not is_false_start:
            self._false_starts[hand.node.id] = self._false_starts.get(hand.node.id, 0) + 1
        if (part := hand.part) is None:
            return
        out = self._out[part.of]
        left = tuple(t for t in part.work.trials if t.key not in out.ended)
        if left and not out.is_cancelled:
            self._retry(out, part, left, is_death=not hand.is_leaving)
        self._end(hand, out)
        self._looked = 0.0  # a place is free: hire again at once

    def _retry(self, out: Out, part: Part, left: Sequence[Trial], is_death: bool) -> None:
        """Train what is left of a part again, from the last snapshots that came here."""
        groups: dict[Kept | None, list[Trial]] = {}
        for trial in left:
            groups.setdefault(out.kept.get(trial.key), []).append(trial)
        for kept, trials in groups.items():
            start = out.work.start if kept is None else kept.update
            n_deaths = is_death + (part.deaths if start <= part.work.start else 0)
            if n_deaths >= MOST_DEATHS or (is_death and not part.is_plain):
                out.is_aside = True
                continue
            work = replace(part.work, trials=tuple(trials), start=start)
            self._parts.again(replace(part, work=work, deaths=n_deaths))


def _check_text(**options: Any) -> None:
    for name, value in options.items():
        if value is not None and not isinstance(value, str | os.PathLike):
            raise UsageError("wrong type", where=name, expected="a text", found=short(value))


def _number(name: str, value: Any, expected: str, is_wanted: Callable[[float], bool]) -> float:
    """An option that is a number, of any of Python's or NumPy's kinds; raises UsageError."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 <= value < 1e9 and is_wanted(value)):
        raise UsageError("out of range", where=name, expected=expected, found=short(value))
    return int(value) if value == int(value) else float(value)


def _is_whole(n: float) -> bool:
    return n >= 1 and n == int(n)


def _is_share(n: float) -> bool:
    """Of GPUs: Ray divides one, but not several."""
    return LEAST_SHARE <= n <= 1 or _is_whole(n) or n == 0
