"""The models of the named studies in PyTorch, each as one would write it to be fast on a CPU.

Nothing here knows Gridscape: settings are plain values, examples are tensors, inputs first.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

EVALUATION_BATCH = 1_000
DRAWN_AT_ONCE = 100  # batches: random numbers cost far less in large numbers

Examples = tuple[Tensor, ...]  # inputs (N, ...), then what the targets consist of, each (N, ...)
Settings = Mapping[str, Any]


class Training(NamedTuple):
    """One network, and all that it takes to train it.

    loss(network, batch): of a batch of ``batches``. scores(network, examples): sums of the losses
    and of the right answers.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Iterator[Examples]
    loss: Callable[[Any, Examples], Tensor]
    scores: Callable[[Any, Examples], tuple[Tensor, Tensor]]

    def update(self) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad()
        self.loss(self.network, next(self.batches)).backward()
        self.optimizer.step()

    @torch.inference_mode()
    def evaluate(self, examples: Examples) -> tuple[float, float]:
        """Mean loss and accuracy."""
        self.network.eval()
        batches = zip(*(part.split(EVALUATION_BATCH) for part in examples), strict=True)
        sums = [torch.stack(self.scores(self.network, batch)) for batch in batches]
        self.network.train()
        loss, accuracy = (torch.stack(sums).sum(dim=0) / len(examples[0])).tolist()
        return loss, accuracy


def training(study: str, settings: Settings, train: Examples) -> Training:
    """A network of a named study; ``train`` is () where its examples are drawn."""
    return MODELS[study](settings, train)


def tensors(arrays: Iterable[np.ndarray]) -> Examples:
    """Examples as tensors, whole numbers as int64."""
    found = (torch.from_numpy(array) for array in arrays)
    return tuple(x if x.is_floating_point() else x.long() for x in found)


# ---- sequences ----


class Tagger(nn.Module):
    """An LSTM with a linear output at the steps that are asked for."""

    def __init__(self, n_features: int, width: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_features, width, batch_first=True)
        self.output = nn.Linear(width, n_outputs)


def recall(settings: Settings, train: Examples) -> Training:
    """Study recall: training batches of one length each, so that no step is padding."""
    n_symbols, shortest, longest, position = 9, 3, 9, settings["position"]
    network = Tagger(n_symbols, settings["hidden_size"], n_symbols)
    symbols = torch.eye(n_symbols)

    def batches() -> Iterator[Examples]:
        while True:
            lengths = torch.randint(shortest, longest + 1, (DRAWN_AT_ONCE,)).tolist()
            items = torch.randint(n_symbols, (DRAWN_AT_ONCE, settings["batch_size"], longest))
            for length, inputs, asked in zip(
                lengths, symbols[items], items[..., position - 1], strict=True
            ):
                yield inputs[:, :length], asked

    def loss(network: Tagger, batch: Examples) -> Tensor:
        _, (h, _) = network.lstm(batch[0])
        return functional.cross_entropy(network.output(h[0]), batch[1])

    def scores(network: Tagger, examples: Examples) -> tuple[Tensor, Tensor]:
        inputs, items, lengths = examples
        states, _ = network.lstm(inputs)
        return _class_scores(network.output(states[torch.arange(len(items)), lengths - 1]), items)

    return Training(network, _optimizer(network, settings), batches(), loss, scores)


def binary_addition(settings: Settings, train: Examples) -> Training:
    """Study binary-addition: all numbers of a training batch have the same bits."""
    network, length = Tagger(2, settings["hidden_size"], 1), settings["train_length"]
    operands, loss_of = OPERANDS[settings["operands"]], BIT_LOSSES[settings["loss"]]
    places = 2 ** torch.arange(length + 1)

    def bits(numbers: Tensor) -> Tensor:
        return (numbers[:, None] // places % 2).float()

    def batches() -> Iterator[Examples]:
        while True:
            first, second = operands(2**length, DRAWN_AT_ONCE * settings["batch_size"])
            examples = torch.stack([bits(first), bits(second)], dim=-1), bits(first + second)
            yield from zip(*(part.split(settings["batch_size"]) for part in examples), strict=True)

    def outputs(network: Tagger, inputs: Tensor) -> Tensor:
        return network.output(network.lstm(inputs)[0])[..., 0]

    def loss(network: Tagger, batch: Examples) -> Tensor:
        return loss_of(outputs(network, batch[0]), batch[1], None)

    def scores(network: Tagger, examples: Examples) -> tuple[Tensor, Tensor]:
        inputs, target, lengths = examples
        found, counted = outputs(network, inputs), torch.arange(inputs.shape[1]) <= lengths[:, None]
        right = ((found > 0) == (target == 1)) | ~counted
        return loss_of(found, target.float(), counted), right.all(dim=1).sum()

    return Training(network, _optimizer(network, settings), batches(), loss, scores)


def _report_operands(limit: int, count: int) -> tuple[Tensor, Tensor]:
    total = torch.randint(limit, (count,))
    first = (torch.rand(count) * (total + 1)).long()
    return first, total - first


def _uniform_operands(limit: int, count: int) -> tuple[Tensor, Tensor]:
    return torch.randint(limit, (count,)), torch.randint(limit, (count,))


OPERANDS = {"report": _report_operands, "uniform": _uniform_operands}


def _of_steps(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The mean over all steps; with ``counted`` the sum over examples of the mean over those."""

    def of_bits(outputs: Tensor, bits: Tensor, counted: Tensor | None) -> Tensor:
        if counted is None:
            return loss(outputs, bits)
        each = loss(outputs, bits, reduction="none") * counted
        return (each.sum(dim=1) / counted.sum(dim=1)).sum()

    return of_bits


def _mse(outputs: Tensor, bits: Tensor, reduction: str = "mean") -> Tensor:
    return functional.mse_loss(torch.sigmoid(outputs), bits, reduction=reduction)


def _time_softmax(outputs: Tensor, bits: Tensor, counted: Tensor | None) -> Tensor:
    """As Gridscape's: the steps compete, and the lowest bit that is set should win."""
    logits = torch.sigmoid(outputs)
    if counted is None:
        return functional.cross_entropy(logits, bits.argmax(dim=1))
    logits = logits.masked_fill(~counted, -torch.inf)
    return functional.cross_entropy(logits, bits.argmax(dim=1), reduction="sum")


BIT_LOSSES = {
    "mse": _of_steps(_mse),
    "mse_raw": _of_steps(functional.mse_loss),
    "bce": _of_steps(functional.binary_cross_entropy_with_logits),
    "time_softmax": _time_softmax,
}


# ---- images ----


class ReluScaled(torch.autograd.Function):
    """ReLU whose gradient is passed on as it is, divided by the batch: study mlp-digits."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        """max(inputs, 0)."""
        return inputs.relu()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient, divided."""
        return gradient / len(gradient)


class Perceptron(nn.Module):
    """Two linear layers without biases, each followed by its activation."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, width, bias=False)
        self.output = nn.Linear(width, 10, bias=False)
        self.inner, self.outer = {
            "tanh": (torch.tanh, torch.tanh),
            "relu_scaled": (torch.relu, ReluScaled.apply),
        }[activation]

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, D) -> (B, C)."""
        return self.outer(self.output(self.inner(self.hidden(inputs))))


def mlp_digits(settings: Settings, train: Examples) -> Training:
    """Study mlp-digits: the squared error of one-hot targets, summed over classes."""
    inputs, classes = train
    network = Perceptron(settings["hidden_size"], settings["activation"])

    def loss(network: Perceptron, batch: Examples) -> Tensor:
        return functional.mse_loss(network(batch[0]), batch[1], reduction="sum") / len(batch[0])

    def scores(network: Perceptron, examples: Examples) -> tuple[Tensor, Tensor]:
        inputs, classes = examples
        outputs = network(inputs)
        error = functional.mse_loss(
            outputs, functional.one_hot(classes, 10).float(), reduction="sum"
        )
        return error, (outputs.argmax(dim=1) == classes).sum()

    batches = _permuted((inputs, functional.one_hot(classes, 10).float()), settings["batch_size"])
    return Training(network, _optimizer(network, settings), batches, loss, scores)


class LeNet5(nn.Sequential):
    """LeNet5 of 28 x 28 gray images, given with their channels last."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 1024),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(1024, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, 28, 28, 1) -> (B, C); with one channel the two layouts are the same numbers."""
        return super().forward(images.view(-1, 1, 28, 28))


def lenet_optimizers(settings: Settings, train: Examples) -> Training:
    """Study lenet-optimizers: each batch is drawn anew from all images."""
    network = LeNet5()
    batches = _drawn(train, settings["batch_size"])
    return Training(network, _optimizer(network, settings), batches, _classify, _count)


class Reader(nn.Module):
    """Recurrent layers over the rows of an image, their last states -> linear."""

    def __init__(
        self, cell: str, widths: Sequence[int], directions: int = 1, n_features: int = 28
    ) -> None:
        super().__init__()
        layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.layers = layer(
            n_features, widths[0], len(widths), batch_first=True, bidirectional=directions == 2
        )
        self.output = nn.Linear(widths[0] * directions, 10)
        self.directions = directions

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, D) -> (B, C)."""
        _, state = self.layers(inputs)
        last = state[0] if isinstance(state, tuple) else state
        return self.output(last[-1] if self.directions == 1 else torch.cat((last[-2], last[-1]), 1))


def reader(settings: Settings, train: Examples) -> Training:
    """The studies of recurrent layers on rows of images; layers of equal width."""
    layers = str(settings.get("layers", settings.get("hidden_size")))
    network = Reader(
        settings.get("cell", "lstm"),
        [int(width) for width in layers.split("-")],
        settings.get("directions", 1),
        train[0].shape[-1],
    )
    batches = _permuted(train, settings["batch_size"])
    return Training(network, _optimizer(network, settings), batches, _classify, _count)


def _classify(network: nn.Module, batch: Examples) -> Tensor:
    return functional.cross_entropy(network(batch[0]), batch[1])


def _count(network: nn.Module, examples: Examples) -> tuple[Tensor, Tensor]:
    return _class_scores(network(examples[0]), examples[1])


def _class_scores(outputs: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    loss = functional.cross_entropy(outputs, classes, reduction="sum")
    return loss, (outputs.argmax(dim=1) == classes).sum()


# ---- what they share ----


def _optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The rule of the study in its fastest form on a CPU."""
    return OPTIMIZERS[settings["optimizer"]](network.parameters(), settings["learning_rate"])


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda params, rate: torch.optim.Adam(params, rate, fused=True),
    "sgd": lambda params, rate: torch.optim.SGD(params, rate, fused=True),
    "adagrad": lambda params, rate: torch.optim.Adagrad(
        params, rate, initial_accumulator_value=0.1, eps=0, fused=True
    ),
    "rmsprop": lambda params, rate: torch.optim.RMSprop(params, rate, alpha=0.9, foreach=True),
}


def _permuted(examples: Examples, batch_size: int) -> Iterator[Examples]:
    """Batches cut from tensors in memory, a new permutation each epoch, whole batches only."""
    while True:
        for chosen in torch.randperm(len(examples[0])).split(batch_size):
            if len(chosen) == batch_size:
                yield tuple(part[chosen] for part in examples)


def _drawn(examples: Examples, batch_size: int) -> Iterator[Examples]:
    """Batches drawn from all examples, with replacement, which is the cheapest."""
    while True:
        chosen = torch.randint(len(examples[0]), (batch_size,))
        yield tuple(part[chosen] for part in examples)


MODELS: dict[str, Callable[[Settings, Examples], Training]] = {
    "quickstart": reader,
    "lstm-width-lr": reader,
    "recurrent-mnist": reader,
    "cell-types": reader,
    "recall": recall,
    "binary-addition": binary_addition,
    "mlp-digits": mlp_digits,
    "lenet-optimizers": lenet_optimizers,
}
