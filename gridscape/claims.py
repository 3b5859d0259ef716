"""Published statements, checked against our own results.

A claim is data (``data/claims/<study>.toml``): a statement, its source, and the name and parameters
of a rule. A rule is a registered function that turns a landscape into checks, each of which says by
its own numbers that the statement holds, fails, or cannot be decided; ``judge`` corrects them for
their number and joins them. A verdict is *undecided* where replicates are too few, cells are
missing, or intervals hold both answers; its note says which.
"""

import csv
import inspect
import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from gridscape.analysis import (
    LEVEL,
    CellState,
    CellSummary,
    Interval,
    PublishedTable,
    ended_values,
    fit_budget,
    holm,
    summarize,
    t_interval,
    t_test,
)
from gridscape.errors import StudyFileError, UnknownNameError
from gridscape.grid import Axis, Cell, Grid, Value, parse_value, same, show
from gridscape.landscape import Landscape, unit_of

_DATA = Path(__file__).parent / "data"


# ---- records ----------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What our results say of a statement."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A published statement and the rule that judges it.

    id: "a"; source: title of the report; rule: name of a registered rule; parameters: its
    arguments; rule_in_words: what the rule asks for; axes: the grid the statement was made on.
    """

    id: str
    statement: str
    source: str
    rule: str
    parameters: Mapping[str, Any]
    rule_in_words: str
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Estimate:
    """One number of a verdict with its interval, and what it alone says of the statement.

    name: what is estimated, "slope of test_accuracy at learning_rate=1e-05"; unit: "fraction per
    doubling of hidden_size"; asks: what the statement needs, "> 0". p_value: of the test that
    decided or came nearest to it, Holm-corrected; NaN where there is no test.
    """

    name: str
    interval: Interval
    unit: str
    asks: str
    says: Outcome
    p_value: float


@dataclass(frozen=True)
class Exclusion:
    """A cell that a verdict could not use, and why."""

    cell: Cell
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The outcome of a claim with everything it rests on.

    rule: the rule in words. estimates: with intervals, the first one is the one to show.
    numbers: further plain numbers by name. note: why it is undecided, or what to keep in mind.
    """

    claim: Claim
    outcome: Outcome
    rule: str
    estimates: tuple[Estimate, ...]
    numbers: Mapping[str, float]
    used: tuple[Cell, ...]
    excluded: tuple[Exclusion, ...]
    note: str


# ---- claims and published tables as data ------------------------------------------------------


def load_claims(name: str | Path) -> tuple[Claim, ...]:
    """The claims of a named study ("lstm-width-lr") or of a TOML file of the same form.

    Raises UnknownNameError for a name without claims, StudyFileError with all mistakes of a file.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _DATA / "claims" / f"{name}.toml"
        if not path.is_file():
            known = [file.stem for file in path.parent.glob("*.toml")]
            raise UnknownNameError("claims", str(name), known)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyFileError(path.name, [f"cannot be read: {error}"]) from error
    if mistakes := _mistakes(document):
        raise StudyFileError(path.name, mistakes)
    axes = tuple(Axis(axis, tuple(values)) for axis, values in document["axes"].items())
    return tuple(_claim(entry, axes) for entry in document["claim"])


_FIELDS = {"id", "statement", "source", "rule", "parameters", "words"}


def _claim(entry: Mapping[str, Any], axes: tuple[Axis, ...]) -> Claim:
    words = entry["words"].format(**entry["parameters"])
    named = {key: entry[key] for key in ("id", "statement", "source", "rule", "parameters")}
    return Claim(**named, rule_in_words=words, axes=axes)


def _mistakes(document: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong in a file of claims, one line each."""
    mistakes = [f"unknown key {key!r}" for key in sorted(set(document) - {"axes", "claim"})]
    if not document.get("axes") or not all(document["axes"].values()):
        mistakes.append("axes: expected the values of every axis of the published grid")
    entries = document.get("claim") or []
    if not entries:
        mistakes.append("claim: expected at least one")
    for number, entry in enumerate(entries, start=1):
        where = f"claim {entry.get('id', number)}"
        mistakes += [f"{where}: {mistake}" for mistake in _mistakes_of_claim(entry)]
    return mistakes


def _mistakes_of_claim(entry: Mapping[str, Any]) -> list[str]:
    if set(entry) != _FIELDS:
        missing, unknown = sorted(_FIELDS - set(entry)), sorted(set(entry) - _FIELDS)
        return [f"missing {key!r}" for key in missing] + [f"unknown key {key!r}" for key in unknown]
    if entry["rule"] not in RULES:
        return [str(UnknownNameError("rule", entry["rule"], RULES))]
    try:
        inspect.signature(RULES[entry["rule"]]).bind(None, **entry["parameters"])
        entry["words"].format(**entry["parameters"])
    except (TypeError, KeyError, IndexError, ValueError) as error:
        return [f"parameters of rule {entry['rule']!r}: {error}"]
    return []


def published(name: str) -> PublishedTable:
    """A published table by the name of its file, "width_lr_report1"; NaN where nothing stands.

    Raises UnknownNameError.
    """
    folder = _DATA / "published"
    tables = tomllib.loads((folder / "tables.toml").read_text(encoding="utf-8"))
    if name not in tables:
        raise UnknownNameError("published table", name, tables)
    about = tables[name]
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        (_, *columns), *rows = csv.reader(file)
    values = tuple(
        (
            Cell.of(**{about["rows"]: parse_value(row), about["columns"]: parse_value(column)}),
            float(text) if text else math.nan,
        )
        for row, *texts in rows
        for column, text in zip(columns, texts, strict=True)
    )
    return PublishedTable(name, about["source"], about["metric"], values)


# ---- verdicts ---------------------------------------------------------------------------------


def judge(land: Landscape, claims: Iterable[Claim]) -> tuple[Verdict, ...]:
    """Judges every claim by the landscape's replicates, also where only a part of it is there.

    Raises UnknownNameError where the landscape lacks a metric or an axis that a rule names.
    """
    return tuple(_verdict(land, claim) for claim in claims)


def _verdict(land: Landscape, claim: Claim) -> Verdict:
    if obstacle := _obstacle(land, claim):
        return Verdict(claim, Outcome.UNDECIDED, claim.rule_in_words, (), {}, (), (), obstacle)
    evidence = Evidence(land, claim.axes)
    finding = RULES[claim.rule](evidence, **claim.parameters)
    outcome, estimates, reason = _decide(finding.checks)
    if finding.lacks and outcome is not Outcome.FAILS:
        outcome = Outcome.UNDECIDED
    lacks = f"the landscape lacks {finding.lacks}" if finding.lacks else ""
    excluded = evidence.excluded
    return Verdict(
        claim=claim,
        outcome=outcome,
        rule=claim.rule_in_words,
        estimates=estimates,
        numbers=finding.numbers,
        used=evidence.used,
        excluded=excluded,
        note="; ".join(part for part in (lacks, reason, _tally(excluded)) if part),
    )


def _obstacle(land: Landscape, claim: Claim) -> str:
    """Why a landscape of other axes cannot be judged; "" where it can."""
    ours, theirs = {axis.name: axis for axis in land.axes}, [axis.name for axis in claim.axes]
    if lacking := [name for name in theirs if name not in ours]:
        return f"the landscape has no axis {_list(lacking)}"
    further = [name for name in ours if name not in theirs and len(ours[name].values) > 1]
    if further:
        return f"the landscape has several values of {_list(further)}: select one of each first"
    return ""


def _tally(excluded: Sequence[Exclusion]) -> str:
    """Excluded cells by reason: "30 cells not in this landscape"."""
    counts = Counter(exclusion.reason for exclusion in excluded)
    return "; ".join(f"{n} cell{'s' if n > 1 else ''}: {why}" for why, n in counts.items())


# ---- checks: what one number says -------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One number of a rule, tested in both directions.

    p_holds, p_fails: p values of the null hypotheses that evidence for and against the statement
    must reject; NaN where replicates are too few for a test. A ``guard`` can only speak against
    the statement. ``says`` is given where something else than p values decides.
    """

    name: str
    unit: str
    asks: str
    interval: Interval
    p_holds: float
    p_fails: float
    guard: bool = False
    says: Outcome | None = None


def _p_above(values: np.ndarray, bound: float) -> float:
    """p value for "the mean is above ``bound``" of the two-sided t test; 1 on the other side."""
    p = t_test(values, bound)
    return p if math.isnan(p) or np.nanmean(values) > bound else 1.0


def above(name: str, unit: str, values: np.ndarray, bound: float, *, guard: bool = False) -> Check:
    """Holds where the mean of the values, one per replicate, is above ``bound``."""
    p_holds, p_fails = _p_above(values, bound), _p_above(-values, -bound)
    p_holds = 0.0 if guard else p_holds
    return Check(name, unit, f"> {bound:g}", t_interval(values), p_holds, p_fails, guard)


def below(name: str, unit: str, values: np.ndarray, bound: float) -> Check:
    """Holds where the mean of the values, one per replicate, is below ``bound``."""
    p_holds, p_fails = _p_above(-values, -bound), _p_above(values, bound)
    return Check(name, unit, f"< {bound:g}", t_interval(values), p_holds, p_fails)


def within(name: str, unit: str, values: np.ndarray, margin: float) -> Check:
    """Holds where the mean lies in (-margin, margin): two one-sided tests (Schuirmann 1987)."""
    p_holds = max(_p_above(values, -margin), _p_above(-values, -margin))
    p_fails = min(_p_above(values, margin), _p_above(-values, margin))
    return Check(name, unit, f"within +-{margin:g}", t_interval(values), p_holds, p_fails)


def certain(name: str, asks: str, says: Outcome) -> Check:
    """What needs no test: a cell that diverged has no accuracy, yet it surely failed."""
    unknown = Interval(math.nan, math.nan, math.nan, 0)
    holds = says is Outcome.HOLDS
    return Check(name, "", asks, unknown, 0.0 if holds else 1.0, 1.0 if holds else 0.0)


def _decide(tests: Sequence[Check]) -> tuple[Outcome, tuple[Estimate, ...], str]:
    """Every test must hold; one that fails is enough to fail. Guards show only when they fail."""
    p_holds, p_fails = holm([t.p_holds for t in tests]), holm([t.p_fails for t in tests])
    said = [
        test.says or _says(test, yes, no)
        for test, yes, no in zip(tests, p_holds, p_fails, strict=True)
    ]
    estimates = tuple(
        Estimate(t.name, t.interval, t.unit, t.asks, says, float(np.fmin(yes, no)))
        for t, yes, no, says in zip(tests, p_holds, p_fails, said, strict=True)
        if not t.guard or says is Outcome.FAILS
    )
    if Outcome.FAILS in said:
        return Outcome.FAILS, estimates, ""
    if said and all(says is Outcome.HOLDS for says in said):
        return Outcome.HOLDS, estimates, ""
    return Outcome.UNDECIDED, estimates, _why_undecided(tests, said)


def _says(test: Check, p_holds: float, p_fails: float) -> Outcome:
    if p_fails <= 1 - LEVEL:
        return Outcome.FAILS
    if test.guard or p_holds <= 1 - LEVEL:
        return Outcome.HOLDS
    return Outcome.UNDECIDED


def _why_undecided(tests: Sequence[Check], said: Sequence[Outcome]) -> str:
    open_ = [t for t, says in zip(tests, said, strict=True) if says is Outcome.UNDECIDED]
    few = [t.name for t in open_ if t.interval.n < 2]
    both = [t.name for t in open_ if t.interval.n >= 2]
    reasons = []
    if few:
        reasons.append(f"fewer than two replicates to test with: {_list(few)}")
    if both:
        reasons.append(f"the replicates do not settle: {_list(both)}")
    return "; ".join(reasons)


def _list(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# ---- evidence: the cells that a rule may use ---------------------------------------------------

Region = Mapping[str, Any]  # axis -> a value, a list of values, or {from = ..., to = ...}


class Evidence:
    """A landscape as a rule sees it; it notes which cells were used and which could not be."""

    def __init__(self, land: Landscape, axes: tuple[Axis, ...]) -> None:
        self.land, self.axes = land, axes
        self._used: dict[Cell, None] = {}
        self._excluded: dict[Cell, str] = {}
        self._summaries: dict[str, dict[Cell, CellSummary]] = {}

    def summaries(self, metric: str) -> dict[Cell, CellSummary]:
        """Every cell of the landscape."""
        if metric not in self._summaries:
            self._summaries[metric] = {s.cell: s for s in summarize(self.land, metric)}
        return self._summaries[metric]

    def all_in(self, region: Region, metric: str) -> list[CellSummary]:
        """Every cell of the region that was trained; the others are noted as excluded."""
        found = [s for cell, s in self.summaries(metric).items() if _inside(cell, region)]
        for cell in Grid(self.axes).cells():
            if _inside(cell, region) and not any(_equal(cell, s.cell) for s in found):
                self.exclude([cell], "not in this landscape")
        self.exclude([s.cell for s in found if not s.n_ended], "not trained yet")
        return [s for s in found if s.n_ended]

    def fit_in(self, region: Region, metric: str) -> list[CellSummary]:
        """The cells of the region that have an estimate: most of their replicates finished."""
        trained = self.all_in(region, metric)
        fit = [s for s in trained if s.is_candidate and math.isfinite(s.estimate.mean)]
        lost = [s.cell for s in trained if s not in fit]
        self.exclude(lost, "diverged or failed in at least half of its replicates")
        return fit

    def use(self, summaries: Iterable[CellSummary]) -> None:
        """Notes that the verdict rests on these cells."""
        self._used.update((s.cell, None) for s in summaries)

    def exclude(self, cells: Iterable[Cell], reason: str) -> None:
        """Notes that the verdict could not use these cells; the first reason stays."""
        for cell in cells:
            self._excluded.setdefault(cell, reason)

    @property
    def used(self) -> tuple[Cell, ...]:
        """The cells that the verdict rests on."""
        return tuple(self._used)

    @property
    def excluded(self) -> tuple[Exclusion, ...]:
        """The cells that it could not use."""
        rest = self._excluded.items()
        return tuple(Exclusion(cell, why) for cell, why in rest if cell not in self._used)


def _inside(cell: Cell, region: Region) -> bool:
    return all(_allows(wanted, cell[axis]) for axis, wanted in region.items() if axis in cell)


def _allows(wanted: Any, value: Value) -> bool:
    if isinstance(wanted, Mapping):
        return bool(wanted.get("from", -math.inf) <= value <= wanted.get("to", math.inf))
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    return any(same(value, other) for other in values)


def _equal(wanted: Cell, cell: Cell) -> bool:
    """Whether a cell has the wanted values; it may have further axes."""
    return all(same(cell[axis], value) for axis, value in wanted.items())


def _unit(metric: str) -> str:
    return unit_of(metric) or ""


def _by(summaries: Iterable[CellSummary], axis: str) -> dict[Value, list[CellSummary]]:
    """Cells by their value of an axis, values ascending."""
    groups: dict[Value, list[CellSummary]] = {}
    for summary in summaries:
        groups.setdefault(summary.cell[axis], []).append(summary)
    return dict(sorted(groups.items()))


def _complete(summaries: Sequence[CellSummary]) -> np.ndarray:
    """(cells, R'): values of the replicates that finished in every one of these cells."""
    values = np.array([s.values for s in summaries])
    return values[:, np.isfinite(values).all(axis=0)]


def _difference(a: CellSummary, b: CellSummary) -> np.ndarray:
    """Paired differences a - b over the replicates that finished in both."""
    first, second = _complete([a, b])
    return np.asarray(first - second)


def _ruler(axis: Axis, base: float) -> Callable[[Value], float]:
    """Where a value lies on its axis: its logarithm where the axis is logarithmic."""
    return (lambda v: math.log(float(v), base)) if axis.scale == "log" else float


def _slopes(x: Sequence[float], y: np.ndarray) -> np.ndarray:
    """Least-squares slopes of each column of y (points, R) on x (points,)."""
    centered = np.asarray(x) - np.mean(x)
    return np.asarray(centered @ y / (centered**2).sum())


# ---- rules ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """What a rule returns: its checks and further numbers.

    lacks: what the statement speaks of and the landscape does not have: it can then fail, not hold.
    """

    checks: Sequence[Check]
    numbers: Mapping[str, float]
    lacks: str = ""


Rule = Callable[..., Finding]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Registers a rule under its name; its first argument is the Evidence."""
    RULES[function.__name__] = function
    return function


@rule
def monotone_in(
    evidence: Evidence,
    axis: str,
    at: Region,
    direction: str,
    tolerance: float,
    metric: str = "test_accuracy",
) -> Finding:
    """The metric "rises" or "falls" along ``axis`` in each row that ``at`` names.

    The least-squares slope within each replicate has that sign, and no step to the next value goes
    the other way by significantly more than ``tolerance``.
    """
    if direction not in ("rises", "falls"):
        raise UnknownNameError("direction", direction, ("rises", "falls"))
    sign, bound = (1, above) if direction == "rises" else (-1, below)
    ruler = _ruler(evidence.land.axis(axis), 2)
    unit = f"{_unit(metric)} {_per(evidence.land.axis(axis))}"
    slopes, guards, lacking = [], [], []
    numbers: dict[str, float] = {}
    for where, members in _rows_at(evidence.fit_in(at, metric), at).items():
        members.sort(key=lambda s: float(s.cell[axis]))
        if len(members) < 2:
            lacking.append(where)
            continue
        evidence.use(members)
        trend = _slopes([ruler(s.cell[axis]) for s in members], _complete(members))
        slopes.append(bound(f"slope of {metric} at {where}", unit, trend, 0.0))
        steps = _guards(members, sign, tolerance)
        numbers[f"smallest step at {where}"] = min(step.interval.mean for step in steps)
        guards += steps
    lacks = f"two values of {axis} at {_list(lacking)}" if lacking else ""
    return Finding([*slopes, *guards], numbers, lacks)


def _per(axis: Axis) -> str:
    return f"per {'doubling' if axis.scale == 'log' else 'unit'} of {axis.name}"


def _guards(members: Sequence[CellSummary], sign: int, tolerance: float) -> list[Check]:
    """Speak up where a step to the next cell goes against ``sign`` by more than a tolerance."""
    return [
        above(
            f"{'rise' if sign > 0 else 'fall'} from {a.cell} to {b.cell}",
            _unit(a.metric),
            sign * _difference(b, a),
            -tolerance,
            guard=True,
        )
        for a, b in itertools.pairwise(members)
    ]


def _rows_at(summaries: Sequence[CellSummary], at: Region) -> dict[str, list[CellSummary]]:
    """Cells by their values of the axes of ``at``; a row that has no cell is there, empty."""
    values = [wanted if isinstance(wanted, list | tuple) else [wanted] for wanted in at.values()]
    rows = [Cell(tuple(zip(at, point, strict=True))) for point in itertools.product(*values)]
    return {str(row): [s for s in summaries if _equal(row, s.cell)] for row in rows}


@rule
def spread_larger(
    evidence: Evidence, axis: str, than: str, metric: str = "test_accuracy"
) -> Finding:
    """The metric varies more over ``axis`` at a fixed ``than`` than the other way round.

    Compared are the standard deviations along the one, averaged over the other.
    """
    fit = evidence.fit_in({}, metric)
    first, second = _spreads(fit, along=axis, per=than), _spreads(fit, along=than, per=axis)
    if first is None or second is None:
        return Finding([], {}, lacks=f"two values of both {axis} and {than}")
    evidence.use(fit)
    check = above(
        f"spread over {axis} minus spread over {than}", _unit(metric), first - second, 0.0
    )
    return Finding(
        [check], {f"spread over {axis}": _mean(first), f"spread over {than}": _mean(second)}
    )


def _spreads(summaries: Sequence[CellSummary], *, along: str, per: str) -> np.ndarray | None:
    """(R',) standard deviations along an axis within each replicate, averaged over the other.

    None where no row has two values.
    """
    values = _ended_by_cell(summaries)
    rows = [[values[s.cell] for s in members] for members in _by(summaries, per).values()]
    per_row = [_column_sd(np.array(row)) for row in rows if len(row) >= 2]
    return np.array([_mean(c) for c in np.transpose(per_row)]) if per_row else None


def _ended_by_cell(summaries: Sequence[CellSummary]) -> dict[Cell, np.ndarray]:
    """``ended_values`` of each cell."""
    return dict(zip((s.cell for s in summaries), ended_values(summaries), strict=True))


def _column_sd(row: np.ndarray) -> list[float]:
    columns = [column[np.isfinite(column)] for column in row.T]
    return [float(c.std(ddof=1)) if len(c) >= 2 else math.nan for c in columns]


def _mean(values: Iterable[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return float(np.mean(finite)) if finite else math.nan


@rule
def goldilocks(
    evidence: Evidence,
    axis: str,
    per: str,
    low: float,
    high: float,
    tolerance: float,
    metric: str = "test_accuracy",
) -> Finding:
    """Along ``axis`` the metric rises from ``low`` to ``high`` and is lower again at the end.

    Judged in every row ``per``. The end is the largest value of the landscape; where it diverged
    in at least half of its replicates it counts as fallen.
    """
    rises, falls, guards = [], [], []
    end = max(evidence.land.axis(axis).values, key=float)
    fit = {s.cell for s in evidence.fit_in({}, metric)}
    trained = [s for s in evidence.summaries(metric).values() if s.n_ended]
    for value, row in _by(trained, per).items():
        where = f"{per}={show(value)}"
        members = sorted((s for s in row if s.cell in fit), key=lambda s: float(s.cell[axis]))
        start, top, last = _at(members, axis, low), _at(members, axis, high), _at(row, axis, end)
        if start is None or top is None or last is None or last is top:
            evidence.exclude([s.cell for s in row], f"its row lacks {low:g}, {high:g} or more")
            continue
        evidence.use([*members, last])
        way = members[members.index(start) : members.index(top) + 1]
        rise = _difference(top, start)
        rises.append(above(f"rise to {axis} {show(high)} at {where}", _unit(metric), rise, 0.0))
        falls.append(_fall(f"fall from the best to the largest {axis} at {where}", members, last))
        guards += _guards(way, 1, tolerance)
    lacks = "" if rises else f"a row with {axis} {show(low)}, {show(high)} and a larger value"
    return Finding([*rises, *falls, *guards], {}, lacks)


def _at(row: Iterable[CellSummary], axis: str, wanted: Value) -> CellSummary | None:
    return next((s for s in row if same(s.cell[axis], wanted)), None)


def _fall(name: str, members: list[CellSummary], last: CellSummary) -> Check:
    """The best of the smaller values is above the last; one that diverged has surely fallen."""
    if last.state is CellState.DIVERGED:
        return certain(name, "> 0", Outcome.HOLDS)
    best = max((s for s in members if s is not last), key=lambda s: s.estimate.mean)
    return above(name, _unit(last.metric), _difference(best, last), 0.0)


@rule
def best_shrinks(
    evidence: Evidence, axis: str, along: str, metric: str = "test_accuracy"
) -> Finding:
    """The best value of ``axis`` falls as ``along`` grows.

    Within each replicate the best value of each row is taken from the cells that finished; the test
    is on the slope of its log10 on log2 of ``along``. An optimum known to the step d of a grid has
    a variance of its own, d^2 / 12, that does not shrink with replicates and is added.
    """
    fit = evidence.fit_in({}, metric)
    rows = {v: members for v, members in _by(fit, along).items() if len(members) >= 2}
    if len(rows) < 2:
        return Finding([], {}, lacks=f"two values of {along} with two of {axis} each")
    used = [s for members in rows.values() for s in members]
    evidence.use(used)
    values = _ended_by_cell(used)
    target = evidence.land.axis(axis)
    height, place = _ruler(target, 10), _ruler(evidence.land.axis(along), 2)
    best = np.array(
        [
            _best_places([height(s.cell[axis]) for s in members], [values[s.cell] for s in members])
            for members in rows.values()
        ]
    )
    best = best[:, np.isfinite(best).all(axis=0)]
    step = float(np.mean(np.diff(sorted(height(v) for v in target.values))))
    unit = f"{'log10' if target.scale == 'log' else 'units'} {_per(evidence.land.axis(along))}"
    name = f"slope of the best {axis}"
    check = _slope_of_steps(name, unit, best, [place(value) for value in rows], step)
    numbers = {
        f"best {axis} at {along}={show(value)}": _back(target, line.mean())
        for value, line in zip(rows, best, strict=True)
        if len(line)
    }
    return Finding([check], numbers)


def _back(axis: Axis, height: float) -> float:
    """The value at a place of an axis whose ruler is log10."""
    return float(10**height if axis.scale == "log" else height)


def _best_places(heights: Sequence[float], values: Sequence[np.ndarray]) -> np.ndarray:
    """(R',) the height of the largest finite value of each replicate; NaN where there is none."""
    columns = np.array(values)
    known = np.isfinite(columns)
    best = np.asarray(heights)[np.where(known, columns, -np.inf).argmax(axis=0)]
    return np.where(known.any(axis=0), best, np.nan)


def _slope_of_steps(
    name: str, unit: str, best: np.ndarray, places: Sequence[float], step: float
) -> Check:
    """Tests a mean slope < 0 of optima (rows, R') that are known to within a step of the grid only.

    The error joins the scatter over replicates and the steps' own, which all replicates share. The
    degrees of freedom stay those of the replicates, so the test errs towards undecided.
    """
    slopes, asks = _slopes(places, best), "< 0"
    n = len(slopes)
    if n < 2:
        unknown = Interval(_mean(slopes), math.nan, math.nan, n)
        return Check(name, unit, asks, unknown, math.nan, math.nan)
    scatter = float(slopes.var(ddof=1)) / n
    steps = step**2 / 12 / float(((np.asarray(places) - np.mean(places)) ** 2).sum())
    error, mean = math.sqrt(scatter + steps), float(slopes.mean())
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, n - 1))
    interval = Interval(mean, mean - half, mean + half, n)
    return Check(name, unit, asks, interval, p if mean < 0 else 1.0, p if mean > 0 else 1.0)


@rule
def splits_at(
    evidence: Evidence,
    axis: str,
    at: Region,
    keeps_to: float,
    keeps_above: float,
    fails_from: float,
    fails_below: float,
    metric: str = "test_accuracy",
) -> Finding:
    """Cells up to ``keeps_to`` keep a mean above a bound, those from ``fails_from`` fail.

    Failing is a mean below ``fails_below``, or divergence in at least half of the replicates.
    """
    small = evidence.all_in({**at, axis: {"to": keeps_to}}, metric)
    large = evidence.all_in({**at, axis: {"from": fails_from}}, metric)
    groups = [
        (small, above, keeps_above, Outcome.FAILS),
        (large, below, fails_below, Outcome.HOLDS),
    ]
    checks: list[Check] = []
    missing = []
    for group, bound, threshold, when_diverged in groups:
        decided = [s for s in group if s.state is not CellState.FAILED]
        lost = [s.cell for s in group if s.state is CellState.FAILED]
        evidence.exclude(lost, "failed or ran out of memory in most of its replicates")
        evidence.use(decided)
        checks += [_level(s, bound, threshold, when_diverged, metric) for s in decided]
        if not decided:
            reach = f"from {fails_from:g}" if group is large else f"up to {keeps_to:g}"
            missing.append(f"a cell with {axis} {reach}")
    return Finding(checks, {}, lacks=" and ".join(missing))


def _level(
    summary: CellSummary, bound: Any, threshold: float, when_diverged: Outcome, metric: str
) -> Check:
    name = f"{metric} at {summary.cell}"
    if summary.state is CellState.DIVERGED:
        asks = f"{'>' if bound is above else '<'} {threshold:g}"
        return certain(f"{name} (diverged)", asks, when_diverged)
    check: Check = bound(name, _unit(metric), np.array(summary.values), threshold)
    return check


@rule
def equal_at_lower_cost(
    evidence: Evidence,
    a: Mapping[str, Value],
    b: Mapping[str, Value],
    margin: float,
    cost: str,
    at_most: float,
    metric: str = "test_accuracy",
) -> Finding:
    """Cell ``a`` equals cell ``b`` within a margin at no more than a share of its cost.

    cost: "seconds", "flops", "n_parameters" or "memory_bytes"; its ratio is tested on the log.
    """
    first, second = (evidence.fit_in(cell, metric) for cell in (a, b))
    missing = [str(Cell.of(**c)) for c, found in ((a, first), (b, second)) if not found]
    if missing:
        return Finding([], {}, lacks=f"a result of the cell {' and of the cell '.join(missing)}")
    ours, other = first[0], second[0]
    evidence.use([ours, other])
    costs = [evidence.summaries(cost)[s.cell] for s in (ours, other)]
    first_cost, second_cost = _complete(costs)
    cheaper = below(f"ratio of {cost}", "", np.log(first_cost / second_cost), math.log(at_most))
    difference = f"{metric} at {ours.cell} minus {other.cell}"
    return Finding(
        [
            within(difference, _unit(metric), _difference(ours, other), margin),
            replace(cheaper, interval=_exp(cheaper.interval), asks=f"< {at_most:g}"),
        ],
        {f"{cost} at {s.cell}": s.estimate.mean for s in costs},
    )


def _exp(log: Interval) -> Interval:
    return Interval(math.exp(log.mean), math.exp(log.low), math.exp(log.high), log.n)


@rule
def gap(
    evidence: Evidence,
    where: Region,
    minuend: str,
    subtrahend: str,
    exceeds: float,
    failing_below: float | None = None,
) -> Finding:
    """The gap between two metrics, averaged over a region, is above a bound.

    failing_below: only cells whose mean of the subtrahend is below it take part.
    """
    cells = evidence.fit_in(where, subtrahend)
    if failing_below is not None:
        healthy = [s.cell for s in cells if s.estimate.mean >= failing_below]
        evidence.exclude(healthy, f"does not fail: {subtrahend} is not below {failing_below:g}")
        cells = [s for s in cells if s.estimate.mean < failing_below]
    if not cells:
        what = "a cell of the region that fails" if failing_below is not None else "the region"
        return Finding([], {}, lacks=what)
    evidence.use(cells)
    more, less = _region_means(evidence, cells, minuend), _region_means(evidence, cells, subtrahend)
    check = above(f"{minuend} minus {subtrahend}", _unit(subtrahend), more - less, exceeds)
    return Finding([check], {f"mean {minuend}": _mean(more), f"mean {subtrahend}": _mean(less)})


def _region_means(evidence: Evidence, cells: Sequence[CellSummary], metric: str) -> np.ndarray:
    """(R',) mean of a metric over cells within each replicate, over those that finished."""
    values = ended_values([evidence.summaries(metric)[s.cell] for s in cells])
    return np.array([_mean(column) for column in values.T])


@rule
def underfits(
    evidence: Evidence,
    where: Region,
    gap_within: float,
    short_by: float,
    train: str = "train_accuracy",
    test: str = "test_accuracy",
) -> Finding:
    """In a region train and test are equal, and both lie below the landscape's best cell."""
    cells = evidence.fit_in(where, test)
    candidates = [s for s in evidence.summaries(test).values() if s.is_candidate]
    if not cells:
        return Finding([], {}, lacks="the region")
    best = max(candidates, key=lambda s: s.estimate.mean)
    evidence.use([*cells, best])
    low_train, low_test = (_region_means(evidence, cells, metric) for metric in (train, test))
    joint = ended_values([*cells, best])
    short = joint[-1] - np.array([_mean(column) for column in joint[:-1].T])
    return Finding(
        [
            above(
                f"{test} of the best cell ({best.cell}) minus the region's",
                _unit(test),
                short,
                short_by,
            ),
            within(f"{train} minus {test}", _unit(test), low_train - low_test, gap_within),
        ],
        {f"mean {train}": _mean(low_train), f"mean {test}": _mean(low_test)},
    )


@rule
def budget_fit(evidence: Evidence, table: str, fraction: float, give_or_take: float) -> Finding:
    """The number of updates that explains a published table is a fraction of ours, give or take.

    The numbers say how well: root mean square differences at that number, at the full budget, and
    of one run of our own.
    """
    fit = fit_budget(evidence.land, published(table))
    if fit is None:
        return Finding([], {}, lacks="a published cell with a finished replicate and its curve")
    evidence.exclude(fit.excluded, "not run, or without a finished replicate")
    evidence.use(s for cell in fit.used for s in evidence.fit_in(dict(cell), fit.table.metric))
    share = Interval(
        fit.updates.mean / fit.budget,
        fit.updates.low / fit.budget,
        fit.updates.high / fit.budget,
        fit.updates.n,
    )
    numbers = {
        "best number of updates": fit.updates.mean,
        "full budget in updates": float(fit.budget),
        "RMSE at the best number": fit.rmse,
        "RMSE at the full budget": fit.rmse_at_budget,
        "RMSE of one run of our own": fit.rmse_of_one_run,
    }
    check = Check(
        f"best number of updates for {table}",
        "fraction of the budget",
        f"within {fraction:g} +- {give_or_take:g}",
        share,
        math.nan,
        math.nan,
        says=_inside_zone(share, fraction - give_or_take, fraction + give_or_take),
    )
    few = "six published cells to fit by" if len(fit.used) < 6 else ""
    return Finding([check], numbers, lacks=few)


def _inside_zone(interval: Interval, low: float, high: float) -> Outcome:
    if interval.known and low <= interval.low and interval.high <= high:
        return Outcome.HOLDS
    if interval.known and (interval.high < low or interval.low > high):
        return Outcome.FAILS
    return Outcome.UNDECIDED
