"""The named studies with their size, and about how long each takes on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridscape import study as studies
from gridscape.cohorts import partition
from gridscape.doctor import product_speed
from gridscape.planner import cohort_flops
from gridscape.programs import Machine, use_all_cores
from gridscape.study import ResolvedStudy, Study
from gridscape.tasks import fetch

# The share of the speed of a large product that training reaches. Measured on a 2-core AVX-512
# machine: 0.1 at 16 hidden units, 0.2 at 32, 0.3 at 64, 0.4 at 128; ``plan`` measures it anew.
EFFICIENCY = 0.3


@dataclass(frozen=True)
class Entry:
    """A named study.

    flops: floating-point operations of the products of all its trials. seconds: a rough estimate,
    compiling excluded. Both None where its data set, ``missing_data``, is not on this machine.
    """

    name: str
    title: str
    source: tuple[str, ...]
    n_networks: int
    flops: float | None
    seconds: float | None
    missing_data: str | None


def catalog(data_dir: str | Path | None = None) -> Iterator[Entry]:
    """All named studies; fetches nothing."""
    use_all_cores()
    speed = EFFICIENCY * product_speed(Machine.local())
    absent = _absent_data(data_dir)
    for name in sorted(studies.names(), key=lambda name: (name != "quickstart", name)):
        study = Study.load(name)
        missing = _data_set_of(study.task, absent)
        flops = None if missing else study_flops(study.resolve(data_dir))
        yield Entry(
            name=name,
            title=study.title,
            source=tuple(study.source),
            n_networks=len(study.grid.cells()) * study.replicates,
            flops=flops,
            seconds=None if flops is None else flops / speed,
            missing_data=missing,
        )


def study_flops(resolved: ResolvedStudy) -> float:
    """Floating-point operations of the products of all trials of a study."""
    cohorts = partition(resolved, resolved.trials())
    return sum(cohort_flops(cohort) for cohort in cohorts)


def _absent_data(data_dir: str | Path | None) -> list[str]:
    """The data sets that would have to be fetched."""
    return [s.name for s in fetch.status(data_dir) if not s.embedded and s.found_at is None]


def _data_set_of(task: object, names: list[str]) -> str | None:
    """The data set among ``names`` that a named task reads: tasks are named after theirs."""
    named = [name for name in fetch.DATA_SETS if str(task).startswith(name)]
    owner = max(named, key=len, default=None)
    return owner if owner in names else None
