"""Models that users bring: a PyTorch module, read layer by layer into Gridscape's own."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from gridscape.base.data import Sequences
from gridscape.base.foreign import of_others
from gridscape.base.parts import Factory, Model
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import GridscapeError, ModelError, UsageError, one_line
from gridscape.models._guests import OF_THE_TASK, by_name, signature_of
from gridscape.models.torch_weights import STATE, installed, packed

if TYPE_CHECKING:
    from gridscape.models._torch.program import Program

CHANNELS = ("first", "last")


def from_torch(build: Callable[..., Any], *, channels: str = "first") -> Callable[..., Model]:
    """A model factory from ``build(**options) -> torch.nn.Module``, or from a module's class.

    The module is written for a batch, as PyTorch modules are; ``torch.fx`` reads it, and its layers
    become Gridscape's own. ``build`` may also take ``input_shape`` and ``n_outputs`` of the task.
    Its other parameters become options of the model and so axes: static ones, since they shape the
    module. Initial weights are those that ``build`` makes under a seed of PyTorch's that follows
    from study and replicate. Buffers and parameters that are not trained are constants.
    channels: images (height, width, channels) reach the module with the channels "first", as
    PyTorch has them, or "last", as they are.

    Before anything trains, outputs and gradients on one batch are compared with PyTorch's. Raises
    GridscapeError when PyTorch is not installed, UsageError for what is no function; the factory
    raises ModelError, by the place in the module, for what cannot be translated, and for a build
    whose module does not follow from the seed.

    ``Landscape.state_dict`` gives trained weights back.
    """
    torch = installed()
    if channels not in CHANNELS:
        raise UsageError("unknown channels", expected="first or last", found=repr(channels))
    parameters = _parameters(build)
    made: dict[str, Model] = {}

    def factory(input_shape: tuple[int, ...], n_outputs: int, **options: Any) -> Model:
        given = dict(zip(OF_THE_TASK, (tuple(input_shape), n_outputs), strict=True))
        given = {name: value for name, value in given.items() if name in parameters}
        # The same functions for the same options: they are compared and compiled once.
        name = repr((tuple(input_shape), n_outputs, sorted(options.items())))
        if name not in made:
            make = partial(build, **given, **options)
            made[name] = _Module(make, tuple(input_shape), channels).model()
        return made[name]

    version = torch.__version__.partition("+")[0]
    code = partial(build, f"torch {version}", channels, *_sources(build, torch.nn.Module))
    return Factory(factory, signature=signature_of(parameters), code=code)


def _parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What ``build`` takes by name; raises UsageError for what is no function or class."""
    is_module = hasattr(build, "forward") and not isinstance(build, type)
    if not callable(build) or is_module:
        raise UsageError(
            "cannot build a PyTorch module",
            expected="a function or class that makes one, so that each replicate has its own",
            found=f"a module, {type(build).__name__}" if is_module else type(build).__name__,
            hint="lambda: nn.Sequential(...)" if is_module else None,
        )
    return by_name(inspect.signature(build).parameters)


def _sources(build: Any, module: type) -> tuple[str, ...]:
    """The source of every module class that ``build`` reaches by name: it belongs into keys."""
    found: dict[str, str] = {}
    waiting = [build]
    while waiting:
        one = inspect.unwrap(waiting.pop())
        one = one.func if isinstance(one, partial) else one
        functions = list(vars(one).values()) if isinstance(one, type) else [one]
        bases = list(one.__bases__) if isinstance(one, type) else []
        for name in _names(functions):
            bases.append(_global(functions, name))
        for other in bases:
            is_own = isinstance(other, type) and issubclass(other, module)
            if is_own and not other.__module__.startswith("torch."):
                label = f"{other.__module__}.{other.__qualname__}"
                if label not in found:
                    found[label] = _source(other)
                    waiting.append(other)
    return tuple(f"{name} {found[name]}" for name in sorted(found))


def _names(functions: list[Any]) -> list[str]:
    codes = [f.__code__ for f in functions if hasattr(f, "__code__")]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [inner for inner in code.co_consts if inspect.iscode(inner)]
    return sorted(names)


def _global(functions: list[Any], name: str) -> Any:
    spaces = (f.__globals__ for f in functions if hasattr(f, "__globals__"))
    return next((space[name] for space in spaces if name in space), None)


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed at a prompt
        return repr(sorted(name for name in vars(kind)))


class _Module:
    """A module of one set of options, as the functions of a model."""

    def __init__(
        self, make: Callable[[], Any], input_shape: tuple[int, ...], channels: str
    ) -> None:
        from gridscape.models._torch.program import stored_entries

        self._make, self.input_shape = make, input_shape
        self.is_turned = len(input_shape) == 3 and channels == "first"
        self.module = self.built(0)
        self._check_hooks()
        self._check_seeds()
        self.entries = stored_entries(self.module)
        self.n_given = self._n_given()
        self._programs: dict[Any, Program] = {}
        self.reads = self._how_read()

    # ---- building ----

    def built(self, seed: int) -> Any:
        """What ``build`` makes under a seed of PyTorch's."""
        import torch

        from gridscape.models._torch.trace import alone

        with alone(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                with of_others():
                    module = self._make()
            except GridscapeError:
                raise
            except Exception as error:  # somebody's build may raise anything
                raise ModelError(
                    "build raises an error",
                    found=one_line(error),
                    hint=_missing(error),
                ) from error
        if not isinstance(module, torch.nn.Module):
            raise ModelError(
                "build makes no PyTorch module",
                expected="a torch.nn.Module",
                found=type(module).__name__,
            )
        return module.cpu()

    def _check_seeds(self) -> None:
        """Raise ModelError unless weights follow from the seed, and constants are always equal."""
        import torch

        from gridscape.models._torch.state import state_names

        name, kept = type(self.module).__name__, state_names(self.module)
        again, other = _all_tensors(self.built(0)), _all_tensors(self.built(1))
        for path, tensor in _all_tensors(self.module).items():
            if torch.nn.parameter.is_lazy(tensor):
                raise ModelError("a lazy layer", where=f"{name}.{path}", hint="give its sizes")
            if path not in again or not _equal(tensor, again[path]):
                raise ModelError(
                    "build gives other weights under the same seed",
                    where=f"{name}.{path}",
                    hint="draw with torch alone, without a seed or a generator of its own",
                )
            is_trained = isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
            if is_trained and tensor.dtype != torch.float32:
                raise ModelError(
                    "a parameter that cannot be trained",
                    where=f"{name}.{path}",
                    expected="float32",
                    found=str(tensor.dtype).removeprefix("torch."),
                )
            is_constant = not is_trained and path not in kept
            if is_constant and not (path in other and _equal(tensor, other[path])):
                raise ModelError(
                    "what is not trained differs from seed to seed",
                    where=f"{name}.{path}",
                    hint="train it, or make it the same under every seed",
                )

    def _check_hooks(self) -> None:
        """Raise ModelError for a layer around which something else runs than its forward."""
        from gridscape.models._torch.program import is_leaf

        for path, part in self.module.named_modules():
            if is_leaf(part, path) and (part._forward_hooks or part._forward_pre_hooks):
                raise ModelError(
                    "cannot translate a hook",
                    where=f"{type(self.module).__name__}.{path}",
                    hint="call it in forward; spectral_norm and weight_norm are translated as"
                    " torch.nn.utils.parametrizations has them",
                )

    def _n_given(self) -> int:
        """How many inputs ``forward`` takes: 1, or 2 with the lengths of sequences."""
        parameters = inspect.signature(self.module.forward).parameters.values()
        needed = [p for p in parameters if p.default is p.empty and p.kind in (0, 1)]
        if not 1 <= len(needed) <= 2:
            raise ModelError(
                "forward takes other inputs than a task has",
                where=type(self.module).__name__,
                expected="forward(x), or forward(x, lengths) of sequences",
                found=f"forward({', '.join(p.name for p in needed)})",
            )
        return len(needed)

    # ---- reading ----

    def _how_read(self) -> str:
        """Whether inputs are numbers, or whole numbers that are looked up: "", "whole", "steps"."""
        from gridscape.models._torch.check import answers
        from gridscape.models._torch.trace import alone

        ways = ["", "whole"] + (["steps"] if self._is_of_one_feature() else [])
        sizes = [m.num_embeddings for m in self.module.modules() if hasattr(m, "num_embeddings")]
        errors = []
        self.module.eval()
        # Of a table whose rows are shifted, not all of the first numbers are there.
        for way, self.n_tokens in [(w, n) for n in (min([*sizes, 100]), 2) for w in ways]:
            self.reads = way
            try:
                with alone():
                    answers(self.module, self.sample())
            except ModelError as error:
                errors.append(error)
            else:
                return way
        by_indices = "ndices" in str(errors[0]) or "LongTensor" in str(errors[0])
        raise errors[1 if by_indices else 0]

    def _is_of_one_feature(self) -> bool:
        return len(self.input_shape) == 2 and self.input_shape[1] == 1

    def sample(self) -> tuple[Any, ...]:
        """A small batch of random inputs, as PyTorch is given them."""
        import torch

        from gridscape.models._torch.check import N_EXAMPLES

        random = np.random.default_rng(1)
        # Drawn as PyTorch has it: what is turned round may have other strides than data.
        turned = (self.input_shape[-1], *self.input_shape[:-1])
        shape = (N_EXAMPLES, *(turned if self.is_turned else self.input_shape))
        x = torch.as_tensor(random.normal(size=shape).astype(np.float32))
        if self.reads:
            x = torch.as_tensor(random.integers(0, self.n_tokens, size=shape))
        x = x[..., 0] if self.reads == "steps" else x
        longest = self.input_shape[0] - (self.input_shape[0] > 2)  # shorter than the padded batch
        lengths = torch.as_tensor([max(1, longest - i % 2) for i in reversed(range(N_EXAMPLES))])
        return (x, lengths)[: self.n_given]

    def program(self, inputs: tuple[Any, ...], training: bool) -> "Program":
        """The graph for inputs of these shapes, PyTorch's way round: read once for each."""
        from gridscape.models._torch.program import Program, is_leaf, no_key, stored_tensors
        from gridscape.models._torch.trace import LOCK, read

        shapes = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs)
        name = (*((x.shape, str(x.dtype)) for x in shapes), training)
        with LOCK:
            if name not in self._programs:
                self.module.train(training)
                made = Program(self.module)
                params = packed(self.entries, stored_tensors(self.module))
                key = no_key if not training else partial(jax.random.key, 0)

                def shape(node: Any, known: dict[Any, Any]) -> Any:
                    from gridscape.models._torch.program import _plain

                    if node.op == "get_attr" and not known:
                        return made.step(node, {}, made.weights(params), no_key)

                    def run(params: Any, values: list[Any]) -> Any:
                        env = {**known, **dict(zip(traced, values, strict=True))}
                        return _plain(made.step(node, env, made.weights(params), key))

                    traced = [n for n in known if not isinstance(known[n], np.ndarray)]
                    return jax.eval_shape(run, params, [known[n] for n in traced])

                made.finish(read(self.module, shapes, is_leaf, shape))
                self._programs[name] = made
            return self._programs[name]

    # ---- the model ----

    def model(self) -> Model:
        """``init`` and ``apply``; raises ModelError where they are not the module."""
        from gridscape.models._torch.program import stored_tensors

        self._compare()
        entries = self.entries

        def drawn(words: Any) -> Params:
            module = self.built(seed_of(np.asarray(words)))
            return jax.tree.map(np.ascontiguousarray, packed(entries, stored_tensors(module)))

        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn(np.zeros(2, np.uint32))
        )

        def init(key: Key, hyper: Hyper) -> Params:
            words = jax.random.key_data(key)
            return jax.pure_callback(drawn, shapes, words, vmap_method="sequential")

        def training(params: Params, inputs: Any, key: Key | None, hyper: Hyper) -> Any:
            return self.run(params, self._arrays(inputs), key, True)

        def apply(params: Params, inputs: Any, key: Key | None, hyper: Hyper) -> Array:
            outputs, _ = self.run(params, self._arrays(inputs), key, key is not None)
            return outputs

        return Model(
            init,
            apply,
            training=training if self.keeps_state else None,
            check_inputs=self.check_inputs if self._looks_up() else None,
        )

    def _looks_up(self) -> bool:
        return any(hasattr(part, "num_embeddings") for part in self.module.modules())

    def check_inputs(self, ends: Any) -> None:
        """Raise ModelError where some input is beyond a table of an Embedding.

        ends: the least and the largest inputs, as they are prepared, (2, *input_shape).
        """
        import torch

        from gridscape.models._torch.check import check_lookups

        arrays = [np.array(x) for x in self._arrays(ends)]
        if self.is_turned:
            arrays[0] = arrays[0].transpose(0, 3, 1, 2)
        if self.reads:
            arrays[0] = arrays[0].astype(np.int64)
        given = np.asarray(ends.steps if isinstance(ends, Sequences) else ends)
        self.module.eval()
        check_lookups(self.module, tuple(map(torch.as_tensor, arrays)), given)

    @property
    def keeps_state(self) -> bool:
        """Whether layers keep state, as BatchNorm does."""
        return any(entry.layout == STATE for entry in self.entries)

    def run(
        self, params: Params, arrays: tuple[Any, ...], key: Key | None, in_training: bool
    ) -> tuple[Array, Any]:
        """The outputs for inputs as tasks have them, channels last; and the state after them."""
        from gridscape.models._torch.program import Last

        as_read = arrays
        if self.is_turned:
            of_torch = jax.ShapeDtypeStruct(
                (arrays[0].shape[0], arrays[0].shape[3], *arrays[0].shape[1:3]), arrays[0].dtype
            )
            as_read, arrays = (of_torch, *arrays[1:]), (Last(arrays[0]), *arrays[1:])
        return self.program(as_read, in_training).run(params, arrays, key)

    def _arrays(self, inputs: Any) -> tuple[Any, ...]:
        """What the module is given of a task's inputs."""
        x, lengths = inputs, None
        if isinstance(inputs, Sequences):
            x, lengths = inputs.steps, inputs.lengths
            if self.n_given == 1:
                raise ModelError(
                    "forward reads no lengths, and sequences have different ones",
                    where=type(self.module).__name__,
                    hint="take forward(x, lengths), and pack_padded_sequence with"
                    " enforce_sorted=False",
                )
        x = jax.numpy.asarray(x)
        if self.reads:
            x = x.astype(jax.numpy.int32)
            x = x[..., 0] if self.reads == "steps" else x
        if self.n_given == 1:
            return (x,)
        if lengths is None:
            lengths = jax.numpy.full(len(x), x.shape[1], jax.numpy.int32)
        return x, jax.numpy.asarray(lengths)

    def _compare(self) -> None:
        from gridscape.models._torch.check import check_apart, compare
        from gridscape.models._torch.program import stored_tensors
        from gridscape.models._torch.trace import alone

        params, sample = packed(self.entries, stored_tensors(self.module)), self.sample()
        arrays = tuple(
            np.asarray(x, np.float32 if x.dtype.is_floating_point else np.int32) for x in sample
        )
        if self.is_turned:
            arrays = (arrays[0].transpose(0, 2, 3, 1), *arrays[1:])
        modes = (False, True) if self.keeps_state else (False,)
        # First, since it tells by place what cannot be translated.
        for in_training in modes:
            jax.eval_shape(lambda p, a, t=in_training: self.run(p, a, None, t), params, arrays)
        self.module.eval()
        with alone():
            check_apart(self.module, sample)
        for in_training in modes:
            module = self.built(0).train() if in_training else self.module
            run = partial(self.run, key=None, in_training=in_training)
            compare(module, run, params, sample, arrays)


def seed_of(words: np.ndarray) -> int:
    """PyTorch's seed of a trial, of the two words of its key; 32 bits, as its generator reads.

    >>> seed_of(np.array([1, 2], np.uint32))
    2
    """
    return int(words[-1])


def _all_tensors(module: Any) -> dict[str, Any]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _equal(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | (a != a)).all())


def _missing(error: Exception) -> str | None:
    is_missing = isinstance(error, TypeError) and "missing" in str(error)
    return "options without a default are given in model_options" if is_missing else None
