"""What a file or folder of data is, for the terminal."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from gridscape.cli.tables import BAD, QUIET, UNSURE, new_table
from gridscape.study.looking import DataLook

MOST_CLASSES = 30


def data(found: DataLook, options: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What it is, what a task makes of it, what is odd about it, and how to train on it."""
    yield Text(_near(found.path), "bold")
    yield Text(f"{found.task}: {found.size}")
    if found.parts:
        table = new_table("name", "kind", "missing", "")
        table.columns[2].justify = "right"
        for part in found.parts:
            missing = Text(str(part.missing), BAD) if part.missing else Text("")
            table.add_row(Text(part.name), Text(part.kind, QUIET), missing, Text(part.values))
        yield table
    if found.n_more_parts:
        yield Text(f"and {found.n_more_parts} more", QUIET)
    if found.examples:
        examples = ", ".join(f"{n} {part}" for part, n in found.examples.items())
        yield Text(f"\nPredicts {found.predicts} from inputs {found.inputs}: {examples} examples.")
    if found.lengths:
        shortest, median, longest = found.lengths
        yield Text(f"Sequences of {shortest} to {longest} steps, {median} in the median.")
    if found.classes:
        yield _classes(found)
    if len(found.classes) > MOST_CLASSES:
        yield Text(f"and {len(found.classes) - MOST_CLASSES} classes more", QUIET)
    for line in found.trouble:
        yield Text(f"! {line}", UNSURE)
    if found.examples:
        yield Text("\nTrain on it:")
        # Not wrapped, so that it can be copied.
        yield Text(f"  {_command(found, options)}", no_wrap=True, overflow="ignore")


def _near(path: Path) -> str:
    """A path as seen from here, where it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _classes(found: DataLook) -> RenderableType:
    total = sum(sum(one.counts.values()) for one in found.classes)
    table = new_table("class", "share", *found.examples)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in found.classes[:MOST_CLASSES]:
        n = sum(one.counts.values())
        table.add_row(Text(one.name), f"{n / total:.1%}", *map(str, one.counts.values()))
    return table


def _command(found: DataLook, options: Mapping[str, Any]) -> str:
    words = ["gridscape", "run", "--data", _near(found.path)]
    for name, value in options.items():
        values = value if name == "target" and isinstance(value, list) else [value]
        for one in values:
            text = ",".join(map(str, one)) if isinstance(one, list) else str(one)
            named = name in ("target", "layout")
            words += [f"--{name}", text] if named else ["--option", f"{name}={text}"]
    return shlex.join([*words, "--model", "lstm" if found.lengths else "mlp"])
