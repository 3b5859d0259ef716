"""The layers of a network that can be looked into."""

import jax
import numpy as np

from gridscape.base.task import Task
from gridscape.base.types import Params
from gridscape.errors import UsageError
from gridscape.models.feedforward import Layer, run
from gridscape.models.precision import float32_products
from gridscape.study.study import Recipe

FEW = 4  # test examples on which layers and network are compared
# By which they may differ, in units of the largest output: apply fuses layers, which rounds in
# another order; in bfloat16 that may tip over operands of 7 bits.
ROUNDING = 0.02


def inspected_layers(recipe: Recipe) -> tuple[Layer, ...]:
    """The layers of a feed-forward network; raises UsageError for any other model."""
    layers = recipe.model.layers
    if not layers:
        raise UsageError(
            "no layers to look into",
            where="inspect",
            expected="a feed-forward network, mlp or lenet5",
            found=recipe.static.get("model", "another model"),
        )
    return layers


def layers_of_apply(recipe: Recipe, task: Task, params: Params) -> tuple[Layer, ...]:
    """The layers, known to compute what the network does; raises UsageError where they do not.

    A model whose ``apply`` was replaced may still have the layers of the old one.
    """
    layers = inspected_layers(recipe)
    if not compute_the_same(recipe, task, params):
        raise UsageError(
            "the layers of this model do not give what its apply gives",
            where="inspect",
            expected="layers that are the steps of apply",
            found=recipe.static.get("model", "another model"),
            hint="give the model the layers of its new apply, or none: _replace(layers=())",
        )
    return layers


def compute_the_same(recipe: Recipe, task: Task, params: Params) -> bool:
    """Whether the layers of a model lead to its outputs, on a few test examples."""
    model, hyper = recipe.model, recipe.hyper
    inputs = task.prepare(jax.tree.map(lambda x: x[:FEW], task.test.inputs))
    with float32_products():
        right = np.asarray(model.apply(params, inputs, None, hyper))
        try:
            *_, found = run(model.layers, params, inputs, None, hyper)
        except Exception:  # layers of other parameters
            return False
    if found.shape != right.shape:
        return False
    size = float(np.abs(right).max(initial=0, where=np.isfinite(right)))
    return np.allclose(found, right, rtol=0, atol=ROUNDING * size, equal_nan=True)
