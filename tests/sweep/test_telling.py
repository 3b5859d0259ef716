"""A run tells how far it is, and needs no room for it."""

import pytest
from cohort_tools import assert_same, tiny
from runs import stored

from gridscape.errors import StoreFullError
from gridscape.store.progress import lives, read_progress
from gridscape.store.store import Store
from gridscape.sweep import run, telling


@pytest.mark.usefixtures("one_after_the_other")
def test_a_run_tells_what_it_trains_and_that_it_has_ended(tmp_path, monkeypatch, undisturbed):
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.0)
    told = []
    tell = Store.tell
    monkeypatch.setattr(Store, "tell", lambda store, what: told.append(what) or tell(store, what))
    run(tiny(), directory=tmp_path)
    first, last = told[0], read_progress(tmp_path)
    assert (first["state"], first["n_todo"], first["n_ended"]) == ("training", 8, 0)
    assert (last["state"], last["n_ended"], last["runs"]) == ("ended", 8, [])
    assert lives(last)
    trained = [each["runs"][0] for each in told if each["runs"]]
    assert {run["updates"] for run in trained} == {12}
    assert trained[0]["trials"][0] == [[4, 0.001], 0]
    points = max((run["points"] for run in trained), key=len)
    assert points[-1][0] == 12
    assert len(points[-1][2]) == len(trained[0]["trials"])
    found = stored(tmp_path)
    for name in undisturbed:
        assert_same(found[name], undisturbed[name])


def test_a_disk_without_room_for_it_ends_nothing(tmp_path, monkeypatch):
    def full(store, content):
        raise StoreFullError("full")

    monkeypatch.setattr(Store, "tell", full)
    land = run(tiny({"hidden_size": [4], "learning_rate": [0.1]}), directory=tmp_path)
    assert (land.array("status") == "finished").all()


def test_an_interrupted_run_tells_so(tmp_path):
    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tiny(), directory=tmp_path, listener=lambda e: stop(e) if hasattr(e, "update") else 0)
    assert read_progress(tmp_path)["state"] == "interrupted"


def test_of_a_long_curve_test_points_stay():
    points = [[u, u % 10 == 0, [0.5]] for u in range(1, 200)]
    kept = telling._thinned(points)
    assert len(kept) <= telling.MOST_POINTS
    assert [u for u, evaluated, _ in kept if evaluated] == list(range(10, 200, 10))
    assert (kept[0][0], kept[-1][0]) == (1, 199)
