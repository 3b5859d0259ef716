"""Ray clusters on this machine, for tests."""

import contextlib
import os
import signal
import tempfile
import warnings

import pytest

from gridscape.execution.ray.cluster import SETTINGS


@contextlib.contextmanager
def cluster_of(n_nodes, n_cores=1):
    """A ``ray.cluster_utils.Cluster`` of so many nodes of so many cores, the head among them."""
    from ray.cluster_utils import Cluster

    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    before = signal.getsignal(signal.SIGTERM)  # which Ray's nodes take
    # Workers hold their cores by locks in there: those of other clusters hold theirs elsewhere.
    # Not in the folder of the tests: paths of Ray's sockets must be short.
    with (
        tempfile.TemporaryDirectory(prefix="gs-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
        forks_allowed(),
    ):
        patch.setenv("TMPDIR", folder)
        node = {**ONE_CORE, "num_cpus": n_cores}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            for _ in range(n_nodes - 1):
                cluster.add_node(**node)
            yield cluster
        finally:
            cluster.shutdown()
            signal.signal(signal.SIGTERM, before)


ONE_CORE = {"num_cpus": 1, "include_dashboard": False}


@contextlib.contextmanager
def forks_allowed():
    """Ray starts its processes by fork and exec, of which JAX warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*os.fork", category=RuntimeWarning)
        yield
