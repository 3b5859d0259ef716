"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

StudyName = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY",
        help="A named study (see list) or a TOML file.",
        show_default="quickstart",
    ),
]
ListedStudy = Annotated[
    str | None, typer.Argument(metavar="STUDY", help="A named study, of which all is told.")
]
OwnData = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="Your own file or folder, instead of a study."),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target", metavar="COLUMN", help="The column of --data to predict. May be repeated."
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="What --data trains; by default lstm on sequences.",
        show_default="mlp",
    ),
]
Layout = Annotated[
    str | None,
    typer.Option("--layout", metavar="LAYOUT", help="Of pictures in --data: rows, flat, image."),
]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="An option of the task of --data. May be repeated."
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="What --data is measured by, the main one first: balanced_accuracy, macro_f1, recall, "
        "f1, auc, top_5, perplexity ... May be repeated.",
    ),
]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        "--class-weights",
        metavar="WEIGHTS",
        help="Of the classes of --data in the loss: balanced, or a number of each.",
    ),
]
Folder = Annotated[
    str | None,
    typer.Argument(
        metavar="DIR", help="A results folder, or the name of one in runs/; else the only one."
    ),
]
Folders = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DIR...",
        help="A results folder, or the name of one in runs/; else the only one. Several are"
        " compared with the first.",
    ),
]
SetValues = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="AXIS=VALUES",
        help="Values of an axis: hidden_size=16,32 or, in equal ratios, learning_rate=1e-5:1:6. "
        "May be repeated.",
    ),
]
TaskName = Annotated[
    str | None, typer.Option("--task", metavar="TASK", help="Another task than the study's.")
]
Replicates = Annotated[
    int | None, typer.Option("--replicates", metavar="N", help="Seeds of every cell.")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed of the study.")]
Updates = Annotated[
    int | None, typer.Option("--updates", metavar="N", help="Updates of every network.")
]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs", metavar="N", help="Instead of updates: walks through the training examples."
    ),
]
Examples = Annotated[
    int | None,
    typer.Option("--examples", metavar="N", help="Instead of updates: examples of all updates."),
]
Flops = Annotated[
    float | None,
    typer.Option(
        "--flops", metavar="N", help="Instead of updates: operations of all updates, such as 1e9."
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", help="Examples of an update.")
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Where results go.", show_default="runs/STUDY"),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where data sets are looked for first."),
]
ExecutorName = Annotated[
    str, typer.Option("--executor", metavar="NAME", help="What trains: local, or ray.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Of a Ray cluster: auto, HOST:6379, ray://HOST:10001.",
        show_default="a Ray of this machine alone",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option("--precision", metavar="NAME", help="Of products: float32, tf32, bfloat16."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Run code and read files that the folder's study names, whoever made it."
    ),
]
# Read by ``main``, which handles all errors.
Debug = Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")]
CellName = Annotated[
    str, typer.Option("--cell", metavar="AXIS=VALUE,...", help="The cell: a value of each axis.")
]
ReplicateNumber = Annotated[
    int, typer.Option("--replicate", metavar="K", help="Which seed of the cell.")
]
DataName = Annotated[str, typer.Argument(metavar="NAME", help="A data set (see data list).")]
DataNames = Annotated[
    str | None, typer.Argument(metavar="NAME", help="A data set; else all on this machine.")
]


DataPath = Annotated[
    Path, typer.Argument(metavar="PATH", help="A file or folder, or the beginning of IDX names.")
]
RunTable = Annotated[
    Path, typer.Argument(metavar="FILE", help="A table of runs: .csv, .tsv, .parquet ...")
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at", metavar="AXIS=VALUES", help="Only at these values of another axis. May be repeated."
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", metavar="M", help="No round begins that is expected to end later."),
]
