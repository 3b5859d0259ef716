"""Claims and published tables as data: the files of ``statements``."""

import inspect
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridscape.claims.records import Claim
from gridscape.claims.rules.registry import RULES
from gridscape.data.paths import text_of
from gridscape.errors import StudyFileError, UnknownNameError
from gridscape.grid.axes import Axis
from gridscape.study import reach
from gridscape.study.conditions import Conditions, of_claims
from gridscape.study.conditions import mistakes as mistaken_conditions

STATEMENTS = Path(__file__).parent / "statements"


def load_claims(name: str | Path) -> tuple[Claim, ...]:
    """The claims of a named study ("lstm-width-lr") or of a TOML file of the same form.

    Those of a named study have its conditions; those of a file the ones that it states.
    Raises UnknownNameError for a name without claims, StudyFileError with all mistakes of a file.
    """
    path = Path(name)
    if not reach.names_file(path):
        known = {file.stem: file for file in STATEMENTS.glob("*.toml")}
        if str(name) not in known:
            raise UnknownNameError("claims", str(name), known)
        path = known[str(name)]
    try:
        document = tomllib.loads(text_of(path))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyFileError(path.name, [f"cannot be read: {_reason(error)}"]) from error
    if mistakes := _mistakes(document):
        raise StudyFileError(path.name, mistakes)
    axes = tuple(Axis(axis, tuple(values)) for axis, values in document["axes"].items())
    named = path.stem if path.parent == STATEMENTS else ""
    conditions = of_claims(named, document.get("conditions"), tuple(document["axes"]))
    return tuple(_claim(entry, axes, conditions) for entry in document["claim"])


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def claims_of(
    study: Mapping[str, Any], *, trust: bool = False, where: object = None
) -> tuple[Claim, ...]:
    """The claims that the study of a results folder names.

    Raises as ``load_claims``, and UntrustedError where they are a file that somebody else named.
    """
    reach.require(study, reach.claims_reach(study), trust=trust, where=where)
    return load_claims(study["claims"])


_KEYS = {"axes", "claim", "conditions"}
_FIELDS = {"id", "statement", "source", "rule", "parameters", "words"}
_OPTIONAL = {"along"}

# Which parameters of a rule name axes, and which are regions, or lists of them.
_OF_AXES = ("axis", "per", "than", "along")
_OF_REGIONS = ("at", "where", "worse", "a", "b", "cell", "cells", "parts")


def _claim(
    entry: Mapping[str, Any], axes: tuple[Axis, ...], conditions: Conditions | None
) -> Claim:
    words = entry["words"].format(**entry["parameters"])
    named = {key: entry[key] for key in ("id", "statement", "source", "rule", "parameters")}
    along = {name: tuple(values) for name, values in entry.get("along", {}).items()}
    return Claim(**named, rule_in_words=words, axes=axes, along=along, conditions=conditions)


def _mistakes(document: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong in a file of claims, one line each."""
    mistakes = [f"unknown key {key!r}" for key in sorted(set(document) - _KEYS)]
    if not document.get("axes") or not all(document["axes"].values()):
        mistakes.append("axes: expected the values of every axis of the published grid")
    mistakes += mistaken_conditions(document.get("conditions", {}), document.get("axes") or ())
    entries = document.get("claim") or []
    if not entries:
        mistakes.append("claim: expected at least one")
    for number, entry in enumerate(entries, start=1):
        where = f"claim {entry.get('id', number)}"
        known = [*(document.get("axes") or ()), *entry.get("along", ())]
        mistakes += [f"{where}: {mistake}" for mistake in _mistakes_of_claim(entry, known)]
    return mistakes


def _mistakes_of_claim(entry: Mapping[str, Any], axes: Sequence[str]) -> list[str]:
    missing, unknown = sorted(_FIELDS - set(entry)), sorted(set(entry) - _FIELDS - _OPTIONAL)
    if missing or unknown:
        return [f"missing {key!r}" for key in missing] + [f"unknown key {key!r}" for key in unknown]
    if entry["rule"] not in RULES:
        return [str(UnknownNameError("rule", entry["rule"], RULES))]
    try:
        inspect.signature(RULES[entry["rule"]]).bind(None, **entry["parameters"])
        entry["words"].format(**entry["parameters"])
    except (TypeError, KeyError, IndexError, ValueError) as error:
        return [f"parameters of rule {entry['rule']!r}: {error}"]
    named = dict.fromkeys(_axes_in(entry["parameters"]))
    return [str(UnknownNameError("axis", name, axes)) for name in named if name not in axes]


def _axes_in(parameters: Mapping[str, Any]) -> Iterator[str]:
    """The axes that the parameters of a rule name."""
    for name, value in parameters.items():
        if name in _OF_AXES:
            yield value
        elif name in _OF_REGIONS:
            for region in value if isinstance(value, list) else [value]:
                yield from _axes_in(region) if name == "parts" else region
