"""A PyTorch LSTM as tutorials have it, unchanged: width x learning rate, with and without warm-up.

``from_torch`` takes the module's class; the options of its ``__init__`` may become axes. Prints
accuracy by width and learning rate, and the accuracy that PyTorch itself finds with the trained
weights of the best network.
"""

import argparse

import numpy as np
import torch
from torch import nn

import gridscape as gs


class LSTMClassifier(nn.Module):
    """The rows of an image, one after the other -> its class."""

    def __init__(self, input_size=8, hidden_size=32, num_layers=1, num_classes=10):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        c0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size).to(x.device)
        out, _ = self.lstm(x, (h0, c0))
        return self.fc(out[:, -1, :])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=300)
parser.add_argument("--dir", default="runs/torch-lstm")
options = parser.parse_args()

study = gs.Study(
    name="torch-lstm",
    task="digits-rows",
    model=gs.from_torch(LSTMClassifier),
    schedule="constant",
    axes={
        "hidden_size": [8, 32],
        "learning_rate": [1e-3, 1e-2, 0.1],
        "warmup": [0.0, 0.2],
    },
    updates=options.updates,
    keep_parameters="all",
)
land = gs.run(study, directory=options.dir)
for warmup in (0.0, 0.2):
    accuracy = land.data.test_accuracy.sel(warmup=warmup).mean("replicate")
    print(f"\nwarm-up over {warmup:.0%} of the updates")
    print(accuracy.to_pandas().round(3))

cell = land.best_cells()[-1]
network = LSTMClassifier(hidden_size=cell["hidden_size"])
network.load_state_dict(land.state_dict(cell, replicate=0))
task = study.resolve().task
images = torch.tensor(np.array(task.prepare(task.test.inputs)))
with torch.no_grad():
    answers = network(images).argmax(dim=1)
found = (answers == torch.tensor(task.test.targets)).float().mean().item()
stored = float(land.data.test_accuracy.sel(dict(cell)).sel(replicate=0))
print(f"\n{cell}: {found:.3f} in PyTorch, {stored:.3f} stored")
