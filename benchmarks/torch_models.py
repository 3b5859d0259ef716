"""The models of the named studies in PyTorch, each as one would write it to be fast on a CPU."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from harness import Work
from torch import Tensor, nn

from gridscape.study import Study

Batch = tuple[Tensor, Any]
Loss = Callable[[nn.Module, Any], Tensor]


def loop(study: str, cell: dict[str, Any], n_threads: int, data_dir: str | None) -> Work:
    """One network after the other: a unit is one update."""
    torch.set_num_threads(n_threads)
    network, optimizer, loss, batches = CASES[study](Study.load(study), cell, data_dir)

    def run(count: int) -> int:
        for _ in range(count):
            optimizer.zero_grad()
            loss(network, next(batches)).backward()
            optimizer.step()
        return count

    run(3)
    return Work(run, {})


# ---- sequences ----


class Tagger(nn.Module):
    """An LSTM with a linear output at the steps that are asked for."""

    def __init__(self, n_features: int, width: int, n_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_features, width, batch_first=True)
        self.output = nn.Linear(width, n_outputs)


def recall(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study recall: sequences of one length a batch, so that no step is padding."""
    n_symbols, shortest, longest, position = 9, 3, 9, cell["position"]
    network = Tagger(n_symbols, cell["hidden_size"], n_symbols)
    symbols = torch.eye(n_symbols)

    def batches() -> Iterator[Batch]:
        while True:
            length = int(torch.randint(shortest, longest + 1, ()))
            items = torch.randint(n_symbols, (study.batch_size, length))
            yield symbols[items], items[:, position - 1]

    def loss(network: Any, batch: Batch) -> Tensor:
        _, (h, _) = network.lstm(batch[0])
        return nn.functional.cross_entropy(network.output(h[0]), batch[1])

    return network, torch.optim.Adam(network.parameters(), 0.01, fused=True), loss, batches()


def binary_addition(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study binary-addition with the operands of the report and the squared error."""
    network, length = Tagger(2, cell["hidden_size"], 1), cell["train_length"]
    places = 2 ** torch.arange(length + 1)

    def bits(numbers: Tensor) -> Tensor:
        return (numbers[:, None] // places % 2).float()

    def batches() -> Iterator[Batch]:
        while True:
            total = torch.randint(2**length, (study.batch_size,))
            first = (torch.rand(study.batch_size) * (total + 1)).long()
            yield torch.stack([bits(first), bits(total - first)], dim=-1), bits(total)

    def loss(network: Any, batch: Batch) -> Tensor:
        hidden, _ = network.lstm(batch[0])
        return nn.functional.mse_loss(torch.sigmoid(network.output(hidden)[..., 0]), batch[1])

    return network, torch.optim.Adam(network.parameters(), 0.01, fused=True), loss, batches()


# ---- images ----


def mlp_digits(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study mlp-digits: two linear layers without biases, tanh on both, squared error."""
    width = cell["hidden_size"]
    inputs, targets = _examples(study, data_dir)
    one_hot = torch.eye(10)[targets]
    layers = nn.Linear(784, width, bias=False), nn.Linear(width, 10, bias=False)
    network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh())

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        return ((network(batch[0]) - batch[1]) ** 2).sum(dim=1).mean()

    optimizer = torch.optim.SGD(network.parameters(), cell["learning_rate"], fused=True)
    return network, optimizer, loss, _indexed(inputs, one_hot, study.batch_size)


def lenet_optimizers(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study lenet-optimizers, its Adam cell."""
    inputs, targets = _examples(study, data_dir)
    network = nn.Sequential(
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
    optimizer = torch.optim.Adam(network.parameters(), cell["learning_rate"], fused=True)
    batches = _indexed(inputs.movedim(-1, 1).contiguous(), targets, study.batch_size)
    return network, optimizer, _classify, batches


class Reader(nn.Module):
    """Recurrent layers over the rows of an image, their last states -> linear."""

    def __init__(self, cell: str, widths: list[int], directions: int) -> None:
        super().__init__()
        layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        both, width = directions == 2, widths[0]
        self.layers = layer(28, width, len(widths), batch_first=True, bidirectional=both)
        self.output = nn.Linear(width * directions, 10)
        self.directions = directions

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, D) -> (B, C)."""
        _, state = self.layers(inputs)
        last = state[0] if isinstance(state, tuple) else state
        return self.output(torch.cat(list(last[-self.directions :]), dim=1))


def cell_types(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study cell-types: one layer, RMSProp."""
    inputs, targets = _examples(study, data_dir)
    network = Reader(cell["cell"], [cell["hidden_size"]], 1)
    optimizer = torch.optim.RMSprop(network.parameters(), 1e-3, alpha=0.9, foreach=True)
    return network, optimizer, _classify, _indexed(inputs, targets, study.batch_size)


def recurrent_mnist(study: Study, cell: dict[str, Any], data_dir: str | None) -> Any:
    """Study recurrent-mnist: layers of equal width, one or both directions, Adam."""
    inputs, targets = _examples(study, data_dir)
    widths = [int(width) for width in cell["layers"].split("-")]
    network = Reader(cell["cell"], widths, cell["directions"])
    optimizer = torch.optim.Adam(network.parameters(), cell["learning_rate"], fused=True)
    return network, optimizer, _classify, _indexed(inputs, targets, study.batch_size)


def _classify(network: nn.Module, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(network(batch[0]), batch[1])


def _examples(study: Study, data_dir: str | None) -> tuple[Tensor, Tensor]:
    """The training inputs as the model reads them, in memory, and their classes."""
    task = study.resolve(data_dir).task
    inputs = torch.tensor(task.train_examples.inputs).float() / 255
    return inputs, torch.tensor(task.train_examples.targets).long()


def _indexed(inputs: Tensor, targets: Tensor, batch_size: int) -> Iterator[Batch]:
    """Batches cut from tensors in memory, a new permutation each epoch, whole batches only."""
    while True:
        for chosen in torch.randperm(len(inputs)).split(batch_size):
            if len(chosen) == batch_size:
                yield inputs[chosen], targets[chosen]


CASES = {
    "recall": recall,
    "binary-addition": binary_addition,
    "mlp-digits": mlp_digits,
    "lenet-optimizers": lenet_optimizers,
    "cell-types": cell_types,
    "recurrent-mnist": recurrent_mnist,
}
