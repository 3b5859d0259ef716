"""The command line. Everything slow to import is imported by the command that needs it.

Tables and JSON go to standard output, progress and errors to standard error. Exit status: 0 done;
1 error, in one line with the next step; 2 wrong usage; 3 finished, but some trial failed or did
not fit into memory; 130 interrupted.
"""

import difflib
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from gridscape.cli import growing, interrupted, watching
from gridscape.cli._options import (
    Address,
    BatchSize,
    CellName,
    ClassWeights,
    DataDir,
    DataName,
    DataNames,
    DataPath,
    Debug,
    Directory,
    Epochs,
    Examples,
    ExecutorName,
    Flops,
    Folder,
    Folders,
    Json,
    Layout,
    ListedStudy,
    Measures,
    ModelName,
    OwnData,
    Precision,
    ReplicateNumber,
    Replicates,
    RunTable,
    Seed,
    SetValues,
    StudyName,
    Target,
    TaskName,
    TaskOptions,
    Trust,
    Updates,
)
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain, end_output, forget
from gridscape.errors import (
    GridscapeError,
    UnknownNameError,
    UntrustedError,
    UsageError,
    check_known,
    is_out_of_memory,
    out_of_memory,
)
from gridscape.grid.meanings import SIDES
from gridscape.identity.version import __version__
from gridscape.study import synonyms

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gridscape.execution.executors import Executor
    from gridscape.inspection.kinds import Look
    from gridscape.landscape import Landscape
    from gridscape.study.study import Study
    from gridscape.tasks.fetch import DataSetStatus

ERROR, SOME_FAILED, INTERRUPTED = 1, 3, 130
MOST_TOLD = 5  # trials of a merge that are told each
SUFFIXES = {
    "csv": ".csv",
    "parquet": ".parquet",
    "netcdf": ".nc",
    "tensorboard": "-tensorboard",
    "mlflow": "-mlruns",  # folders
}


class Commands(TyperGroup):
    """Commands of which a mistyped one is told with the nearest name."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; raises UnknownNameError."""
        found = super().get_command(ctx, cmd_name)
        if found is None:
            raise UnknownNameError("command", cmd_name, self.commands)
        return found


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    help="Train a whole grid of small neural networks at once and see the landscape.",
    epilog="Start with: gridscape run",
)
data_sets = typer.Typer(cls=Commands, help="Data: look at your own; fetch and check known sets.")
app.add_typer(data_sets, name="data")


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


@app.command("list")
def list_studies(
    name: ListedStudy = None, data_dir: DataDir = None, json: Json = False, debug: Debug = False
) -> None:
    """List the named studies with size, time, memory; or all about one."""
    prepare_jax()
    from gridscape.cli import tables
    from gridscape.cli._catalog import catalog
    from gridscape.study import files
    from gridscape.study.study import Study

    if name is not None:
        check_known("study", name, files.names())
    with _busy("measuring this machine"):
        entries = list(catalog(data_dir, only=name))
    if name is not None:
        study = Study.load(name)
        content = {**vars(entries[0]), "description": study.description, "axes": study.axes}
        tell(json, content, lambda w: tables.study(entries[0], study.description, study.axes))
        return
    tell(json, {"studies": entries}, lambda width: tables.studies(entries, width))


@app.command()
def axes(study: StudyName = None, json: Json = False, debug: Debug = False) -> None:
    """List what a study varies, and all else that may be an axis of it."""
    prepare_jax(computes=False)
    from gridscape.cli import tables
    from gridscape.study.known_axes import known_axes
    from gridscape.study.study import Study

    found = known_axes(Study.load(study or "quickstart"))
    tell(json, {"axes": found}, lambda width: tables.axes(found))


@app.command()
def plan(
    study: StudyName = None,
    data: OwnData = None,
    target: Target = None,
    model: ModelName = None,
    layout: Layout = None,
    option: TaskOptions = None,
    metric: Measures = None,
    class_weights: ClassWeights = None,
    set_: SetValues = None,
    task: TaskName = None,
    replicates: Replicates = None,
    seed: Seed = None,
    updates: Updates = None,
    epochs: Epochs = None,
    examples: Examples = None,
    flops: Flops = None,
    batch_size: BatchSize = None,
    directory: Directory = None,
    data_dir: DataDir = None,
    executor: ExecutorName = "local",
    address: Address = None,
    precision: Precision = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell the programs, networks, memory and time of a run."""
    axes = axes_of(set_)
    prepare_jax()
    from gridscape import sweep
    from gridscape.cli import _json, tables

    chosen = executor_at(executor, address)
    with _busy("compiling and timing the programs"):
        found = sweep.plan(
            _chosen(
                study, data, data_dir, _own(model, target, layout, option, metric, class_weights)
            ),
            task=task,
            set=axes,
            replicates=replicates,
            seed=seed,
            updates=updates,
            epochs=epochs,
            examples=examples,
            flops=flops,
            batch_size=batch_size,
            precision=precision,
            directory=directory,
            data_dir=data_dir,
            executor=chosen,
        )
    tell(json, _json.plan(found), lambda width: tables.plan(found))


@app.command()
def run(
    study: StudyName = None,
    data: OwnData = None,
    target: Target = None,
    model: ModelName = None,
    layout: Layout = None,
    option: TaskOptions = None,
    metric: Measures = None,
    class_weights: ClassWeights = None,
    set_: SetValues = None,
    task: TaskName = None,
    replicates: Replicates = None,
    seed: Seed = None,
    updates: Updates = None,
    epochs: Epochs = None,
    examples: Examples = None,
    flops: Flops = None,
    batch_size: BatchSize = None,
    directory: Directory = None,
    data_dir: DataDir = None,
    executor: ExecutorName = "local",
    address: Address = None,
    precision: Precision = None,
    live: Annotated[
        bool, typer.Option("--live", help="Open the page in a browser while it trains.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train what is missing of a study; then show the landscape."""
    axes = axes_of(set_)
    if live:
        watching.require_extra()
    compile_seconds = prepare_jax()
    from gridscape import sweep
    from gridscape.cli._follow import Follower

    trainer = executor_at(executor, address)
    own = _own(model, target, layout, option, metric, class_weights)
    chosen = _chosen(study, data, data_dir, own)
    follower, begin = Follower(), time.perf_counter()
    page = watching.beside(_folder_of(chosen, directory)) if live else nullcontext()
    try:
        with page, follower.following():
            land = sweep.run(
                chosen,
                task=task,
                set=axes,
                replicates=replicates,
                seed=seed,
                updates=updates,
                epochs=epochs,
                examples=examples,
                flops=flops,
                batch_size=batch_size,
                precision=precision,
                directory=directory,
                data_dir=data_dir,
                executor=trainer,
                listener=follower,
            )
    except KeyboardInterrupt:
        raise InterruptedRunError(follower.kept()) from None
    effort = {
        "n_trained": follower.n_ended,
        "seconds": time.perf_counter() - begin,
        "compile_seconds": compile_seconds(),
    }
    _show_run(land, follower.directory, effort, json, data_dir)
    if follower.failed:
        complain(follower.failures())
        raise typer.Exit(SOME_FAILED)


@app.command()
def show(folder: Folder = None, json: Json = False, debug: Debug = False) -> None:
    """Show the landscape of results, finished or still running."""
    directory = results_folder(folder)
    from gridscape.cli import _json, tables

    found = tables.Overview.of(_read(directory), directory)
    tell(json, lambda: _json.overview(found, directory), lambda w: tables.overview(found, w))


@app.command()
def report(
    folders: Folders = None,
    predict: Annotated[
        bool, typer.Option("--predict", help="Cover the map until the reader has predicted it.")
    ] = False,
    data_dir: DataDir = None,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Write the report: one HTML file; of several folders, side by side."""
    if folders and len(folders) > 1:
        if predict:
            raise UsageError("--predict with several folders", expected="one results folder")
        _report_beside([results_folder(folder) for folder in folders])
        return
    directory = results_folder(folders[0] if folders else None)
    _prepare_networks(directory, trust)
    print(_write_report(directory, data_dir, trust, predict))


@app.command()
def figures(
    folder: Folder = None, data_dir: DataDir = None, trust: Trust = False, debug: Debug = False
) -> None:
    """Draw the figures for a paper, PNG, SVG and PDF; those that changed."""
    directory = results_folder(folder)
    _prepare_networks(directory, trust)
    with _busy("drawing the figures"):
        from gridscape.kernels.cores import n_cores
        from gridscape.report import paper

        paths = paper.draw(directory, data_dir, trust=trust, processes=n_cores())
    for path in paths:
        print(path)


@app.command()
def claims(
    folder: Folder = None, trust: Trust = False, json: Json = False, debug: Debug = False
) -> None:
    """Judge the published statements of a study by its results."""
    directory = results_folder(folder)
    from gridscape.claims.judging import verdicts
    from gridscape.cli import tables
    from gridscape.store.store import Store
    from gridscape.study.conditions import altered

    with _busy("judging the claims"):
        found = verdicts(directory, trust=trust)
    with Store.read(directory) as store:
        study = store.study
    _tell_lacks(study)
    told = altered(study)
    name = study.get("name", directory.name)
    content = {"study": name, "altered": told, "directory": directory, "claims": found}
    tell(json, content, lambda width: [*tables.notice(told), tables.verdicts(found)])


@app.command()
def replay(
    cell: CellName,
    folder: Folder = None,
    replicate: ReplicateNumber = 0,
    data_dir: DataDir = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train one stored network again, alone, and compare."""
    values, directory = _cell(cell), results_folder(folder)
    prepare_jax()
    tell_code(directory, trust)
    from gridscape.cli import _json, tables
    from gridscape.execution import replay

    with _busy("training it again"):
        found = replay.replay(
            directory, values, replicate=replicate, data_dir=data_dir, trust=trust
        )
    tell(json, _json.replay(found), lambda width: tables.replay(found))
    if not found.identical:
        raise typer.Exit(ERROR)


@app.command()
def inspect(
    folder: Folder = None,
    cell: Annotated[
        str | None,
        typer.Option(
            "--cell",
            metavar="AXIS=VALUE,...",
            help="A value of each axis.",
            show_default="the best",
        ),
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            metavar="KIND",
            help="mistakes, confusion, filters, activations, deconv or samples; may be repeated.",
            show_default="all that fit",
        ),
    ] = None,
    replicate: ReplicateNumber = 0,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="The layer of activations and deconv."),
    ] = None,
    data_dir: DataDir = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look into one trained network: its mistakes, filters, activations."""
    values, directory = cell and _cell(cell), results_folder(folder)
    prepare_jax()
    from gridscape.cli import _json, _network_tables
    from gridscape.execution import replay
    from gridscape.inspection import kinds
    from gridscape.report.words import cell_words, chosen_on, spoken

    wanted = tuple(dict.fromkeys(what or ()))
    kinds.check_kinds(wanted, layer)
    tell_code(directory, trust)
    with _busy("bringing the network back"):
        land = _read(directory)
        chosen = values or kinds.best_cell(land)
        network = replay.trained(
            directory, chosen, replicate=replicate, data_dir=data_dir, trust=trust
        )
    with _busy("looking into the network"):
        found = kinds.look(network, wanted, layer)
        files = _draw(found, directory)
    of_cell, why = kinds.replicates_of(land, network.trial.cell)
    told = f"{spoken(land.main_metric)} {cell_words(of_cell)}"
    how = "" if values else f"the best cell, {chosen_on(land)}; "
    tell(
        json,
        _json.look(found, files, of_cell, why, land.selection if how else None),
        lambda width: _network_tables.tables(found, f"{how}{told}", why),
    )
    if files and not json:
        print(f"\nPictures: {files[0].parent}")


@app.command()
def compare(
    cell: CellName,
    other: Annotated[
        str, typer.Option("--with", metavar="AXIS=VALUE,...", help="The cell to compare it with.")
    ],
    folder: Folder = None,
    replicate: Annotated[
        int | None,
        typer.Option(
            "--replicate",
            metavar="K",
            help="Which seed of the cells.",
            show_default="all that finished in both",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="A metric of the task that is 1 or 0 for an example.",
            show_default="the main one",
        ),
    ] = None,
    data_dir: DataDir = None,
    trust: Trust = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare two cells on the same test examples (McNemar's test)."""
    first, second, directory = _cell(cell), _cell(other), results_folder(folder)
    prepare_jax()
    tell_code(directory, trust)
    from gridscape.cli import _network_tables
    from gridscape.inspection.pairs import mcnemar

    with _busy("bringing the networks back"):
        found = mcnemar(
            directory,
            first,
            second,
            replicate=replicate,
            metric=metric,
            data_dir=data_dir,
            trust=trust,
        )
    tell(json, found, lambda width: _network_tables.paired(found))


@app.command()
def export(
    folder: Folder = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, parquet, netcdf, or a folder: tensorboard, mlflow.",
        ),
    ] = "csv",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="The file or folder.", show_default="STUDY.csv"
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the landscape to a file for other programs."""
    if format not in SUFFIXES:
        raise UnknownNameError("format", format, SUFFIXES)
    land = _read(results_folder(folder))
    from gridscape.grid.names import STUDY
    from gridscape.store.output import is_standard_output

    name = land.study.get("name")
    stem = name if isinstance(name, str) and re.fullmatch(STUDY, name) else "landscape"
    path = land.export(Path(f"{stem}{SUFFIXES[format]}") if output is None else output, format)
    if not is_standard_output(path):
        print(path)


@app.command("import")
def import_table(
    table: RunTable,
    axes: Annotated[
        list[str],
        typer.Option(
            "--axes",
            metavar="A,B",
            help="The columns that were varied; NAME=COLUMN gives one another name.",
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="The columns of metrics, the main one first. May be repeated.",
            show_default="by their names",
        ),
    ] = None,
    replicate: Annotated[
        str | None,
        typer.Option(
            "--replicate",
            metavar="COLUMN",
            help="The column of seeds.",
            show_default="runs of a cell are counted",
        ),
    ] = None,
    better: Annotated[
        list[str] | None,
        typer.Option(
            "--better",
            metavar="SIDE",
            help="higher or lower, or METRIC=SIDE. May be repeated.",
            show_default="by the names",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="COLUMN",
            help="How runs ended; none for none.",
            show_default="status or state",
        ),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(
            "--step",
            metavar="COLUMN",
            help="Updates or epochs done, where runs have several rows.",
            show_default="step or epoch",
        ),
    ] = None,
    claims: Annotated[
        str | None,
        typer.Option("--claims", metavar="FILE", help="Statements that the runs are to judge."),
    ] = None,
    directory: Directory = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read runs made elsewhere, a table of them; then show the landscape."""
    from gridscape.claims.files import load_claims
    from gridscape.landscape import import_runs
    from gridscape.store.run_tables import pairs_named

    if claims:
        load_claims(claims)
    sides = pairs_named(_listed(better))
    with _busy("reading the runs"):
        land = import_runs(
            table,
            _listed(axes),
            metric=_listed(metric) or None,
            replicate=replicate,
            better={"" if name in SIDES else name: side for name, side in sides.items()},
            status=status,
            step=step,
            claims=claims,
            directory=directory,
        )
    folder = directory or Path("runs") / land.study["name"]
    _show_run(land, folder, {}, json, None)


@app.command()
def merge(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR...", help="Results folders, or names in runs/.")
    ],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="NEW", help="The new folder.", show_default="runs/STUDY-merged"
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Join results folders of one study, as of a seed each, into a new one."""
    from gridscape.landscape import Landscape
    from gridscape.store.merging import default_folder, merge_folders

    paths = [results_folder(folder) for folder in folders]
    new = directory or default_folder(paths[0])
    with _busy("joining the folders"):
        found = merge_folders(paths, new)
    if found.n_twice:
        complain(f"{found.n_twice:,} trials stood in two folders, and were taken once")
    for line in found.differing[:MOST_TOLD]:
        complain(f"other numbers of one trial, the first was taken: {line}")
    if len(found.differing) > MOST_TOLD:
        complain(f"and {len(found.differing) - MOST_TOLD:,} more trials with other numbers")
    _show_run(Landscape.read(new), new, {}, json, None)


def _listed(texts: list[str] | None) -> list[str]:
    """The parts of an option that is a list, or is repeated."""
    return [part.strip() for text in texts or () for part in text.split(",") if part.strip()]


@app.command()
def doctor(data_dir: DataDir = None, json: Json = False, debug: Debug = False) -> None:
    """Look at this machine: versions, devices, numeric self-check."""
    prepare_jax()
    from gridscape.cli import tables
    from gridscape.cli.doctor import examine

    with _busy("examining this machine"):
        health = examine(data_dir)
    tell(json, health, lambda width: tables.health(health))
    if not health.passed:
        raise GridscapeError(health.advice[0])


growing.register(app)
watching.register(app)


@data_sets.command("list")
def list_data(data_dir: DataDir = None, json: Json = False, debug: Debug = False) -> None:
    """List the data sets and where they are."""
    from gridscape.tasks import fetch

    _tell_data(fetch.status(data_dir), data_dir, json)


@data_sets.command("fetch")
def fetch_data(
    name: DataName, data_dir: DataDir = None, json: Json = False, debug: Debug = False
) -> None:
    """Fetch a data set into --data-dir, else the user's cache, and verify it."""
    from gridscape.tasks import fetch

    _tell_data([fetch.fetch(name, data_dir)], data_dir, json)


@data_sets.command("check")
def check_data(
    name: DataNames = None, data_dir: DataDir = None, json: Json = False, debug: Debug = False
) -> None:
    """Verify every checksum of a data set, or of all that are on this machine."""
    from gridscape.tasks import fetch

    present = [s.name for s in fetch.status(data_dir) if s.embedded or s.found_at]
    _tell_data([fetch.check(n, data_dir) for n in ([name] if name else present)], data_dir, json)


@data_sets.command("look")
def look_at_data(
    path: DataPath,
    target: Target = None,
    layout: Layout = None,
    option: TaskOptions = None,
    data_dir: DataDir = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Tell what a file or folder is: columns, classes, ranges, missing values, trouble."""
    prepare_jax()
    from gridscape.cli import _data_tables
    from gridscape.study.looking import look_at

    options = _own_options(target, layout, option)
    with _busy("reading"):
        found = look_at(path, options, data_dir)
    tell(json, found, lambda width: _data_tables.data(found, options))


# ---- what the commands share ----


def _chosen(
    study: str | None,
    data: Path | None,
    data_dir: Path | None,
    own: dict[str, Any],
) -> "str | Study":
    """The study that is named, or the one of somebody's own data, with the options of ``_own``."""
    if data is None:
        given = {**own.pop("options"), **own}
        if names := [name.replace("_", "-") for name, value in given.items() if value is not None]:
            where = f"--{names[0].replace('metrics', 'metric')}"
            raise UsageError("only with --data", where=where, hint="a study names its own")
        return study or "quickstart"
    if study is not None:
        raise UsageError(
            "a study and --data",
            expected="one of them",
            found=f"{study} and {data}",
            hint='in a study file: task = "table" (or "arrays"), and path among its task_options',
        )
    from gridscape.study.own import own_study

    with _busy("reading the data"):
        given = {name: value for name, value in own.items() if value is not None}
        return own_study(data, data_dir=data_dir, **given)


def _folder_of(study: "str | Study", directory: Path | None) -> Path:
    """Where the results of a study go."""
    from gridscape.study.study import Study
    from gridscape.sweep import results_folder

    loaded = Study.load(study) if isinstance(study, str) else study
    return results_folder(loaded, directory)


def _own(
    model: str | None,
    target: list[str] | None,
    layout: str | None,
    option: list[str] | None,
    metric: list[str] | None,
    class_weights: str | None,
) -> dict[str, Any]:
    """What ``own_study`` is given; None where nothing is said."""
    from gridscape.grid.axes import parse_value

    weights: Any = class_weights
    if weights is not None and weights != "balanced":
        weights = [parse_value(part.strip()) for part in weights.split(",")]
    return {
        "model": model,
        "options": _own_options(target, layout, option),
        "metrics": metric or None,
        "class_weights": weights,
    }


def _own_options(
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


def _cell(text: str) -> dict[str, Any]:
    """The cell that ``--cell`` names."""
    from gridscape.grid.axes import parse_value, parts_of, written

    parts = [part.partition("=") for part in parts_of(text) if part.strip()]
    if not parts or not all(name.strip() and value.strip() for name, _, value in parts):
        raise UsageError("not a cell", where="--cell", expected="AXIS=VALUE,...", found=repr(text))
    return {name.strip(): written(parse_value(value.strip())) for name, _, value in parts}


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


def executor_at(name: str, address: str | None) -> "Executor":
    """What trains; raises UsageError where it cannot be."""
    from gridscape.execution.executors import find_executor

    return find_executor(name, address)


def _read(directory: Path) -> "Landscape":
    from gridscape.landscape import Landscape

    land = Landscape.read(directory)
    _tell_lacks(land.study)
    return land


def _tell_lacks(study: Mapping[str, Any]) -> None:
    """Say what the results of an earlier version lack."""
    from gridscape.landscape import lacks_of

    if line := lacks_of(study):
        complain(line)


def _prepare_networks(directory: Path, trust: bool) -> None:
    """Make JAX ready where networks are brought back; say what they run and what they lack."""
    if _shows_networks(directory):
        prepare_jax(computes=False)
        try:
            tell_code(directory, trust)
        except UntrustedError as error:
            complain(f"networks are not shown: {error}")
    from gridscape.store.store import Store

    with Store.read(directory) as store:
        _tell_lacks(store.study)


def _shows_networks(directory: Path) -> bool:
    """Whether a report of this folder brings networks back, and so needs JAX."""
    from gridscape.report import showcase
    from gridscape.store.store import Store

    with Store.read(directory) as store:
        return showcase.brings_back(store.study)


def tell_code(directory: Path, trust: bool) -> None:
    """Say what code the study of a folder names, before any of it is imported.

    Raises UntrustedError where it is not this user's, and not trusted.
    """
    from gridscape.store.store import Store
    from gridscape.study import reach

    with Store.read(directory) as store:
        for found in reach.check(store.study, trust=trust, where=directory):
            complain(f"uses {found.words}")


def _write_report(
    directory: Path, data_dir: Path | None, trust: bool = False, predict: bool = False
) -> Path:
    from gridscape.report import html

    with _busy("writing the report"):
        return html.write(directory, data_dir, trust=trust, predict=predict)


def _report_beside(directories: list[Path]) -> None:
    from gridscape.analysis.beside import compare
    from gridscape.cli._beside_table import beside
    from gridscape.report.beside import file_of, write_beside

    with _busy("comparing the studies"):
        found = compare(*directories)
        path = write_beside(found, file_of(found, directories[0]))
    tell(False, None, lambda width: beside(found))
    print(f"\nReport: {path}")


def _draw(found: "Look", directory: Path) -> list[Path]:
    """The pictures of a network; none without the extra."""
    if find_spec("matplotlib") is None:
        complain("no pictures: matplotlib not installed; pip install 'gridscape[report]'")
        return []
    from gridscape.report import network_figures

    return network_figures.save_look(found, directory)


def _show_run(
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
        path = _write_report(directory, data_dir)
    finally:  # the document stands without the page, too
        if json:
            document = _json.overview(found, directory)
            told = {"effort": effort} if effort else {}
            tell(True, {**document, **told, "report": path}, lambda width: [])
    if not json:
        print(f"Report: {path}")


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


def _tell_data(found: "list[DataSetStatus]", data_dir: Path | None, json: bool) -> None:
    from gridscape.cli import tables
    from gridscape.tasks.fetch import search_folders

    folders = search_folders(data_dir)
    content = {"data_sets": found, "folders": folders}
    tell(json, content, lambda width: tables.data_sets(found, folders))


@contextmanager
def _busy(doing: str) -> Iterator[None]:
    """Say what is being done while it lasts, where there is a terminal."""
    from gridscape.cli.tables import console

    screen = console(stderr=True)
    with screen.status(doing) if screen.is_terminal else nullcontext():
        yield


# ---- errors and exit status ----


class InterruptedRunError(Exception):
    """Ctrl-C in the middle of work; the message says what is kept."""


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
        if "--debug" in arguments:
            traceback.print_exc()
        line, status = _told(error)
        complain(line)
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
    return f"{message[:1].lower()}{message[1:]}; {see}"


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
