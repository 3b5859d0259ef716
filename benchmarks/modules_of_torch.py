"""PyTorch modules as people write them, and the loop that trains them: nothing of Gridscape here.

    python modules_of_torch.py CASE FILE RATES REPLICATES UPDATES BATCH THREADS

Trains the networks of a case, each at some learning rates (separated by commas) and some replicates
(``0,1,2``), one after the other, and prints their test accuracies as JSON. FILE: .npz of train and
test examples.
"""

import json
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class TwoLayerLSTM(nn.Module):
    def __init__(self, input_size=28, hidden_size=64, num_layers=2, num_classes=10):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.fc(out[:, -1, :])


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=5, padding=2)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(F.relu(self.fc1(x)))


class MLP(nn.Module):
    def __init__(self, hidden_size=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(28 * 28, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 10),
        )

    def forward(self, x):
        return self.layers(x)


CASES = {"lstm": TwoLayerLSTM, "cnn": SmallCNN, "mlp": MLP}


def main() -> None:
    case, file, rates, replicates, updates, batch, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    examples = {name: torch.as_tensor(x) for name, x in np.load(file).items()}
    found = [
        trained(CASES[case], examples, float(rate), int(seed), int(updates), int(batch))
        for rate in rates.split(",")
        for seed in replicates.split(",")
    ]
    print(json.dumps(found))


def trained(kind, examples, rate, seed, updates, batch):
    """The test accuracy of one network: Adam, cross-entropy, a new order every epoch."""
    torch.manual_seed(seed)
    module = kind()
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    x, y = examples["train_inputs"], examples["train_targets"]
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(updates):
        if len(order) < batch:
            order = torch.randperm(len(x))
        rows, order = order[:batch], order[batch:]
        optimizer.zero_grad()
        F.cross_entropy(module(x[rows]), y[rows]).backward()
        optimizer.step()
    module.eval()
    with torch.no_grad():
        pieces = zip(
            examples["test_inputs"].split(500), examples["test_targets"].split(500), strict=True
        )
        right = sum(int((module(a).argmax(1) == b).sum()) for a, b in pieces)
    return right / len(examples["test_targets"])


if __name__ == "__main__":
    main()
