"""The command line. Everything slow to import is imported by the command that needs it.

Tables and JSON go to standard output, progress and errors to standard error. Exit status: 0 done;
1 error, in one line with the next step; 2 wrong usage; 3 finished, but some trial failed or did
not fit into memory; 130 interrupted.
"""

import difflib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gridscape.cli import (
    controlling,
    data_sets,
    exchange,
    growing,
    interrupted,
    networks,
    showing,
    training,
    watching,
)
from gridscape.cli._options import DataDir, Debug, Json
from gridscape.cli._shared import ERROR, INTERRUPTED, Commands, InterruptedRunError, busy, tell
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain, end_output, forget
from gridscape.errors import LONGEST, GridscapeError, UsageError, is_out_of_memory, out_of_memory
from gridscape.execution.interrupt import is_interruption
from gridscape.identity.version import __version__
from gridscape.study import synonyms

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    help="Train a whole grid of small neural networks at once and see the landscape.",
    epilog="Start with: gridscape run",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Train a whole grid of small neural networks at once and see the landscape."""
    if version:
        print(f"gridscape {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), end="")


def doctor(data_dir: DataDir = None, json: Json = False, debug: Debug = False) -> None:
    """Look at this machine: versions, devices, numeric self-check."""
    prepare_jax()
    from gridscape.cli import tables
    from gridscape.cli.doctor import examine

    with busy("examining this machine"):
        health = examine(data_dir)
    tell(json, health, lambda width: tables.health(health))
    if not health.passed:
        raise GridscapeError(health.advice[0])


for stage in (training, showing, networks, exchange):
    stage.register(app)
app.command()(doctor)
for stage in (growing, watching, controlling, data_sets):
    stage.register(app)


# ---- errors and exit status ----


def exit_status(arguments: list[str]) -> int:
    """Runs a command; every error ends as one line on standard error."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _told_once()
            command = typer.main.get_command(app)
            status = command.main(arguments, prog_name="gridscape", standalone_mode=False)
            end_output()
    except BrokenPipeError:  # the reader, as in `| head`, has seen enough
        forget(sys.stdout)
        return ERROR
    except InterruptedRunError as error:
        complain(interrupted(arguments, str(error)))
        return INTERRUPTED
    except Exception as error:
        if is_interruption(error):
            raise
        if "--debug" in arguments:
            traceback.print_exc()
        line, status = _told(error)
        complain(line, getattr(error, "longest", LONGEST))
        return status
    if status == INTERRUPTED:
        complain(interrupted(arguments))
    return int(status or 0)


def _told(error: Exception) -> tuple[str, int]:
    """An error in one line, with the next step, and the exit status that it leads to."""
    if isinstance(error, GridscapeError):
        return str(error), error.exit_status
    if isinstance(error, typer.TyperException):
        return _usage(error), error.exit_code
    if is_out_of_memory(error):
        return str(out_of_memory(error)), ERROR
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        # A path that somebody named: one that may not be entered, or has too long a name.
        where = os.fsdecode(error.filename)
        return str(GridscapeError("cannot be used", where=where, found=error.strerror)), ERROR
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {what}; --debug shows the trace", ERROR


def _usage(error: typer.TyperException) -> str:
    """A mistake that typer found, in our words and with the nearest option."""
    context = getattr(error, "ctx", None)
    see = f"see {context.command_path if context else 'gridscape'} --help"
    if context and hasattr(error, "possibilities"):  # of an option that does not exist
        name = str(getattr(error, "option_name", ""))
        options = [opt for param in context.command.get_params(context) for opt in param.opts]
        known = [option.lstrip("-") for option in options if option.startswith("-")]
        near = difflib.get_close_matches(name.lstrip("-"), known, n=1)
        hint = f"did you mean '--{near[0]}'?" if near else see
        hint = _meant(name, known) or hint
        return str(UsageError(f"unknown option {name!r}", hint=hint))
    message = error.format_message().rstrip(".")
    found = re.fullmatch(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", message, re.DOTALL)
    message = f"too many arguments: {found[1]}" if found else message
    return str(UsageError(f"{message[:1].lower()}{message[1:]}", hint=see))


def _meant(name: str, known: list[str]) -> str | None:
    """The option, or the axis, that is named otherwise in other libraries."""
    found = synonyms.meaning(name)
    if found is None:
        return None
    option = found.ours.replace("_", "-")
    told = f"use --{option}" if option in known else None
    if told is None and "set" in known and any(found.ours in t for t in synonyms.TABLES.values()):
        told = f"use --set {found.ours}=..."
    return told and told + (f": {found.note}" if found.note else "")


def _told_once() -> Callable[..., None]:
    """What tells a warning: in one line, once a command, however often data is read."""
    told: set[str] = set()

    def tell_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            complain(f"warning: {message}")

    return tell_warning
