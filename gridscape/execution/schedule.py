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
    """The updates after which the test set is looked at; the last one is the end."""
    count = min(study.evaluations, recipe.updates)
    return [recipe.updates * k // count for k in range(1, count + 1)]


def n_evaluated_examples(recipe: Recipe, study: Study, data: DeviceData) -> int:
    """Examples that are evaluated in the course of one trial."""
    n_between = len(evaluation_points(recipe, study)) - 1
    between = n_between * min(study.evaluation_examples, data.n_test)
    return between + data.n_test + data.n_sample
