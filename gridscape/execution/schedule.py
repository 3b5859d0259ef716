"""When a trial is evaluated, and how many updates a call trains."""

import itertools

from gridscape.base.data import Stream
from gridscape.base.task import Task
from gridscape.engine.machine import DeviceData
from gridscape.engine.programs import LONGEST_SEGMENT
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.trial import order_shapes
from gridscape.study.study import Recipe, Study

# Fresh examples that a trial has at hand at once: more updates in a call would not be faster.
DRAWN_BYTES = 2 * 2**20


def segment_length(recipe: Recipe, task: Task, study: Study) -> int:
    """Updates of a call at most: up to the next evaluation point."""
    points = [0, *evaluation_points(recipe, study)]
    longest = min(LONGEST_SEGMENT, max(b - a for a, b in itertools.pairwise(points)))
    if not isinstance(task.train, Stream):
        return longest
    return min(longest, max(1, DRAWN_BYTES // tree_bytes(order_shapes(recipe, task, 1))))


def evaluation_points(recipe: Recipe, study: Study) -> list[int]:
    """The updates after which the trial is evaluated; the last one is the end."""
    count = min(study.evaluations, recipe.updates)
    return [recipe.updates * k // count for k in range(1, count + 1)]


def n_evaluated_examples(recipe: Recipe, study: Study, data: DeviceData) -> int:
    """Examples that are evaluated in the course of one trial: at each point, and at the end."""
    n_points, n_all = len(evaluation_points(recipe, study)), [data.n_test, data.n_validation]
    each = [min(study.evaluation_examples, n) for n in n_all]
    # What is measured on all examples at the last point is not measured again.
    at_end = sum(n for n, n_each in zip(n_all, each, strict=True) if n_each < n)
    return n_points * sum(each) + at_end + data.n_sample
