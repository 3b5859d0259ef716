"""The layers of a network that can be looked into."""

from gridscape.errors import UsageError
from gridscape.models.feedforward import Layer
from gridscape.study.study import Recipe


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
