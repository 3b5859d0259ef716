"""What is kept of works in flight: the last of each, until its trials have ended."""

import numpy as np
import pytest

from gridscape.errors import StoreError
from gridscape.execution.checkpoints import Checkpoints
from gridscape.execution.executors import Snapshot
from gridscape.store.store import Store

STUDY = {"name": "tiny", "axes": {"hidden_size": [4]}, "replicates": 1}


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path, STUDY) as store:
        yield store


def snapshot(update, *keys):
    states = np.array([[update, ord(key)] for key in keys])
    return Snapshot({"keys": list(keys), "update": update, "seconds": 1.0}, {"state/w": states})


def kept(store):
    return sorted((meta["update"], "".join(meta["keys"])) for _, meta, _ in store.checkpoints())


def test_the_last_of_each_work_is_kept_until_its_trials_have_ended(store):
    checkpoints = Checkpoints(store)
    for update in (4, 8):
        checkpoints.save(1, [snapshot(update, "a", "b"), snapshot(update, "c")])
    checkpoints.save(2, [snapshot(3, "d")])
    checkpoints.save(2, [])  # nothing of it is in training
    assert kept(store) == [(3, "d"), (8, "ab"), (8, "c")]
    checkpoints.drop_ended({"b", "d"})
    assert kept(store) == [(3, "d"), (8, "ab")]
    checkpoints.drop_all()
    assert kept(store) == []


def test_the_last_of_a_part_stays_while_only_other_parts_of_its_work_are_in_training(store):
    checkpoints = Checkpoints(store)
    checkpoints.save(1, [snapshot(4, "a", "b"), snapshot(4, "c")])
    checkpoints.save(1, [snapshot(8, "c")])
    assert kept(store) == [(4, "ab"), (8, "c")]
    checkpoints.save(1, [snapshot(6, "a", "b"), snapshot(9, "c")])
    assert kept(store) == [(6, "ab"), (9, "c")]


def test_trials_go_on_from_the_furthest_that_there_is_of_each(store):
    Checkpoints(store).save(1, [snapshot(4, "a", "b", "c")])
    Checkpoints(store).save(2, [snapshot(8, "c", "b")])
    checkpoints = Checkpoints(store)
    assert checkpoints.find({"a", "b", "c", "x"}) == {"a": 4, "b": 8, "c": 8}
    restored = checkpoints.restored(["b", "c"])
    assert (restored.meta["update"], restored.meta["keys"]) == (8, ["b", "c"])
    assert restored.arrays["state/w"].tolist() == [[8, ord("b")], [8, ord("c")]]


def test_what_a_work_went_on_from_stays_while_it_trains(store):
    """After a cut it begins there again, although later ones were saved."""
    Checkpoints(store).save(1, [snapshot(4, "a", "b")])
    checkpoints = Checkpoints(store)
    checkpoints.find({"a", "b"})
    checkpoints.save(5, [snapshot(8, "a", "b")])
    assert checkpoints.restored(["a"]).meta["update"] == 4
    assert kept(store) == [(4, "ab"), (8, "ab")]
    later = Checkpoints(store)
    assert later.find({"a", "b"}) == {"a": 8, "b": 8}
    assert kept(store) == [(8, "ab")]


def test_looking_again_drops_nothing_of_works_that_are_out(store):
    checkpoints = Checkpoints(store)
    checkpoints.save(1, [snapshot(4, "a")])
    checkpoints.save(2, [snapshot(6, "b")])
    assert checkpoints.find({"a"}) == {"a": 4}
    assert kept(store) == [(4, "a"), (6, "b")]


def test_without_memory_for_it_the_last_one_stays(store):
    def short_of_memory():
        yield snapshot(8, "a")
        raise MemoryError("made up")

    checkpoints = Checkpoints(store)
    checkpoints.save(1, [snapshot(4, "a"), snapshot(4, "b")])
    with pytest.warns(UserWarning, match="no checkpoint for lack of memory: made up"):
        checkpoints.save(1, short_of_memory())
    assert kept(store) == [(4, "a"), (4, "b"), (8, "a")]


def test_a_checkpoint_that_has_gone_is_told(store):
    Checkpoints(store).save(1, [snapshot(4, "a"), snapshot(4, "b")])
    checkpoints = Checkpoints(store)
    checkpoints.find({"a", "b"})
    name = next(name for name, meta, _ in store.checkpoints() if meta["keys"] == ["b"])
    store.drop_checkpoint(name)
    assert checkpoints.restored(["a"]).meta["keys"] == ["a"]
    with pytest.raises(StoreError, match=r"a checkpoint has gone.*run the study again"):
        checkpoints.restored(["a", "b"])
