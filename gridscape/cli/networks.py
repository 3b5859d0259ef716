"""The commands that train stored networks again and look into them."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridscape.cli._options import CellName, DataDir, Debug, Folder, Json, ReplicateNumber, Trust
from gridscape.cli._shared import ERROR, busy, cell_of, read, results_folder, tell, tell_code
from gridscape.cli._startup import prepare_jax
from gridscape.cli._streams import complain

if TYPE_CHECKING:
    from gridscape.inspection.kinds import Look


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(replay)
    app.command()(inspect)
    app.command()(compare)


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
    values, directory = cell_of(cell), results_folder(folder)
    prepare_jax()
    tell_code(directory, trust)
    from gridscape.cli import _json, tables
    from gridscape.execution import replay

    with busy("training it again"):
        found = replay.replay(
            directory, values, replicate=replicate, data_dir=data_dir, trust=trust
        )
    tell(json, _json.replay(found), lambda width: tables.replay(found))
    if not found.identical:
        raise typer.Exit(ERROR)


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
    values, directory = cell and cell_of(cell), results_folder(folder)
    prepare_jax()
    from gridscape.cli import _json, _network_tables
    from gridscape.execution import replay
    from gridscape.inspection import kinds
    from gridscape.report.words import cell_words, chosen_on, spoken

    wanted = tuple(dict.fromkeys(what or ()))
    kinds.check_kinds(wanted, layer)
    tell_code(directory, trust)
    with busy("bringing the network back"):
        land = read(directory)
        chosen = values or kinds.best_cell(land)
        network = replay.trained(
            directory, chosen, replicate=replicate, data_dir=data_dir, trust=trust
        )
    with busy("looking into the network"):
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
    first, second, directory = cell_of(cell), cell_of(other), results_folder(folder)
    prepare_jax()
    tell_code(directory, trust)
    from gridscape.cli import _network_tables
    from gridscape.inspection.pairs import mcnemar

    with busy("bringing the networks back"):
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


def _draw(found: "Look", directory: Path) -> list[Path]:
    """The pictures of a network; none without the extra."""
    if find_spec("matplotlib") is None:
        complain("no pictures: matplotlib not installed; pip install 'gridscape[report]'")
        return []
    from gridscape.report import network_figures

    return network_figures.save_look(found, directory)
