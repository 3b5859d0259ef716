"""Acts on a sweep that a Ray cluster trains."""

import pytest
from cohort_tools import tiny
from runs import assert_equal_tables, stored

import gridscape as gs
from gridscape.execution.executors import Progress
from gridscape.grid.trials import Status
from gridscape.store import acts
from gridscape.store.acts import Act, ask, on_record

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_what_a_cluster_trains_is_stopped_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(acts, "POLL_SECONDS", 0.0)
    # Many parts: at the end of the first one, nearly all is left, however slow this process is.
    study = tiny(
        {"learning_rate": [0.01, 0.02, 0.03]},
        task="digits-flat",
        model="mlp",
        updates=20_000,
        evaluations=50,
    )
    gs.run(study, directory=tmp_path / "there", quiet=True)
    wanted = [
        Act("stop", {"learning_rate": 0.02}),
        Act("first", {"learning_rate": 0.03}),
        Act("stop", {"learning_rate": 0.01}, replicate=1),
    ]

    def asking(event):
        while wanted and isinstance(event, Progress):  # all at the first: long before the end
            ask(tmp_path / "it", wanted.pop(0))

    gs.run(study, directory=tmp_path / "it", executor=gs.Ray(cpus_per_worker=1), listener=asking)
    said = [(asked.state, asked.words) for asked in on_record(tmp_path / "it")]
    assert [state for state, _ in said] == ["done", "done", "done"], said
    found = stored(tmp_path / "it")
    stopped = {name for name, r in found.items() if r.status is Status.STOPPED}
    assert stopped == {
        ("learning_rate=0.02", 0),
        ("learning_rate=0.02", 1),
        ("learning_rate=0.01", 1),
    }
    gs.run(study, directory=tmp_path / "it", resume_stopped=True, quiet=True)
    assert_equal_tables(stored(tmp_path / "it"), stored(tmp_path / "there"))
