"""The named studies with their size, and about the time and memory of each on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gridscape.cli.doctor import product_speed
from gridscape.engine.cohorts import partition
from gridscape.engine.flops import traced_update
from gridscape.engine.machine import Machine
from gridscape.execution.estimate import Needs, largest_needs
from gridscape.execution.executors import Room
from gridscape.execution.planner import MEMORY_SHARE
from gridscape.grid.trials import content_key
from gridscape.kernels.cores import require_addresses
from gridscape.study import files
from gridscape.study.flops import jaxpr_flops
from gridscape.study.parts import data_set_of
from gridscape.study.study import ResolvedStudy, Study
from gridscape.tasks import fetch

# The share of the speed of a large product that training reaches, and what an update of one network
# takes beside its products. Measured on a 2-core AVX-512 machine: 0.2 with LSTMs of 16 units, 0.4
# of 32, 0.6 of 128, 0.5 with LeNet5; 30 to 60 microseconds with the smallest networks. ``plan``
# measures both anew.
EFFICIENCY = 0.4
UPDATE_SECONDS = 5e-5

# Tracing every study takes as long as training one of them: what it tells is kept with the studies.
# Written by tools/work_of_studies.py; a test compares it with what tracing tells now.
KEPT = files.STUDIES / "work.json"


@dataclass(frozen=True)
class Entry:
    """A named study.

    flops: floating-point operations of the products of all its trials. seconds: a rough estimate,
    compiling excluded. memory_bytes: about what its largest run takes, told from shapes: within a
    tenth of what ``plan``, which compiles, tells of the five studies that it was held against. All
    None where nothing is kept of the study and its data set, ``missing_data``, is not on this
    machine.
    """

    name: str
    title: str
    source: tuple[str, ...]
    n_networks: int
    flops: float | None
    seconds: float | None
    memory_bytes: int | None
    missing_data: str | None


def catalog(data_dir: str | Path | None = None, only: str | None = None) -> Iterator[Entry]:
    """All named studies, or one of them; fetches nothing."""
    require_addresses()
    speed, room = EFFICIENCY * product_speed(Machine.local()), Room.here()
    room = room._replace(free_bytes=MEMORY_SHARE * room.free_bytes)
    absent = fetch.absent(data_dir)
    names = files.names() if only is None else [only]
    for name in sorted(names, key=lambda name: (name != "quickstart", name)):
        study = Study.load(name)
        data_set = data_set_of(study.task)
        missing = data_set if data_set in absent else None
        work = kept_work().get(name)
        if work is None and missing is None:  # another study than was told of, or a new one
            work = study_work(study.resolve(data_dir))
        yield Entry(
            name=name,
            title=study.title,
            source=tuple(study.source),
            n_networks=len(study.cells()) * study.replicates,
            flops=work and work.flops,
            seconds=work and work.seconds(speed, room.n_devices),
            memory_bytes=work and work.needs.bytes_on(room),
            missing_data=missing,
        )


class Work(NamedTuple):
    """What all trials of a study do, and its largest run needs on one device."""

    flops: float
    updates: int
    needs: Needs

    def seconds(self, flops_per_second: float, n_devices: int) -> float:
        """About how long it takes."""
        return self.flops / flops_per_second + self.updates * UPDATE_SECONDS / n_devices


@cache
def kept_work() -> dict[str, Work]:
    """The work of those named studies that had their data where it was told, and are as then."""
    told = json.loads(KEPT.read_text(encoding="utf-8"))
    return {
        name: Work(each["flops"], each["updates"], Needs(**each["needs"]))
        for name, each in told.items()
        if each["study"] == study_key(name)
    }


def study_key(name: str) -> str:
    """A hash of a named study's file: what is kept of another one does not count."""
    return content_key({"file": files.find(name).read_text(encoding="utf-8")})


def study_work(resolved: ResolvedStudy) -> Work:
    """The work of a study from its start, by tracing an update of each of its programs."""
    cohorts = partition(resolved, resolved.trials())
    updates = [traced_update(cohort.recipe, cohort.task) for cohort in cohorts]
    counts = [len(cohort.trials) * cohort.recipe.updates for cohort in cohorts]
    return Work(
        flops=sum(n * jaxpr_flops(update) for n, update in zip(counts, updates, strict=True)),
        updates=sum(counts),
        needs=largest_needs(resolved.study, zip(cohorts, updates, strict=True)),
    )
