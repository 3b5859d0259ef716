"""A whole study as a script of PyTorch: one network after the other, each trained and evaluated.

    python torch_study.py JOB BEGIN

JOB is a JSON file (``studies.py`` writes it): ``study``; ``threads``; ``points``, the updates after
which the test set is looked at; ``evaluation_examples``, how many of it but at the end;
``programs``: of each the ``examples`` (files of arrays) and the ``networks`` (settings), all of the
same shapes. ``seconds``: the time for all programs; each gets its share, and its first networks
are trained until that is over. BEGIN: when the process was started, in seconds since the epoch.

Prints JSON: ``start_seconds``, and of each program how many networks were made, updates done and
examples evaluated, and the seconds that each of the three took.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_models import Examples, Training, tensors, training

Files = Mapping[str, Sequence[str]]


def main() -> None:
    job, begin = json.loads(Path(sys.argv[1]).read_text()), float(sys.argv[2])
    torch.set_num_threads(job["threads"])
    programs = [program for program in job["programs"] if program["networks"]]
    kept: dict[str, np.ndarray] = {}
    examples = [_load(program["examples"], kept) for program in programs]
    first = training(job["study"], programs[0]["networks"][0], examples[0]["train"])
    first.update()  # what only the first one pays for
    start_seconds = time.time() - begin
    tallies = [tally.spent for tally in _train_all(job, programs, examples)]
    print(json.dumps({"start_seconds": start_seconds, "programs": tallies}))


def _load(files: Files, kept: dict[str, np.ndarray]) -> dict[str, Examples]:
    """The examples of a program; what several programs read is read once."""
    for file in {file for split in files.values() for file in split}:
        if file not in kept:
            kept[file] = np.load(file)
    return {name: tensors(kept[file] for file in split) for name, split in files.items()}


class Tally:
    """How many there were of each kind of work, and the seconds that they took."""

    def __init__(self) -> None:
        self.spent = {kind: [0, 0.0] for kind in ("networks", "updates", "examples")}

    def add(self, kind: str, count: int, begin: float) -> None:
        """Add ``count`` that took from ``begin`` until now."""
        self.spent[kind][0] += count
        self.spent[kind][1] += time.perf_counter() - begin


def _train_all(
    job: Mapping[str, Any],
    programs: Sequence[Mapping[str, Any]],
    examples: Sequence[dict[str, Examples]],
) -> Iterator[Tally]:
    """The tally of each program; what one leaves of its time goes to those behind it."""
    end = time.perf_counter() + job["seconds"]
    for number, (program, of_program) in enumerate(zip(programs, examples, strict=True)):
        tally, now = Tally(), time.perf_counter()
        stop = now + (end - now) / (len(programs) - number)
        for settings in program["networks"]:
            begin = time.perf_counter()
            network = training(job["study"], settings, of_program["train"])
            tally.add("networks", 1, begin)
            if not _train(network, job, of_program, tally, stop):
                break
        yield tally


def _train(
    network: Training,
    job: Mapping[str, Any],
    examples: Mapping[str, Examples],
    tally: Tally,
    stop: float,
) -> bool:
    """Train to the last point, or for an update at least until ``stop``; whether it came so far."""
    done = 0
    for point in job["points"]:
        first, begin = done, time.perf_counter()
        while done < point and (done == 0 or time.perf_counter() < stop):
            network.update()
            done += 1
        tally.add("updates", done - first, begin)
        in_time = done == point
        # Once in any case: there is no pace to extrapolate from otherwise.
        if in_time or not tally.spent["examples"][0]:
            for split in _evaluated(job, examples, at_end=point == job["points"][-1]):
                begin = time.perf_counter()
                network.evaluate(split)
                tally.add("examples", len(split[0]), begin)
        if not in_time:
            return False
    return time.perf_counter() < stop


def _evaluated(
    job: Mapping[str, Any], examples: Mapping[str, Examples], at_end: bool
) -> list[Examples]:
    """What is evaluated at a point: at the end all, and as many examples of the training."""
    if at_end:
        return [examples["test"], examples["sample"]]
    return [tuple(part[: job["evaluation_examples"]] for part in examples["test"])]


if __name__ == "__main__":
    main()
