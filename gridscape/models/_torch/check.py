"""Whether a translated module is the module: its outputs and gradients on one batch."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from gridscape.base.foreign import of_others
from gridscape.errors import ModelError, one_line
from gridscape.models._torch.registry import RANDOM
from gridscape.models._torch.trace import HOW, alone, place_of
from gridscape.models.torch_weights import STATE, TensorsOf

N_EXAMPLES = 3
# Both sum the same products in float32, in another order: some 1e-6 of the largest number of an
# array, grown tenfold by a deep network. What is translated wrongly is off by far more. A gradient
# that is zero in exact arithmetic is rounding alone, and measured by the largest of all.
OF_OWN, OF_ALL = 1e-3, 1e-5

Inputs = tuple[torch.Tensor, ...]


def answers(module: torch.nn.Module, inputs: Inputs) -> torch.Tensor:
    """What PyTorch gives; raises ModelError by the place in the module where it raises."""
    try:
        with of_others(), torch.no_grad():
            found = module(*inputs)
    except Exception as error:  # somebody's forward may raise anything
        shape = f"({', '.join(['B', *map(str, inputs[0].shape[1:])])})"
        raise ModelError(
            "the module does not run on the task's inputs",
            where=place_of(error, module),
            expected=f"to read {_kind(inputs[0])} of shape {shape}",
            found=one_line(error)[:120],
            hint="batches are not sorted: enforce_sorted=False" if _by_order(error) else None,
        ) from error
    if not isinstance(found, torch.Tensor):
        raise ModelError(
            "forward gives no tensor",
            where=type(module).__name__,
            expected="the outputs alone, (B, C)",
            found=type(found).__name__,
        )
    if not found.ndim or found.dtype is torch.bool:
        raise ModelError(
            "forward gives no numbers of each example",
            where=type(module).__name__,
            expected="(B, C)",
            found=f"{str(found.dtype).removeprefix('torch.')} of shape {tuple(found.shape)}",
        )
    return found


def _by_order(error: Exception) -> bool:
    return "enforce_sorted" in str(error)


def _kind(tensor: torch.Tensor) -> str:
    return "numbers" if tensor.dtype.is_floating_point else "whole numbers"


def check_apart(module: torch.nn.Module, inputs: Inputs) -> None:
    """Raise ModelError where the output of an example depends on another example of its batch."""
    before = answers(module, inputs)
    order = [2, 1, 1]  # turned round, and without the first
    after = answers(module, tuple(x[order] for x in inputs))
    if before.shape != after.shape or len(before) != len(inputs[0]):
        return  # the shape is told elsewhere
    if not torch.allclose(before[order], after, rtol=OF_OWN, atol=OF_ALL, equal_nan=True):
        raise ModelError(
            "the output of an example depends on the other examples of the batch",
            where=type(module).__name__,
            hint="do recurrent layers say batch_first=True, and views keep the batch apart?",
        )


def check_lookups(module: torch.nn.Module, inputs: Inputs, given: np.ndarray) -> None:
    """Raise ModelError where an Embedding has no row for one of the inputs.

    given: the least and the largest inputs of the task, of which ``inputs`` are made.
    """
    try:
        with alone(), of_others(), torch.no_grad(), _LookingUp():
            module(*inputs)
    except _BeyondError as error:
        low, high, n_rows = error.args
        raise ModelError(
            "an index beyond the table of an Embedding",
            where=place_of(error, module),
            expected=f"0 to {n_rows - 1}",
            found=f"{low} to {high}, of inputs from {given.min():g} to {given.max():g}",
            hint=f"num_embeddings = {high + 1}, or other numbers for the inputs",
        ) from error


class _BeyondError(Exception):
    """The least and the largest index that is looked up, and the rows that there are."""


class _LookingUp(TorchFunctionMode):  # type: ignore[misc]
    """Tells an index without a row."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") == "embedding":
            index, weight = [*args, *kwargs.values()][:2]
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= len(weight):
                raise _BeyondError(low, high, len(weight))
        return func(*args, **kwargs)


def compare(
    module: torch.nn.Module,
    run: Callable[[Any, tuple[Any, ...]], Any],
    params: Any,
    inputs: Inputs,
    arrays: tuple[Any, ...],
) -> None:
    """Raise ModelError unless what ``run(params, arrays)`` gives and its gradient are the module's.

    module: fresh, in training or not. run: traced by JAX; its outputs and its state. arrays: the
    inputs as it reads them. A module that drops out in training by itself is not compared there.
    """
    with alone(), _Undropped() if module.training else nullcontext():
        if module.training and not _is_certain(module, inputs):
            return
        shape = tuple(answers(deepcopy(module), inputs).shape)
        weights = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        expected, gradients = _of_torch(module, inputs, torch.as_tensor(weights))
    beside = params.get(STATE, {})
    params = {layout: part for layout, part in params.items() if layout != STATE}

    def total(params: Any, beside: Any, arrays: tuple[Any, ...]) -> Any:
        outputs, state = run({**params, STATE: beside}, arrays)
        if outputs.shape != shape:
            raise _differs(module, "the output", f"shape {shape}", f"shape {outputs.shape}")
        return jnp.sum(outputs * weights), (outputs, state)

    differentiated = jax.jit(jax.grad(total, has_aux=True))(params, beside, arrays)
    found_gradients, (found, state) = jax.device_get(differentiated)
    _check_close(module, {"the output": found}, {"the output": expected})
    of_tensors = {f"the gradient of {n}": x for n, x in TensorsOf(found_gradients).items()}
    zero = {n: np.zeros_like(x) for n, x in of_tensors.items()}
    _check_close(module, of_tensors, {**zero, **gradients})
    buffers = dict(module.named_buffers())
    for name, array in state.items():
        _check_close(module, {name: array}, {name: buffers[name].numpy()})


def _is_certain(module: torch.nn.Module, inputs: Inputs) -> bool:
    """Whether the outputs follow from the inputs, no random numbers between."""
    with torch.random.fork_rng(devices=[]):
        found = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            found.append(answers(deepcopy(module), inputs))
    return torch.equal(*found)


class _Undropped(TorchFunctionMode):  # type: ignore[misc]
    """Functions that drop out drop nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in RANDOM:
            return args[0] if args else kwargs["input"]
        return func(*args, **kwargs)


def _of_torch(
    module: torch.nn.Module, inputs: Inputs, weights: torch.Tensor
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    module.zero_grad(set_to_none=True)
    outputs = module(*inputs)
    if outputs.requires_grad:
        try:
            (outputs * weights).sum().backward()
        except Exception as error:  # somebody's function may have no gradient, or a wrong one
            raise _without_gradient(module, error) from error
    gradients = {
        f"the gradient of {name}": p.grad.numpy().copy()
        for name, p in module.named_parameters()
        if p.grad is not None
    }
    module.zero_grad(set_to_none=True)
    return outputs.detach().numpy(), gradients


def _without_gradient(module: torch.nn.Module, error: Exception) -> ModelError:
    return ModelError(
        "a module through which no gradient comes",
        where=type(module).__name__,
        expected="functions that have a gradient",
        found=one_line(error)[:120],
        hint="x.detach() stops it where none is meant",
    )


def _check_close(
    module: torch.nn.Module, found: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    largest = max((float(np.abs(x).max(initial=0)) for x in expected.values()), default=0.0)
    for name, array in expected.items():
        own = float(np.abs(array).max(initial=0))
        difference = float(np.abs(found[name] - array).max(initial=0))
        if np.isfinite(array).all() and not difference <= OF_OWN * own + OF_ALL * largest:
            raise _differs(module, name, f"as in PyTorch, to {OF_OWN:g} of {own:.3g}", difference)


def _differs(module: torch.nn.Module, what: str, expected: str, found: Any) -> ModelError:
    found = f"{found:.3g} off" if isinstance(found, float) else found
    return ModelError(
        f"the translation differs from the module in {what}",
        where=type(module).__name__,
        expected=expected,
        found=found,
        hint=f"{HOW}; no_grad and changes in place are not followed",
    )
