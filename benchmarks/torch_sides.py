"""The same training in PyTorch: a loop over networks, as fast as its own layers make it.

nn.LSTM has two bias vectors where Gridscape's default has one, and PyTorch's own initial weights;
neither matters to the time. Adam is the fused one, which is the fastest on a CPU.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from harness import Work
from study_data import examples_of, settings_of
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_models import Reader, tensors, training

from gridscape.grid.axes import Cell
from gridscape.study.study import Study
from gridscape.tasks.images import mnist_rows

BATCH_SIZE = 100

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def loop_of(
    name: str,
    cell: Mapping[str, Any],
    batch_size: int | None,
    n_threads: int,
    data_dir: str | None,
) -> Work:
    """One network of a named study: a unit is one update."""
    torch.set_num_threads(n_threads)
    axes = {axis: [value] for axis, value in cell.items()}
    resolved = Study.load(name).override(axes, batch_size=batch_size).resolve(data_dir)
    train = tensors(examples_of(resolved.task)["train"])
    network = training(name, settings_of(resolved, Cell.of(**cell)), train)

    def run(count: int) -> int:
        for _ in range(count):
            network.update()
        return count

    run(3)
    return Work(run, {})


def loop(
    width: int, rates: Sequence[float], n_threads: int, loader: bool, data_dir: str | None
) -> Work:
    """One network a learning rate, trained one after the other."""
    torch.set_num_threads(n_threads)
    inputs, targets = _tensors(data_dir)
    batches = _loaded(inputs, targets) if loader else _indexed(inputs, targets)
    return _trained([_network(width, rate) for rate in rates], batches)


def loop_on(
    device: str, width: int, rates: Sequence[float], tf32: bool, data_dir: str | None
) -> Work:
    """The same with data and networks on a device, a GPU say, where the LSTM is cuDNN's.

    tf32: whether products may round their operands to 10 bits, as tensor cores do.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    inputs, targets = (tensor.to(device) for tensor in _tensors(data_dir))
    networks = [_network(width, rate, device) for rate in rates]
    return _trained(networks, _indexed(inputs, targets))


def _trained(networks: Sequence[tuple[Any, Any]], batches: Batches) -> Work:
    """So many updates, spread over the networks, one after the other."""

    def run(count: int) -> int:
        each = max(1, count // len(networks))
        for network, optimizer in networks:
            for _ in range(each):
                _update(network, optimizer, *next(batches))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return each * len(networks)

    run(len(networks))
    return Work(run, {})


def _tensors(data_dir: str | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images as float32 fractions (N, T, D), and their labels."""
    train = mnist_rows(data_dir=data_dir).train
    return torch.tensor(train.inputs).float() / 255, torch.tensor(train.targets).long()


def _network(
    width: int, rate: float, device: str = "cpu"
) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = Reader("lstm", [width]).to(device)
    return network, torch.optim.Adam(network.parameters(), rate, fused=True)


def _update(network: Any, optimizer: Any, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(inputs), targets).backward()
    optimizer.step()


def _indexed(inputs: torch.Tensor, targets: torch.Tensor) -> Batches:
    """Batches cut from preloaded tensors, a new permutation each epoch."""
    while True:
        for chosen in torch.randperm(len(targets), device=targets.device).split(BATCH_SIZE):
            yield inputs[chosen], targets[chosen]


def _loaded(inputs: torch.Tensor, targets: torch.Tensor) -> Batches:
    """Batches from a DataLoader in this process (num_workers=0), over tensors in memory."""
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=BATCH_SIZE, shuffle=True)
    while True:
        yield from loader
