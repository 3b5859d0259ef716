"""An executor of child processes, each with a worker of its own: what another one looks like.

It knows nothing of training. It hands each child one work at a time and passes on what comes back.
"""

import multiprocessing
import signal
from collections import deque
from contextlib import suppress
from multiprocessing.connection import wait

import jax
import jax.numpy as jnp

from gridscape.execution.executors import Done, Job, Lost, Room, Snapshot
from gridscape.execution.planner import Costs
from gridscape.execution.worker import Worker

LONGEST_SECONDS = 600  # without a word from any child


class Child:
    """A process, the pipe to it, and the id of the work that it has."""

    def __init__(self, job):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, job), daemon=True)
        self.process.start()
        theirs.close()  # so that the pipe ends when the process does
        self.work = None

    def send(self, *message):
        with suppress(BrokenPipeError):  # that it died is heard where it is listened to
            self.pipe.send(message)

    def end(self):
        self.process.kill()
        self.process.join(timeout=30)
        self.pipe.close()


class Processes:
    """Works in ``n`` child processes at once."""

    def __init__(self, n=2):
        self.n, self.children, self.most_at_once = n, [], 0
        self._queue, self._told = deque(), deque()

    def open(self, resolved, data_dir):
        self._job = Job.of(resolved, data_dir)
        self.children = [Child(self._job) for _ in range(self.n)]

    def room(self):
        here = Room.here()
        return here._replace(free_bytes=here.free_bytes / self.n)

    def costs(self, trials, timed):
        self.children[0].send("costs", trials, timed)
        found = self._hear(self.children[0])
        assert isinstance(found, Costs), found
        return found

    def submit(self, work, saved):
        self._queue.append((work, saved))

    def events(self):
        while True:
            while self._told:
                yield self._told.popleft()
            self._hand_out()
            busy = {child.pipe: child for child in self.children if child.work is not None}
            if not busy:
                return
            self.most_at_once = max(self.most_at_once, len(busy))
            ready = wait(busy, LONGEST_SECONDS)
            if not ready:
                raise TimeoutError("the children say nothing")
            self._told.extend(self._hear(busy[pipe]) for pipe in ready)

    def snapshots(self, work):
        parts = []
        for child in self.children:
            if child.work == work:
                child.send("snapshots", work)
                while child.work == work and (message := self._hear(child)) is not None:
                    (parts if isinstance(message, Snapshot) else self._told).append(message)
        return iter(parts)

    def cancel(self, work):
        for child in self.children:
            if child.work == work:
                child.send("cancel", work)
        waiting = [each for each in self._queue if each[0].id != work]
        if len(waiting) < len(self._queue):
            self._queue = deque(waiting)
            self._told.append(Done(work))

    def close(self):
        for child in self.children:
            child.end()
        self.children = []
        self._queue.clear()
        self._told.clear()

    def _hand_out(self):
        for child in self.children:
            if child.work is None and self._queue:
                work, saved = self._queue.popleft()
                child.work = work.id
                child.send("run", work, saved([t.key for t in work.trials]) if work.start else None)

    def _hear(self, child):
        """The next message of a child; Lost, and another child in its place, where it died."""
        assert child.pipe.poll(LONGEST_SECONDS), "a child says nothing"
        try:
            message = child.pipe.recv()
        except (EOFError, OSError):
            child.end()
            self.children[self.children.index(child)] = Child(self._job)
            message, child.work = Lost(child.work), None
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Done):
            child.work = None
        return message


def serve(pipe, job):
    """What a child does, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the sweep's
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            jax.config.update("jax_num_cpu_devices", 2)  # as where the tests run
            worker = Worker.of_all_devices(job.resolve())
            while True:
                answer(pipe, worker, *pipe.recv())
        except OSError:
            raise
        except Exception as error:
            pipe.send(error)


def answer(pipe, worker, wanted, work, restored=None):
    """Do what the sweep's process wants; while a work runs, between its events."""
    if wanted == "run":
        for event in worker.run(work, restored and restored.of):
            pipe.send(event)
            while pipe.poll():
                answer(pipe, worker, *pipe.recv())
    elif wanted == "snapshots":
        for part in worker.snapshots(work):
            pipe.send(part)
        pipe.send(None)
    elif wanted == "costs":
        pipe.send(worker.costs(work, restored))
    else:
        worker.cancel(work)


def linear(input_shape, n_outputs):
    """A model of one's own, for import strings."""

    def init(key, hyper):
        return {"w": jnp.zeros((*input_shape, n_outputs))}

    return init, lambda params, inputs, key, hyper: inputs @ params["w"]
