"""What the words of other tools mean: how runs end, which metric is better how."""

import re
from typing import Literal

from gridscape.grid.meanings import FRACTION, sounds_lower, words_of

SPLITS = {
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("train", "training"), "train"),
}
HIGHER = (
    *("accuracy", "acc", "auc", "auroc", "roc", "f1", "precision", "recall", "r2", "score"),
    *("reward", "return", "bleu", "rouge", "iou", "dice", "map", "ndcg", "mcc", "kappa", "top1"),
    *("top5", "match", "share", "success"),
)
FRACTIONS = (
    *("accuracy", "acc", "auc", "auroc", "f1", "precision", "recall", "iou", "dice", "error"),
    *("err", "top1", "top5", "match", "share", "success"),
)
ENDS = {
    "finished": ("finished", "complete", "completed", "success", "succeeded", "done", "ok"),
    "failed": (
        *("failed", "fail", "failure", "error", "crashed", "killed", "pruned", "aborted"),
        *("stopped", "timeout", "timed_out", "preempted", "cancelled", "canceled", "interrupted"),
    ),
    "missing": ("running", "pending", "queued", "waiting", "scheduled", "starting", "missing"),
    "diverged": ("diverged",),
    "out_of_memory": ("out_of_memory", "oom"),
}
STATUS_OF = {word: status for status, words in ENDS.items() for word in words}


def split_of(name: str) -> tuple[str, str]:
    """The split and the name of a metric: of the test set where it names none.

    >>> [split_of(name) for name in ("accuracy", "val/loss", "Validation Accuracy", "acc_train")]
    [('test', 'accuracy'), ('val', 'loss'), ('val', 'accuracy'), ('train', 'acc')]
    """
    parts = [part for part in re.split(r"[\s./_-]+", name.strip()) if part]
    for at in (0, -1):
        if len(parts) > 1 and parts[at].casefold() in SPLITS:
            rest = parts[1:] if at == 0 else parts[:-1]
            return SPLITS[parts[at].casefold()], "_".join(rest).casefold()
    return "test", re.sub(r"[/\s]+", "_", name.strip())


def names_split(name: str) -> bool:
    return split_of(name) != ("test", re.sub(r"[/\s]+", "_", name.strip()))


def side_of(metric: str) -> Literal["higher", "lower"] | None:
    """Which side of a metric is better, by its name; None where the name does not tell."""
    if sounds_lower(metric):
        return "lower"
    return "higher" if words_of(metric) & {*HIGHER} else None


def unit_of(metric: str, low: float, high: float) -> str:
    """The unit of a metric by its name and the range of its values: a fraction, percent or none."""
    if not words_of(metric) & {*FRACTIONS} or low < 0:
        return ""
    return FRACTION if high <= 1 else "%" if high <= 100 else ""
