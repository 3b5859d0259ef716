"""Results folders that grow trial by trial, and servers of them in processes of their own."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from runs import bounded, environment
from synthetic import _linear, hump
from synthetic import _result as synthetic_result

from gridscape.grid.asked import grid_of
from gridscape.grid.trials import Status
from gridscape.store.progress import born
from gridscape.store.store import Store

JSON = "application/json"
AXES = {"hidden_size": [16, 32, 64], "learning_rate": [0.001, 0.01, 0.1]}
HOSTILE = '<img src=x onerror="window.hacked=1"></script><b>&amp;'

# What a run of this process tells that trains the second cell.
TRAINING = {
    "state": "training",
    "process": os.getpid(),
    "host": socket.gethostname(),
    "born": born(os.getpid()),
    "told": 0,
    "seconds_left": 90.0,
    "metric": "accuracy",
    "runs": [
        {
            "trials": [[[16, 0.01], 0], [[16, 0.01], 1]],
            "n": 2,
            "update": 100,
            "updates": 400,
            "points": [[50, False, [0.2, 0.4]], [100, True, [0.5, None]]],
        }
    ],
}


def study(axes=None, replicates=2, **values):
    """The plain data of a study that nothing has to train."""
    return {
        "name": "watched",
        "title": "A watched study",
        "task": "none",
        "updates": 400,
        "axes": axes or AXES,
        "replicates": replicates,
        **values,
    }


def entry(cell, replicate, status=Status.FINISHED, accuracy=None):
    """A trial with its result, made up."""
    test = hump(cell) if accuracy is None else accuracy
    times = np.asarray((50, 100, 200, 300, 400))
    return synthetic_result(
        cell, replicate, test, status, False, False, 0.0, None, 1.0, 400, times, _linear
    )


def entries(plain, cells=slice(None)):
    """Results of some cells of a study."""
    chosen = grid_of(plain["axes"]).cells()[cells]
    return [entry(cell, r) for cell in chosen for r in range(plain["replicates"])]


def put(directory, plain, found, progress=None):
    """Store results in a folder, and what a run tells."""
    with Store.create(directory, plain) as store:
        if found:
            store.put_all(found)
        if progress is not None:
            store.tell(progress)


@contextlib.contextmanager
def served(directory: Path, *options: str) -> Iterator[tuple[str, int, subprocess.Popen]]:
    """Token, port and process of ``gridscape live``."""
    server = subprocess.Popen(
        [sys.executable, "-m", "gridscape", "live", str(directory), *options],
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        cwd=directory.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with bounded(server):
            first = server.stdout.readline()
        found = re.search(r"http://[^:]+:(\d+)/([\w-]+)/", first)
        assert found, first
        yield found[2], int(found[1]), server
    finally:
        server.kill()
        server.wait(30)
        server.stdout.close()


def ask(port, path, method="GET", timeout=60, **headers):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def post(port, path, content, method="POST", kind=JSON, **headers):
    """Status and body of an answer to what the page of this server would ask."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    own = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": kind, **headers}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        named = {n.replace("_", "-"): v for n, v in own.items() if v is not None}
        connection.request(method, path, body=body, headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Events:
    """An open stream of events, and what it has said."""

    def __init__(self, port, path, timeout=60):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()

    def next(self):
        """Name and data of the next event."""
        name = ""
        for _ in range(1_000):
            line = self.answer.readline().decode()
            if line.startswith("event: "):
                name = line[7:].strip()
            if line.startswith("data: "):
                return name, json.loads(line[6:])
            if not line:
                break
        raise AssertionError("the stream has ended")

    def close(self):
        self.connection.close()


def cpu_seconds(process):
    """What a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
