"""The commands of data: people's own, and known sets."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gridscape.cli._options import (
    DataDir,
    DataName,
    DataNames,
    DataPath,
    Debug,
    Json,
    Layout,
    Target,
    TaskOptions,
)
from gridscape.cli._shared import Commands, busy, own_options, tell
from gridscape.cli._startup import prepare_jax

if TYPE_CHECKING:
    from gridscape.tasks.fetch import DataSetStatus


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    data = typer.Typer(cls=Commands, help="Data: look at your own; fetch and check known sets.")
    commands: dict[str, Callable[..., None]]
    commands = {"list": list_data, "fetch": fetch_data, "check": check_data, "look": look_at_data}
    for name, command in commands.items():
        data.command(name)(command)
    app.add_typer(data, name="data")


def list_data(data_dir: DataDir = None, json: Json = False, debug: Debug = False) -> None:
    """List the data sets and where they are."""
    from gridscape.tasks import fetch

    _tell_data(fetch.status(data_dir), data_dir, json)


def fetch_data(
    name: DataName, data_dir: DataDir = None, json: Json = False, debug: Debug = False
) -> None:
    """Fetch a data set into --data-dir, else the user's cache, and verify it."""
    from gridscape.tasks import fetch

    _tell_data([fetch.fetch(name, data_dir)], data_dir, json)


def check_data(
    name: DataNames = None, data_dir: DataDir = None, json: Json = False, debug: Debug = False
) -> None:
    """Verify every checksum of a data set, or of all that are on this machine."""
    from gridscape.tasks import fetch

    present = [s.name for s in fetch.status(data_dir) if s.embedded or s.found_at]
    _tell_data([fetch.check(n, data_dir) for n in ([name] if name else present)], data_dir, json)


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

    options = own_options(target, layout, option)
    with busy("reading"):
        found = look_at(path, options, data_dir)
    tell(json, found, lambda width: _data_tables.data(found, options))


def _tell_data(found: "list[DataSetStatus]", data_dir: Path | None, json: bool) -> None:
    from gridscape.cli import tables
    from gridscape.tasks.fetch import search_folders

    folders = search_folders(data_dir)
    content = {"data_sets": found, "folders": folders}
    tell(json, content, lambda width: tables.data_sets(found, folders))
