"""Published tables as data: the files of ``claims/published``."""

import csv
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridscape.analysis.published import PublishedTable
from gridscape.errors import UnknownNameError
from gridscape.grid.axes import Cell, Value, parse_value
from gridscape.study.conditions import of_table

FOLDER = Path(__file__).parent / "published"

# What the head of a row or column says: the axis of which it is a value, or its place by itself.
Heads = str | Mapping[str, Mapping[str, Value]]


def published(name: str) -> PublishedTable:
    """A published table by name, "width_lr_report1"; NaN where nothing stands.

    Its entry in ``tables.toml`` says what the rows and columns of ``file`` (by default its own
    name) are: an axis, or for each head that is part of the table the values that it stands for.
    Its conditions are those of the named study that names it.
    Raises UnknownNameError.
    """
    tables = tomllib.loads((FOLDER / "tables.toml").read_text(encoding="utf-8"))
    if name not in tables:
        raise UnknownNameError("published table", name, tables)
    about = tables[name]
    with (FOLDER / f"{about.get('file', name)}.csv").open(encoding="utf-8", newline="") as file:
        (_, *columns), *rows = csv.reader(file)
    values = tuple(
        (_place(about, of_row, of_column), float(text) if text else math.nan)
        for row, *texts in rows
        if (of_row := _stands_for(about["rows"], row)) is not None
        for column, text in zip(columns, texts, strict=True)
        if (of_column := _stands_for(about["columns"], column)) is not None
    )
    at = Cell.of(**about.get("at", {}))
    return PublishedTable(name, about["source"], about["metric"], values, at, of_table(name))


def _stands_for(heads: Heads, head: str) -> Mapping[str, Value] | None:
    """The values that the head of a row or column stands for; None: it is no part of the table."""
    if isinstance(heads, str):
        return {heads: parse_value(head)}
    return heads.get(head)


def _place(about: Mapping[str, Any], row: Mapping[str, Value], column: Mapping[str, Value]) -> Cell:
    """The place of a number; the axis ``across``, by which figures are drawn, comes last."""
    place = {**row, **column}
    across = about.get("across", list(place)[-1])
    return Cell.of(
        **{name: v for name, v in place.items() if name != across}, **{across: place[across]}
    )
