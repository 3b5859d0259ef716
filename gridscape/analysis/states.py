"""Networks that give one answer for everything: have they collapsed, or not begun to learn?

*Not started*: a network that gives one answer, or is no better than guessing, while its training
loss has fallen from the start on and still falls. More updates, or a larger learning rate, may
help. *Collapsed*: a network that gives one answer and had learned before, or whose loss no longer
falls.

Whether a loss still falls is asked of its last quarter: does its mean lie below that of every
quarter before by more than noise? The noise is measured by second differences, in which a trend
cancels, and by their median, which ignores jumps. Before, the curve is averaged over at most
``STRETCHES`` stretches: wandering that is shorter than a stretch then counts as noise too. Of flat
curves with independent noise fewer than 1 in 200 count as falling; a loss that wanders for longer
than a quarter of its training may do so more often.
"""

from dataclasses import replace

import numpy as np

from gridscape.grid.meanings import OWN
from gridscape.grid.names import COLLAPSED, TOP_SHARE, TRAIN, Variable
from gridscape.grid.trials import Status, TrialResult
from gridscape.landscape import GUESSES, LEARNED, Landscape

STRETCHES = 32
FEWEST_POINTS = 8  # two a quarter; with fewer nothing is known of the noise
PRACTICALLY = 0.99  # the share of one answer from which it is as good as the only one
NOISE = 3.0  # standard errors that a difference must have to be no noise
# The median size of second differences of independent normal numbers of standard deviation 1.
SECOND_DIFFERENCE = 0.6745 * np.sqrt(6)
ACCURACY = str(Variable("test", "accuracy"))
TRAIN_LOSS = str(Variable("train", "loss"))


def not_started(land: Landscape) -> np.ndarray:
    """(*axes, R): whether a trial finished and has not begun to learn.

    Nowhere where the landscape has no curve of the training loss.
    """
    status = land.array("status")
    found = np.zeros(status.size, bool)
    at = np.flatnonzero(_one_answer(land) | _guesses(land))
    if TRAIN_LOSS in land.curves and len(at):
        found[at] = still_falls(_lines(land, TRAIN_LOSS, at)) & ~_had_learned(land, at)
    return found.reshape(status.shape)


def has_not_started(result: TrialResult) -> bool:
    """The same of one finished trial that gives one answer."""
    loss, accuracy = (result.curves.get(name) for name in (TRAIN_LOSS, ACCURACY))
    if loss is None or not still_falls(np.asarray(loss)[None]).all():
        return False
    end = np.array([result.metrics.get(ACCURACY, np.nan)])
    return accuracy is None or not _fell(np.asarray(accuracy)[None], end).any()


def still_falls(lines: np.ndarray) -> np.ndarray:
    """(T,): whether each of the curves (T, points) falls to its end, and by more than noise.

    NaN where a curve has no point.

    >>> still_falls(np.stack([np.linspace(2.7, 2.6, 50), np.full(50, 2.3)])).tolist()
    [True, False]
    """
    falls = np.zeros(len(lines), bool)
    patterns, which = np.unique(np.isfinite(lines), axis=0, return_inverse=True)
    for number, known in enumerate(patterns):  # trials of other updates have other points
        rows = np.flatnonzero(which.ravel() == number)
        if known.sum() >= FEWEST_POINTS:
            falls[rows] = _falls(lines[np.ix_(rows, np.flatnonzero(known))])
    return falls


def _falls(lines: np.ndarray) -> np.ndarray:
    length = -(-lines.shape[1] // STRETCHES)
    n = lines.shape[1] // length // 4 * 4
    means = lines[:, -n * length :].reshape(len(lines), n, length).mean(axis=-1)
    quarters = means.reshape(len(lines), 4, n // 4).mean(axis=-1)
    noise = np.median(np.abs(np.diff(means, 2, axis=1)), axis=1) / SECOND_DIFFERENCE
    fall = quarters[:, :3].min(axis=1) - quarters[:, 3]
    rounding = 1e-6 * np.abs(quarters[:, 3])  # of float32, of which a curve is a mean
    found: np.ndarray = fall > NOISE * noise * np.sqrt(2 / (n // 4)) + rounding
    return found


def _one_answer(land: Landscape) -> np.ndarray:
    flat: np.ndarray = land.array(COLLAPSED).ravel()
    return flat


def _guesses(land: Landscape) -> np.ndarray:
    """(trials,): finished, and no better than guessing, neither on the test nor on training data.

    Nobody where the study does not tell how good guessing is.
    """
    finished: np.ndarray = land.array("status").ravel() == Status.FINISHED.value
    above = [_above_guessing(land, name) for name in (measure_of(land), _twin(land))]
    known = [values for values in above if values is not None]
    if above[0] is None:
        return np.zeros_like(finished)
    least = GUESSES if land.meaning(measure_of(land)).is_fraction else 0.0
    found: np.ndarray = finished & (np.max(known, axis=0) < least)
    return found


def measure_of(land: Landscape) -> str:
    """By what it shows whether a network is better than guessing: accuracy, or the main metric."""
    return ACCURACY if ACCURACY in land.metrics else land.main_metric


def _twin(land: Landscape) -> str:
    """The same on the training data."""
    measure = Variable.parse(measure_of(land))
    return str(replace(measure, split=TRAIN)) if measure else measure_of(land)


def _above_guessing(land: Landscape, name: str) -> np.ndarray | None:
    """(trials,): how far of the way from guessing to everything right; None where not known."""
    known = name in land.metrics and land.chance(name) is not None
    above = land.above_chance(name) if known else None
    return None if above is None else above.ravel()


def practically_one(land: Landscape) -> np.ndarray:
    """(*axes, R): finished, nearly one answer for everything, and no better than that.

    Of a set that is nearly of one class itself, a good network also answers nearly one class.
    """
    status = land.array("status")
    found = (status == Status.FINISHED.value) & ~land.array(COLLAPSED)
    if TOP_SHARE not in land.metrics:
        return np.zeros_like(found)
    found &= land.finished(TOP_SHARE) >= PRACTICALLY
    above = _above_guessing(land, measure_of(land))
    return found & (True if above is None else (above < GUESSES).reshape(status.shape))


def _had_learned(land: Landscape, at: np.ndarray) -> np.ndarray:
    """Of trials, whether the test accuracy was once far above the one at the end."""
    if ACCURACY not in land.curves or land.meaning(ACCURACY) != OWN["accuracy"]:
        return np.zeros(len(at), bool)
    return _fell(_lines(land, ACCURACY, at), land.finished(ACCURACY).ravel()[at])


def _fell(lines: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(T,): whether accuracies along the training (T, points) were once far above the end."""
    fell: np.ndarray = np.nan_to_num(lines).max(axis=1, initial=0.0) - end > LEARNED * (1 - end)
    return fell


def _lines(land: Landscape, curve: str, at: np.ndarray) -> np.ndarray:
    """(trials, points): a curve of some trials."""
    cells, rows = np.unique(at // land.n_replicates, return_inverse=True)
    _, lines = land.lines_of(curve, cells.tolist())
    return lines[rows.ravel(), at % land.n_replicates]
