"""Commands that add to a results folder what its statements, or its edges, still need."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridscape.cli._options import (
    Address,
    At,
    DataDir,
    Debug,
    ExecutorName,
    Folder,
    Json,
    Minutes,
    Trust,
)
from gridscape.cli._shared import (
    InterruptedRunError,
    axes_of,
    executor_at,
    results_folder,
    tell,
    tell_code,
)
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain
from gridscape.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gridscape.analysis.confirmed import Confirmation
    from gridscape.cli._follow import Follower
    from gridscape.sweep.deciding import Decided, Decision, Looked, Planned
    from gridscape.sweep.refining import Refined


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (decide, confirm, refine):
        app.command()(command)


def decide(
    folder: Folder = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="Whether the study's published statements hold.")
    ] = False,
    best: Annotated[
        bool, typer.Option("--best", help="The best value of an axis in each row of the others.")
    ] = False,
    order: Annotated[
        str | None,
        typer.Option("--order", metavar="AXIS", help="The order of an axis' values in each row."),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis",
            metavar="AXIS",
            help="Of --best.",
            show_default="the learning rate, or the last",
        ),
    ] = None,
    at: At = None,
    overall: Annotated[
        bool, typer.Option("--overall", help="With --best: the best of all cells.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            "--margin",
            metavar="D",
            help="A difference that does not matter.",
            show_default="0.005 of a fraction",
        ),
    ] = None,
    at_most: Annotated[
        int | None,
        typer.Option(
            "--at-most", metavar="N", help="Replicates of a cell at most.", show_default="20"
        ),
    ] = None,
    minutes: Minutes = None,
    data_dir: DataDir = None,
    executor: ExecutorName = "local",
    address: Address = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Add replicates where they are needed, until statements are decided."""
    if axis and not best:
        raise UsageError("names the axis of --best", where="--axis", hint="--order AXIS, or --best")
    directory, where = results_folder(folder), axes_of(at, "--at")
    with _training(directory, trust) as follower:
        from gridscape.sweep import deciding

        teller = Teller(follower)
        found = deciding.decide(
            directory,
            claims=claims,
            best=axis or best,
            order=order,
            at=where,
            overall=overall,
            margin=margin,
            at_most=at_most,
            minutes=minutes,
            trust=trust,
            data_dir=data_dir,
            executor=executor_at(executor, address),
            listener=teller,
        )
    tell(json, decided_document(found, directory), lambda width: decided_table(found))


def confirm(
    folder: Folder = None,
    top: Annotated[int, typer.Option("--top", metavar="K", help="How many of the best cells.")] = 3,
    replicates: Annotated[
        int, typer.Option("--replicates", metavar="N", help="Fresh replicates of each.")
    ] = 10,
    data_dir: DataDir = None,
    executor: ExecutorName = "local",
    address: Address = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train fresh replicates of the best cells: numbers without luck."""
    directory = results_folder(folder)
    with _training(directory, trust) as follower:
        from gridscape.sweep import confirming

        found = confirming.confirm(
            directory,
            top=top,
            replicates=replicates,
            trust=trust,
            data_dir=data_dir,
            executor=executor_at(executor, address),
            listener=follower,
        )
    tell(json, vars(found), lambda width: confirmed_table(found))


def refine(
    folder: Folder = None,
    optimum: Annotated[
        bool, typer.Option("--optimum", help="Where the best value lies, in each row.")
    ] = False,
    boundary: Annotated[
        bool, typer.Option("--boundary", help="Up to which value each row learns.")
    ] = False,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis",
            metavar="AXIS",
            help="Of numbers.",
            show_default="the learning rate, or the last",
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            "--within",
            metavar="W",
            help="Narrow enough: a ratio on a log axis, else a difference.",
            show_default="1.3, or a twentieth of the range",
        ),
    ] = None,
    at: At = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="X",
            help="From here on a network learns.",
            show_default="0.5 of a fraction",
        ),
    ] = None,
    at_most: Annotated[
        int, typer.Option("--at-most", metavar="N", help="New values in a row at most.")
    ] = 12,
    minutes: Minutes = None,
    data_dir: DataDir = None,
    executor: ExecutorName = "local",
    address: Address = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Add values of an axis at its optimum or its edge, row by row."""
    directory, where = results_folder(folder), axes_of(at, "--at")
    with _training(directory, trust) as follower:
        from gridscape.sweep import refining

        found = refining.refine(
            directory,
            optimum=optimum,
            boundary=boundary,
            axis=axis,
            within=within,
            at=where,
            threshold=threshold,
            at_most=at_most,
            minutes=minutes,
            trust=trust,
            data_dir=data_dir,
            executor=executor_at(executor, address),
            listener=follower,
        )
    tell(json, found, lambda width: refined_table(found))


@contextmanager
def _training(directory: Path, trust: bool) -> Iterator["Follower"]:
    """Around what trains: tells whose code runs, follows it, and says how it goes on."""
    prepare_jax()
    tell_code(directory, trust)
    from gridscape.cli._follow import Follower

    follower = Follower()
    try:
        with follower.following():
            yield follower
    except KeyboardInterrupt:
        raise InterruptedRunError(f"what was trained is kept in {directory}") from None
    if follower.failed:
        complain(follower.failures())


class Teller:
    """A listener that tells rounds and verdicts on standard error, as they come."""

    def __init__(self, follower: "Follower") -> None:
        self.follower = follower

    def __call__(self, event: Any) -> None:
        """Take note of an event."""
        from gridscape.sweep.deciding import Looked, Planned

        if isinstance(event, Planned):
            self.follower.say(planned_words(event))
        elif isinstance(event, Looked):
            self.follower.say(looked_words(event))
        else:
            self.follower(event)


def planned_words(planned: "Planned") -> str:
    """What the next round takes, and all of them at most."""
    from gridscape.report.words import duration, plural

    def takes(seconds: float) -> str:
        return f", about {duration(seconds)}" if seconds == seconds else ""

    now = f"{plural(planned.n_trials, 'network')}{takes(planned.seconds)}"
    most = f"{plural(planned.most_trials, 'network')}{takes(planned.most_seconds)}"
    return f"up to {planned.look} replicates: {now}; at most {most}"


def looked_words(looked: "Looked") -> str:
    """What a look decided, and what it left open."""
    fallen = [d for d in looked.decisions if d.name in looked.fallen]
    n_open = sum(bool(decision.open) for decision in looked.decisions)
    said = "; ".join(f"{d.name}: {_verdict(d)}" for d in fallen) or "no new verdict"
    return f"look at {looked.look} replicates (level {looked.level:.2g}): {said}; {n_open} open"


def _verdict(decision: "Decision") -> str:
    # The answer of a claim is its first estimate, which is told beside the statement.
    is_claim = decision.outcome in ("holds", "fails", "not comparable")
    return decision.outcome if is_claim else f"{decision.outcome}, {decision.answer}"


WHY = {
    "decided": "Nothing is open.",
    "at most": "The last look is over.",
    "budget": "The budget ended: the next round would take longer. The same command goes on.",
}


def decided_table(found: "Decided") -> Iterator["RenderableType"]:
    """Every statement with its verdict and the look at which it fell."""
    from rich.text import Text

    from gridscape.cli.tables import QUIET, new_table
    from gridscape.report.words import duration, plural

    yield Text(found.question, "bold")
    table = new_table("statement", "verdict", "replicates", "")
    for d in found.decisions:
        about = "; ".join(filter(None, (d.answer, d.note)))
        table.add_row(d.statement, d.outcome, "" if d.look is None else str(d.look), about)
    yield table
    numbers = sorted(set(found.replicates.values()))
    span = " to ".join(str(n) for n in dict.fromkeys((numbers[0], numbers[-1])))
    trained = f"Trained {plural(found.n_trained, 'network')} in {duration(found.seconds)}"
    yield Text(f"{WHY[found.why]} {trained}; cells have {span} replicates.")
    looks = ", ".join(map(str, found.looks))
    yield Text(f"Looks at {looks} replicates; false verdicts of a statement: 5 % in all.", QUIET)


def decided_document(found: "Decided", directory: Path) -> dict[str, Any]:
    """The same as plain data."""
    from gridscape.cli._json import plain

    cells = [{"cell": plain(cell), "replicates": n} for cell, n in found.replicates.items()]
    return {"directory": directory, **plain({**vars(found), "replicates": {}}), "replicates": cells}


def confirmed_table(found: "Confirmation") -> Iterator["RenderableType"]:
    """The finalists: the number to quote, and beside it the one of the search."""
    from rich.text import Text

    from gridscape.cli.tables import QUIET, new_table
    from gridscape.report.words import confirmed_words, estimate_words, with_unit

    meaning = found.meaning
    text = with_unit(found.metric, meaning)
    yield Text(f"{text[:1].upper()}{text[1:]} of fresh replicates", "bold")
    table = new_table("cell", "to quote", "learns in", "of the search", "luck")
    for each in found.finalists:
        table.add_row(
            str(each.cell),
            estimate_words(each.fresh, meaning),
            f"{each.n_learns} of {each.n_fresh}",
            estimate_words(each.searched, meaning),
            meaning.text(each.luck),
        )
    yield table
    yield Text(f"{confirmed_words(found)} Fresh results: {found.directory}", QUIET)


REFINED_WHY = {
    "narrow": "Every interval is narrow enough.",
    "values": "No further value may be added: --at-most allows more.",
    "budget": "The budget ended. The same command goes on.",
}


def refined_table(found: "Refined") -> Iterator["RenderableType"]:
    """The interval of each row, and the values that were added."""
    from rich.text import Text

    from gridscape.cli.tables import new_table
    from gridscape.grid.axes import show
    from gridscape.report.words import NONE, duration, plural

    value = {"optimum": f"best {found.axis}", "boundary": "learns up to"}[found.sought]
    yield Text(f"{found.sought.capitalize()} of {found.axis}", "bold")
    table = new_table("row", value, "between", "added", "")
    for b in found.brackets:
        ends = [NONE if end is None else show(end) for end in (b.low, b.high)]
        note = (
            f"{b.end} value that was tried: it may lie beyond" if b.end and not b.note else b.note
        )
        added = ", ".join(map(show, b.added))
        table.add_row(
            b.row or "all",
            NONE if b.value is None else show(b.value),
            " and ".join(ends),
            added,
            note,
        )
    yield table
    trained = f"Trained {plural(found.n_trained, 'network')} in {duration(found.seconds)}."
    yield Text(f"{REFINED_WHY[found.why]} {trained}")
