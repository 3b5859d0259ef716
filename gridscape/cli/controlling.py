"""The command that acts on a run through its folder, and shows what was asked for."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridscape.cli._options import Debug, Json
from gridscape.cli._shared import axes_of, cell_of, results_folder, tell
from gridscape.errors import GridscapeError, UsageError, check_known

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gridscape.store.acts import Act, Asked

ANSWER_SECONDS = 10.0  # within which a run that lives is waited for
LOOK_SECONDS = 0.2
KEPT = "nobody trains there now: the next gridscape run of the study takes it up first"
LATER = "the run takes it up when its programs are compiled and a segment has ended"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(control)


def control(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="A results folder, or the name of one in runs/.")
    ],
    act: Annotated[
        str | None,
        typer.Argument(
            metavar="ACT",
            help="stop, resume, first, replicates or values; without, all acts are shown.",
        ),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="AXIS=VALUE,...",
            help="The cells with these values: one, or a row of them.",
        ),
    ] = None,
    replicate: Annotated[
        int | None, typer.Option("--replicate", metavar="K", help="Of stop: only this seed.")
    ] = None,
    replicates: Annotated[
        int | None, typer.Option("--replicates", metavar="N", help="Seeds that a cell shall have.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="AXIS=VALUES", help="Values that an axis shall have, too."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Act on a study while it trains: stop, resume, reorder, add."""
    from gridscape.store.acts import ask, on_record
    from gridscape.store.store import stored_study

    directory = results_folder(folder)
    study = stored_study(directory)
    if act is None:
        if cell or replicate is not None or replicates is not None or set_:
            raise UsageError("no act is named", expected="stop, resume, first ...", found=folder)
        found = on_record(directory)
        tell(json, {"acts": [_plain(asked) for asked in found]}, lambda width: _table(found))
        return
    wanted = _act(act, cell, replicate, replicates, set_)
    wanted.check_in(study)
    answer = _answer(directory, ask(directory, wanted))
    if answer.state == "refused":
        raise GridscapeError(f"refused: {answer.words}")
    words = answer.words if answer.is_settled else LATER if _is_trained(directory) else KEPT
    if json:
        tell(True, _plain(answer), lambda width: [])
    else:
        print(f"{answer.title}: {answer.state}, {words}.")


def _act(
    name: str,
    cell: str | None,
    replicate: int | None,
    replicates: int | None,
    set_: list[str] | None,
) -> "Act":
    """The act that the options make; raises UsageError where they make none."""
    from gridscape.grid.axes import written
    from gridscape.store.acts import KINDS, Act

    check_known("act", name, KINDS)
    if name in ("stop", "first") and not cell:
        hint = "Ctrl-C stops a whole run" if name == "stop" else None
        raise UsageError("no cells are named", where=name, expected="--cell", hint=hint)
    if (name == "replicates") != (replicates is not None):
        raise UsageError("replicates and --replicates go together", where=f"act {name}")
    if (name == "values") != bool(set_):
        raise UsageError("values and --set go together", where=f"act {name}")
    axes = axes_of(set_)
    if len(axes) > 1:
        raise UsageError("one axis at a time", where="--set", found=", ".join(axes))
    axis, values = next(iter(axes.items()), (None, ()))
    act = Act(
        kind=next(kind for kind in KINDS if kind == name),
        where=cell_of(cell) if cell else {},
        replicate=replicate,
        number=replicates,
        axis=axis,
        values=tuple(map(written, values)),
        by="command line",
    )
    act.check()
    return act


def _answer(directory: Path, name: str) -> "Asked":
    """An act when it is taken up, or as it is after a while; at once where nobody trains."""
    from gridscape.store.acts import on_record

    end = time.monotonic() + ANSWER_SECONDS
    while True:
        asked = next((each for each in on_record(directory) if each.id == name), None)
        if asked is None:
            raise GridscapeError("the act is gone", where=directory)
        if asked.is_settled or not _is_trained(directory) or time.monotonic() > end:
            return asked
        time.sleep(LOOK_SECONDS)


def _is_trained(directory: Path) -> bool:
    from gridscape.store.progress import lives, read_progress

    progress = read_progress(directory)
    return progress.get("state") == "training" and lives(progress)


def _plain(asked: "Asked") -> dict[str, Any]:
    return {
        "id": asked.id,
        "act": asked.title,
        "asked": asked.asked,
        "by": asked.act.by if asked.act else "",
        "state": asked.state,
        "words": asked.words,
    }


def _table(found: "list[Asked]") -> Iterator["RenderableType"]:
    from rich.text import Text

    from gridscape.cli.tables import new_table

    if not found:
        yield Text("Nothing was asked of this study.")
        return
    table = new_table("asked", "act", "", "what came of it")
    for asked in found:
        when = datetime.fromtimestamp(asked.asked).isoformat(" ", "seconds")
        table.add_row(when, asked.title, asked.state, asked.words)
    yield table
