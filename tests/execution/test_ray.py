"""The executor of a Ray cluster: the table of a local run, bit for bit; plans, Ctrl-C, mistakes."""

import importlib.util
import json
import os
import re
import signal
from dataclasses import replace

import pytest
from clusters import cluster_of
from cohort_tools import tiny
from notebooks import cell_of_notebook, own_study
from runs import assert_equal_tables, press_ctrl_c, stored

import gridscape as gs
from gridscape.errors import GridscapeError, StoreError, UsageError
from gridscape.execution.executors import Cut, Executor, Finished, Job, Progress, find_executor
from gridscape.execution.ray import executor as module
from gridscape.execution.ray.cluster import Node, shares
from gridscape.store.store import Store
from gridscape.tasks import fetch

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """That of the nodes, with no data set in it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def address(cache):
    """Of two nodes of one core each, which have no data sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GRIDSCAPE_DATA", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(cache))
        with cluster_of(2) as cluster:
            patch.undo()
            yield cluster.address


def ended(events):
    return [event.trial.key for event in events if isinstance(event, Finished)]


def test_two_nodes_give_the_table_of_a_local_run(tmp_path, address, undisturbed):
    executor, events, workers = gs.Ray(address), [], {}

    def listener(event):
        events.append(event)
        workers.update({hand.node.id: hand.ready for hand in executor._hands if hand.run})

    assert isinstance(executor, Executor)
    gs.run(tiny(), directory=tmp_path, executor=executor, listener=listener)
    assert_equal_tables(stored(tmp_path), undisturbed)
    assert len(ended(events)) == len(set(ended(events))) == 8
    one, other = workers.values()  # of both nodes
    assert (len(one.devices), len(other.devices)) == (1, 1)
    if len(os.sched_getaffinity(0)) > 1:
        assert set(one.cores).isdisjoint(other.cores)
    assert executor._hands == []
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_plan_tells_the_devices_of_the_cluster(tmp_path, address):
    here = gs.plan(tiny(), directory=tmp_path)
    there = gs.plan(tiny(), directory=tmp_path, executor=gs.Ray(address))
    assert len(there.devices) == 2
    assert [c.flops for c in there.cohorts] == [c.flops for c in here.cohorts]
    assert there.n_trials == 8
    assert there.seconds > 0


def test_own_code_by_import_string_and_ctrl_c(tmp_path, address):
    """What runs in the driver's folder runs on the nodes; what was done is kept."""
    study = tiny(
        {"learning_rate": [0.01, 0.02, 0.03]},
        task="digits-flat",
        model="processes:linear",
        updates=3000,
    )
    gs.run(study, directory=tmp_path / "local")
    seen = []

    def listener(event):
        if isinstance(event, Progress):
            seen.append(event)
            if len(seen) == 2:
                press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        gs.run(study, directory=tmp_path / "ray", executor=gs.Ray(address), listener=listener)
    with Store.read(tmp_path / "ray") as store:
        kept = {key for _, meta, _ in store.checkpoints() for key in meta["keys"]}
        kept |= store.statuses().keys()
    assert kept
    assert {trial.key for event in seen for trial in event.trials} <= kept
    gs.run(study, directory=tmp_path / "ray", executor=gs.Ray(address))
    assert_equal_tables(stored(tmp_path / "ray"), stored(tmp_path / "local"))


def test_own_code_by_value(tmp_path, address, monkeypatch):
    """What a notebook defines, whose text is in no file; none of it is stored."""
    study = own_study(cell_of_notebook(monkeypatch))
    gs.run(study, directory=tmp_path / "local")
    gs.run(study, directory=tmp_path / "ray", executor=gs.Ray(address))
    assert_equal_tables(stored(tmp_path / "ray"), stored(tmp_path / "local"))
    files = [path for path in (tmp_path / "ray").rglob("*") if path.is_file()]
    assert files
    assert not any(b"pickle" in path.read_bytes() for path in files)
    record = json.loads((tmp_path / "ray" / "study.json").read_text())["study"]
    with pytest.raises(UsageError, match="the model and the metrics of this study came from Pyth"):
        gs.Study.from_record(record)


def test_trials_that_do_not_fit_on_a_worker_are_halved_or_end_so(tmp_path, address):
    """And the others go on."""
    study = tiny(
        {"width": [2, 4, 8], "learning_rate": [0.01, 0.1]},
        task="digits-flat",
        model="forgetful:model",
    )
    cut = []

    def listener(event):
        if isinstance(event, Cut):
            cut.append((event.trials[0].cell["width"], len(event.trials), event.n_runs))

    gs.run(study, directory=tmp_path / "ray", executor=gs.Ray(address), listener=listener)
    gs.run(study, directory=tmp_path / "local")
    found, local = stored(tmp_path / "ray"), stored(tmp_path / "local")
    ends = {name: result.status for name, result in found.items()}
    assert len(ends) == len(local) == 12
    assert {name for name, s in ends.items() if s == "out_of_memory"} == {
        name for name in local if "width=8" in name[0]
    }
    assert {r.reason for r in found.values() if r.status == "out_of_memory"} == {
        "out of memory (found made up)"
    }
    assert {width for width, *_ in cut} == {4, 8}
    assert all(n_runs == 2 for width, n_trials, n_runs in cut if n_trials > 1)
    fit = [name for name in local if ends[name] == "finished"]
    assert len(fit) == 8
    assert_equal_tables({n: found[n] for n in fit}, {n: local[n] for n in fit})


def test_a_data_set_that_a_node_lacks_is_sent_there(tmp_path, address, cache):
    name = "cifar10-gray28"  # without mirrors
    if fetch.status()[[s.name for s in fetch.status()].index(name)].found_at is None:
        pytest.skip(f"no {name} on this machine")
    study = tiny({"hidden_size": [2]}, task="cifar10-gray28-flat", model="mlp", updates=3)
    gs.run(study, directory=tmp_path / "ray", executor=gs.Ray(address))
    (sent,) = cache.rglob("cifar10-gray28.zip")
    assert not list(sent.parent.glob("*.part"))
    gs.run(study, directory=tmp_path / "local")
    assert_equal_tables(stored(tmp_path / "ray"), stored(tmp_path / "local"))


# ---- what each worker has ----


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [
        ([(4, 0), (2, 0)], None, None, [(1, 4, 0), (1, 2, 0)]),
        ([(4, 0), (1, 0)], 2, None, [(2, 2, 0)]),
        ([(16, 4), (8, 0)], None, None, [(4, 4, 1)]),
        ([(16, 4), (8, 0)], None, 0.5, [(8, 2, 0.5)]),
        ([(16, 4), (8, 0)], 8, 1, [(2, 8, 1)]),
        ([(16, 4)], 8, 0, [(2, 8, 0)]),
        ([(0, 0), (1, 0)], None, None, [(1, 1, 0)]),
    ],
)
def test_what_the_workers_of_each_node_have(nodes, cpus, gpus, expected):
    there = [Node(str(k), "host", *has) for k, has in enumerate(nodes)]
    found = shares(there, cpus, gpus).values()
    assert [(s.n_workers, s.cpus, s.gpus) for s in found] == expected


# ---- mistakes ----


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "gridscape.execution.ray.cluster.find_spec", lambda n: None if n == "ray" else find_spec(n)
    )
    with pytest.raises(UsageError, match=r"Ray is not installed; pip install 'gridscape\[ray\]'"):
        gs.Ray().open(tiny().resolve())


@pytest.mark.parametrize(
    ("nowhere", "what"),
    [
        ("localhost:1", "no Ray cluster is there"),
        ("ray://localhost:1", "no Ray cluster is there"),
        ("localhost:99999", "no Ray cluster is there"),
        (f"{'h' * 64}:1", "no Ray cluster is there"),
        (
            "local\0host:1",
            "no Ray cluster is there",
        ),  # told with "?" in the place of what is no text
        ("nowhere", "not the address of a cluster"),
        ("nowhere:port", "not the address of a cluster"),
        ("", "not the address of a cluster"),
    ],
)
def test_no_cluster_at_the_address(nowhere, what):
    with pytest.raises(UsageError, match=re.escape(f"{nowhere.replace(chr(0), '?')}: {what}")):
        gs.Ray(nowhere).open(tiny().resolve())


def test_an_address_needs_a_cluster():
    assert find_executor("ray", "auto").address == "auto"
    with pytest.raises(UsageError, match="the executor 'local' has no address"):
        find_executor("local", "auto")


def test_workers_that_no_node_has_room_for(address):
    match = r"cpus_per_worker: more than any node of the cluster has \(expected at most 1, found 3"
    with pytest.raises(UsageError, match=match):
        gs.Ray(address, cpus_per_worker=3).open(tiny().resolve())


def test_other_versions_there(address, monkeypatch):
    own = module.versions()
    monkeypatch.setattr(module, "versions", lambda: {**own, "jax": "0.0.1"})
    match = r"node .*: a worker has other versions \(expected jax 0.0.1, found jax "
    with (
        pytest.raises(StoreError, match=match),
        pytest.warns(UserWarning, match="a node is left out"),
    ):
        gs.Ray(address).open(tiny().resolve())


def test_own_code_that_is_missing_there(address, monkeypatch):
    study = tiny({"learning_rate": [0.01]}, task="digits-flat", model="processes:linear")
    resolved = study.resolve()
    job = Job.of(resolved)
    record = {**job.record, "model": "nowhere:linear"}
    monkeypatch.setattr(Job, "of", lambda *_: replace(job, record=record))
    with (
        pytest.raises(GridscapeError, match="cannot import the model 'nowhere:linear'"),
        pytest.warns(UserWarning, match="a node is left out"),
    ):
        gs.Ray(address).open(resolved)


def test_the_drivers_sigterm_is_its_own_and_the_room_stays_known(address):
    before = signal.getsignal(signal.SIGTERM)
    executor = gs.Ray(address)
    executor.open(tiny().resolve())
    room = executor.room()
    assert room.n_devices == 1
    assert room.free_bytes > 0
    for hand in list(executor._hands):
        executor._lose(hand)
    assert executor.room() == room  # or the sweep would think that everything takes too much
    executor.close()
    assert signal.getsignal(signal.SIGTERM) == before
