"""Feed-forward networks as short tuples of named layers, written for one trial.

A network is the tuple of its layers: training runs through it, inspection stops at each layer and
walks back. On CPUs dense layers and convolutions are native code (``gridscape.kernels``), together
with an activation or pooling behind them. The plain path does the same anywhere: convolution is
slices joined into patches (im2col) and a product, pooling a maximum over the corners of windows.
Batched over trials they stay products and maxima, where lax.conv becomes a grouped convolution,
which is many times slower.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from gridscape.base.limits import Limit
from gridscape.base.parts import Dense, Model
from gridscape.base.parts import hyperparameters as numbers_within
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.errors import ModelError, check_known, check_whole
from gridscape.kernels import feedforward as native
from gridscape.kernels.library import multiplies_bfloat16, serve
from gridscape.kernels.threefry import quick, split
from gridscape.models._widths import WIDTH, Layers, widths
from gridscape.models.precision import current, gradient_rounded, product_of_rounded, rounded

# Draws the kernel of a shape (..., fan_out), and the bias (fan_out,): (key, shape, hyper).
Draw = Callable[[Key, tuple[int, ...], Hyper], tuple[Array, Array]]
# Maps inputs (B, ...) to outputs (B, ...): (params, inputs, key, hyper); key None evaluates.
Apply = Callable[[dict[str, Array], Array, Key | None, Hyper], Array]
# Fused implementations, keyed by the functions of the following layers.
Joined = Mapping[tuple[str, ...], Apply]
Kind = Literal["dense", "conv", "activation", "pool", "flatten", "dropout"]

# Patches of a convolution that are formed at once: what the second cache of a core holds.
PATCH_BYTES = 1_000_000


class Layer(NamedTuple):
    """One layer of a network, as two pure functions.

    ``init(key, hyper)`` returns its parameters, {} where it has none. ``apply`` maps inputs to
    outputs. ``name`` is its own in the network; ``kind`` is what inspection goes by.
    ``function`` says what it does, where others are to know: "dense", "flatten", an activation;
    ``described`` is the ``apply`` of which it says so.
    ``joined`` holds implementations of this layer fused with those behind it, by their
    ``function``.
    """

    name: str
    kind: Kind
    init: Callable[[Key, Hyper], dict[str, Array]]
    apply: Apply
    function: str = ""
    joined: Joined = MappingProxyType({})
    described: Apply | None = None

    @property
    def known(self) -> str:
        """What it does; "" where nobody says, or another ``apply`` has taken the place of that."""
        return self.function if self.described is self.apply else ""


# Declared here, as the source of a model that is given as an object is part of its keys.
LIMITS = {
    "hidden_size": WIDTH,
    "init_scale": Limit(ge=0),
    "init_sd": Limit(ge=0),
    "keep": Limit(gt=0, le=1),
}
hyperparameters = partial(numbers_within, LIMITS)


@hyperparameters(init_scale=1.0)
def mlp(
    input_shape: tuple[int, ...],
    n_outputs: int,
    *,
    hidden_size: int = 32,
    layers: Layers = 1,
    activation: str = "relu",
    output_activation: str = "linear",
    bias: bool = True,
    init: str = "glorot",
) -> Model:
    """A multilayer perceptron over all numbers of an example, whatever its shape.

    hidden_size, layers: so many hidden layers of that width, or ``layers`` lists the widths,
        [64, 32] or "64-32".
    activation, output_activation: relu, tanh, sigmoid, linear or relu_scaled (see there; in a
        hidden layer it is relu); "same" gives the output the activation of the hidden layers.
    init: glorot, U(+-sqrt(6 / (fan_in + fan_out))) (Glorot and Bengio 2010), biases zero; pytorch,
        U(+-1 / sqrt(fan_in)), biases too; normal_fan_in, N(0, 1) / fan_in, biases zero.
    ``init_scale`` multiplies the initial kernels.

    Raises UsageError for a width or a number of layers below 1, UnknownNameError for an unknown
    activation or init. Source of relu_scaled and normal_fan_in: "Neural Learning, Answer
    Set 3", 1.2.

    >>> model = mlp((28, 28, 1), 10, layers="64-32")
    >>> params = model.init(jax.random.key(0), {"init_scale": 1.0})
    >>> {name: layer["kernel"].shape for name, layer in params.items()}
    {'dense1': (784, 64), 'dense2': (64, 32), 'output': (32, 10)}
    """
    last = activation if output_activation == "same" else output_activation
    check_known("activation", activation, ACTIVATIONS, where="activation")
    check_known("output_activation", last, (*ACTIVATIONS, "same"), where="output_activation")
    check_known("init", init, DRAWS, where="init")
    hidden = "relu" if activation == "relu_scaled" else activation
    sizes = [math.prod(input_shape), *widths(hidden_size, layers)]
    stack = [flatten()]
    for n, shape in enumerate(pairwise(sizes), start=1):
        stack += [dense(f"dense{n}", shape, DRAWS[init], bias=bias), activate(hidden, n)]
    stack.append(dense("output", (sizes[-1], n_outputs), DRAWS[init], bias=bias))
    if last != "linear":
        stack.append(activate(last, len(sizes)))
    return feedforward(*stack)


@hyperparameters(keep=0.5, init_sd=0.1, init_bias=0.1)
def lenet5(
    input_shape: tuple[int, ...],
    n_outputs: int,
    *,
    channels1: int = 32,
    channels2: int = 64,
    hidden_size: int = 1024,
    kernel_size: int = 5,
) -> Model:
    """LeNet5 as TensorFlow 1's tutorial has it, after LeCun et al. 1998.

    Two times convolution, ReLU, max-pooling 2 x 2; then a ReLU layer with dropout, and a linear
    one. Convolutions keep the size of the image (zeros around it, stride 1); pooling halves it,
    rounded up. Kernels are drawn from N(0, ``init_sd``^2) cut at 2 sd, biases are ``init_bias``;
    training keeps each hidden unit with probability ``keep`` and divides it by that.

    input_shape: (height, width, channels), height and width from 4. Raises ModelError for another
    shape and UsageError for a width or kernel size below 1. Source: "Assignment 2: LeNet5 on
    CIFAR10, RNNs on MNIST", 1b.

    >>> model = lenet5((28, 28, 1), 10)
    >>> params = model.init(jax.random.key(0), {"init_sd": 0.1, "init_bias": 0.1})
    >>> params["conv2"]["kernel"].shape, params["dense1"]["kernel"].shape
    ((5, 5, 32, 64), (3136, 1024))
    """
    height, width, channels = _image(input_shape)
    options = {"channels1": channels1, "channels2": channels2}
    check_whole(**options, hidden_size=hidden_size, kernel_size=kernel_size)
    window = (kernel_size, kernel_size)
    n_pooled = -(-height // 4) * -(-width // 4) * channels2
    return feedforward(
        conv("conv1", (*window, channels, channels1), draw_truncated),
        activate("relu", 1),
        pool("pool1"),
        conv("conv2", (*window, channels1, channels2), draw_truncated),
        activate("relu", 2),
        pool("pool2"),
        flatten(),
        dense("dense1", (n_pooled, hidden_size), draw_truncated),
        activate("relu", 3),
        dropout("dropout"),
        dense("output", (hidden_size, n_outputs), draw_truncated),
    )


def feedforward(*layers: Layer) -> Model:
    """The model that runs through the layers, which are its field of that name.

    Parameters: {name of the layer: {"kernel": ..., "bias": ...}}.
    """

    def init(key: Key, hyper: Hyper) -> Params:
        keys = split(key, len(layers))
        params = {layer.name: layer.init(k, hyper) for layer, k in zip(layers, keys, strict=True)}
        return {name: of_layer for name, of_layer in params.items() if of_layer}

    def apply(params: Params, inputs: Array, key: Key | None, hyper: Hyper) -> Array:
        *_, outputs = _run(_joined(layers), params, inputs, key, hyper)
        return outputs

    return Model(init, apply, layers=layers, dense=_all_dense(layers, apply))


def _all_dense(layers: Sequence[Layer], apply: Callable[..., Array]) -> Dense | None:
    """What ``apply`` is where the layers are dense ones, each with an activation or none behind."""
    names, activations = list[str](), list[str]()
    is_flat = [layer.known for layer in layers[:1]] == ["flatten"]
    for layer in layers[is_flat:]:  # examples are flat to native code
        if layer.known == "dense" and layer.name not in names:
            names.append(layer.name)
            activations.append("linear")
        elif layer.kind == "activation" and layer.known and activations[-1:] == ["linear"]:
            activations[-1] = layer.known
        else:
            return None
    return Dense(tuple(names), tuple(activations), apply, is_flat) if names else None


def run(
    layers: Sequence[Layer], params: Params, inputs: Array, key: Key | None, hyper: Hyper
) -> Iterator[Array]:
    """The outputs of each layer in turn."""
    steps = ((index, layer.name, layer.apply) for index, layer in enumerate(layers))
    return _run(steps, params, inputs, key, hyper)


def _run(
    steps: Iterable[tuple[int, str, Apply]],
    params: Params,
    inputs: Array,
    key: Key | None,
    hyper: Hyper,
) -> Iterator[Array]:
    for index, name, apply in steps:
        layer_key = None if key is None else jax.random.fold_in(key, index)
        inputs = apply(params.get(name, {}), inputs, layer_key, hyper)
        yield inputs


def _joined(layers: Sequence[Layer]) -> Iterator[tuple[int, str, Apply]]:
    """(index, name, apply) of each layer, skipping layers fused into an earlier one."""
    functions, index = [layer.function for layer in layers], 0
    while index < len(layers):
        layer, count, apply = layers[index], 1, layers[index].apply
        for behind, together in layer.joined.items():
            if tuple(functions[index + 1 : index + 1 + len(behind)]) == behind:
                count, apply = 1 + len(behind), together
        yield index, layer.name, apply
        index += count


# ---- layers ----


def dense(name: str, shape: tuple[int, int], draw: Draw, *, bias: bool = True) -> Layer:
    """A linear layer: (B, fan_in) -> (B, fan_out)."""

    def init(key: Key, hyper: Hyper) -> dict[str, Array]:
        kernel, offset = draw(key, shape, hyper)
        return {"kernel": kernel, "bias": offset} if bias else {"kernel": kernel}

    def apply(activation: str, params: dict[str, Array], inputs: Array, *_: Any) -> Array:
        kernel, offset = params["kernel"], params.get("bias")
        is_native = inputs.shape[1:] == kernel.shape[:1] and serve(*params.values(), inputs)
        if is_native and _rounds():
            return native.dense(inputs, kernel, offset, activation, current() == "bfloat16")
        inputs, kernel = rounded(inputs), rounded(kernel)
        if is_native:
            outputs = native.dense(inputs, kernel, offset)
        else:
            outputs = product_of_rounded(inputs, kernel)
            outputs = outputs if offset is None else outputs + offset[None]
        return ACTIVATIONS[activation](gradient_rounded(outputs))

    joined: Joined = {(function,): partial(apply, function) for function in ("relu", "tanh")}
    linear = partial(apply, "linear")
    return Layer(name, "dense", init, linear, "dense", joined, described=linear)


def conv(name: str, shape: tuple[int, int, int, int], draw: Draw) -> Layer:
    """A convolution that keeps the size of the image; shape: (rows, columns, channels in, out)."""

    def init(key: Key, hyper: Hyper) -> dict[str, Array]:
        kernel, bias = draw(key, shape, hyper)
        return {"kernel": kernel, "bias": bias}

    def apply(pooled: bool, params: dict[str, Array], inputs: Array, *_: Any) -> Array:
        kernel, bias = params["kernel"], params["bias"]
        fits = inputs.ndim == 4 and inputs.shape[3] == kernel.shape[2]
        is_native = fits and serve(*params.values(), inputs)
        if is_native and _rounds():
            return native.conv(inputs, kernel, bias, pooled, current() == "bfloat16")
        inputs, kernel = rounded(inputs), rounded(kernel)
        if is_native:
            return gradient_rounded(native.conv(inputs, kernel, bias, pooled))
        outputs = gradient_rounded(convolve(inputs, kernel) + bias[None, None, None])
        return max_pool(jax.nn.relu(outputs)) if pooled else outputs

    joined: Joined = {("relu", "pool"): partial(apply, True)}
    return Layer(name, "conv", init, partial(apply, False), joined=joined)


def _rounds() -> bool:
    """Whether native layers round operands themselves, as this precision does, if it does."""
    return current() == "float32" or (current() == "bfloat16" and multiplies_bfloat16())


def activate(activation: str, number: int) -> Layer:
    """A function of each number: one of ACTIVATIONS."""
    function = ACTIVATIONS[activation]
    layer = _plain(f"{activation}{number}", "activation", lambda x, key, hyper: function(x))
    return layer._replace(function=activation, described=layer.apply)


def pool(name: str) -> Layer:
    """Max-pooling over windows of 2 x 2: (B, Y, X, C) -> (B, ceil(Y/2), ceil(X/2), C)."""
    return _plain(name, "pool", lambda x, key, hyper: max_pool(x))._replace(function="pool")


def flatten() -> Layer:
    """(B, ...) -> (B, D)."""
    layer = _plain("flatten", "flatten", lambda x, key, hyper: x.reshape(len(x), -1))
    return layer._replace(function="flatten", described=layer.apply)


def dropout(name: str) -> Layer:
    """Keep each number with probability ``keep``, divided by it (Srivastava et al. 2014)."""

    def apply(x: Array, key: Key | None, hyper: Hyper) -> Array:
        if key is None:
            return x
        kept = jax.random.bernoulli(quick(key), hyper["keep"], x.shape)
        return jnp.where(kept, x / hyper["keep"], 0)

    return _plain(name, "dropout", apply)


def _plain(name: str, kind: Kind, function: Callable[[Array, Key | None, Hyper], Array]) -> Layer:
    """A layer without parameters."""
    return Layer(name, kind, lambda key, hyper: {}, lambda params, *rest: function(*rest))


# ---- activations ----


@jax.custom_vjp
def relu_scaled(x: Float[Array, "B *n"]) -> Float[Array, "B *n"]:
    """ReLU whose gradient is passed on as it is, divided by B: study "mlp-digits".

    Its program left the derivative of the output's ReLU out and divided by the batch size twice,
    once here and once in the mean loss. A batch of several microbatches divides by each.
    """
    return jax.nn.relu(x)


def _relu_scaled_backward(_: None, gradient: Array) -> tuple[Array]:
    return (gradient / len(gradient),)


relu_scaled.defvjp(lambda x: (jax.nn.relu(x), None), _relu_scaled_backward)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda x: x,
    "relu_scaled": relu_scaled,
}


# ---- initial weights ----


def draw_glorot(key: Key, shape: tuple[int, ...], hyper: Hyper) -> tuple[Array, Array]:
    """U(+-sqrt(6 / (fan_in + fan_out))), biases zero (Glorot and Bengio 2010)."""
    limit = math.sqrt(6 / (shape[0] + shape[-1])) * hyper["init_scale"]
    kernel = jax.random.uniform(quick(key), shape, minval=-1, maxval=1) * limit
    return kernel, jnp.zeros(shape[-1])


def draw_pytorch(key: Key, shape: tuple[int, ...], hyper: Hyper) -> tuple[Array, Array]:
    """U(+-1 / sqrt(fan_in)), biases too: PyTorch's nn.Linear."""
    kernel_key, bias_key = jax.random.split(quick(key))
    limit = 1 / math.sqrt(shape[0])
    kernel = jax.random.uniform(kernel_key, shape, minval=-limit, maxval=limit)
    bias = jax.random.uniform(bias_key, shape[-1:], minval=-limit, maxval=limit)
    return kernel * hyper["init_scale"], bias


def draw_normal_fan_in(key: Key, shape: tuple[int, ...], hyper: Hyper) -> tuple[Array, Array]:
    """N(0, 1) / fan_in, biases zero: "Neural Learning, Answer Set 3"."""
    kernel = jax.random.normal(quick(key), shape) * (hyper["init_scale"] / shape[0])
    return kernel, jnp.zeros(shape[-1])


def draw_truncated(key: Key, shape: tuple[int, ...], hyper: Hyper) -> tuple[Array, Array]:
    """N(0, init_sd^2) drawn anew beyond 2 sd, as TensorFlow's truncated_normal; bias init_bias."""
    kernel = jax.random.truncated_normal(quick(key), -2, 2, shape) * hyper["init_sd"]
    return kernel, jnp.ones(shape[-1]) * hyper["init_bias"]


DRAWS: dict[str, Draw] = {
    "glorot": draw_glorot,
    "pytorch": draw_pytorch,
    "normal_fan_in": draw_normal_fan_in,
}


# ---- convolution ----


def convolve(
    images: Float[Array, "B Y X C"], kernel: Float[Array, "k l C F"]
) -> Float[Array, "B Y X F"]:
    """Cross-correlation with zeros around the images, stride 1 (SAME of TensorFlow).

    The patches are as large as the images times the window: they are formed for a few images at a
    time, so that they stay in the cache, and once more in the backward pass instead of being kept.
    """
    window = kernel.shape[:2]

    @partial(jax.checkpoint, prevent_cse=False)  # a loop needs no guard against merging
    def product(piece: Array) -> Array:
        rows = kernel.reshape(-1, kernel.shape[-1])
        return product_of_rounded(patches(piece, window), rows)

    n_pieces = _n_pieces(len(images), images.nbytes // len(images) * math.prod(window))
    outputs = lax.map(product, images.reshape(n_pieces, -1, *images.shape[1:]))
    return outputs.reshape(*images.shape[:3], -1)


def _n_pieces(n_images: int, patch_bytes: int) -> int:
    """The fewest equal pieces whose patches fit into PATCH_BYTES; else one for each image."""
    fitting = max(1, PATCH_BYTES // patch_bytes)
    return next(n for n in range(1, n_images + 1) if n_images % n == 0 and n_images // n <= fitting)


def patches(images: Float[Array, "B Y X C"], window: tuple[int, ...]) -> Float[Array, "B Y X P"]:
    """The window around each pixel, zeros outside the image: P = rows x columns x C.

    An even window reaches one pixel further ahead than back.
    """
    around = [((n - 1) // 2, n // 2) for n in window]
    padded = jnp.pad(images, ((0, 0), *around, (0, 0)))
    Y, X = images.shape[1:3]
    # Columns, then rows: a slice for each of both compiles in half the time of one for each pixel.
    rows = jnp.concatenate([padded[:, :, j : j + X] for j in range(window[1])], axis=-1)
    return jnp.concatenate([rows[:, i : i + Y] for i in range(window[0])], axis=-1)


# ---- pooling ----


def max_pool(images: Float[Array, "B Y X C"]) -> Float[Array, "B Y2 X2 C"]:
    """The maximum of each window of 2 x 2, stride 2; an odd edge is a window of its own (SAME).

    The gradient goes to the maximum; of equal ones to the first, by rows, as in PyTorch.
    """
    Y, X = images.shape[1:3]
    even = ((0, 0), (0, Y % 2), (0, X % 2), (0, 0))
    return _pool_even(jnp.pad(images, even, constant_values=-jnp.inf))


@jax.custom_vjp
def _pool_even(images: Array) -> Array:
    return _windows(images).max((2, 4))


def _pool_forward(images: Array) -> tuple[Array, Array]:
    pooled, switches = pool_with_switches(images)
    return pooled, switches


def _pool_backward(switches: Array, gradient: Array) -> tuple[Array]:
    return (unpool(gradient, switches),)


_pool_even.defvjp(_pool_forward, _pool_backward)


def pool_with_switches(
    images: Float[Array, "B Y X C"],
) -> tuple[Float[Array, "B Y//2 X//2 C"], Int[Array, "B Y//2 X//2 C"]]:
    """The maximum of each window, and which of its pixels it is: 0, 1, 2, 3 by rows.

    Y and X are even.
    """
    windows = _windows(images)
    a, b, c = windows[:, :, 0, :, 0], windows[:, :, 0, :, 1], windows[:, :, 1, :, 0]
    top = windows.max((2, 4))
    switches = jnp.where(a == top, 0, jnp.where(b == top, 1, jnp.where(c == top, 2, 3)))
    return top, switches.astype(jnp.int8)


def unpool(
    values: Float[Array, "B Y X C"], switches: Int[Array, "B Y X C"]
) -> Float[Array, "B 2*Y 2*X C"]:
    """Each value at the pixel of its window that the switch names, zeros elsewhere.

    The gradient of max-pooling, and the way down of a deconvnet (Zeiler and Fergus 2014).
    """
    B, Y, X, C = values.shape
    pixels = jnp.arange(4, dtype=switches.dtype).reshape(1, 1, 2, 1, 2, 1)
    placed = switches[:, :, None, :, None] == pixels
    return jnp.where(placed, values[:, :, None, :, None], 0).reshape(B, 2 * Y, 2 * X, C)


def _windows(images: Float[Array, "B Y X C"]) -> Float[Array, "B Y//2 2 X//2 2 C"]:
    B, Y, X, C = images.shape
    return images.reshape(B, Y // 2, 2, X // 2, 2, C)


# ---- what may be asked for ----


def _image(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels; raises ModelError for what is no image, or too small a one."""
    if len(input_shape) != 3:
        raise ModelError(
            "LeNet5 reads images",
            expected="(height, width, channels)",
            found=input_shape,
            hint="choose a task of images, such as digits-image or mnist-image",
        )
    if min(input_shape[:2]) < 4:
        raise ModelError(
            "images too small to be pooled twice", expected="4 x 4 or larger", found=input_shape
        )
    return input_shape
