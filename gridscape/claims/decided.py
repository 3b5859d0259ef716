"""Verdicts that fell while replicates were added: they stay, whatever was trained since.

``decide`` looks several times, and its looks share the error. Who judges all replicates again in
the end looks once more. So what it decided is read from the folder's decisions.json; and what it
looked at and left open is not decided by such a further look, which would have an error of its own.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridscape.claims.records import Claim, Look, Outcome, Verdict
from gridscape.errors import StoreError
from gridscape.grid.trials import content_key
from gridscape.store.record import OTHER_FOLDER
from gridscape.store.store import Store

FORMAT = 1  # of decisions.json
CLAIMS = "claims"  # the question whose statements are the study's claims
LEFT_OPEN = ("open", "undecided")  # of a statement that looks, or all of them, did not decide


def content_of(claim: Claim) -> str:
    """What a decision on a claim rests on: another rule or statement of that name is another."""
    asked = {"rule": claim.rule, "parameters": claim.parameters, "statement": claim.statement}
    return content_key(asked)


def as_decided(found: Iterable[Verdict], directory: str | Path) -> tuple[Verdict, ...]:
    """The verdicts of a results folder, those that ``decide`` looked at as it decided them.

    Raises StoreError for a folder that cannot be used, or has decisions of another Gridscape.
    """
    with Store.read(directory) as store:
        entries = questions(store).get(CLAIMS, {}).get("decisions", [])
    try:
        looked = {(each["name"], each["content"]): _of_looks(each) for each in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise no_decisions(directory, error) from error
    return tuple(_decided(v, *looked.get((v.claim.id, content_of(v.claim)), ())) for v in found)


def _of_looks(entry: Any) -> tuple[Outcome, Look | None] | tuple[()]:
    """What the looks say of a statement; nothing where no look could decide it."""
    if entry["look"] is not None:
        look = Look(int(entry["look"]), float(entry["level"]), str(entry["date"]))
        return Outcome(entry["outcome"]), look
    return (Outcome.UNDECIDED, None) if entry["outcome"] in LEFT_OPEN else ()


def questions(store: Store) -> dict[str, Any]:
    """The entries of all questions that were put to a folder, as they are stored."""
    content = store.decisions()
    if content.get("format", FORMAT) != FORMAT:
        raise StoreError(
            "has decisions of another Gridscape",
            where=store.directory,
            expected=f"format {FORMAT}",
            found=content["format"],
            hint=OTHER_FOLDER,
        )
    return dict(content.get("questions", {}))


def no_decisions(directory: str | Path, error: Exception) -> StoreError:
    """Of a record whose entries are none."""
    return StoreError(
        "has decisions that are none", where=directory, found=repr(error), hint=OTHER_FOLDER
    )


def _decided(verdict: Verdict, outcome: Outcome | None = None, look: Look | None = None) -> Verdict:
    is_left_open = look is None and verdict.outcome is Outcome.NOT_COMPARABLE
    if outcome is None or is_left_open:
        return verdict
    now = "" if outcome is verdict.outcome else f"all replicates at once: {verdict.outcome.value}"
    if now and look is None:
        now += (
            ", which is one look more than decide's, and would have an error of its own;"
            " gridscape decide DIR --claims takes the looks that are due"
        )
    note = "; ".join(filter(None, (now, verdict.note)))
    return replace(verdict, outcome=outcome, note=note, decided=look)
