"""Sequences of different lengths: letters in Morse code, keyed by hand, read by an LSTM.

Each letter is a signal, one number for each moment that the key is down (1) or up (0), with noise;
every hand is fast or slow. Prints how long the signals are, and the accuracy for each learning
rate, read in one direction and in both.
"""

import argparse

import numpy as np

import gridscape as gs

MORSE = {
    "a": ".-",
    "b": "-...",
    "e": ".",
    "h": "....",
    "k": "-.-",
    "n": "-.",
    "o": "---",
    "s": "...",
}


def keyed(letter, rng):
    """The signal of a letter, (T,): a dot lasts 1 to 3 moments, a dash three times as long."""
    moments = rng.uniform(1, 3)
    signal = []
    for sign in MORSE[letter]:
        down = (3 if sign == "-" else 1) * moments * rng.uniform(0.8, 1.2)
        signal += [1.0] * round(down) + [0.0] * round(moments)
    return np.array(signal) + rng.normal(0, 0.2, len(signal))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--updates", type=int, default=400)
options = parser.parse_args()

rng = np.random.default_rng(0)
letters = rng.choice(list(MORSE), 1500)
signals = [keyed(letter, rng) for letter in letters]
lengths = [len(signal) for signal in signals]
print(f"{len(signals)} signals of {min(lengths)} to {max(lengths)} moments")

study = gs.Study(
    name="morse",
    task=gs.Task.from_arrays((signals, letters), name="morse"),
    model="lstm",
    axes={"directions": [1, 2], "learning_rate": [0.001, 0.01, 0.1]},
    model_options={"hidden_size": 16},
    updates=options.updates,
    batch_size=50,
    replicates=2,
)
land = gs.run(study)
print(land.data.test_accuracy.mean("replicate").to_pandas().round(3))
