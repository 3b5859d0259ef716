"""What the commands share: how they read, tell and end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

from gridscape.cli._streams import complain
from gridscape.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gridscape.execution.executors import Executor
    from gridscape.landscape import Landscape

ERROR, SOME_FAILED, INTERRUPTED = 1, 3, 130


class Commands(TyperGroup):
    """Commands of which a mistyped one is told with the nearest name."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; raises UnknownNameError."""
        found = super().get_command(ctx, cmd_name)
        if found is None:
            raise UnknownNameError("command", cmd_name, self.commands)
        return found


def tell(json: bool, content: Any, parts: Callable[[int], Iterable["RenderableType"]]) -> None:
    """Print a record: as one JSON document, or as what ``parts`` makes for a terminal's width.

    content: plain data, or a function that makes them.
    """
    if json:
        from gridscape.cli._json import to_json

        print(to_json(content() if callable(content) else content))
        return
    from gridscape.cli.tables import console

    out = console()
    for part in parts(out.width):
        out.print(part)


def results_folder(folder: str | None) -> Path:
    """The folder itself, the one of this name in runs/, or the only one there."""
    runs = Path("runs")
    known = sorted(path.parent.name for path in runs.glob("*/study.json"))
    if folder is not None:
        for path in (Path(folder), runs / folder):
            if (path / "study.json").is_file():
                return path
        if Path(folder).exists():
            return Path(folder)  # the store says what is wrong with it
        raise UnknownNameError("results folder", folder, known)
    if len(known) == 1:
        return runs / known[0]
    raise UsageError(
        "no results folder is named",
        expected="DIR",
        found=f"runs/ has {', '.join(known) or 'none'}",
        hint="name one of them" if known else "run a study first: gridscape run",
    )


def axes_of(assignments: list[str] | None, option: str = "--set") -> dict[str, tuple[Any, ...]]:
    """The axes of all ``--set AXIS=VALUES``, or of another option like it."""
    from gridscape.grid.axes import parse_values

    axes: dict[str, tuple[Any, ...]] = {}
    for assignment in assignments or []:
        name, equals, text = assignment.partition("=")
        if not (name.strip() and equals):
            raise UsageError("not an axis", where=option, expected="AXIS=V1,V2", found=assignment)
        if name.strip() in axes:
            raise UsageError("the same axis twice", where=option, found=name.strip())
        axes[name.strip()] = parse_values(name.strip(), text)
    return axes


def cell_of(text: str) -> dict[str, Any]:
    """The cell that ``--cell`` names."""
    from gridscape.grid.axes import parse_value, parts_of, written

    parts = [part.partition("=") for part in parts_of(text) if part.strip()]
    if not parts or not all(name.strip() and value.strip() for name, _, value in parts):
        raise UsageError("not a cell", where="--cell", expected="AXIS=VALUE,...", found=repr(text))
    return {name.strip(): written(parse_value(value.strip())) for name, _, value in parts}


def own_options(
    target: list[str] | None, layout: str | None, option: list[str] | None
) -> dict[str, Any]:
    """The options of the task of somebody's own data."""
    from gridscape.grid.axes import parse_value

    options: dict[str, Any] = {}
    for assignment in option or []:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not (name and equals):
            raise UsageError(
                "not an option", where="--option", expected="NAME=VALUE", found=assignment
            )
        values = [parse_value(value.strip()) for value in text.split(",") if value.strip()]
        options[name] = values if "," in text else values[0] if values else ""
    if target:
        options["target"] = target[0] if len(target) == 1 else target
    if layout is not None:
        options["layout"] = layout
    return options


def executor_at(name: str, address: str | None) -> "Executor":
    """What trains; raises UsageError where it cannot be."""
    from gridscape.execution.executors import find_executor

    return find_executor(name, address)


def read(directory: Path) -> "Landscape":
    from gridscape.landscape import Landscape

    land = Landscape.read(directory)
    tell_lacks(land.study)
    return land


def tell_lacks(study: Mapping[str, Any]) -> None:
    """Say what the results of an earlier version lack."""
    from gridscape.landscape import lacks_of

    if line := lacks_of(study):
        complain(line)


def tell_code(directory: Path, trust: bool) -> None:
    """Say what code the study of a folder names, before any of it is imported.

    Raises UntrustedError where it is not this user's, and not trusted.
    """
    from gridscape.store.store import Store
    from gridscape.study import reach

    with Store.read(directory) as store:
        for found in reach.check(store.study, trust=trust, where=directory):
            complain(f"uses {found.words}")


def write_report(
    directory: Path, data_dir: Path | None, trust: bool = False, predict: bool = False
) -> Path:
    from gridscape.report import html

    with busy("writing the report"):
        return html.write(directory, data_dir, trust=trust, predict=predict)


def show_run(
    land: "Landscape",
    directory: Path,
    effort: dict[str, Any],
    json: bool,
    data_dir: Path | None,
) -> None:
    """The landscape first, since the report takes seconds; without its extra there is none."""
    from gridscape.cli import _json, tables

    found = tables.Overview.of(land, directory)
    if not json:
        tell(False, None, lambda width: tables.overview(found, width))
        print(f"\n{tables.effort_words(effort) if effort else f'Results: {directory}'}")
    path: Path | None = None
    try:
        path = write_report(directory, data_dir)
    finally:  # the document stands without the page, too
        if json:
            document = _json.overview(found, directory)
            told = {"effort": effort} if effort else {}
            tell(True, {**document, **told, "report": path}, lambda width: [])
    if not json:
        print(f"Report: {path}")


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Say what is being done while it lasts, where there is a terminal."""
    from gridscape.cli.tables import console

    screen = console(stderr=True)
    with screen.status(doing) if screen.is_terminal else nullcontext():
        yield


class InterruptedRunError(Exception):
    """Ctrl-C in the middle of work; the message says what is kept."""
