"""What trained networks do with single examples: pure functions that return frozen records.

Every function takes a recipe, its task and the parameters of one trial (``restore`` makes them
from what is stored), reads the test set in chunks that bound memory, and draws nothing. Filters,
statistics of activations and deconvnets ask for the layers of a feed-forward network.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gridscape._precision import float32_products
from gridscape.base import Array, Hyper, Params, Split, Task
from gridscape.errors import UnknownNameError, UsageError
from gridscape.losses import Bits
from gridscape.models.feedforward import Layer, layers_of, run
from gridscape.programs import named_leaves
from gridscape.study import Recipe
from gridscape.tasks.sequences import Asked

# Examples that are looked at at once: the activations of all layers, and the patches of one.
CHUNK = 100


# ---- records ----


@dataclass(frozen=True, eq=False)
class Example:
    """A test example and what the network says of it.

    index: in the test set. truth, answer: classes. probability: of the answer, in [0, 1]; None
    where the loss is no negative log probability. loss: of the example. inputs: as stored.
    """

    index: int
    truth: int
    answer: int
    probability: float | None
    loss: float
    inputs: np.ndarray


@dataclass(frozen=True, eq=False)
class Mistakes:
    """wrong: the mistakes with the largest loss, largest first. right: the first correct ones.

    n_wrong, n_examples: in the whole test set.
    """

    wrong: tuple[Example, ...]
    right: tuple[Example, ...]
    n_wrong: int
    n_examples: int


@dataclass(frozen=True, eq=False)
class Confusion:
    """counts: test examples by truth (rows) and answer (columns), (C, C)."""

    counts: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """The share of each answer among the examples of a class, (C, C); NaN where it has none."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return self.counts / np.where(totals == 0, np.nan, totals)


@dataclass(frozen=True, eq=False)
class Tiles:
    """Filters as pictures (n, height, width, channels); low, high: the ends of each one, (n,)."""

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Filters:
    """The first layer's filters before and after training.

    limit: their common scale is -limit..limit, the largest magnitude of start and end.
    """

    layer: str
    start: Tiles
    end: Tiles
    limit: float


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean, variance and share of zeros: (C,) of channels, or one number each."""

    mean: Any
    variance: Any
    zero_share: Any

    @property
    def sd(self) -> Any:
        """Standard deviation."""
        return np.sqrt(self.variance)


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """What a layer puts out over the test set.

    kind: "conv" and "dense" are before the activation, "activation" after it. shape: of one
    example's outputs, channels last. n_values: of a channel. Variances divide by n_values.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    n_values: int
    channels: Moments
    total: Moments


@dataclass(frozen=True, eq=False)
class Deconvnet:
    """The test examples that activate each feature map most, and what in them does.

    channels: (n,) of the layer. indices: (n, k) in the test set, strongest first; activations:
    (n, k), the largest of the map. inputs: (n, k, ...) as stored. reconstructions: (n, k, height,
    width, channels); zeros where the map is silent.
    """

    layer: str
    channels: np.ndarray
    indices: np.ndarray
    activations: np.ndarray
    inputs: np.ndarray
    reconstructions: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """A test sequence with what is right and what the network answers.

    group: its kind, a value of ``task.groups`` such as a length; None without groups. inputs:
    (T, ...) as stored, without padding. truth, answer: one number, (), or one a step, (T,).
    """

    index: int
    group: int | None
    inputs: np.ndarray
    truth: np.ndarray
    answer: np.ndarray

    @property
    def is_right(self) -> bool:
        """Whether all of the answer is right."""
        return bool(np.array_equal(self.truth, self.answer))


# ---- parameters ----


def restore(recipe: Recipe, stored: Mapping[str, np.ndarray]) -> Params:
    """The parameters of a trial as its model takes them, from its stored arrays by name.

    Raises UsageError where they are not those of this model.
    """
    shapes = jax.eval_shape(recipe.model.init, jax.random.key(0), recipe.hyper)
    expected = {name: leaf.shape for name, leaf in named_leaves(shapes).items()}
    found = {name: array.shape for name, array in stored.items()}
    if found != expected:
        raise UsageError(
            "parameters of another model", where="inspect", expected=expected, found=found
        )
    leaves = [jnp.asarray(stored[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


# ---- answers ----


def mistakes(
    recipe: Recipe, task: Task, params: Params, *, n_wrong: int = 10, n_right: int = 10
) -> Mistakes:
    """The mistakes with the largest loss, and the first correct examples, of the test set.

    Raises UsageError for a task without classes.
    """
    seen = _answers(recipe, task, params)
    wrong, right = (np.flatnonzero(seen.is_right == value) for value in (False, True))
    worst = wrong[np.argsort(-seen.losses[wrong], kind="stable")]

    def example(index: int) -> Example:
        answer = int(seen.answers[index])
        return Example(
            index=index,
            truth=int(seen.truths[index]),
            answer=answer,
            probability=float(seen.probabilities[index]) if seen.known else None,
            loss=float(seen.losses[index]),
            inputs=np.asarray(task.test.inputs[index]),
        )

    return Mistakes(
        wrong=tuple(example(int(i)) for i in worst[:n_wrong]),
        right=tuple(example(int(i)) for i in right[:n_right]),
        n_wrong=len(wrong),
        n_examples=task.test.n_examples,
    )


def confusion(recipe: Recipe, task: Task, params: Params) -> Confusion:
    """How often each class is answered for each; raises UsageError for a task without classes."""
    seen = _answers(recipe, task, params)
    counts = np.zeros((task.n_outputs, task.n_outputs), np.int64)
    np.add.at(counts, (seen.truths, seen.answers), 1)
    return Confusion(counts)


class _Answers(NamedTuple):
    """Of every test example, (N,); mass: what the probabilities of its classes sum to."""

    truths: Any
    answers: Any
    losses: Any
    probabilities: Any
    mass: Any

    @property
    def is_right(self) -> Any:
        return self.answers == self.truths

    @property
    def known(self) -> bool:
        return bool(np.allclose(self.mass, 1, atol=1e-3))


def _answers(recipe: Recipe, task: Task, params: Params) -> _Answers:
    answer = task.answer
    if answer is None:
        raise UsageError(
            "no classes to be mistaken for one another",
            where=f"task {task.name}",
            hint="look at samples instead",
        )

    def look(batch: Split) -> _Answers:
        outputs = recipe.model.apply(params, task.prepare(batch.inputs), None, recipe.hyper)
        answers = answer(outputs, batch.targets)
        losses = recipe.loss(outputs, batch.targets)

        # A loss is the negative log probability of a class where exp(-loss) sums to 1 over them.
        def probability(label: Array) -> Array:
            return jnp.exp(-recipe.loss(outputs, _with_class(batch.targets, label)))

        classes = jnp.arange(task.n_outputs, dtype=answers.dtype)
        mass = jax.vmap(lambda c: probability(jnp.full_like(answers, c)))(classes).sum(axis=0)
        return _Answers(_class(batch.targets), answers, losses, probability(answers), mass)

    parts = [jax.device_get(part) for part in _looked_at(look, task)]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def _class(targets: Any) -> Any:
    return targets.item if isinstance(targets, Asked) else targets


def _with_class(targets: Any, labels: Array) -> Any:
    return targets._replace(item=labels) if isinstance(targets, Asked) else labels


# ---- filters ----


def first_layer_filters(recipe: Recipe, task: Task, start: Params, end: Params) -> Filters:
    """The filters of the first convolution or dense layer, from parameters of start and end.

    A dense layer's are drawn as the inputs are: (height, width, channels), rows (T, D), or a
    flattened square. Raises UsageError for a model without layers, and inputs that are no picture.
    """
    layer = next(layer for layer in _layers(recipe) if layer.kind in ("conv", "dense"))
    first, last = (_tiles(p[layer.name]["kernel"], task.input_shape) for p in (start, end))
    limit = max(float(np.abs(tiles.values).max()) for tiles in (first, last))
    return Filters(layer.name, first, last, limit)


def picture_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of inputs as a picture; raises UsageError where they are none.

    >>> picture_shape((784,)), picture_shape((28, 28)), picture_shape((32, 32, 3))
    ((28, 28, 1), (28, 28, 1), (32, 32, 3))
    """
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2])
    if len(shape) == 2:
        return (shape[0], shape[1], 1)
    side = math.isqrt(math.prod(shape))
    if len(shape) != 1 or side**2 != shape[0]:
        raise UsageError(
            "inputs that are no picture",
            where="inspect",
            expected="(height, width, channels), (rows, columns) or a flattened square",
            found=shape,
        )
    return (side, side, 1)


def _tiles(kernel: Array, input_shape: tuple[int, ...]) -> Tiles:
    values = np.moveaxis(np.asarray(kernel), -1, 0)  # conv: (n, height, width, channels)
    if values.ndim == 2:
        values = values.reshape(-1, *picture_shape(input_shape))
    return Tiles(values, values.min(axis=(1, 2, 3)), values.max(axis=(1, 2, 3)))


# ---- statistics of activations ----


class _Sums(NamedTuple):
    """n values with their mean, sum of squared deviations and number of zeros, by channel (C,)."""

    n: int
    mean: np.ndarray
    squares: np.ndarray
    zeros: np.ndarray


def activation_statistics(
    recipe: Recipe, task: Task, params: Params
) -> tuple[LayerStatistics, ...]:
    """Mean, variance and share of zeros of each layer and channel over the test set.

    Before and after each activation and after each pooling, in the order of the network. Sums are
    formed in float64, in one pass (Chan, Golub and LeVeque 1983). Raises UsageError for a model
    without layers.
    """
    layers = _layers(recipe)
    shapes = _output_shapes(layers, params, task, recipe.hyper)

    def look(batch: Split) -> list[tuple[Array, ...]]:
        outputs = run(layers, params, task.prepare(batch.inputs), None, recipe.hyper)
        return [_by_example(x) for x in outputs]

    parts = (list(map(_chunk_sums, part, shapes)) for part in _looked_at(look, task))
    sums = reduce(lambda a, b: list(map(_merged, a, b)), parts)
    return tuple(
        LayerStatistics(layer.name, layer.kind, shape, of_layer.n, *_moments(of_layer))
        for layer, shape, of_layer in zip(layers, shapes, sums, strict=True)
        if layer.kind not in ("flatten", "dropout")
    )


def _output_shapes(
    layers: Sequence[Layer], params: Params, task: Task, hyper: Hyper
) -> list[tuple[int, ...]]:
    """The shape of one example's outputs of each layer."""
    inputs = jax.ShapeDtypeStruct((1, *task.input_shape), jnp.float32)
    outputs = jax.eval_shape(lambda x: list(run(layers, params, x, None, hyper)), inputs)
    return [x.shape[1:] for x in outputs]


def _by_example(outputs: Array) -> tuple[Array, Array, Array]:
    """Mean, sum of squared deviations and number of zeros of every example and channel: (B, C)."""
    values = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    mean = values.mean(axis=1)
    squares = ((values - mean[:, None]) ** 2).sum(axis=1)
    return mean, squares, (values == 0).sum(axis=1)


def _chunk_sums(by_example: tuple[Array, ...], shape: tuple[int, ...]) -> _Sums:
    """The examples of a chunk, each of equally many values, put together."""
    means, squares, zeros = (np.asarray(array, np.float64) for array in by_example)
    n_each = math.prod(shape[:-1])
    mean = means.mean(axis=0)
    between = n_each * ((means - mean) ** 2).sum(axis=0)
    return _Sums(n_each * len(means), mean, squares.sum(axis=0) + between, zeros.sum(axis=0))


def _merged(a: _Sums, b: _Sums) -> _Sums:
    n, gap = a.n + b.n, b.mean - a.mean
    mean = a.mean + gap * b.n / n
    squares = a.squares + b.squares + gap**2 * a.n * b.n / n
    return _Sums(n, mean, squares, a.zeros + b.zeros)


def _moments(sums: _Sums) -> tuple[Moments, Moments]:
    """Of each channel, and of all together."""
    variance, zeros = sums.squares / sums.n, sums.zeros / sums.n
    mean = sums.mean.mean()
    spread = ((sums.mean - mean) ** 2).mean()
    total = Moments(float(mean), float(variance.mean() + spread), float(zeros.mean()))
    return Moments(sums.mean, variance, zeros), total


# ---- deconvnet ----


def feature_layers(recipe: Recipe) -> tuple[str, ...]:
    """The layers that hold feature maps after their activation.

    Raises UsageError for a model without convolutions.
    """
    layers = _layers(recipe)
    kinds = [layer.kind for layer in layers]
    if "conv" not in kinds:
        raise UsageError(
            "no convolutions to walk back through",
            where="inspect",
            expected="a model with feature maps, such as lenet5",
            found=f"layers {', '.join(layer.name for layer in layers)}",
        )
    maps = layers[kinds.index("conv") : kinds.index("flatten")]
    return tuple(layer.name for layer in maps if layer.kind == "activation")


def deconvnet(
    recipe: Recipe,
    task: Task,
    params: Params,
    layer: str | None = None,
    *,
    channels: Sequence[int] | None = None,
    n_images: int = 9,
) -> Deconvnet:
    """The test images that activate each feature map most, and their projections to the pixels.

    layer: one of ``feature_layers``, the last of them unless named. channels: all unless named.

    Raises UsageError for a model without convolutions or a channel that the layer lacks,
    UnknownNameError for another layer. Source: Zeiler and Fergus 2014, "Visualizing and
    Understanding Convolutional Networks", section 2.1.
    """
    layers, hyper = _layers_to(recipe, layer), recipe.hyper

    def strongest(batch: Split) -> Array:
        *_, maps = run(layers, params, task.prepare(batch.inputs), None, hyper)
        return maps.max(axis=(1, 2))

    peaks = np.concatenate([np.asarray(part) for part in _looked_at(strongest, task)])
    chosen = _check_channels(channels, peaks.shape[1])
    indices = np.argsort(-peaks, axis=0, kind="stable")[:n_images].T[chosen]

    @jax.jit
    @float32_products()
    def projected(inputs: Array, channels: Array) -> Array:
        return project(layers, params, task.prepare(inputs), channels, hyper)

    rows, maps = indices.ravel(), np.repeat(chosen, indices.shape[1])
    parts = [
        np.asarray(projected(task.test.inputs[rows[b : b + CHUNK]], maps[b : b + CHUNK]))
        for b in range(0, len(rows), CHUNK)
    ]
    return Deconvnet(
        layer=layers[-1].name,
        channels=chosen,
        indices=indices,
        activations=peaks[indices, chosen[:, None]],
        inputs=np.asarray(task.test.inputs[indices]),
        reconstructions=np.concatenate(parts).reshape(*indices.shape, *task.input_shape),
    )


def project(
    layers: Sequence[Layer], params: Params, inputs: Array, channels: Array, hyper: Hyper
) -> Array:
    """The strongest activation of one channel of each example, walked down to the pixels.

    inputs (B, height, width, C), channels (B,) of the last layer -> (B, height, width, C).
    """
    *_, maps = run(layers, params, inputs, None, hyper)
    *_, pixels = walk_down(layers, params, inputs, keep_strongest(maps, channels), hyper)
    return pixels


def keep_strongest(maps: Array, channels: Array) -> Array:
    """All but the largest activation of one channel of each example zeroed; ties: the first.

    maps (B, Y, X, C), channels (B,) -> (B, Y, X, C).
    """
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    chosen = jnp.take_along_axis(flat, channels[:, None, None], axis=2)[:, :, 0]
    is_place = jnp.arange(flat.shape[1])[None] == jnp.argmax(chosen, axis=1)[:, None]
    is_channel = jnp.arange(flat.shape[2])[None] == channels[:, None]
    kept = is_place[:, :, None] & is_channel[:, None, :]
    return jnp.where(kept, flat, 0).reshape(maps.shape)


def walk_down(
    layers: Sequence[Layer], params: Params, inputs: Array, signal: Array, hyper: Hyper
) -> Iterator[Array]:
    """A signal at the outputs of the last layer, as it is below each layer in turn.

    Linear layers are transposed without their biases, pooling puts values back where the maxima
    of ``inputs`` were: both are what their gradients do. An activation rectifies the signal, where
    its gradient would be masked by what was active: that is all that tells a deconvnet from
    back-propagation (Simonyan, Vedaldi and Zisserman 2014, section 4).
    """
    seen = [inputs, *run(layers, params, inputs, None, hyper)]
    for layer, below in zip(reversed(layers), reversed(seen[:-1]), strict=True):
        signal = _below(layer, params.get(layer.name, {}), below, signal, hyper)
        yield signal


def _below(layer: Layer, params: Any, inputs: Array, signal: Array, hyper: Hyper) -> Array:
    if layer.kind == "activation":
        return jax.nn.relu(signal)
    _, transpose = jax.vjp(lambda x: layer.apply(params, x, None, hyper), inputs)
    (signal,) = transpose(signal)
    return signal


def _layers_to(recipe: Recipe, name: str | None) -> tuple[Layer, ...]:
    """The layers up to a feature layer, the last one unless named."""
    names = feature_layers(recipe)
    name = names[-1] if name is None else name
    if name not in names:
        raise UnknownNameError("layer of feature maps", name, names, where="inspect")
    layers = layers_of(recipe.model)
    return layers[: [layer.name for layer in layers].index(name) + 1]


def _check_channels(channels: Sequence[int] | None, n_channels: int) -> np.ndarray:
    chosen = np.arange(n_channels) if channels is None else np.asarray(channels)
    if chosen.dtype.kind != "i" or not ((chosen >= 0) & (chosen < n_channels)).all():
        expected = f"whole numbers from 0 to {n_channels - 1}"
        raise UsageError("out of range", where="channels", expected=expected, found=channels)
    return chosen


# ---- sequences ----


def samples(
    recipe: Recipe, task: Task, params: Params, *, per_group: int = 3
) -> tuple[Sample, ...]:
    """The first test sequences of each group, with what is right and what the network answers.

    Bits are answered 1 above 0. Without groups, the first ``per_group`` sequences of all.
    """
    rows, of_group = _first_of_groups(task, per_group)
    inputs, targets = jax.tree.map(lambda x: x[rows], task.test)

    @jax.jit
    @float32_products()
    def answered(inputs: Array, targets: Any) -> Array:
        outputs = recipe.model.apply(params, task.prepare(inputs), None, recipe.hyper)
        return outputs[..., 0] > 0 if task.answer is None else task.answer(outputs, targets)

    answers = np.asarray(answered(inputs, targets)).astype(int)
    truths = np.asarray(targets.bits if isinstance(targets, Bits) else _class(targets))
    steps = _n_steps(targets, inputs)
    return tuple(
        Sample(
            index=int(row),
            group=of_group[k],
            inputs=inputs[k, : steps[k]],
            truth=truths[k, : steps[k]] if truths.ndim > 1 else truths[k],
            answer=answers[k, : steps[k]] if answers.ndim > 1 else answers[k],
        )
        for k, row in enumerate(rows)
    )


def _first_of_groups(task: Task, per_group: int) -> tuple[np.ndarray, list[int | None]]:
    """The rows of the test set that are shown, and the group of each."""
    if task.groups is None:
        rows = np.arange(min(per_group, task.test.n_examples))
        return rows, [None] * len(rows)
    of = np.asarray(task.groups.of(task.test.targets))
    firsts = [np.flatnonzero(of == g)[:per_group] for g in range(len(task.groups.values))]
    rows = np.concatenate(firsts)
    return rows, [task.groups.values[g] for g in of[rows]]


def _n_steps(targets: Any, inputs: np.ndarray) -> np.ndarray:
    """The steps of each sequence without its padding: (N,)."""
    if isinstance(targets, Bits):
        return np.asarray(targets.length) + 1
    if isinstance(targets, Asked):
        return np.asarray(targets.length)
    return np.full(len(inputs), inputs.shape[1])


# ---- layers and chunks ----


def _layers(recipe: Recipe) -> tuple[Layer, ...]:
    layers = layers_of(recipe.model)
    if not layers:
        raise UsageError(
            "no layers to look into",
            where="inspect",
            expected="a feed-forward network, mlp or lenet5",
            found=recipe.static.get("model", "another model"),
        )
    return layers


def _looked_at(look: Callable[[Split], Any], task: Task) -> Iterator[Any]:
    """``look`` at each chunk of the test set, compiled."""
    compiled = jax.jit(float32_products()(look))
    for begin in range(0, task.test.n_examples, CHUNK):
        yield compiled(jax.tree.map(lambda x, b=begin: x[b : b + CHUNK], task.test))
