"""The results of a study as a labelled N-d array: stored trials become an ``xarray.Dataset``."""

import html
import json
import math
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from gridscape.errors import (
    GridscapeError,
    StoreError,
    UnknownNameError,
    UsageError,
    check_known,
    cut,
    one_line,
)
from gridscape.grid.arrays import Arrays
from gridscape.grid.asked import Asked
from gridscape.grid.axes import Axis, Cell, Grid, Value, show
from gridscape.grid.balance import balanced_means
from gridscape.grid.many import many_records
from gridscape.grid.meanings import Meaning, from_record, meaning_of
from gridscape.grid.names import (
    AXIS_AS_WELL,
    CLOCKS,
    COLLAPSED,
    FACTS,
    METRICS,
    REPLICATE,
    RESERVED,
    TEXTS,
    TOP_ANSWER,
    TOP_CLASS,
    TOP_SHARE,
    VALIDATION,
    Variable,
    check_name,
    curve_of,
    curve_variable,
    finals_of,
    main_of,
)
from gridscape.grid.trials import COUNTED, SEMANTICS, Status, Trial, TrialResult
from gridscape.identity.above import above
from gridscape.models.torch_weights import state_dict
from gridscape.store.arrays import (
    Places,
    arrays_by_kind,
    coordinates_of,
    curve_arrays,
    described,
    final_arrays,
    kinds_of,
    of_meaning,
    values_of,
)
from gridscape.store.late_curves import LateCurves
from gridscape.store.output import is_stream, write_folder_to, write_to
from gridscape.store.store import Store
from gridscape.store.to_mlflow import write_runs
from gridscape.store.to_tensorboard import write_events
from gridscape.store.tracked import TrackedRun

if TYPE_CHECKING:
    import xarray as xr

T = TypeVar("T")
FORMATS = ("csv", "parquet", "netcdf", "tensorboard", "mlflow")
FOLDERS = ("tensorboard", "mlflow")  # formats of a folder
ENDINGS = {".csv": "csv", ".parquet": "parquet", ".nc": "netcdf"}
EXTRAS = ("parquet", "tensorboard", "mlflow")  # formats whose packages are an extra
AT_ONCE = 4_096  # trials whose curves are read together with them
# Shares of the way from guessing to everything right.
LEARNED, GUESSES = 0.25, 0.05


@dataclass(frozen=True, repr=False)
class Landscape:
    """What became of every cell and replicate of a grid.

    data: one dimension per axis, in the study's order, then ``replicate``. Variables over them:
        every final metric by its name (test_accuracy, test_loss, val_accuracy, val_loss where there
        is a validation set, train_accuracy, train_loss, top_answer_share), ``top_answer`` (the
        class that most test examples get; of numbers ``answer_spread``), ``seconds``, ``flops``,
        ``n_parameters``, ``memory_bytes``, ``updates``, ``first_bad_update``; all float64 and NaN
        where there is none; ``status`` (text, "missing" where not trained yet), ``collapsed``
        (finished, and every test example got one and the same answer, or a constant), ``key`` and
        ``reason`` (text: why it did not finish, else ""). ``curve_train_*`` have the further
        dimension ``update``, all other curves ``evaluated_at``, both in updates done. The last
        point of a curve is measured on the same examples as the others, final metrics on all. A
        task that tells kinds of examples apart adds
        ``test_*_by_<kind>`` over the dimension <kind>. Attributes: ``units`` of every variable that
        has one ("fraction": in [0, 1]), ``better`` ("higher" or "lower") of those of metrics, and
        ``main_metric`` and ``selection`` of the whole, and ``classes``, their names as JSON.
    study: the plain data of the study: "name", "title", "task", "axes", ...
    """

    data: "xr.Dataset"
    study: Mapping[str, Any] = field(default_factory=dict)
    _unlabelled: Arrays | None = field(default=None, init=False, compare=False)
    _late: "LateCurves | None" = field(default=None, init=False, compare=False)
    _folder: Path | None = field(default=None, init=False, compare=False)

    @classmethod
    def read(cls, directory: str | Path) -> "Landscape":
        """The landscape of a results folder, finished or still running.

        Curves of a folder of very many trials are read, and checked, when they are first looked at.
        Raises StoreError where the folder cannot be used.
        """
        with many_records(), Store.read(directory) as store:
            if store.n_trials <= AT_ONCE or store.study.get("groups"):
                land = cls.of(store.study, store.results())
            else:
                land = cls._of(store.study, store.finals(), Path(directory))
            land.__dict__["_folder"] = store.directory
            return land

    @classmethod
    def of(
        cls,
        study: Mapping[str, Any],
        results: Iterable[tuple[Trial, TrialResult]],
        *,
        directory: Path | None = None,
    ) -> "Landscape":
        """The landscape of a study (its plain data: "axes", "replicates", ...) and its results.

        Trials outside the study's axes or replicates, left over from a larger grid, do not enter.
        Cells may have different numbers of replicates: the dimension has the largest one.
        directory: where the curves are, if these results lack them: they are read when asked for.
        """
        return cls._of(study, results, directory)

    @classmethod
    def _of(
        cls,
        study: Mapping[str, Any],
        results: Iterable[tuple[Trial, TrialResult]],
        directory: Path | None = None,
    ) -> "Landscape":
        """The same; directory: where the curves are, if these results lack them."""
        axes = tuple(Axis(name, tuple(values)) for name, values in study["axes"].items())
        places = Places(axes, Asked(study).most)
        inside = [(places.of(trial), trial, result) for trial, result in results]
        found = [(at, trial, result) for at, trial, result in inside if at is not None]
        kinds = kinds_of(study)
        metrics = from_record(study)
        is_told = study.get("metrics") is not None
        validated = bool(study.get("n_examples", {}).get("validation"))
        finals = final_arrays(places, found, finals_of(metrics, validated) if is_told else METRICS)
        kind = next(iter(kinds), None)
        late = LateCurves(directory, places, found) if directory else None
        curves = {} if late else curve_arrays(places, found, kind)
        by_kind = arrays_by_kind(places, found, kinds, study)
        variables, others = finals | curves | by_kind, CLOCKS.keys() | kinds.keys()
        _refuse_taken(axes, RESERVED.difference(AXIS_AS_WELL).union(variables, others))
        coordinates = coordinates_of(places, [] if late else found) | kinds
        attributes = {name: str(study.get(name) or "") for name in ("name", "title", "task")}
        if is_told:
            attributes["main_metric"] = str(study.get("main_metric") or main_of(metrics))
        if study.get("classes"):
            attributes["classes"] = json.dumps(study["classes"], ensure_ascii=False)
        arrays = Arrays(
            described(variables, metrics, kind),
            described({n: ((n,), v) for n, v in coordinates.items()}, metrics, kind),
            attributes,
        )
        if late:
            arrays.data_vars.update(late.variables(metrics))
            arrays.coords.update(late.clocks(metrics))
        land = cls.of_arrays(arrays, study)
        land.__dict__["_late"] = late
        attributes["selection"] = land.selection
        return land

    @classmethod
    def of_arrays(cls, arrays: Arrays, study: Mapping[str, Any]) -> "Landscape":
        """The landscape of arrays that are to become its ``data``."""
        land = cls.__new__(cls)
        land.__dict__.update(study=study, _unlabelled=arrays)
        return land

    if not TYPE_CHECKING:  # to a type checker ``data`` is a field like any other

        def __getattr__(self, name: str) -> Any:
            """``data`` of what was stored, made when it is first asked for: xarray loads slowly."""
            if name != "data" or self._unlabelled is None:
                return super().__getattribute__(name)  # which raises
            return self.__dict__.setdefault("data", self._unlabelled.dataset())

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), "data"})

    @property
    def _arrays(self) -> "Arrays | xr.Dataset":
        """What ``data`` holds. Once it is there it counts itself: users write into it."""
        if self._unlabelled is None or "data" in self.__dict__:
            return self.data
        return self._unlabelled

    def once(self, name: Hashable, make: Callable[[], T]) -> T:
        """``make()``, which is kept under this name as long as nobody can write into ``data``."""
        if self._unlabelled is None or "data" in self.__dict__:
            return make()
        kept: dict[Hashable, Any] = self.__dict__.setdefault("_kept", {})
        if name not in kept:
            kept[name] = make()
        found: T = kept[name]
        return found

    @property
    def _dims(self) -> tuple[str, ...]:
        """The dimensions of what has one value per trial: (*axes, replicate)."""
        axes = [str(name) for name in self._arrays["status"].dims if name != REPLICATE]
        return (*axes, REPLICATE)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes with their values, in the study's order."""
        own: Mapping[str, Any] = self.study.get("axes") or {}
        values = {name: self._arrays[name].values for name in self._dims[:-1]}
        return tuple(Axis(n, values_of(found, own.get(n, ()))) for n, found in values.items())

    @cached_property
    def grid(self) -> Grid:
        """All cells that the axes span."""
        return Grid(self.axes)

    @property
    def n_replicates(self) -> int:
        """The number of replicates of every cell."""
        return int(self.array("status").shape[-1])

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the final metrics."""
        over, no_metric = {*self._dims}, {*FACTS, TOP_ANSWER}
        return tuple(
            str(name)
            for name, found in self._arrays.data_vars.items()
            if {*found.dims} == over and found.values.dtype.kind == "f" and name not in no_metric
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds by which the task tells test examples apart: "length"."""
        known = {*self._dims, *CLOCKS}
        return tuple(str(name) for name in self._arrays.coords if name not in known)

    @property
    def curves(self) -> tuple[str, ...]:
        """The names of the curves; that of a metric's is the metric's."""
        found = (curve_of(str(name)) for name in self._arrays.data_vars)
        return tuple(name for name in found if name not in (None, TOP_ANSWER))

    def curve(self, name: str | None = None) -> "xr.DataArray":
        """A curve (default: of the main metric) of every trial: (*axes, replicate, clock).

        Raises UnknownNameError for a name that the landscape does not have.
        """
        name = name or self.main_metric
        if name not in self.curves:
            raise UnknownNameError("curve", name, self.curves)
        found: xr.DataArray = self.data[curve_variable(name)]
        return found.transpose(*self.data["status"].dims, ...)

    def meaning(self, name: str) -> Meaning:
        """Whether more of a metric, curve or fact is better, and its unit.

        As the landscape's attributes say; where they do not, as the study or the name does.
        """
        found = self._arrays.data_vars
        for variable in (name, curve_variable(name)):
            attributes: Mapping[str, Any] = found[variable].attrs if variable in found else {}
            if "better" in attributes:
                return Meaning(attributes["better"], attributes.get("units", ""))
        return meaning_of(name, from_record(self.study), (self.study.get("groups") or [None])[0])

    def attributes(self, name: str) -> dict[str, str]:
        """``better`` and ``units`` of a metric or curve, as its array has them."""
        return of_meaning(self.meaning(name))

    @property
    def lacks(self) -> str:
        """What these results do not tell since an earlier version wrote them; "" where nothing."""
        return lacks_of(self.study)

    def setting(self, name: str) -> Any:
        """What the study gives a setting in all cells; None where an axis varies it."""
        return None if name in (axis.name for axis in self.axes) else self.study.get(name)

    def axis(self, name: str) -> Axis:
        """The axis of this name; raises UnknownNameError."""
        return self.grid.axis(name)

    def array(self, name: str) -> np.ndarray:
        """A variable as a NumPy array: (*axes, replicate), and what other dimension it has."""
        found = self._arrays[name]
        dims = (*self._dims, *(dim for dim in found.dims if dim not in self._dims))
        known = [dim for dim in dims if dim in found.dims]
        values = found.values.transpose([found.dims.index(dim) for dim in known])
        if len(known) == len(dims):
            return values
        # Of a variable that a user wrote without one of the dimensions: the same all along it.
        sizes = dict(zip(self._dims, self.array("status").shape, strict=True))
        sizes |= dict(zip(map(str, known), values.shape, strict=True))
        shape = [sizes[str(dim)] for dim in dims]
        lacking = tuple(i for i, dim in enumerate(dims) if dim not in known)
        return np.broadcast_to(np.expand_dims(values, lacking), shape)

    def coordinate(self, name: str) -> np.ndarray:
        """The values along a dimension of ``data``."""
        return self._arrays[name].values

    def stored_attributes(self, name: str | None = None) -> dict[str, str]:
        """The attributes of a variable of ``data``, or of ``data`` itself."""
        return dict(self._arrays.attrs if name is None else self._arrays[name].attrs)

    def finished(self, metric: str | None = None) -> np.ndarray:
        """The same as ``values`` as a NumPy array; raises UnknownNameError."""
        metric = metric or self.main_metric
        known = (*self.metrics, *(name for name in FACTS if name in self._arrays.data_vars))
        if metric not in known:
            raise UnknownNameError("metric", metric, known)
        return np.where(self.array("status") == Status.FINISHED.value, self.array(metric), np.nan)

    def has(self, name: str) -> bool:
        """Whether ``data`` has a variable, or kinds of examples, of this name."""
        return name in self._arrays.data_vars or name in self._arrays.coords

    def points(self, curve: str) -> np.ndarray:
        """The updates at which a curve may have points."""
        found = self._arrays[curve_variable(curve)]
        (clock,) = (str(dim) for dim in found.dims if dim not in self._dims)
        return self._arrays[clock].values

    def lines(self, curve: str) -> np.ndarray:
        """A curve of every trial as a NumPy array: (*axes, replicate, points)."""
        return self.array(curve_variable(curve))

    def lines_of(self, curve: str, cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """A curve of some cells, by their numbers in the grid, and the updates of its points.

        (points,) and (cells, replicate, points). Of a large folder only these cells are read.
        """
        if self._late is not None and self._arrays is self._unlabelled:
            return self._late.of(curve, cells)
        lines, n_cells = self.lines(curve), math.prod(self.grid.shape)
        of_cells = lines.reshape(n_cells, *lines.shape[-2:])
        return self.points(curve), of_cells[np.asarray(cells, int)]

    def values(self, metric: str | None = None) -> "xr.DataArray":
        """A final metric (or fact) of the finished trials, NaN elsewhere: (*axes, replicate).

        By default the main metric.

        Raises UnknownNameError for a name that the landscape does not have.
        """
        metric = metric or self.main_metric
        return self._labelled(self.finished(metric), metric)

    def asked(self) -> "xr.DataArray":
        """Which trials the study asks for: (*axes, replicate), bool; others are not missing."""
        return self._labelled(self.wanted, "status")

    @property
    def wanted(self) -> np.ndarray:
        """The same as ``asked`` as a NumPy array."""
        asked, shape = Asked({"axes": {}, **self.study}), self.array("status").shape
        if not asked.names or not set(asked.names) <= {axis.name for axis in self.axes}:
            return np.ones(shape, bool)
        if asked.is_even(self.axes):
            return np.broadcast_to(self._arrays[REPLICATE].values < asked.replicates, shape)
        numbers = self.once("asked", lambda: asked.numbers(self.axes))
        wanted: np.ndarray = numbers[..., None] > self._arrays[REPLICATE].values
        return wanted

    @property
    def learns(self) -> np.ndarray:
        """Which trials learn: (*axes, replicate), bool.

        Those that finished, and do not give every test example the same answer. Where the main
        metric is a fraction, or an error of numbers, no run of a cell whose best one is no better
        than guessing does; and where that one has come a quarter of the way from guessing to
        everything right, those that come less than half as far do not.
        """
        learns: np.ndarray = self.array("status") == Status.FINISHED.value
        learns &= ~self.array(COLLAPSED)
        above = self.above_chance()
        if above is not None:
            # Numbers may be hard to tell: the least that is better than their mean is something.
            least = GUESSES if self.meaning(self.main_metric).is_fraction else 0.0
            best = np.fmax.reduce(above, axis=-1, keepdims=True)
            learns &= ~((best < least) | ((best >= LEARNED) & (above < best / 2)))
        return learns

    def above_chance(self, metric: str | None = None) -> np.ndarray | None:
        """How far trials are on the way from guessing, 0, to everything right, 1: (*axes, R).

        By a metric (default: the main one); None where the way is not known: of what is neither a
        fraction nor an error of numbers.
        """
        metric = metric or self.main_metric
        meaning, guessing = self.meaning(metric), self.chance(metric)
        if not meaning.is_fraction and guessing is None:
            return None
        values = self.finished(metric)
        if meaning.is_higher_better:
            return np.asarray((values - (guessing or 0.0)) / (1 - (guessing or 0.0)))
        guessing = 1.0 if guessing is None else guessing
        return np.asarray((guessing - values) / guessing) if guessing > 0 else None

    def chance(self, metric: str | None = None) -> float | None:
        """What answering the largest class always gives, by a metric (default: the main one).

        Of the accuracy on a set that is the share of its largest class; of numbers, what answering
        the mean of the training part gives. None where it is not known.
        """
        metric = metric or self.main_metric
        told = self.study.get("chances")
        found = told.get(metric) if isinstance(told, Mapping) else None
        meaning, guessing = self.meaning(metric), self.study.get("guessing")
        if found is None and meaning.is_fraction and isinstance(guessing, int | float):
            found = guessing if meaning.is_higher_better else 1 - guessing
        if not isinstance(found, int | float):
            return None
        return float(found) if not meaning.is_fraction or 0 < found < 1 else None

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, where their names were stored; else ()."""
        told = self.study.get("classes")
        return tuple(map(str, told)) if isinstance(told, list | tuple) else ()

    def candidates(self) -> "xr.DataArray":
        """Which cells may be called best: (*axes), bool; the rule is ``is_candidate``."""
        return self._labelled(self._candidates(), "status")

    def score(self, metric: str | None = None) -> "xr.DataArray":
        """The mean over the replicates that learn, signed so that more is better: (*axes).

        Over those that finished where none learns; NaN where a cell is no candidate. By default of
        the main metric; raises UnknownNameError for a metric that the landscape does not have.
        """
        metric = metric or self.main_metric
        return self._labelled(self._score(metric), metric)

    def _candidates(self) -> np.ndarray:
        status = self.array("status")
        finished = (status == Status.FINISHED.value).sum(-1)
        ended = np.isin(status, COUNTED).sum(-1)
        candidates: np.ndarray = is_candidate(finished, self.learns.sum(-1), ended)
        return candidates

    def _score(self, metric: str) -> np.ndarray:
        values = self._told(metric)
        with np.errstate(invalid="ignore"):  # no value: 0 / 0 is NaN
            mean = np.nansum(values, axis=-1) / (~np.isnan(values)).sum(-1)
        return np.where(self._candidates(), self.meaning(metric).sign * mean, np.nan)

    def _told(self, metric: str) -> np.ndarray:
        """The values of the runs that learn, of all where none does: (*axes, replicate)."""
        learns = self.learns
        told = learns | ~learns.any(axis=-1, keepdims=True)
        return np.where(told, self.finished(metric), np.nan)

    def balanced(self, metric: str) -> np.ndarray:
        """The mean of each cell as ``score`` has it, unsigned: (*axes).

        Where cells lack replicates, it is freed of what these share (``grid.balance``). By it cells
        are ranked.
        """
        return self.once(("balanced", metric), lambda: self._balanced(metric))

    def _balanced(self, metric: str) -> np.ndarray:
        values = self._told(metric)
        steady = ~(np.isin(self.array("status"), COUNTED) & ~self.learns).any(axis=-1)
        found = balanced_means(values.reshape(-1, values.shape[-1]), steady.ravel())
        return found.reshape(values.shape[:-1])

    def _rank(self, metric: str) -> np.ndarray:
        """``balanced``, signed so that more is better; NaN where a cell is no candidate."""
        signed = self.meaning(metric).sign * self.balanced(metric)
        return np.where(self._candidates(), signed, np.nan)

    def _labelled(self, array: np.ndarray, name: str) -> "xr.DataArray":
        """An array (*axes) or (*axes, replicate) with the labels of a variable of the data set."""
        like = self.data[name].transpose(*self._dims)
        if array.ndim < like.ndim:
            like = like.isel({REPLICATE: 0}, drop=True)
        return like.copy(data=array)

    def best(
        self, axis: str, per: str | Sequence[str] | None = None, metric: str | None = None
    ) -> "xr.Dataset":
        """The best value of ``axis`` for each value of ``per`` (default: all other axes).

        Best by ``chosen_by(metric)``, as cells are ranked by it (``balanced``); axes that are
        neither are optimized over too. Returns a Dataset over ``per`` with the variables ``axis``
        and ``metric`` (default: the main one), the mean of the chosen; NaN (or "") where no cell is
        a candidate. Its attribute ``chosen_by`` names the metric of the choice. Intervals on the
        best value: ``analysis.best_per``. Raises UnknownNameError for an axis or metric that is not
        there.
        """
        import xarray as xr

        metric = metric or self.main_metric
        rows = self._rows(axis, per)
        found = list(self.best_of_rows(axis, per, metric).values())
        nothing = "" if self.data[axis].dtype.kind == "U" else np.nan
        best = [nothing if cell is None else cell[axis] for cell in found]
        score = self._score(metric)
        means = [np.nan if c is None else score[self.grid.places(c)] for c in found]
        shape, dims = [len(row.values) for row in rows], [row.name for row in rows]
        arrays = {axis: np.array(best), metric: self.meaning(metric).sign * np.array(means)}
        return xr.Dataset(
            {name: (dims, array.reshape(shape)) for name, array in arrays.items()},
            coords={name: self.data[name] for name in dims},
            attrs={"chosen_by": self.chosen_by(metric)},
        )

    def best_of_rows(
        self, axis: str, per: str | Sequence[str] | None = None, metric: str | None = None
    ) -> dict[Cell, Cell | None]:
        """The best cell of each row: of the cells that share their values of ``per``.

        By default ``per`` is all axes but ``axis``, and the metric the main one; it is chosen by
        ``chosen_by(metric)``. None where no cell of a row is a candidate; of equals the first in
        the order of the grid.
        """
        self.axis(axis)
        rows = Grid(self._rows(axis, per))
        score = self._rank(self.chosen_by(metric))
        names, own = [a.name for a in rows.axes], [a.name for a in self.axes]
        order = [*names, *(name for name in own if name not in names)]
        shape = [len(self.axis(name).values) for name in order]
        flat = score.transpose([own.index(n) for n in order]).reshape(len(rows.cells()), -1)
        best: dict[Cell, Cell | None] = {}
        for number, (row, line) in enumerate(zip(rows.cells(), flat, strict=True)):
            at = int(np.argmax(np.where(np.isfinite(line), line, -np.inf)))
            places = np.unravel_index(number * line.size + at, shape)
            cell = dict(zip(order, map(int, places), strict=True))
            found = self.grid.at(cell[a.name] for a in self.axes)
            best[row] = found if np.isfinite(line[at]) else None
        return best

    def _rows(self, axis: str, per: str | Sequence[str] | None) -> tuple[Axis, ...]:
        names = row_axes(self, axis, per)
        return tuple(a for a in self.axes if a.name in names)

    @property
    def main_metric(self) -> str:
        """The metric that is spoken of where none is named: the first one of the task.

        In a folder of long ago, which does not tell it: test accuracy, else the first.
        """
        metrics = self.metrics
        first = (self._arrays.attrs.get("main_metric"), "test_accuracy", *metrics)
        return next(name for name in first if name in metrics)

    @property
    def selection(self) -> Literal["validation", "test"]:
        """On which set the best is chosen: as the study's ``selection`` says, by default "test".

        "validation" only where every trial that has the main metric has it on a validation set, or
        where the main metric is itself of that set.
        """
        if (main := Variable.parse(self.main_metric)) and main.split == VALIDATION:
            return "validation"
        asked = self.study.get("selection", self._arrays.attrs.get("selection"))
        return "validation" if asked == "validation" and self._is_validated() else "test"

    def _is_validated(self) -> bool:
        twin = _on_validation(self.main_metric)
        if twin == self.main_metric or twin not in self.metrics:
            return False
        shown, chosen = (np.isfinite(self.finished(n)) for n in (self.main_metric, twin))
        return bool(chosen.any() and (chosen >= shown).all())

    @property
    def selection_metric(self) -> str:
        """The metric by which the best is chosen: the main one, on the set of ``selection``."""
        return self.chosen_by(self.main_metric)

    def chosen_by(self, metric: str | None = None) -> str:
        """By which metric a choice is made of which ``metric`` (default: the main one) is shown.

        A test metric is chosen by its twin on the validation set where ``selection`` is
        "validation" and there is one. Any other metric is chosen by itself.
        """
        metric = metric or self.main_metric
        twin = _on_validation(metric)
        return twin if self.selection == "validation" and twin in self.metrics else metric

    def best_cells(self) -> list[Cell]:
        """The best cell of each row: for each value of all other axes, along the sought one."""
        axis = sought_axis(self.axes) or self.axes[-1]
        return [cell for cell in self.best_of_rows(axis.name).values() if cell is not None]

    def state_dict(self, cell: Mapping[str, Value], replicate: int = 0) -> dict[str, Any]:
        """The trained weights of a PyTorch module, for its ``load_state_dict(..., strict=False)``.

        cell: as ``{"hidden_size": 64}``; an axis of one value need not be named. The tensors have
        the names of the module's parameters; constants are those that its build makes. Nobody's
        code is imported. Raises UsageError for a cell that is not there, StoreError where the
        weights were not kept or are those of another model, GridscapeError without PyTorch.
        """
        found = self.grid.find(**cell)
        check_known("replicate", str(replicate), map(str, range(self.n_replicates)))
        key = str(self.array("key")[(*(self.grid.places(found) or ()), replicate)])
        if self._folder is None:
            raise StoreError("no results folder", hint="Landscape.read(folder) has the weights")
        with Store.read(self._folder) as store:
            params = store.get(key).params
        if not params:
            raise StoreError(
                "the weights of this trial were not kept",
                where=f"{found}, replicate {replicate}",
                hint='keep_parameters = "best" or "all" keeps them',
            )
        return state_dict(params)

    def export(self, path: str | Path, format: str | None = None) -> Path:
        """Writes the landscape and returns the path; an existing file is replaced as a whole.

        format: by default as the name ends, .csv, .parquet or .nc; "csv" where it has no ending.
        Links are followed. A device or a pipe, and what lies under /dev or /proc, is opened and
        written as it is.
        "csv" and "parquet": one row per trial with its axes, replicate, status, key, metrics and
        costs (no curves). "netcdf": everything; ``xarray.open_dataset`` reads it back; where
        nobody asked for some trials, ``asked`` tells which. "tensorboard" and "mlflow": a new
        folder of event files, or of an experiment's runs, one for each trial with its cell, its
        metrics by update and its final ones as the last.
        Raises UsageError for another format or ending, or an ending of another format,
        GridscapeError where the file cannot be written, a
        folder is there already, or the extra of the format's name is not installed.
        """
        writers: dict[str, Callable[[Path], object]] = {
            "csv": lambda part: self.table().to_csv(part, index=False),
            "parquet": lambda part: self.table().to_parquet(part, index=False, engine="pyarrow"),
            "netcdf": self._to_netcdf,
            "tensorboard": self._to_tensorboard,
            "mlflow": lambda part: write_runs(part, self._runs(), self.study),
        }
        path = Path(path)
        try:
            format = _format_of(path, format)
            (write_folder_to if format in FOLDERS else write_to)(path, writers[format])
        except ImportError as error:
            hint = f'pip install "gridscape[{format}]"' if format in EXTRAS else None
            raise GridscapeError(
                f"a package for {format} is missing", found=str(error), hint=hint
            ) from error
        except (ValueError, TypeError) as error:  # a name or a text that the format does not have
            raise GridscapeError(
                f"{format} cannot hold this landscape",
                where=path,
                found=one_line(error),
                hint=None if format == "csv" else "csv can",
            ) from error
        except OSError as error:
            raise GridscapeError(
                "cannot write this file", where=path, found=error.strerror or str(error)
            ) from error
        return path

    def _to_tensorboard(self, folder: Path) -> None:
        write_events(folder, self._runs(), self.axes, self.metrics)

    def _runs(self) -> Iterator[TrackedRun]:
        """Every trial that has ended, with its curves."""
        curves = [name for name in self.curves if name != TOP_SHARE]
        metrics = {name: self.array(name) for name in self.metrics}
        others = {n: self.array(n) for n in (*TEXTS, "updates", "seconds") if n not in self._dims}
        for number, cell in enumerate(self.grid.cells()):
            place = self.grid.places(cell) or ()
            lines = {name: self.lines_of(name, [number]) for name in curves}
            for replicate in range(self.n_replicates):
                at = (*place, replicate)
                own = {name: found[at] for name, found in others.items()}
                if own["status"] == Status.MISSING.value:
                    continue
                along = {name: (points, of[0, replicate]) for name, (points, of) in lines.items()}
                yield TrackedRun(
                    cell,
                    replicate,
                    Status(str(own["status"])),
                    str(own["key"]),
                    str(own["reason"]),
                    {n: float(v[at]) for n, v in metrics.items() if np.isfinite(v[at])},
                    {n: (p[np.isfinite(v)], v[np.isfinite(v)]) for n, (p, v) in along.items()},
                    int(np.nan_to_num(own.get("updates", cell.get("updates", 0)))),
                    float(np.nan_to_num(own["seconds"])),
                )

    def _to_netcdf(self, path: Path) -> None:
        for name in self.data.variables:
            check_name(name, "a variable of netCDF", str(self.data.attrs["name"]))
        asked, data = self.asked(), self.data
        if not asked.values.all() and "asked" not in data.variables:  # else a hole is but missing
            data = data.assign(asked=asked)
        data.to_netcdf(path, engine="h5netcdf")

    def table(self) -> Any:
        """A pandas DataFrame with one row per trial: axes, replicate, status, key, all numbers.

        Trials that nobody asked for, and that are not there, have no row. Where classes have
        names, ``top_class`` is that of ``top_answer``.
        """
        per_trial = self.data.drop_dims(set(self.data.dims) - set(self.data["status"].dims))
        names = ["status", COLLAPSED, "key", *self.metrics, TOP_ANSWER, *FACTS, "reason"]
        names = [name for name in names if name in per_trial.data_vars]
        found = per_trial[names].to_dataframe(dim_order=list(self.data["status"].dims))
        if self.class_names and TOP_ANSWER in found:
            found.insert(list(found).index(TOP_ANSWER) + 1, TOP_CLASS, self._called(found))
        found = found.reset_index()
        is_there = self.wanted.ravel() | (found["status"] != Status.MISSING.value).to_numpy()
        return found if is_there.all() else found[is_there].reset_index(drop=True)

    def _called(self, table: Any) -> list[str]:
        """The name of the class that is answered most, of each row; "" where there is none."""
        names = self.class_names
        return ["" if np.isnan(at) else names[int(at)] for at in table[TOP_ANSWER]]

    @property
    def folder(self) -> Path | None:
        """The results folder that it was read from; None for one that was made."""
        return self._folder

    def page(self) -> Any:
        """The page, which a notebook shows in place, without a server and without networks."""
        return above("report.notebook").page(self)

    def plot(
        self, metric: str | None = None, *, ax: Any = None, size: tuple[float, float] | None = None
    ) -> Any:
        """The heat map of a metric (default: the main one), by matplotlib.

        ax: of matplotlib, where it is drawn, and which is returned; else a new figure is. size: of
        that figure, (width, height) in inches. Raises UnknownNameError for a metric that is not
        there, UsageError for an ax and more than two axes, GridscapeError without matplotlib.
        """
        return above("report.notebook").plot(self, metric, ax=ax, size=size)

    def __repr__(self) -> str:
        shape = " x ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        counts = ", ".join(f"{n} {status}" for status, n in self.counts().items() if n)
        title = self._arrays.attrs.get("name") or "landscape"
        return f"<Landscape {title}: {shape} x {self.n_replicates} replicates; {counts}>"

    def counts(self) -> dict[str, int]:
        """How many trials have each status; of those that were asked for, or have ended."""
        status = self.array("status")
        status = status[self.wanted | (status != Status.MISSING.value)]
        return {str(s): int((status == s.value).sum()) for s in Status}

    def _repr_html_(self) -> str:
        return _html_table(self, self.main_metric)


def import_runs(
    source: Any,
    axes: Sequence[str] | Mapping[str, str] | str,
    *,
    metric: Sequence[str] | Mapping[str, str] | str | None = None,
    replicate: str | None = None,
    better: Mapping[str, str] | str | None = None,
    status: str | None = None,
    step: str | None = None,
    name: str | None = None,
    claims: str | None = None,
    directory: str | Path | None = None,
) -> Landscape:
    """The landscape of runs that were made elsewhere, from a table of them; kept in a folder.

    source: a file (.csv, .tsv, .parquet and what pandas reads) or a table of pandas, Polars or
        Arrow; a row is a run, or a step of one. axes: the columns that were varied, without what
        W&B, MLflow and Optuna put before a name; as a mapping, each under a name of its own.
    metric: columns likewise, the main one first; by default those that are metrics by their names.
        Of the test set where the name tells no other (``val_accuracy``, ``train/loss``).
    replicate: the column of seeds, by which runs are paired; else runs of a cell are counted.
    better: "higher" or "lower" of all metrics, or of each by name; else guessed by the names.
    status: the column that tells how runs ended, by default status or state; "none" for none. What
        failed, crashed or was pruned failed, what runs is missing.
    step: the column of updates or epochs done, where runs have a row for each step.
    name: of the folder ``runs/NAME``, by default that of the file. claims: a file of statements.

    What was guessed or is odd is told with the study (``study["told"]``). Such runs are shown,
    tested and exported as any others, and cannot be trained further. Raises UsageError and
    UnknownNameError for columns that are not there or cannot be what they are said to be,
    DataError for values that cannot, StoreError for a folder that holds something.
    """
    from gridscape.data.tables import as_table
    from gridscape.store.imported import folder_name, require_new
    from gridscape.store.run_tables import Columns, pairs_named, runs_of
    from gridscape.study import reach

    table = as_table(source, "runs")
    of_file = Path(source) if isinstance(source, str | Path) else None
    own = name or (of_file.name.split(".")[0] if of_file else "imported")
    own = folder_name(own) or "imported"
    folder = Path(directory) if directory is not None else Path("runs") / own
    require_new(folder)
    sides = {"": better} if isinstance(better, str) else dict(better or {})
    named = (
        {str(n): str(column) for n, column in given.items()}
        if isinstance(given, Mapping)
        else pairs_named(given.split(",") if isinstance(given, str) else given)
        for given in (axes, metric or {})
    )
    asked = Columns(next(named), next(named), sides, replicate, status, step)
    where = of_file.name if of_file else "table"
    try:
        runs = runs_of(table, asked, own, of_file.name if of_file else "a table in Python", where)
    except UnknownNameError as error:
        if called := _called_otherwise(error):
            error.hint = f"did you mean {called!r}? {error.name}={called} calls it so"
        raise
    if claims:  # by its whole path, wherever they are asked for
        runs.study["claims"] = str(Path(claims).absolute()) if reach.names_file(claims) else claims
    with Store.create(folder, runs.study) as store:
        for at in range(0, len(runs.trials), AT_ONCE):
            store.put_all(runs.trials[at : at + AT_ONCE])
    reach.remember(runs.study, runs.study, None)
    return Landscape.read(folder)


def merge(*folders: str | Path, directory: str | Path | None = None) -> Landscape:
    """The landscape of several results folders of one study, kept in a new folder.

    Folders of one seed join their cells and replicates; where each has a seed of its own, every
    seed and replicate of it becomes a replicate. A trial that stands in two folders is taken once;
    one that has other numbers there is told (``study["told"]``). Nobody's code is imported.
    directory: by default ``runs/NAME-merged``. Raises UsageError for fewer than two folders,
    StoreError for folders of other conditions, with the first difference, and for a new folder
    that holds something.
    """
    from gridscape.store.merging import default_folder, merge_folders

    if directory is None and folders:
        directory = default_folder(folders[0])
    return Landscape.read(merge_folders(folders, directory or "runs/merged").directory)


def _format_of(path: Path, asked: str | None) -> str:
    """The format of a file: the one asked for, else as its name ends."""
    if asked is not None and asked not in FORMATS:
        raise UnknownNameError("format", asked, FORMATS)
    told = ENDINGS.get(path.suffix.lower())
    if asked in FOLDERS or is_stream(path):
        return asked or "csv"
    if asked is None and told is None and path.suffix:
        raise UsageError(
            "no format has files that end so",
            where=cut(path.name, 80),
            expected=f"{', '.join(ENDINGS)}, or a format: {', '.join(FORMATS)}",
            found=cut(path.suffix, 20),
        )
    if asked and told and asked != told:
        raise UsageError(
            f"a file of {told} ends so",
            where=cut(path.name, 80),
            expected=next(ending for ending, of in ENDINGS.items() if of == asked),
            found=path.suffix,
        )
    return asked or told or "csv"


def _called_otherwise(error: UnknownNameError) -> str | None:
    """The column that other libraries call so: lr, where learning_rate is not there."""
    from gridscape.data.run_columns import bare_name
    from gridscape.study.synonyms import meaning

    wanted = meaning(error.name)
    for column in error.known:
        found = meaning(bare_name(column))
        if wanted is not None and found is not None and found.ours == wanted.ours:
            return bare_name(column)
    return None


def lacks_of(study: Mapping[str, Any]) -> str:
    """What the results of a study (its plain data) lack, in one line; "" where nothing."""
    written = study.get("semantics")
    if not isinstance(written, int) or written >= SEMANTICS:
        return ""
    return (
        "trained by an earlier version of Gridscape: no validation metrics, no class answered,"
        " and the last point of a curve may be over more test examples than those before it"
    )


def is_candidate(n_finished: Any, n_learns: Any, n_ended: Any) -> Any:
    """Whether a cell may be called best: more than half of its ended replicates learn.

    Or more than half finished and none learns: what has not begun to learn may be all there is.
    """
    return (2 * n_learns > n_ended) | ((n_learns == 0) & (2 * n_finished > n_ended))


def _on_validation(metric: str) -> str:
    """The name of a test metric on the validation set; any other name as it is."""
    variable = Variable.parse(metric)
    is_test = variable is not None and variable.split == "test" and not variable.is_curve
    return str(replace(variable, split="val")) if is_test and variable else metric


def sought_axis(axes: Sequence[Axis]) -> Axis | None:
    """The axis whose best value is of interest: the learning rate, else the last that varies."""
    varying = [axis for axis in axes if len(axis.values) > 1]
    rates = [axis for axis in varying if axis.name == "learning_rate"]
    return next(iter(rates or reversed(varying)), None)


def row_axes(land: Landscape, axis: str, per: str | Sequence[str] | None) -> tuple[str, ...]:
    """The axes that name a row: ``per``, by default all but ``axis``."""
    if per is None:
        return tuple(a.name for a in land.axes if a.name != axis)
    names = (per,) if isinstance(per, str) else tuple(per)
    for name in names:
        land.axis(name)
    if axis in names:
        raise UsageError("an axis cannot be compared per itself", where=f"axis {axis}")
    return names


def _refuse_taken(axes: Iterable[Axis], taken: Collection[str]) -> None:
    """Raise StoreError for an axis, of a folder of long ago, that hides another name of ours."""
    for axis in axes:
        if axis.name in taken:
            raise StoreError(
                "these results cannot be shown: every landscape has something of this name",
                where=f"axis {axis.name}",
                hint="rename the axis, an option or number of the model or the task, and train anew"
                " with another --dir",
            )


def _html_table(land: Landscape, metric: str) -> str:
    """Means over replicates by the first two axes, the best over any further ones.

    Colors are a tint over whatever background the page has, and the text keeps the page's color:
    readable in dark and light.
    """
    meaning = land.meaning(metric)
    rows, *others = land.axes
    rest = [axis.name for axis in others[1:]]
    shape = (len(rows.values), -1)
    score = _of_the_best(land, metric, rest).reshape(shape)
    ended = land.data["status"].isin(COUNTED).any([*rest, "replicate"])
    asked = land.asked().any([*rest, "replicate"]) | ended
    marks = np.where(ended, "failed", np.where(asked, "...", "")).reshape(shape)
    cells = zip(rows.values, score, marks, strict=True)
    low, high = _finite_range(score)
    body = "".join(
        f"<tr><th>{html.escape(show(value))}</th>"
        + "".join(
            _html_cell(meaning.sign * number, (number - low) / (high - low), mark)
            for number, mark in zip(numbers, of_row, strict=True)
        )
        + "</tr>"
        for value, numbers, of_row in cells
    )
    heads = [show(value) for value in others[0].values] if others else [metric]
    corner = " \\ ".join(axis.name for axis in land.axes[:2])
    head = "".join(f"<th>{html.escape(text)}</th>" for text in (corner, *heads))
    on = f"chosen on the {land.selection} set"
    over = f", best over {', '.join(rest)}, {on}" if rest else ""
    caption = html.escape(f"{land!r} {metric}, mean over replicates{over}")
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


def _of_the_best(land: Landscape, metric: str, over: Sequence[str]) -> np.ndarray:
    """The score by a metric of the cell that is chosen along these axes, the last of the grid."""
    scores = land._score(metric), land._rank(land.chosen_by(metric))
    n_kept = scores[0].ndim - len(over)
    shown, chosen = (score.reshape(*score.shape[:n_kept], -1) for score in scores)
    at = np.where(np.isfinite(chosen), chosen, -np.inf).argmax(axis=-1)
    found: np.ndarray = np.take_along_axis(shown, at[..., None], axis=-1)[..., 0]
    return found


def _finite_range(numbers: np.ndarray) -> tuple[float, float]:
    """The smallest and largest finite number, apart from each other so that one can divide."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite) or finite.min() == finite.max():
        return 0.0, 1.0
    return float(finite.min()), float(finite.max())


def _html_cell(number: float, strength: float, mark: str) -> str:
    """A cell without a result says so: dots while it is not trained, else that training failed.

    Nothing stands in a hole.
    """
    if not np.isfinite(number):
        return f'<td style="opacity:.6">{mark}</td>'
    alpha = 0.05 + 0.5 * min(max(strength, 0.0), 1.0)
    return f'<td style="background:rgba(46,134,222,{alpha:.2f})">{number:.4f}</td>'
