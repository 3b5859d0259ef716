"""One cohort on its way through training."""

from dataclasses import replace

import pytest
from cohort_tools import planner_of, tiny

from gridscape.engine.cohorts import partition
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.executors import Finished


def test_what_trials_took_before_is_theirs_also_where_fewer_of_them_go_on():
    planner = planner_of(tiny({"learning_rate": [0.001, 0.01, 0.1]}))
    (cohort,) = partition(planner.resolved, planner.resolved.trials())
    whole = CohortRun(planner, cohort)
    update = next(whole.events()).update
    (snapshot,) = whole.snapshots()
    first = snapshot.of([cohort.trials[0].key])
    took = replace(first, meta={**first.meta, "seconds": 6e6})
    alone = CohortRun(planner, replace(cohort.part(0, 1), start=update))
    (one,) = [event.result for event in alone.events(took) if isinstance(event, Finished)]
    n_devices = min(len(planner.machine.devices), 6)
    assert one.seconds == pytest.approx(1e6 * n_devices, rel=1e-3)
