"""A model of one's own whose trials, on a worker of Ray's, do not fit into memory: a made-up limit.

Where it is made, training there says that memory does not suffice: for more than one trial of the
width 4 at once, for any of the width 8.
"""

import sys

import jax.numpy as jnp

from gridscape.errors import OutOfMemoryError
from gridscape.execution import worker
from gridscape.execution.cohort_run import CohortRun


class Forgetful(CohortRun):
    """Raises as XLA does."""

    def events(self, restored=None):
        width = self.cohort.trials[0].cell["width"]
        if width == 8 or (width == 4 and len(self.cohort.trials) > 1):
            raise OutOfMemoryError("out of memory", found="made up")
        yield from super().events(restored)


def model(input_shape, n_outputs, width=4):
    """A linear one, once for each width."""
    if sys.argv[0].endswith("default_worker.py"):
        worker.CohortRun = Forgetful

    def init(key, hyper):
        return {"w": jnp.zeros((*input_shape, n_outputs)), "more": jnp.zeros(width)}

    return init, lambda params, inputs, key, hyper: inputs @ params["w"]
