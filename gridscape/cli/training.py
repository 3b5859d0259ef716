"""The commands that say what a study is, plan it, and train it."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridscape.cli import watching
from gridscape.cli._options import (
    Address,
    BatchSize,
    ClassWeights,
    DataDir,
    Debug,
    Directory,
    Epochs,
    Examples,
    ExecutorName,
    Flops,
    Json,
    Layout,
    ListedStudy,
    Measures,
    ModelName,
    OwnData,
    Precision,
    Replicates,
    Seed,
    SetValues,
    StudyName,
    Target,
    TaskName,
    TaskOptions,
    Updates,
)
from gridscape.cli._shared import (
    SOME_FAILED,
    InterruptedRunError,
    axes_of,
    busy,
    executor_at,
    own_options,
    show_run,
    tell,
)
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain
from gridscape.errors import UsageError, check_known

if TYPE_CHECKING:
    from gridscape.study.study import Study


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("list")(list_studies)
    app.command()(axes)
    app.command()(plan)
    app.command()(run)


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
    with busy("measuring this machine"):
        entries = list(catalog(data_dir, only=name))
    if name is not None:
        study = Study.load(name)
        content = {**vars(entries[0]), "description": study.description, "axes": study.axes}
        tell(json, content, lambda w: tables.study(entries[0], study.description, study.axes))
        return
    tell(json, {"studies": entries}, lambda width: tables.studies(entries, width))


def axes(study: StudyName = None, json: Json = False, debug: Debug = False) -> None:
    """List what a study varies, and all else that may be an axis of it."""
    prepare_jax(computes=False)
    from gridscape.cli import tables
    from gridscape.study.known_axes import known_axes
    from gridscape.study.study import Study

    found = known_axes(Study.load(study or "quickstart"))
    tell(json, {"axes": found}, lambda width: tables.axes(found))


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
    with busy("compiling and timing the programs"):
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
    resume_stopped: Annotated[
        bool, typer.Option("--resume-stopped", help="Go on with the networks that were stopped.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Open the page in a browser while it trains.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Let who has the page's address act on the run.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train what is missing of a study; then show the landscape."""
    axes = axes_of(set_)
    if control and not live:
        raise UsageError("--control is of the page", expected="--live beside it", found="none")
    if live:
        watching.require_extra()
    compile_seconds = prepare_jax()
    from gridscape import sweep
    from gridscape.cli._follow import Follower
    from gridscape.grid.trials import Status
    from gridscape.report.words import plural

    trainer = executor_at(executor, address)
    own = _own(model, target, layout, option, metric, class_weights)
    chosen = _chosen(study, data, data_dir, own)
    follower, begin = Follower(), time.perf_counter()
    page: AbstractContextManager[None] = nullcontext()
    if live:
        page = watching.beside(_folder_of(chosen, directory), control=control)
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
                resume_stopped=resume_stopped,
            )
    except KeyboardInterrupt:
        raise InterruptedRunError(follower.kept()) from None
    effort = {
        "n_trained": follower.n_ended,
        "seconds": time.perf_counter() - begin,
        "compile_seconds": compile_seconds(),
    }
    show_run(land, follower.directory, effort, json, data_dir)
    if n_stopped := land.counts()[Status.STOPPED]:
        complain(f"{plural(n_stopped, 'network')} stopped: --resume-stopped goes on with them")
    if follower.failed:
        complain(follower.failures())
        raise typer.Exit(SOME_FAILED)


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
        return "quickstart" if study is None else study
    if study is not None:
        raise UsageError(
            "a study and --data",
            expected="one of them",
            found=f"{study} and {data}",
            hint='in a study file: task = "table" (or "arrays"), and path among its task_options',
        )
    from gridscape.study.own import own_study

    with busy("reading the data"):
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
        "options": own_options(target, layout, option),
        "metrics": metric or None,
        "class_weights": weights,
    }
