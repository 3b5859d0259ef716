"""All functions that are translated, of every kind, by PyTorch's names."""

from collections.abc import Mapping

from gridscape.models._torch import (
    attention,
    cells,
    images,
    layers,
    numbers,
    products,
    reductions,
    shapes,
    upsampling,
)
from gridscape.models._torch.registry import FUNCTIONS, Function

# Each has entered its own.
KINDS = (attention, cells, layers, numbers, products, reductions, shapes, upsampling)
# Of pictures whose channels lie last.
LAST: Mapping[str, Function] = {**images.LAST, **upsampling.LAST}
TRANSLATED: Mapping[str, Function] = {
    **{name: images.first_to_last(function) for name, function in LAST.items()},
    **FUNCTIONS,
    **images.FUNCTIONS,
}
