"""Mistakes in a study file: each one line, led by the line and the key that it is about."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from gridscape.errors import UnknownNameError
from gridscape.study import synonyms
from gridscape.study.settings import MistakesError, mistake

# How TOML writes a key: bare or quoted parts with dots between.
PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
KEY = rf"{PART}(?:\s*\.\s*{PART})*"
LONG_TEXT = re.compile(r"""("{3}|'{3}).*?\1""", re.DOTALL)

# Pydantic's kinds of findings in our words; {ge} and the like are what it tells of them.
EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "list_type": "a list",
    "greater_than_equal": "a number from {ge}",
    "less_than_equal": "at most {le}",
    "greater_than": "a number above {gt:g}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "literal_error": "{expected}",
}


def of_validation(error: ValidationError, known: Iterable[str]) -> list[str]:
    """Pydantic's findings, one line each."""
    return [line for item in error.errors() for line in _lines(item, list(known))]


def _lines(item: Any, known: list[str]) -> list[str]:
    key, kind, context = ".".join(map(str, item["loc"])), item["type"], item.get("ctx", {})
    if isinstance(context.get("error"), MistakesError):
        return list(context["error"].lines)
    if kind == "extra_forbidden":
        hint = synonyms.hint(key, "", known, known)
        return [str(UnknownNameError("key", key, known, where=key, hint=hint))]
    if kind == "missing":
        return [f"{key}: required, but missing"]
    words = EXPECTED.get(kind, item["msg"].removeprefix("Input should be ")).format(**context)
    what = "wrong type" if kind.endswith("_type") else "out of range"
    return [mistake(what, key, words, item["input"])]


def joined(of_settings: Iterable[str], of_parts: Iterable[str]) -> list[str]:
    """Mistakes in settings and in what parts say of them, none of them told twice.

    A part knows best which numbers it takes; what is of the wrong type is no part.
    """
    settings, parts = list(of_settings), list(of_parts)
    wrong, numbers = _keys_of("wrong type", settings), _keys_of("out of range", parts)
    settings = [line for line in settings if line.partition(":")[0] not in numbers - wrong]
    parts = [line for line in parts if line.partition(":")[0] not in wrong]
    return list(dict.fromkeys([*settings, *parts]))


def _keys_of(what: str, found: Iterable[str]) -> set[str]:
    return {line.partition(":")[0] for line in found if f": {what} (" in line}


def with_lines(found: Iterable[str], text: str) -> list[str]:
    """Mistakes in the order of the TOML text, each led by the line on which its key stands."""
    lines = [(line_of(mistake.partition(":")[0], text), mistake) for mistake in found]
    placed = sorted((line, mistake) for line, mistake in lines if line is not None)
    return [
        *(f"line {line}: {mistake}" for line, mistake in placed),
        *(mistake for line, mistake in lines if line is None),
    ]


def line_of(key: str, text: str) -> int | None:
    """The line, from 1, on which a dotted key is set, else the one of the table that holds it.

    Tables of a list of grids are counted from 1.

    >>> line_of("axes.hidden_size", "task = 'x'\\n[axes]\\nhidden_size = [0]\\n")
    3
    >>> line_of("grids.2.momentum", "[[grids]]\\nmomentum = 0\\n[[grids]]\\nmomentum = 1\\n")
    4
    """
    table, best, n_grids = "", None, 0
    text = LONG_TEXT.sub(lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(rf"\s*\[+\s*({KEY})\s*\]", line):
            here = table = _bare(header[1])
            if table == "grids" and re.match(r"\s*\[\s*\[", line):
                n_grids += 1
                here = table = f"grids.{n_grids}"
        elif assignment := re.match(rf"\s*({KEY})\s*=", line):
            here = f"{table}.{_bare(assignment[1])}".lstrip(".")
        else:
            continue
        if here == key:
            return number
        if key.startswith(f"{here}."):
            best = number
    return best


def _bare(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)
