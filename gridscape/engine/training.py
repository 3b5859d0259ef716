"""A cohort in training: its states on the devices, advanced segment by segment."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gridscape.base.data import Split
from gridscape.base.types import Array, Params
from gridscape.engine.cohorts import Cohort
from gridscape.engine.machine import DeviceData
from gridscape.engine.order import batch_order, seed_words
from gridscape.engine.programs import Program
from gridscape.engine.trial import TrialState
from gridscape.errors import UsageError
from gridscape.grid.names import ANSWER_SPREAD, TOP_ANSWER, by_kind
from gridscape.grid.trials import content_key
from gridscape.study.study import Recipe


class Training:
    """A cohort in training: its states on the devices, advanced segment by segment."""

    def __init__(
        self,
        program: Program,
        cohort: Cohort,
        states: dict[str, np.ndarray] | None = None,
        data: DeviceData | None = None,
    ) -> None:
        """From the beginning, or from the ``states`` of a snapshot of the same trials.

        data: the arrays of the cohort's split, where it has one; else those of the program.
        Raises ValueError for more trials than the program holds.
        """
        self.program, self.cohort, self.update = program, cohort, cohort.start
        self.data = program.data if data is None else data
        machine, n_trials = program.machine, len(cohort.trials)
        if n_trials > program.capacity:
            raise ValueError(f"{n_trials} trials in a program of {program.capacity}")
        n_devices = len(machine.devices)
        index = np.arange(n_trials)
        # Round robin, so that neighbors in the grid, which often stop early together, spread.
        self.rows = index % n_devices * program.slots + index // n_devices
        counts = np.bincount(index % n_devices, minlength=n_devices).astype(np.int32)
        self._counts = jax.device_put(counts, machine.spread)
        names = program.recipe.hyper
        self._hyper = {
            name: self._place(np.array([h[name] for h in cohort.hypers], np.float32))
            for name in names
        }
        if states is None:
            words = self._key_words("weights", content_key(program.recipe.weights))
            self.states = program.init(self._counts, words, self._hyper)
        else:
            self.states = self._unflatten(states)
        self._words = self._key_words("training")
        self._next_order: Any = None
        self._kinds: dict[int, np.ndarray] = {}  # the group of each example, once a split

    def advance(self, stop: int) -> dict[str, np.ndarray]:
        """Train every trial until ``stop`` updates are done; the history, each (trials, updates).

        That of a trial that diverged earlier is NaN from there on.
        """
        program, begin = self.program, self.update
        if not begin < stop <= begin + program.segment:
            raise ValueError(f"a segment of {stop - begin} updates, at most {program.segment}")
        order = self._next_order if self._next_order is not None else self._order(begin)
        limit = jax.device_put(np.int32(stop), program.machine.shared)
        self.states, history = program.train(
            self._counts, self.states, self._words, self._hyper, order, limit, self.data.train
        )
        self.update = stop
        # While the devices work: networks that take microseconds would wait for it.
        self._next_order = self._order(stop) if stop < program.recipe.updates else None
        found = {name: np.asarray(x)[self.rows, : stop - begin] for name, x in history.items()}
        return self._with_roots(found)

    def evaluate(self, split: Split, n_examples: int) -> dict[str, np.ndarray]:
        """Means over the first examples of a split, by name, each (trials,) or (trials, groups).

        ``top_answer`` is no mean, but a class, nor is ``answer_spread``.
        """
        count = jax.device_put(np.int32(n_examples), self.program.machine.shared)
        sums = self.program.evaluate(self._counts, self.states.kept, self._hyper, split, count)
        found = {name: np.asarray(x)[self.rows] for name, x in sums.items()}
        sizes, of_means = self._group_sizes(split, n_examples), self._of_means(found)
        counts = {1: np.float32(n_examples), 2: sizes}
        of_sets = (n for n, m in self.program.task.measured.items() if m.of_set)
        no_sums = (TOP_ANSWER, ANSWER_SPREAD, *of_means, *of_sets)
        means = {n: x if n in no_sums else x / counts[x.ndim] for n, x in found.items()}
        for name, function in of_means.items():
            is_apart, total = name not in self.program.task.metrics, means[name]
            # (trials, ...) over all, (trials, groups, ...) apart.
            n = sizes.reshape(-1, *[1] * (total.ndim - 2)) if is_apart else counts[1]
            means[name] = np.asarray(function(total / n))
        return self._with_roots(means)

    def _of_means(self, names: Iterable[str]) -> dict[str, Callable[[Any], Array]]:
        """By name what makes numbers of the means of all trials, of each group as well."""
        task = self.program.task
        found: dict[str, Callable[[Any], Array]]
        found = {n: jax.vmap(m.of_mean) for n, m in task.measured.items() if m.of_mean}
        if task.groups is not None:
            found |= {by_kind(n, task.groups.name): jax.vmap(f) for n, f in found.items()}
        return {name: found[name] for name in names if name in found}

    def _with_roots(self, means: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The means, and of metrics that say so, by group as well, their square roots."""
        task = self.program.task
        roots = [name for name, metric in task.measured.items() if metric.root]
        if task.groups is not None:
            roots += [by_kind(name, task.groups.name) for name in roots]
        return {n: np.sqrt(x) if n in roots else x for n, x in means.items()}

    def _group_sizes(self, split: Split, n_examples: int) -> np.ndarray:
        """How many of the first examples belong to each group; NaN, not 0, where none does."""
        groups = self.program.task.groups
        if groups is None:
            return np.empty(0)
        if id(split) not in self._kinds:
            # By JAX, as in the programs: NumPy would round some numbers otherwise.
            self._kinds[id(split)] = np.asarray(groups.of(split.targets))
        of = self._kinds[id(split)][:n_examples]
        sizes = np.bincount(of, minlength=len(groups.values)).astype(np.float32)
        return np.where(sizes == 0, np.nan, sizes)

    def outcome(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Updates done, first bad update (0 if none) and bad quantity of every trial."""
        parts = (self.states.update, self.states.bad_update, self.states.bad_quantity)
        updates, bad, quantity = (np.asarray(x)[self.rows] for x in parts)
        return updates, bad, quantity

    def params(self, index: int) -> dict[str, np.ndarray]:
        """The parameters of one trial, or their average where that is kept, by name."""
        return self._of_trial(self.states.kept, index)

    def snapshot(self, index: int) -> dict[str, np.ndarray]:
        """The state of one trial, by name: all that is needed to go on later."""
        return self._of_trial(self.states, index)

    def _of_trial(self, tree: Any, index: int) -> dict[str, np.ndarray]:
        """Copies of one trial's arrays, read from its device only."""
        device, slot = divmod(int(self.rows[index]), self.program.slots)

        def read(array: Array) -> np.ndarray:
            shards = {s.index[0].start or 0: s.data for s in array.addressable_shards}
            slots = shards[device * self.program.slots]
            if self.program.machine.shares_memory:
                return np.array(np.asarray(slots)[slot])
            return np.asarray(slots[slot])  # cut there: all slots would have to be brought here

        return {name: read(leaf) for name, leaf in named_leaves(tree).items()}

    def _unflatten(self, arrays: dict[str, np.ndarray]) -> TrialState:
        shapes = self.program.one_state
        leaves = [self._place(arrays[name]) for name in named_leaves(shapes)]
        return jax.tree.unflatten(jax.tree.structure(shapes), leaves)

    def _key_words(self, purpose: str, content: Any = None) -> Array:
        seed = self.program.seed
        words = [seed_words(seed, t.replicate, purpose, content) for t in self.cohort.trials]
        return self._place(np.array(words))

    def _order(self, begin: int) -> Any:
        """The batches of a whole segment, per trial; a call may train only the first of them."""
        program, recipe = self.program, self.program.recipe
        stop = begin + program.segment

        def of(replicate: int) -> np.ndarray:
            return batch_order(recipe, program.task, program.seed, replicate, begin, stop)

        replicates = [trial.replicate for trial in self.cohort.trials]
        orders = {replicate: of(replicate) for replicate in set(replicates)}
        order = self._place(np.stack([orders[replicate] for replicate in replicates]))
        return program.draw(self._counts, order) if program.draws else order

    def _place(self, per_trial: np.ndarray) -> Array:
        """One value per trial, put into its slot; empty slots hold zeros."""
        slots = np.zeros((self.program.capacity, *per_trial.shape[1:]), per_trial.dtype)
        slots[self.rows] = per_trial
        return jax.device_put(slots, self.program.machine.spread)


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path: {"kernel": ..., "layers/0/bias": ...}."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in paths}


def restore(recipe: Recipe, stored: Mapping[str, np.ndarray]) -> Params:
    """The parameters of a trial as its model takes them, from its stored arrays by name.

    Raises UsageError where they are not those of this model.
    """
    shapes = jax.eval_shape(recipe.model.init, jax.random.key(0), recipe.hyper)
    expected = {name: leaf.shape for name, leaf in named_leaves(shapes).items()}
    found = {name: array.shape for name, array in stored.items()}
    if found != expected:
        raise UsageError(
            "parameters of another model", where="inspect", expected=expected, found=found
        )
    leaves = [jnp.asarray(stored[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)
