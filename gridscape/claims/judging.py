"""Verdicts: what a landscape says of claims."""

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from gridscape.analysis.conditions import at_published, differences
from gridscape.analysis.looks import ONCE, Level
from gridscape.analysis.readings import UPDATE, along
from gridscape.claims.checks import decide, listed
from gridscape.claims.decided import as_decided
from gridscape.claims.evidence import Evidence
from gridscape.claims.files import claims_of
from gridscape.claims.records import Claim, Exclusion, Outcome, Verdict
from gridscape.claims.rules.registry import MAIN, MAIN_OF_TRAIN, RULES
from gridscape.errors import GridscapeError, StoreError
from gridscape.grid.axes import Axis
from gridscape.grid.names import Variable
from gridscape.landscape import Landscape
from gridscape.store.store import Store
from gridscape.study.conditions import Difference, in_words, of_named
from gridscape.study.conditions import differences as study_differences
from gridscape.study.files import names, with_claims


def judge(
    land: Landscape,
    claims: Iterable[Claim],
    *,
    folder: str | Path | None = None,
    level: Level = ONCE,
) -> tuple[Verdict, ...]:
    """Judges every claim by the landscape's replicates, also where only a part of it is there.

    A run under other conditions than a claim was made under (another task, fewer updates) neither
    holds nor refutes it: the verdict is that it is not comparable, and says what differs.
    folder: where the results lie; a claim that compares two studies looks for the other one beside
    it. level: of each two-sided test. Raises UnknownNameError where the landscape lacks a
    metric or an axis that a rule names, UsageError where the parameters of a rule cannot be right.
    """
    place = Path(folder) if folder is not None else None
    return tuple(_verdict(land, claim, place, level) for claim in claims)


def verdicts(directory: str | Path, *, trust: bool = False) -> tuple[Verdict, ...]:
    """What a results folder says of the claims that its study names.

    A verdict that ``gridscape decide`` reached stays, with the look at which it fell.
    trust: read a file of claims that the folder names, whoever made it. Raises UntrustedError
    where that would be needed, GridscapeError for a study without claims, StoreError where the
    folder cannot be used.
    """
    land = Landscape.read(directory)
    if not land.study.get("claims"):
        hint = f"studies with claims: {', '.join(with_claims())}"
        raise GridscapeError("this study has no published claims", where=directory, hint=hint)
    found = claims_of(land.study, trust=trust, where=directory)
    return as_decided(judge(land, found, folder=directory), directory)


def _verdict(land: Landscape, claim: Claim, folder: Path | None, level: Level) -> Verdict:
    reads = [float(at) for at in claim.along.get(UPDATE, ()) if isinstance(at, int | float)]
    different = differences(land, claim.conditions, reads)
    if why := [*_not_comparable(different), *_other_is_not(claim, folder)]:
        return _unjudged(claim, Outcome.NOT_COMPARABLE, "; ".join(why))
    land = at_published(land, claim.conditions)
    if obstacle := _obstacle(land, claim):
        return _unjudged(claim, Outcome.UNDECIDED, obstacle)
    further = tuple(Axis(name, values) for name, values in claim.along.items())
    evidence = Evidence(along(land, claim.along), (*claim.axes, *further), folder, level)
    finding = RULES[claim.rule](evidence, **{**_defaults(land, claim), **claim.parameters})
    outcome, estimates, reason = decide(finding.checks, level)
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
        note="; ".join(filter(None, (lacks, reason, _tally(excluded), in_words(different)))),
        lacks=lacks,
    )


def _unjudged(claim: Claim, outcome: Outcome, why: str) -> Verdict:
    return Verdict(claim, outcome, claim.rule_in_words, (), {}, (), (), why, lacks=why)


def _not_comparable(found: Iterable[Difference]) -> list[str]:
    """The differences from the published conditions that keep a claim from being judged."""
    return [difference.words for difference in found if difference.matters]


def _other_is_not(claim: Claim, folder: Path | None) -> list[str]:
    """The same of the study that a claim compares ours with, where its results lie beside."""
    name = claim.parameters.get("other")
    if claim.conditions is None or folder is None or name not in names():
        return []
    try:
        with Store.read(folder.resolve().parent / name) as store:
            found = study_differences(store.study, of_named(name))
    except StoreError:  # the rule says that they are not there
        return []
    return [f"{name}: {words}" for words in _not_comparable(found)]


def _defaults(land: Landscape, claim: Claim) -> dict[str, str]:
    """The parameters of a rule that stand for the main metric where a claim names none."""
    variable = Variable.parse(land.main_metric)
    of_train = str(replace(variable, split="train")) if variable else land.main_metric
    stands_for = {MAIN: land.main_metric, MAIN_OF_TRAIN: of_train}
    takes = inspect.signature(RULES[claim.rule]).parameters.items()
    return {name: stands_for[p.default] for name, p in takes if p.default in (*stands_for,)}


def _obstacle(land: Landscape, claim: Claim) -> str:
    """Why a landscape of other axes cannot be judged; "" where it can."""
    ours, theirs = {axis.name: axis for axis in land.axes}, [axis.name for axis in claim.axes]
    if lacking := [name for name in theirs if name not in ours]:
        return f"the landscape has no axis {listed(lacking)}"
    kinds = [name for name in claim.along if name not in ours and name != UPDATE]
    if untold := [name for name in kinds if not land.has(name)]:
        return f"the landscape does not tell test examples apart by {listed(untold)}"
    further = [name for name in ours if name not in theirs and len(ours[name].values) > 1]
    if further:
        return f"the landscape has several values of {listed(further)}: select one of each first"
    return ""


def _tally(excluded: Sequence[Exclusion]) -> str:
    """Excluded cells by reason: "30 cells: not asked for"."""
    counts = Counter(exclusion.reason for exclusion in excluded)
    return "; ".join(f"{n} cell{'s' if n > 1 else ''}: {why}" for why, n in counts.items())
