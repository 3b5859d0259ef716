"""Whole numbers that a module looks up: the task's own are compared with its tables."""

import numpy as np
import pytest

import gridscape as gs
from gridscape.errors import ModelError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402


class Chars(nn.Module):
    """Tokens (B, T) -> 2 classes, of the last step; shifted by so many rows."""

    def __init__(self, n_tokens=5, shift=0):
        super().__init__()
        self.embed, self.shift = nn.Embedding(n_tokens, 3), shift
        self.gru, self.fc = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.gru(self.embed(x.long() + self.shift))[0][:, -1])


class Read(Chars):
    """The same of sequences of different lengths."""

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            self.embed(x), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return self.fc(self.gru(packed)[1][-1])


def tokens(n=20, largest=6):
    """Sequences of 4 tokens, of which one alone, in the test part, is the largest."""
    x = np.arange(4 * n, dtype=np.int32).reshape(n, 4) % 5
    labels = np.arange(n) % 2
    test = x.copy()
    test[3, 2] = largest
    return gs.Task.from_arrays((x, labels), (test, labels), name="tokens")


def of_lengths(largest):
    rows = [np.arange(k % 3 + 2) % 5 for k in range(20)]
    labels = np.arange(20) % 2
    return gs.Task.from_arrays(
        ([*rows[:-1], np.array([0, largest])], labels), (rows, labels), name="texts"
    )


def resolved(build, task, **options):
    settings = {"name": "lookups", "updates": 2, "batch_size": 4, "model_options": options}
    axes = {"learning_rate": [0.1]}
    return gs.Study(task=task, model=gs.from_torch(build), axes=axes, **settings).resolve()


def test_a_token_beyond_the_table_is_told_before_training():
    with pytest.raises(ModelError) as caught:
        resolved(Chars, tokens())
    text = str(caught.value)
    assert text.startswith("Chars.embed (test_torch_lookups.py, line ")
    assert "an index beyond the table of an Embedding (expected 0 to 4, found 0 to 6, of" in text
    assert text.endswith("num_embeddings = 7, or other numbers for the inputs")
    assert len(text) <= 300
    resolved(Chars, tokens(), n_tokens=7)


def test_what_is_looked_up_is_compared_and_not_what_is_given():
    resolved(Chars, tokens(largest=4))
    with pytest.raises(ModelError, match="expected 0 to 4, found 1 to 5"):
        resolved(Chars, tokens(largest=4), shift=1)
    resolved(Chars, tokens(), n_tokens=8, shift=1)


def test_sequences_of_different_lengths_are_looked_through():
    resolved(Read, of_lengths(4))
    with pytest.raises(ModelError, match="found 0 to 9"):
        resolved(Read, of_lengths(9))
