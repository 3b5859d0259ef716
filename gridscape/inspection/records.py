"""What is found in a network: frozen records of numbers."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Stage = Literal["before", "after", "pooled"]  # of a layer's activations: its function, pooling


@dataclass(frozen=True, eq=False)
class Example:
    """A test example and what the network says of it.

    index: in the test set. truth, answer: classes. probability: of the answer, in [0, 1]; None
    where the loss is no negative log probability. loss: of the example. inputs: as stored;
    where sequences have different lengths (is_sequence), without padding, (T, ...). names: of the
    two classes, their numbers where they have none.
    """

    index: int
    truth: int
    answer: int
    probability: float | None
    loss: float
    inputs: np.ndarray
    names: tuple[str, str] = ("", "")
    is_sequence: bool = False

    def __post_init__(self) -> None:
        if self.names == ("", ""):
            object.__setattr__(self, "names", (str(self.truth), str(self.answer)))


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
    """counts: test examples by truth (rows) and answer (columns), (C, C).

    classes: their names, their numbers where they have none.
    """

    counts: np.ndarray
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", tuple(map(str, range(len(self.counts)))))

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
    (T, ...) as stored, without padding. truth, answer: one number, (), or one a step, (T,), or
    the name of its class. of_bits: whether each feature of the inputs, the truth and the answer are
    the bits of a whole number, least significant first.
    """

    index: int
    group: int | None
    inputs: np.ndarray
    truth: np.ndarray
    answer: np.ndarray
    of_bits: bool = False

    @property
    def is_right(self) -> bool:
        """Whether all of the answer is right."""
        return bool(np.array_equal(self.truth, self.answer))
