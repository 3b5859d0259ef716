"""Code that is in no file, as what a cell of a notebook defines."""

import linecache

from cohort_tools import tiny

FILE = "<cell 1>"
CELL = """
import jax.numpy as jnp

SCALE = 0.5

def linear(input_shape, n_outputs):
    def init(key, hyper):
        return {"w": jnp.zeros((*input_shape, n_outputs))}
    return init, lambda params, inputs, key, hyper: SCALE * inputs @ params["w"]

class Linear:
    def __call__(self, input_shape, n_outputs):
        return linear(input_shape, n_outputs)

def sureness(outputs, targets):
    return jnp.max(outputs, axis=-1)
"""


def cell_of_notebook(monkeypatch):
    """What a cell of a notebook has defined; its text is known to this process alone."""
    lines = CELL.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, FILE, (len(CELL), None, lines, FILE))
    names = {"__name__": "__main__"}
    exec(compile(CELL, FILE, "exec"), names)
    return names


def own_study(cell, **values):
    given = {"task": "digits-flat", "model": cell["linear"], "axes": {"learning_rate": [0.1]}}
    return tiny(**given, metrics={"sure": cell["sureness"]}, **values)
