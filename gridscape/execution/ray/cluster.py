"""The connection to Ray: an own one on this machine, or a cluster that is there; and its nodes."""

import importlib
import logging
import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from gridscape.errors import GridscapeError, UsageError, one_line
from gridscape.kernels.cores import n_cores

CLIENT = "ray://"  # of addresses behind which a server of Ray's drives the cluster
ANSWER_SECONDS = 10.0
# Of a Ray that is begun here, where nobody chose: it tells nobody what it does, and its workers are
# as important as this process.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: what it has in all, whoever uses it now."""

    id: str
    host: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Share:
    """What each worker of a node has, and how many of them there are."""

    n_workers: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Cluster:
    """A connection. is_own: whether it was made here, and ends here.

    raylet: host and port of Ray's process on this machine, through which this one is connected.
    """

    ray: Any
    is_own: bool
    raylet: tuple[str, int] | None = None

    @classmethod
    def connect(
        cls, address: str | None, working_dir: str | None, cpus_per_worker: float | None = None
    ) -> "Cluster":
        """To a cluster, or to a Ray of this process alone, with all of its cores and GPUs.

        Raises UsageError where Ray is not installed, no cluster is there, or this process, where it
        is to be its own cluster, has too few cores for a worker.
        """
        ray = imported()
        if ray.is_initialized():
            return cls(ray, is_own=False)
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        where = os.environ.get("RAY_ADDRESS", "local") if address is None else address
        if where not in ("local", "auto"):
            _require_answer(where)
        options: dict[str, Any] = {"address": where, "log_to_driver": False}
        if where == "local":
            if cpus_per_worker is not None and cpus_per_worker > n_cores():
                here = Node("", socket.gethostname(), n_cores(), 0.0)
                raise too_large([here], cpus_per_worker, None)
            options |= {"num_cpus": n_cores(), "include_dashboard": False}
        if working_dir is not None:
            options["runtime_env"] = {"working_dir": working_dir}
        with _quiet(), _own_sigterm():
            try:
                ray.init(configure_logging=False, logging_level=logging.ERROR, **options)
            except Exception as error:  # Ray tells the same trouble by many kinds of errors
                with suppress(Exception):
                    ray.shutdown()
                raise _no_cluster(where, error) from error
        return cls(ray, is_own=True, raylet=None if where.startswith(CLIENT) else _raylet(ray))

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        return [
            Node(
                id=node["NodeID"],
                host=node.get("NodeManagerHostname") or node["NodeManagerAddress"],
                cpus=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
            )
            for node in self.ray.nodes()
            if node["Alive"]
        ]

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Raises GridscapeError where a call fails: by many kinds of errors, as Ray tells it."""
        try:
            yield
        except (OSError, self.ray.exceptions.RayError) as error:
            if getattr(error, "filename", None) is not None:  # of a file: not Ray's
                raise
            raise GridscapeError(
                "the connection to the cluster is lost",
                where="executor ray",
                found=one_line(error),
                hint="the same command goes on where a cluster is",
            ) from error

    def require_raylet(self) -> None:
        """Raise OSError where Ray's process of this machine is gone.

        Some seconds later, as it notices that, Ray ends the process that is connected through it,
        without a word.
        """
        if self.raylet is not None:
            socket.create_connection(self.raylet, ANSWER_SECONDS).close()

    def close(self) -> None:
        """End the connection, and with it what was begun here."""
        if self.is_own:
            self.ray.shutdown()


def _raylet(ray: Any) -> tuple[str, int] | None:
    own = ray.get_runtime_context().get_node_id()
    places = {n["NodeID"]: (n["NodeManagerAddress"], n["NodeManagerPort"]) for n in ray.nodes()}
    return places.get(own)


def imported() -> Any:
    """The package; raises UsageError where it is not installed."""
    if find_spec("ray") is None:
        raise UsageError(
            "Ray is not installed",
            where="executor ray",
            hint="pip install 'gridscape[ray]', here and on all nodes",
        )
    return importlib.import_module("ray")


def shares(
    nodes: Sequence[Node], cpus_per_worker: float | None, gpus_per_worker: float | None
) -> dict[str, Share]:
    """What the workers of each node have, by its id; nodes without workers are left out.

    By default a worker has a GPU and its share of the node's cores; in a cluster without any, all
    cores of a node.
    """
    has_gpus = any(node.gpus for node in nodes)
    gpus = (1.0 if has_gpus else 0.0) if gpus_per_worker is None else gpus_per_worker
    found = {node.id: _share(node, cpus_per_worker, gpus) for node in nodes}
    return {name: share for name, share in found.items() if share.n_workers}


def _share(node: Node, cpus_per_worker: float | None, gpus: float) -> Share:
    n_most = math.floor(node.gpus / gpus + 1e-9) if gpus else math.inf
    if not n_most or not node.cpus:
        return Share(0, 0.0, gpus)
    cpus = cpus_per_worker
    if cpus is None:
        cpus = max(node.cpus // n_most, 1.0) if gpus else node.cpus
    return Share(int(min(n_most, node.cpus // cpus)), cpus, gpus)


def too_large(
    nodes: Sequence[Node], cpus_per_worker: float | None, gpus_per_worker: float | None
) -> GridscapeError:
    """Why no node of a cluster has room for a worker."""
    most_cpus = max((node.cpus for node in nodes), default=0.0)
    most_gpus = max((node.gpus for node in nodes), default=0.0)
    for name, wanted, most in (
        ("cpus_per_worker", cpus_per_worker, most_cpus),
        ("gpus_per_worker", gpus_per_worker, most_gpus),
    ):
        if wanted is not None and wanted > most:
            what = "more than any node of the cluster has"
            return UsageError(what, where=name, expected=f"at most {most:g}", found=f"{wanted:g}")
    return GridscapeError(
        "no node of the cluster has room for a worker",
        where="executor ray",
        found=f"{len(nodes)} nodes, the largest with {most_cpus:g} cores, {most_gpus:g} GPUs",
    )


def _require_answer(address: str) -> None:
    """Raise UsageError where nothing answers at an address: Ray would try for minutes."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise UsageError(
            "not the address of a cluster",
            where=address or "address",
            expected="auto, HOST:PORT or ray://HOST:PORT",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:  # the last of hosts that cannot be
        raise _no_cluster(address, error) from error


def _no_cluster(where: str, error: Exception) -> GridscapeError:
    if where == "local":
        hint = "is there room for its files in /tmp and /dev/shm?"
        return GridscapeError(
            "Ray does not start here", where="executor ray", found=one_line(error), hint=hint
        )
    if where.startswith(CLIENT) and isinstance(error, ImportError | ValueError):
        return UsageError(
            "Ray's client is not installed", where=where, hint="pip install 'ray[client]'"
        )
    what = "the cluster cannot be used" if "ersion" in str(error) else "no Ray cluster is there"
    return UsageError(
        what,
        where=where,
        found=one_line(error),
        hint="ray status tells whether it runs; if it wants a token, set RAY_AUTH_MODE=token",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray tells its own news through its logger: nothing is printed but errors.

    It starts its processes by fork and exec, of which JAX warns: what JAX fears is a fork alone.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*os.fork", category=RuntimeWarning)
        yield


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray sets a handler of its own, which would end this process at once."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main and before is not None:
            signal.signal(signal.SIGTERM, before)
