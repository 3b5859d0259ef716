"""The commands that show the results of a study."""

from pathlib import Path
from typing import Annotated

import typer

from gridscape.cli._options import DataDir, Debug, Folder, Folders, Json, Trust
from gridscape.cli._shared import (
    busy,
    read,
    results_folder,
    tell,
    tell_code,
    tell_lacks,
    write_report,
)
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain
from gridscape.errors import UntrustedError, UsageError
from gridscape.grid.many import many_records


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(show)
    app.command()(report)
    app.command()(figures)
    app.command()(claims)


@many_records()  # until nothing is left of them
def show(folder: Folder = None, json: Json = False, debug: Debug = False) -> None:
    """Show the landscape of results, finished or still running."""
    directory = results_folder(folder)
    from gridscape.cli import _json, tables

    found = tables.Overview.of(read(directory), directory)
    tell(json, lambda: _json.overview(found, directory), lambda w: tables.overview(found, w))


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
    print(write_report(directory, data_dir, trust, predict))


def figures(
    folder: Folder = None, data_dir: DataDir = None, trust: Trust = False, debug: Debug = False
) -> None:
    """Draw the figures for a paper, PNG, SVG and PDF; those that changed."""
    directory = results_folder(folder)
    _prepare_networks(directory, trust)
    with busy("drawing the figures"):
        from gridscape.kernels.cores import n_cores
        from gridscape.report import paper

        paths = paper.draw(directory, data_dir, trust=trust, processes=n_cores())
    for path in paths:
        print(path)


def claims(
    folder: Folder = None, trust: Trust = False, json: Json = False, debug: Debug = False
) -> None:
    """Judge the published statements of a study by its results."""
    directory = results_folder(folder)
    from gridscape.claims.judging import verdicts
    from gridscape.cli import tables
    from gridscape.store.store import Store
    from gridscape.study.conditions import altered

    with busy("judging the claims"):
        found = verdicts(directory, trust=trust)
    with Store.read(directory) as store:
        study = store.study
    tell_lacks(study)
    told = altered(study)
    name = study.get("name", directory.name)
    content = {"study": name, "altered": told, "directory": directory, "claims": found}
    tell(json, content, lambda width: [*tables.notice(told), *tables.verdicts(found)])


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
        tell_lacks(store.study)


def _shows_networks(directory: Path) -> bool:
    """Whether a report of this folder brings networks back, and so needs JAX."""
    from gridscape.report import showcase
    from gridscape.store.store import Store

    with Store.read(directory) as store:
        return showcase.brings_back(store.study)


def _report_beside(directories: list[Path]) -> None:
    from gridscape.analysis.beside import compare
    from gridscape.cli._beside_table import beside
    from gridscape.report.beside import file_of, write_beside

    with busy("comparing the studies"):
        found = compare(*directories)
        path = write_beside(found, file_of(found, directories[0]))
    tell(False, None, lambda width: beside(found))
    print(f"\nReport: {path}")
