"""Cores are the least of what machine, affinity, control groups and a variable allow."""

import os
import subprocess
import sys

import jax
import pytest

from gridscape.errors import OutOfMemoryError, UsageError
from gridscape.execution.memory import _group_bytes
from gridscape.kernels import cores, groups

FILES = {
    "v2": ("0::/job/step\n", "cpu.max", "{quota} 100000"),
    "v1": ("3:cpu,cpuacct:/job/step\n1:name=systemd:/\n", "cpu.cfs_quota_us", "{quota}"),
}


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    """A machine of 16 cores, all of them allowed, in no group, with no variable."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda: None)
    monkeypatch.delenv(cores.VARIABLE, raising=False)


def quota_of(tmp_path, version, quotas):
    """What is read of groups with these quotas, by their names below the root."""
    own, name, text = FILES[version]
    root = tmp_path / version
    for group, quota in quotas.items():
        folder = root / ("cpu" if version == "v1" else "") / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.format(quota=quota) + "\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "own").write_text(own)
    found = UNCACHED(root, tmp_path / "own")
    return found and found.number


UNCACHED = cores._quota.__wrapped__


@pytest.mark.parametrize("version", FILES)
def test_the_quota_of_a_group_rounded_down_at_least_one(tmp_path, version):
    for quota, expected in [(250_000, 2), (399_999, 3), (50_000, 1), (1_000, 1)]:
        assert quota_of(tmp_path, version, {"job/step": quota}) == expected


@pytest.mark.parametrize("version", FILES)
def test_the_least_of_all_groups_that_hold_it(tmp_path, version):
    none = "max" if version == "v2" else "-1"
    assert quota_of(tmp_path, version, {"job/step": none}) is None
    assert quota_of(tmp_path, version, {"job/step": none, "job": 300_000}) == 3
    assert quota_of(tmp_path, version, {"job/step": 200_000, "job": 300_000}) == 2


def test_no_groups_and_odd_ones(tmp_path):
    assert UNCACHED(tmp_path, tmp_path / "none") is None
    assert quota_of(tmp_path, "v2", {"job/step": "many"}) is None


def test_the_least_of_all_tells_who_says_so(monkeypatch):
    assert cores.cores() == (16, "machine")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert cores.cores() == (8, "affinity")
    monkeypatch.setattr(cores, "_quota", lambda: cores.Cores(4, "control group"))
    assert cores.cores() == (4, "control group")
    monkeypatch.setenv(cores.VARIABLE, "12")
    assert cores.cores() == (4, "control group")
    monkeypatch.setenv(cores.VARIABLE, " 2 ")
    assert cores.cores() == (2, "GRIDSCAPE_CORES")
    assert cores.n_cores() == 2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_variable_that_is_no_number(monkeypatch, text):
    monkeypatch.setenv(cores.VARIABLE, text)
    with pytest.raises(UsageError, match="GRIDSCAPE_CORES: out of range"):
        cores.n_cores()


def test_without_what_only_unix_has(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores, "resource", None)
    assert cores.cores() == (16, "machine")
    assert cores.address_limit() is None


def test_memory_is_read_of_the_same_groups(tmp_path):
    folder = tmp_path / "memory" / "job"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("1000\n")
    (folder / "memory.usage_in_bytes").write_text("400\n")
    (folder / "memory.stat").write_text("total_inactive_file 100\n")
    (tmp_path / "own").write_text("4:memory:/job\n")
    assert _group_bytes(tmp_path, tmp_path / "own") == 700
    assert list(groups.folders("cpu", tmp_path, tmp_path / "own")) == []


def test_too_little_room_for_jax_is_told_unless_it_runs_already(monkeypatch):
    monkeypatch.setattr(cores, "address_limit", lambda: 2**30)
    assert jax.local_devices()
    before = jax.config.values["jax_num_cpu_devices"]
    cores.require_addresses()
    assert jax.config.values["jax_num_cpu_devices"] == before
    monkeypatch.setattr(cores, "_jax_runs", lambda: False)
    with pytest.raises(OutOfMemoryError, match="too little address space for JAX"):
        cores.require_addresses()


def test_asking_whether_jax_runs_changes_nothing():
    script = """
import jax
from gridscape.kernels.cores import _jax_runs
before = dict(jax.config.values)
print(_jax_runs(), dict(jax.config.values) == before, end=" ")
jax.numpy.ones(3).sum()
print(_jax_runs(), dict(jax.config.values) == before, jax.local_device_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "False True True True 1\n"
