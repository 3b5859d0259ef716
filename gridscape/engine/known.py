"""Numbers and functions that earlier runs have found: they need not be traced again."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.engine.kept import Compiled, compiled, kept_programs
from gridscape.engine.naming import of_parts, of_text, tells_all


def known_number(find: Callable[[], float], *parts: Any) -> float:
    """``find()``, which these parts tell, or what an earlier run has found."""
    kept = kept_programs()
    name = of_parts("number", *parts) if kept else None
    if kept is None or name is None:
        return find()
    if (known := kept.number(name)) is None:
        known = find()
        kept.keep_number(name, known)
    return known


class KeptFunction:
    """A function, compiled once for all arguments of the same shapes, or found.

    same: parts that identify the function.
    """

    def __init__(self, function: Callable[..., Any], *same: Any) -> None:
        self._jitted, self._same = jax.jit(function, keep_unused=True), same
        self._programs: dict[Any, Compiled] = {}

    def __call__(self, *arguments: Any) -> Any:
        """``function(*arguments)``."""
        leaves, tree = jax.tree.flatten(arguments)
        shapes = tuple((np.shape(x), str(jnp.result_type(x))) for x in leaves)
        if (tree, shapes) not in self._programs:
            self._programs[tree, shapes] = self._program(arguments, shapes)
        return self._programs[tree, shapes](*arguments)

    def _program(self, arguments: tuple[Any, ...], shapes: tuple[Any, ...]) -> Compiled:
        kept, tree = kept_programs(), str(jax.tree.structure(arguments))
        name = of_parts(self._same, tree, shapes) if kept else None
        if kept and name and (known := kept.find(name)):
            return known
        lowered = self._jitted.lower(*arguments)
        text = lowered.as_text()
        if kept is None or not tells_all(text, len(shapes)):
            return compiled(lowered.compile)[0]
        same = of_text(text, {})
        if name:
            kept.point(name, same)
        if known := kept.find(same, (lowered.in_tree, lowered.out_tree)):
            return known
        program, is_fresh = compiled(lowered.compile)
        if is_fresh:
            kept.keep(same, program)
        return program
