"""Where the files of studies are; nothing here imports JAX, nor any part of a study."""

import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

from gridscape.data.kinds import READERS
from gridscape.errors import UnknownNameError, UsageError, short
from gridscape.study import reach

STUDIES = Path(__file__).parent / "named"


def names() -> list[str]:
    """The named studies."""
    return sorted(path.stem for path in STUDIES.glob("*.toml"))


def find(name_or_path: str | Path) -> Path:
    """The file of a study, by name or path; raises UnknownNameError with the nearest name."""
    if not isinstance(name_or_path, str | PathLike):
        expected = "the name of a study, or the path of its file"
        raise UsageError("not a study", expected=expected, found=short(name_or_path))
    if str(name_or_path) in names():
        return STUDIES / f"{name_or_path}.toml"
    path = Path(name_or_path)
    if _is_there(path):
        return path
    if path.suffix == ".toml":
        raise UsageError("no such study file", where=path)
    if path.name and _is_there(path.with_suffix(".toml")):
        hint = f"the file here is named with its suffix: {path}.toml"
        raise UsageError(f"unknown study {str(name_or_path)!r}", hint=hint)
    raise UnknownNameError("study", str(name_or_path), names())


def _is_there(path: Path) -> bool:
    """Whether this is a file or a pipe that can be read to its end; a name too long is none."""
    try:
        return path.is_file() or path.is_fifo()
    except OSError:
        return False


def beside(content: dict[str, Any], file: Path) -> dict[str, Any]:
    """A study's content whose data and claims, where they lie beside its file, have whole paths."""
    claims = content.get("claims")
    if isinstance(claims, str) and reach.names_file(claims) and not Path(claims).is_absolute():
        of_claims = file.absolute().parent / claims
        content = {**content, "claims": str(of_claims)} if _there(of_claims) else content
    options, task = content.get("task_options"), content.get("task")
    if not (isinstance(task, str) and task in READERS and isinstance(options, dict)):
        return content
    path = options.get("path")
    if not isinstance(path, str) or Path(path).is_absolute():
        return content
    place = file.absolute().parent / path
    return (
        {**content, "task_options": {**options, "path": str(place)}} if _there(place) else content
    )


def _there(place: Path) -> bool:
    """Whether a path, or one that begins like it, is there."""
    try:
        return place.exists() or any(place.parent.glob(f"{place.name}*"))
    except (OSError, ValueError):  # no name for a file
        return False


def with_claims() -> list[str]:
    """The named studies that published statements are made of."""
    texts = {name: find(name).read_text(encoding="utf-8") for name in names()}
    return [name for name, text in texts.items() if tomllib.loads(text).get("claims")]
