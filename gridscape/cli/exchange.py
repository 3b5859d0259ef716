"""The commands that bring results in from elsewhere, and out."""

import re
from pathlib import Path
from typing import Annotated

import typer

from gridscape.cli._options import Debug, Directory, Folder, Json, RunTable
from gridscape.cli._shared import busy, read, results_folder, show_run
from gridscape.cli._streams import complain
from gridscape.errors import UnknownNameError
from gridscape.grid.meanings import SIDES

MOST_TOLD = 5  # trials of a merge that are told each
SUFFIXES = {
    "csv": ".csv",
    "parquet": ".parquet",
    "netcdf": ".nc",
    "tensorboard": "-tensorboard",
    "mlflow": "-mlruns",  # folders
}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(export)
    app.command("import")(import_table)
    app.command()(merge)


def export(
    folder: Folder = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv, parquet, netcdf, or a folder: tensorboard, mlflow.",
            show_default="as FILE ends, else csv",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="The file or folder.", show_default="STUDY.csv"
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the landscape to a file for other programs."""
    if format is not None and format not in SUFFIXES:
        raise UnknownNameError("format", format, SUFFIXES)
    land = read(results_folder(folder))
    from gridscape.grid.names import STUDY
    from gridscape.store.output import is_standard_output

    name = land.study.get("name")
    stem = name if isinstance(name, str) and re.fullmatch(STUDY, name) else "landscape"
    own = Path(f"{stem}{SUFFIXES[format or 'csv']}")
    path = land.export(own if output is None else output, format)
    if not is_standard_output(path):
        print(path)


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
    with busy("reading the runs"):
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
    show_run(land, folder, {}, json, None)


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
    with busy("joining the folders"):
        found = merge_folders(paths, new)
    if found.n_twice:
        complain(f"{found.n_twice:,} trials stood in two folders, and were taken once")
    for line in found.differing[:MOST_TOLD]:
        complain(f"other numbers of one trial, the first was taken: {line}")
    if len(found.differing) > MOST_TOLD:
        complain(f"and {len(found.differing) - MOST_TOLD:,} more trials with other numbers")
    show_run(Landscape.read(new), new, {}, json, None)


def _listed(texts: list[str] | None) -> list[str]:
    """The parts of an option that is a list, or is repeated."""
    return [part.strip() for text in texts or () for part in text.split(",") if part.strip()]
