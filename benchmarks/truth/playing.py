"""Settings played by many landscapes each, kept as they are done, and told as tables."""

import datetime
import importlib
import math
import multiprocessing as mp
import os
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from importlib import metadata
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from harness import table

from truth import cells, choices, claims, edges, looking
from truth.settings import WANTED, Count, Kind, NotSaidError, Setting, gathered, played

NOT_SAID = "not said: "

Key = tuple[str, str, int]  # part, name, replicates
Found = dict[Key, dict[str, Count] | str]  # what was counted; in words, why nothing was


@cache
def settings() -> list[Setting]:
    """All settings, in the order of the tables."""
    return gathered(
        cells.of_a_cell,
        cells.of_a_run,
        choices.of_the_best_value,
        cells.of_the_winner,
        choices.of_the_smallest,
        edges.of_the_boundary,
        edges.of_the_budget,
        edges.of_the_spread,
        claims.of_claims,
        claims.of_power,
        claims.of_found_differences,
        looking.of_looking,
    )


class Task(NamedTuple):
    """A setting, by its place in ``settings``, at a number of replicates."""

    place: int
    replicates: int
    landscapes: int

    @property
    def key(self) -> Key:
        setting = settings()[self.place]
        return setting.part, setting.name, self.replicates


def tasks(landscapes: int, only: str = "", replicates: Sequence[int] = ()) -> list[Task]:
    """Those whose part and name have this text; ``replicates``: none others than these."""
    return [
        Task(place, n, landscapes)
        for place, setting in enumerate(settings())
        if only in f"{setting.part}: {setting.name}"
        for n in setting.replicates
        if not replicates or n in replicates
    ]


def play(task: Task) -> dict[str, Count] | str:
    """What came of it; a statement that this version does not make is told in words."""
    try:
        return played(settings()[task.place], task.replicates, task.landscapes)
    except NotSaidError as error:
        return f"{NOT_SAID}{error}"
    except Exception as error:  # one that breaks must not end the others; the table tells it
        return f"{type(error).__name__}: {error}"


def broke(counts: dict[str, Count] | str) -> bool:
    """Whether a setting broke, which is more than that this version does not say it."""
    return isinstance(counts, str) and not counts.startswith(NOT_SAID)


def play_all(
    todo: Sequence[Task], jobs: int, known: Collection[Key]
) -> Iterator[tuple[Key, dict[str, Count] | str]]:
    """What each task found, as soon as it is done; what is known already is not played again."""
    todo = [task for task in todo if task.key not in known]
    with Players(jobs) as players:
        for task, counts in zip(todo, players.map(play, todo), strict=True):
            yield task.key, counts


class Players:
    """Processes that play, or this one where one is enough."""

    def __init__(self, jobs: int) -> None:
        context = mp.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, context) if jobs > 1 else None

    def __enter__(self) -> "Players":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Task], Any], todo: Iterable[Task]) -> Iterator[Any]:
        return map(function, todo) if self._pool is None else self._pool.map(function, todo)


# ---- what is kept --------------------------------------------------------------------------


def record(found: Found, landscapes: int) -> dict[str, Any]:
    """Plain data."""
    rows = [
        {
            "part": part,
            "setting": name,
            "replicates": n,
            **({"note": counts} if isinstance(counts, str) else {"counts": _plain(counts)}),
        }
        for (part, name, n), counts in found.items()
    ]
    return {"versions": versions(), "landscapes": landscapes, "rows": rows}


def _plain(counts: Mapping[str, Count]) -> dict[str, dict[str, float | None]]:
    return {
        measure: {k: None if math.isnan(v) else round(v, 6) for k, v in asdict(counted).items()}
        for measure, counted in counts.items()
    }


def found_in(kept: Mapping[str, Any]) -> Found:
    """The inverse of ``record``."""
    return {
        (row["part"], row["setting"], row["replicates"]): row["note"]
        if "note" in row
        else {
            measure: Count(**{k: math.nan if v is None else v for k, v in plain.items()})
            for measure, plain in row["counts"].items()
        }
        for row in kept["rows"]
    }


def versions() -> dict[str, str]:
    """What was measured, with what."""
    names = ("numpy", "scipy", "xarray")
    return {
        "gridscape": importlib.import_module("gridscape").__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
        "date": datetime.date.today().isoformat(),
    }


def write(path: Path, text: str) -> None:
    """As a whole, or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# ---- what is told --------------------------------------------------------------------------


def told(kept: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """The tables in markdown; ``before`` stands beside what was found now."""
    sides = {"before": found_in(before)} if before else {}
    sides["now"] = found_in(kept)
    parts = [
        "# Is what Gridscape says true as often as it says?",
        _about(kept, before),
        "\n".join(f"- {name}: {_tally(found)}" for name, found in sides.items()),
    ]
    for part, of_part in groupby(settings(), key=lambda setting: setting.part):
        rows = [row for setting in of_part for row in _rows(setting, sides)]
        if rows:
            ns = next(s.replicates for s in settings() if s.part == part)
            heads = [f"{name}, n = {', '.join(map(str, ns))}" for name in sides]
            parts += [f"## {part}", table(["setting", "", "wanted", *heads], rows)]
    notes = [f"- {name}: {note}" for name, found in sides.items() for note in _notes(found)]
    parts += ["## Not measured", "\n".join(notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def _about(kept: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    said = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    counts = f"{kept['landscapes']:,} simulated landscapes a number"
    if before and before["landscapes"] != kept["landscapes"]:
        counts += f" ({before['landscapes']:,} before)"
    return (
        f"{counts}; {said}. The same landscapes for every version.\n\n"
        "Shares in percent, with n replicates a cell. Bold: beyond its target by more than two "
        "Monte Carlo errors, which are at most 1.1 points at 2,000 landscapes and 0.5 near 5 and "
        "95 %. (k %): said in k % of the landscapes only, and counted over these. A false "
        "statement is one that holds or fails is said of; undecided is never false. -: not said."
    )


def _tally(found: Found) -> str:
    """How many numbers with a target are beyond it."""
    kinds = {(s.part, s.name, m): k for s in settings() for m, k in s.measures.items()}
    judged = [
        counted.misses(kind)
        for (part, name, _), counts in found.items()
        if not isinstance(counts, str)
        for measure, counted in counts.items()
        if (kind := kinds.get((part, name, measure))) in (Kind.HOLDS, Kind.FALSE) and counted.said
    ]
    return f"{sum(judged)} of {len(judged)} numbers with a target are beyond it"


def _rows(setting: Setting, sides: Mapping[str, Found]) -> Iterator[list[str]]:
    """One row a measure; those by which another is formed only are left out."""
    name = setting.name
    for measure, kind in setting.measures.items():
        if measure.startswith(looking.FIXED):
            continue
        texts = [
            " / ".join(
                _number(found.get((setting.part, setting.name, n)), measure, kind)
                for n in setting.replicates
            )
            for found in sides.values()
        ]
        if any(set(text) - set("-/ ") for text in texts):
            yield [name, measure, WANTED.get(kind, ""), *texts]
            name = ""
    if any(measure.startswith(looking.FIXED) for measure in setting.measures):
        (n,) = setting.replicates
        texts = [_spared(found.get((setting.part, setting.name, n))) for found in sides.values()]
        if name == setting.name:  # nothing of it was played
            return
        yield [name, "fixed design of equal power (spared)", ">= 30 %", *texts]


def _number(counts: dict[str, Count] | str | None, measure: str, kind: Kind) -> str:
    counted = None if counts is None or isinstance(counts, str) else counts.get(measure)
    if counted is None or not counted.said:
        return "-"
    is_share = kind not in (Kind.TOLD, Kind.MOST)
    text = f"{100 * counted.value:.1f}" if is_share else f"{counted.value:.2f}"
    text = f"**{text}**" if counted.misses(kind) else text
    return text if counted.said > 0.995 else f"{text} ({100 * counted.said:.0f} %)"


def _spared(counts: dict[str, Count] | str | None) -> str:
    if counts is None or isinstance(counts, str):
        return "-"
    fixed, spent = looking.fixed_design(counts), counts["replicates a cell at stop"].value
    return "none does" if math.isnan(fixed) else f"{fixed:.0f} ({1 - spent / fixed:.0%})"


def _notes(found: Found) -> list[str]:
    texts = {
        f"{part}: {name}: {note}"
        for (part, name, _), note in found.items()
        if isinstance(note, str)
    }
    return sorted(texts)
