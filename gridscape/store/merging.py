"""Results folders of one study become one: of the same seed, or of a seed each.

Only what is stored is read: no code that a study names is imported, and no file that it names is
opened. A trial that stands in two folders is taken once.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gridscape.errors import StoreError, UsageError, cut
from gridscape.grid.asked import Asked, grid_of, others_of
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.store.imported import IMPORTED, SEEDS, folder_name, is_imported, require_new
from gridscape.store.record import first_difference, merge_studies
from gridscape.store.store import Store

AT_ONCE = 512  # trials that are stored together
SEED = "seed"


@dataclass(frozen=True, repr=False)
class Merged:
    """What became of a merge.

    directory: the new folder. seeds: of the folders, each once. n_trials: in the new folder;
    n_twice: that stood in two folders with the same numbers, and were taken once; differing: those
    with other numbers, of which the first was taken, in words. One that failed in a folder and was
    trained in another is taken from there.
    """

    directory: Path
    n_folders: int
    seeds: tuple[Any, ...]
    n_trials: int
    n_twice: int
    differing: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<merged {self.n_folders} folders into {self.directory}: {self.n_trials} trials>"


def default_folder(first: str | Path) -> Path:
    """Where folders are joined: ``runs/NAME-merged``, whatever a study calls itself."""
    with Store.read(first) as store:
        name = str(store.study.get("name", ""))
    return Path("runs") / f"{folder_name(name) or 'study'}-merged"


def merge_folders(folders: Sequence[str | Path], directory: str | Path) -> Merged:
    """Joins results folders of one study into a new one.

    Folders of one seed join their axes and replicates. What lacks can be trained further, and what
    was stopped goes on from where it was. Where each has a seed of its own, a replicate of the new
    folder is a seed and a replicate of it, in their order; such a folder is read as any other, and
    not trained further. Raises UsageError for fewer than two folders, StoreError with the first
    difference for folders of other conditions,
    for one that cannot be used, and for a new folder that holds something.
    """
    paths = list({Path(folder).resolve(): Path(folder) for folder in folders}.values())
    if len(paths) < 2:
        raise UsageError("nothing to merge", expected="two or more results folders")
    directory = Path(directory)
    require_new(directory)
    studies = []
    for path in paths:
        with Store.read(path) as store:
            studies.append(store.study)
    _require_alike(studies, paths)
    seeds = sorted({study.get(SEED) for study in studies}, key=lambda seed: (str(type(seed)), seed))
    places = _places(studies, seeds)
    record = _record(studies, paths, seeds, places)
    taken: dict[str, tuple[TrialResult, Path]] = {}
    differing: list[str] = []
    n_twice = 0
    with _whole(directory), Store.create(directory, record) as new:
        waiting: list[tuple[Trial, TrialResult]] = []
        for path, study in zip(paths, studies, strict=True):
            for trial, result in _trials(path):
                replicate = places.get((study.get(SEED), trial.replicate), trial.replicate)
                if trial.key in taken:
                    first, where = taken[trial.key]
                    if _same(first, result):
                        n_twice += 1
                    elif _is_trained(first) and _is_trained(result):
                        differing.append(f"{trial.cell}, replicate {replicate}: {path}, {where}")
                    if not _says_more(result, first):
                        continue
                taken[trial.key] = (_light(result), path)
                waiting.append((Trial(trial.cell, replicate, trial.key), result))
                if len(waiting) >= AT_ONCE:
                    new.put_all(waiting)
                    waiting.clear()
        new.put_all(waiting)
        if len(seeds) == 1:  # else it is not trained further
            _carry_checkpoints(paths, new)
    return Merged(
        directory, len(paths), tuple(seeds), len(taken), n_twice, tuple(sorted(differing))
    )


def _carry_checkpoints(paths: Sequence[Path], new: Store) -> None:
    """What trials go on from that have not ended: stopped ones, and those that were in training."""
    statuses = new.statuses().items()
    ended = {key for key, status in statuses if status is not Status.STOPPED}
    for path in paths:
        with Store.read(path) as store:
            for name, meta, arrays in store.checkpoints():
                if not ended.issuperset(meta.get("keys", ())):
                    new.save_checkpoint(name, meta, arrays)


@contextmanager
def _whole(directory: Path) -> Iterator[None]:
    """Leaves no half of a new folder behind."""
    is_new = not directory.exists()
    before = _inside(directory)
    try:
        yield
    except BaseException:
        made = {directory} if is_new else _inside(directory) - before
        for path in made:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def _inside(directory: Path) -> set[Path]:
    return set(directory.iterdir()) if directory.is_dir() else set()


def _trials(path: Path) -> Iterator[tuple[Trial, TrialResult]]:
    with Store.read(path) as store:
        yield from store.results()


def _require_alike(studies: Sequence[Mapping[str, Any]], paths: Sequence[Path]) -> None:
    """Raise StoreError unless all are one study, whatever their seeds."""
    for study, path in zip(studies[1:], paths[1:], strict=True):
        found = first_difference(dict(studies[0]), dict(study), but=(SEED,))
        if found is None and is_imported(studies[0]) != is_imported(study):
            found = (IMPORTED, str(studies[0].get(IMPORTED)), str(study.get(IMPORTED)))
        if found and found[0] in (SEEDS, IMPORTED) and (studies[0].get(SEEDS) or study.get(SEEDS)):
            raise StoreError(
                "joins several seeds already",
                where=path if study.get(SEEDS) else paths[0],
                hint="merge the folders that it was joined of, with the further ones",
            )
        if found:
            name, one, other = found
            raise StoreError(
                f"holds results of other conditions than {paths[0]}: {name} differs",
                where=path,
                expected=one,
                found=other,
                hint="gridscape report DIR DIR compares them",
            )


def _places(
    studies: Sequence[Mapping[str, Any]], seeds: Sequence[Any]
) -> dict[tuple[Any, int], int]:
    """The new number of each seed and replicate; nothing where all have one seed."""
    if len(seeds) < 2:
        return {}
    most = dict.fromkeys(seeds, 0)
    for study in studies:
        most[study.get(SEED)] = max(most[study.get(SEED)], Asked(study).most)
    pairs = [(seed, replicate) for seed in seeds for replicate in range(most[seed])]
    return {pair: number for number, pair in enumerate(pairs)}


def _record(
    studies: Sequence[dict[str, Any]],
    paths: Sequence[Path],
    seeds: Sequence[Any],
    places: Mapping[tuple[Any, int], int],
) -> dict[str, Any]:
    """The study of all folders."""
    alike = [{**study, SEED: seeds[0]} for study in studies]
    merged = alike[0]
    for study, path in zip(alike[1:], paths[1:], strict=True):
        merged = merge_studies(merged, study, path)
    if not places:
        return merged
    numbers = dict.fromkeys(grid_of(merged["axes"]).cells(), 0)
    for study in studies:
        asked, first = Asked(study), places[study.get(SEED), 0]
        for cell in numbers:
            if n := asked.of(cell):
                numbers[cell] = max(numbers[cell], first + n)
    told = f"joined of {len(paths)} folders, seeds {', '.join(map(str, seeds))}"
    record = {k: v for k, v in merged.items() if k not in (SEED, "replicates_of")}
    record |= {
        "replicates": len(places),
        SEEDS: [list(pair) for pair in places],
        IMPORTED: told,
        "told": [*dict.fromkeys([*(merged.get("told") or ()), cut(told, 200)])],
    }
    return record | others_of(record, numbers)


def _light(result: TrialResult) -> TrialResult:
    """What tells two results of one trial apart, without their arrays' weight."""
    kept: dict[str, np.ndarray] | None = None if result.params is None else {}
    return replace(result, curves={}, params=kept)


def _is_trained(result: TrialResult) -> bool:
    return result.status in (Status.FINISHED, Status.DIVERGED)


def _says_more(result: TrialResult, first: TrialResult) -> bool:
    """Whether a further result of a trial replaces the first: it was trained, or is kept whole."""
    if _is_trained(result) != _is_trained(first):
        return _is_trained(result)
    return _same(first, result) and first.params is None and result.params is not None


def _same(first: TrialResult, other: TrialResult) -> bool:
    """Whether two results of one trial have the same numbers, times and memory aside."""
    names = sorted(first.metrics)
    return (
        (first.status, first.updates) == (other.status, other.updates)
        and names == sorted(other.metrics)
        and np.array_equal(
            [first.metrics[name] for name in names],
            [other.metrics[name] for name in names],
            equal_nan=True,
        )
    )
