"""Which trials share a program: those with equal static part and equal progress."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gridscape.base.task import Task
from gridscape.grid.trials import Trial, content_key
from gridscape.study.study import Recipe, ResolvedStudy


@dataclass(frozen=True)
class Cohort:
    """Trials that one compiled program trains in lockstep, from the same update on.

    ``hypers`` are the trials' traced numbers, in the order of ``trials``. ``n_microbatches``: parts
    of a batch, whose gradients are accumulated; more than 1 where memory does not suffice. split:
    the replicate whose split of the task's examples all of them see; None where every replicate has
    the task's own. n_sharing: trials of the largest cohort that is to share the program.
    """

    recipe: Recipe
    task: Task
    trials: tuple[Trial, ...]
    hypers: tuple[Mapping[str, float], ...]
    start: int = 0
    n_microbatches: int = 1
    split: int | None = None
    n_sharing: int = 0

    @property
    def name(self) -> str:
        """A name by content: the same trials make the same name in every process."""
        return content_key({"trials": sorted(trial.key for trial in self.trials)})

    def part(self, begin: int, end: int) -> "Cohort":
        """The trials begin..end-1, which need a program for no more."""
        trials, hypers = self.trials[begin:end], self.hypers[begin:end]
        return replace(self, trials=trials, hypers=hypers, n_sharing=0)

    def cut(self, largest: int) -> list["Cohort"]:
        """Runs of at most ``largest`` trials, of nearly equal size, that lose no trial."""
        count = -(-len(self.trials) // largest)
        bounds = [len(self.trials) * k // count for k in range(count + 1)]
        return [self.part(a, b) for a, b in pairwise(bounds)]


def joined(parts: Sequence[Cohort]) -> Cohort:
    """Parts of one cohort as one again."""
    trials = tuple(trial for part in parts for trial in part.trials)
    hypers = tuple(hyper for part in parts for hyper in part.hypers)
    return replace(parts[0], trials=trials, hypers=hypers)


def partition(
    resolved: ResolvedStudy, trials: Iterable[Trial], progress: Mapping[str, int] | None = None
) -> list[Cohort]:
    """The cohorts of ``trials``, in the order in which their first trials come.

    Where each replicate draws a split of its own, its trials are cohorts of their own, so that only
    one split is on the devices at a time; they share the program all the same.

    ``progress`` says how many updates a trial has behind it already (by key; 0 where absent).
    """
    trials = list(trials)
    groups: dict[tuple[str, int, int | None], list[Trial]] = {}
    is_resampled = resolved.study.resample == "split"
    recipes: dict[str, Recipe] = {}
    cell_recipes = {cell: resolved.recipe(cell) for cell in {trial.cell for trial in trials}}
    for trial in trials:
        recipe = cell_recipes[trial.cell]
        program = recipe.program
        recipes.setdefault(program, recipe)
        start, split = (progress or {}).get(trial.key, 0), trial.replicate if is_resampled else None
        groups.setdefault((program, start, split), []).append(trial)
    return [
        Cohort(
            recipe=recipes[program],
            task=resolved.task_of(members[0].cell),
            trials=tuple(members),
            hypers=tuple(cell_recipes[trial.cell].hyper for trial in members),
            start=start,
            split=split,
        )
        for (program, start, split), members in groups.items()
    ]
