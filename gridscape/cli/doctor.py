"""Is this machine fit for Gridscape? Versions, devices, speed, and a numeric self-check.

The self-check compares compiled programs with NumPy in float64. There is reason to: JAX 0.10.2
returned wrong numbers for a common product, without an error (jax issue 39103).
"""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gridscape import kernels
from gridscape.base.metrics import cross_entropy
from gridscape.base.types import Array
from gridscape.engine.kept import program_folder
from gridscape.engine.machine import Machine
from gridscape.execution.memory import free_memory_bytes
from gridscape.identity.version import __version__, version_of
from gridscape.kernels.cores import cores, n_cores, require_addresses
from gridscape.models.precision import float32_products
from gridscape.models.recurrent import lstm_layer
from gridscape.tasks.fetch import search_folders

PACKAGES = ("jax", "jaxlib", "numpy", "optax", "xarray", "pandas", "typer", "rich", "safetensors")
EXTRAS = {"matplotlib": "report", "pyarrow": "parquet", "equinox": "equinox", "torch": "torch"}
LAYERS = ("recurrent", "dense", "convolution", "optimizer")
BAD_JAX = {
    "0.10.2": "returns wrong values for some batched products on CPU (jax issue 39103)",
    "0.11.1": "copies whole buffers at small updates inside loops (jax issue 40101)",
}
PRODUCT_ON_CPU, PRODUCT_ON_GPU = 1024, 8192  # rows of the large product that is timed
# float32 has a relative precision of 6e-8; sums of a few hundred terms lose a digit or two.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class SelfCheck:
    """One compiled program against NumPy in float64.

    error: the largest absolute difference, as a fraction of the largest expected number.
    """

    name: str
    error: float
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the numbers are right; not, where one of them is not finite."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Health:
    """What ``examine`` found.

    versions: by package, None where it is not installed. memory_bytes: free for programs.
    flops_per_second: of a large matrix product on all devices. kernels: what computes each kind
    of layer, and the optimizer's step. bfloat16: what multiplies in layers of this precision.
    advice: what to change, in words; empty where all is well.
    cores_by: what allows no more cores: machine, affinity, control group or GRIDSCAPE_CORES.
    """

    versions: Mapping[str, str | None]
    devices: tuple[str, ...]
    n_cores: int
    memory_bytes: int
    flops_per_second: float
    kernels: Mapping[str, str]
    bfloat16: str
    data_folders: tuple[Path, ...]
    program_cache: Path | None
    checks: tuple[SelfCheck, ...]
    advice: tuple[str, ...]
    cores_by: str = "machine"

    @property
    def passed(self) -> bool:
        """Whether every self-check passed."""
        return all(check.passed for check in self.checks)


def examine(data_dir: str | Path | None = None) -> Health:
    """Looks at this machine; takes a few seconds."""
    require_addresses()
    machine = Machine.local()
    versions = {"python": platform.python_version(), "gridscape": __version__}
    installed = {name: version_of(name) for name in (*PACKAGES, *EXTRAS)}
    checks = self_check()
    return Health(
        versions=versions | installed,
        devices=tuple(f"{device.device_kind} {device.id}" for device in machine.devices),
        n_cores=n_cores(),
        cores_by=cores().said_by,
        memory_bytes=free_memory_bytes(machine),
        flops_per_second=product_speed(machine),
        kernels=dict.fromkeys(LAYERS, _computed_by()),
        bfloat16=_bfloat16_by(),
        data_folders=tuple(search_folders(data_dir)),
        program_cache=program_folder(),
        checks=checks,
        advice=tuple(_advice(installed, checks)),
    )


def _computed_by() -> str:
    """Native code and its instruction set, or XLA alone."""
    is_native = jax.default_backend() == "cpu" and kernels.available()
    return f"native ({kernels.target()})" if is_native else "XLA"


def _bfloat16_by() -> str:
    """Instructions of its own, which are faster, or those of float32."""
    if jax.default_backend() != "cpu":
        return "XLA"
    has_own = kernels.multiplies_bfloat16()
    return "AVX512_BF16" if has_own else "float32 instructions, slower"


def _advice(installed: Mapping[str, str | None], checks: tuple[SelfCheck, ...]) -> list[str]:
    """What to change, most important first."""
    wrong = [check.name for check in checks if not check.passed]
    advice = [f"wrong numbers in: {', '.join(wrong)}; install another version of jax"] * bool(wrong)
    jax_version = installed["jax"]
    if jax_version in BAD_JAX:
        advice.append(f"jax {jax_version} {BAD_JAX[jax_version]}; install another version")
    if kernels.trouble() and jax.default_backend() == "cpu":
        advice.append(f"slower without native kernels: {kernels.trouble()}")
    lacking = dict.fromkeys(extra for name, extra in EXTRAS.items() if installed[name] is None)
    advice += [f"for the extra {extra}: pip install 'gridscape[{extra}]'" for extra in lacking]
    return advice


# ---- speed ------------------------------------------------------------------------------------


@float32_products()
def product_speed(machine: Machine, seconds: float = 0.2, n: int | None = None) -> float:
    """Floating-point operations per second of an (n, n) float32 product on every device at once.

    n: by default as many as keep a device busy.

    The best of as many as fit into ``seconds``, since other programs only ever slow one down.
    """
    n = n or (PRODUCT_ON_CPU if machine.devices[0].platform == "cpu" else PRODUCT_ON_GPU)
    square = jnp.ones((n, n), jnp.float32)
    operands = [jax.device_put(square, device) for device in machine.devices]
    product = jax.jit(jnp.matmul)

    def once() -> float:
        begin = time.perf_counter()
        jax.block_until_ready([product(x, x) for x in operands])
        return time.perf_counter() - begin

    once()  # compiles
    fastest, deadline = once(), time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        fastest = min(fastest, once())
    return len(operands) * 2 * n**3 / fastest


# ---- numbers ----------------------------------------------------------------------------------


@float32_products()
def self_check(seed: int = 0) -> tuple[SelfCheck, ...]:
    """The compiled programs that training rests on, each against NumPy in float64."""
    rng = np.random.default_rng(seed)
    return (
        _check("matrix product", jnp.matmul, np.matmul, rng, (100, 256), (256, 512)),
        _check("batched matrix product", jnp.matmul, np.matmul, rng, (18, 100, 44), (18, 44, 64)),
        *(
            _check(
                f"{n:,} matrix-vector products, squared and summed",
                _square_sums,
                lambda m, x: ((x @ m.T) ** 2).sum(axis=-1),
                rng,
                (size, size),
                (n, size),
            )
            # JAX 0.10.2 went wrong at the first of these sizes, and only there.
            for n, size in ((32_769, 3), (60_000, 28))
        ),
        _check_cross_entropy(rng),
        *_check_lstm(rng, "LSTM", 16),
        *_check_lstm(rng, "LSTM of few units", 5),
    )


def _check(
    name: str,
    compiled: Callable[..., Array],
    reference: Callable[..., np.ndarray],
    rng: np.random.Generator,
    *shapes: tuple[int, ...],
) -> SelfCheck:
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    expected = reference(*(x.astype(np.float64) for x in arrays))
    return SelfCheck(name, _error(jax.jit(compiled)(*arrays), expected))


def _error(found: Array, expected: np.ndarray) -> float:
    difference = np.abs(np.asarray(found, np.float64) - expected)
    return float(difference.max() / np.abs(expected).max())


def _square_sums(matrix: Array, vectors: Array) -> Array:
    return jax.vmap(lambda vector: jnp.sum((matrix @ vector) ** 2))(vectors)


def _check_cross_entropy(rng: np.random.Generator) -> SelfCheck:
    """Also with logits that overflow where the largest is not subtracted first."""
    outputs = (rng.standard_normal((500, 10)) * np.geomspace(1, 1000, 500)[:, None]).astype("f4")
    targets = rng.integers(10, size=500)
    top = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
    expected = np.log(np.exp(top).sum(axis=1)) - top[np.arange(500), targets]
    found = jax.jit(cross_entropy)(outputs, targets)
    return SelfCheck("softmax cross-entropy", _error(found, expected))


def _check_lstm(rng: np.random.Generator, name: str, n_hidden: int) -> tuple[SelfCheck, SelfCheck]:
    """The layer's last state, and its gradient along a random direction of the kernel.

    The reference of the gradient is a central difference in float64, good to nine digits.
    """
    n_steps, n_batch, n_features = 8, 20, 8
    shape = (n_features + n_hidden, 4 * n_hidden)
    kernel, direction = rng.uniform(-0.4, 0.4, (2, *shape)).astype("f4")
    bias = rng.uniform(-0.5, 0.5, 4 * n_hidden).astype("f4")
    inputs = rng.random((n_steps, n_batch, n_features)).astype("f4")
    weights = rng.standard_normal((n_batch, n_hidden)).astype("f4")

    def last_state(kernel: Array) -> Array:
        return lstm_layer(kernel, jnp.asarray(bias), jnp.asarray(inputs))

    def loss(kernel: Array) -> Array:
        return jnp.sum(last_state(kernel) * weights)

    def reference(step: float) -> np.ndarray:
        moved = kernel.astype(np.float64) + step * direction.astype(np.float64)
        return _numpy_lstm(moved, bias.astype(np.float64), inputs.astype(np.float64))

    epsilon = 1e-5
    slope = ((reference(epsilon) - reference(-epsilon)) * weights).sum() / (2 * epsilon)
    gradient = np.asarray(jax.jit(jax.grad(loss))(kernel), np.float64)
    along = (gradient * direction).sum()
    return (
        SelfCheck(name, _error(jax.jit(last_state)(kernel), reference(0.0))),
        SelfCheck(f"{name}, gradient", float(abs((along - slope) / slope))),
    )


def _numpy_lstm(kernel: np.ndarray, bias: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """The last state (B, H) of an LSTM layer that starts from zeros; inputs (T, B, D)."""
    h = c = np.zeros((inputs.shape[1], len(bias) // 4))
    for x in inputs:
        i, j, f, o = np.split(np.concatenate([x, h], axis=1) @ kernel + bias, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(j)
        h = _sigmoid(o) * np.tanh(c)
    return h


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))
