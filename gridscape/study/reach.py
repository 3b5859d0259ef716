"""What a results folder reaches out for, and whether anybody here vouched for it.

A folder is data and may come from anybody: its study is read with Gridscape's own names only. What
else it names (a module, a folder of pictures, a file of claims) is used where it is trusted: where
this user trained that very study with those very files, or says so now.

What a user trained is noted outside of the folder, in the user's own data directory, under a hash
of the whole study: who sends a folder cannot write there, and a changed option is another study.
"""

import hashlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from gridscape.data.kinds import READERS
from gridscape.errors import UntrustedError, cut
from gridscape.grid.names import is_of_optax, of_torch
from gridscape.store.blobs import write_whole
from gridscape.store.imported import require_own

PARTS = ("task", "model", "optimizer", "loss")  # that a study may name by an import string
HINT = "--trust (trust=True) if you trust its maker"


class Reach(NamedTuple):
    """Something outside of the folder: in words, and the files of its code.

    code: whether it runs; files is empty where it lies in no file, or is not on this machine.
    """

    words: str
    code: bool
    files: tuple[Path, ...] = ()


def check(
    study: Mapping[str, Any], *, trust: bool = False, where: object = None
) -> tuple[Reach, ...]:
    """What training this study again would reach out for.

    ``study`` is the plain data of a folder. Raises UntrustedError unless it is trusted, StoreError
    for runs that were made elsewhere.
    """
    require_own(study, where)
    return require(study, tuple(_reaches(study)), trust=trust, where=where)


def require(
    study: Mapping[str, Any], wanted: tuple[Reach, ...], *, trust: bool, where: object = None
) -> tuple[Reach, ...]:
    """``wanted``; raises UntrustedError unless the study is trusted, or nothing is wanted."""
    if wanted and not (trust or is_known(study)):
        raise UntrustedError(
            "names code or files of its author",
            where=where,
            found=cut(wanted[0].words, 100) + (" and others" if wanted[1:] else ""),
            hint=HINT,
        )
    return wanted


def claims_reach(study: Mapping[str, Any]) -> tuple[Reach, ...]:
    """The file of claims that a study names, where they are none of Gridscape's own."""
    name = study.get("claims")
    if isinstance(name, str) and names_file(name):
        return (Reach(f"the claims in {name!r}", code=False),)
    return ()


def names_file(claims: str | Path) -> bool:
    """Whether claims are named by the path of a file, not as those of a study of Gridscape's."""
    return Path(claims).suffix == ".toml"


def is_known(study: Mapping[str, Any]) -> bool:
    """Whether this user trained this study here, with the code that its names stand for now."""
    try:
        noted = json.loads(_note_of(study).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no note, or none that is whole
        return False
    return noted == {"files": _hashes(study)}


def remember(
    study: Mapping[str, Any], asked: Mapping[str, Any], before: Mapping[str, Any] | None
) -> None:
    """Note that this user trains a study, unless a part of it is not what this user asked for.

    before: what the folder held, whose values may be somebody else's; None for a new folder.
    """
    hashes = _hashes(study)
    if hashes is None or is_known(study) or not _reaches_out(study):
        return
    # All else is equal: two studies that share a folder differ in the values of their axes only.
    if before and _reaches_out(before) and not is_known(before) and study["axes"] != asked["axes"]:
        return
    path = _note_of(study)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps({"files": hashes}, indent=1).encode())
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(
            f"{path}: cannot note that this study is yours ({reason}); looking into its networks"
            " will ask for --trust",
            stacklevel=2,
        )


def _reaches_out(study: Mapping[str, Any]) -> bool:
    return any(True for _ in _reaches(study)) or bool(claims_reach(study))


def _note_of(study: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(study, sort_keys=True).encode()).hexdigest()
    return platformdirs.user_data_path("gridscape") / "trusted" / f"{digest}.json"


def _hashes(study: Mapping[str, Any]) -> dict[str, str] | None:
    """The content of every file of its code; None where some code lies in none."""
    code = [reach for reach in _reaches(study) if reach.code]
    if not all(reach.files for reach in code):
        return None
    try:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for reach in code
            for path in reach.files
        }
    except OSError:
        return None


def _reaches(study: Mapping[str, Any]) -> Iterator[Reach]:
    """Modules and folders that a study names; what is no text names nothing."""
    task, options = study.get("task"), study.get("task_options")
    path = options.get("path") if isinstance(options, Mapping) else None
    # The tasks that read what a study names; one from Python may have the name of such a task.
    if isinstance(task, str) and task in READERS and "task" not in (study.get("objects") or ()):
        yield Reach(f"{READERS[task]} in {path!r}", code=False)
    for module in dict.fromkeys(_modules(study)):
        files = _files(module)
        place = f"from {str(files[-1])!r}" if files else "which is in no file here"
        yield Reach(f"the module {module!r} {place}", code=True, files=files)


def _modules(study: Mapping[str, Any]) -> Iterator[str]:
    axes = study.get("axes")
    for kind in PARTS:
        varied = axes.get(kind) if isinstance(axes, Mapping) else None
        varied = varied if isinstance(varied, list) else []
        for name in [study.get(kind), *varied]:
            if kind not in (study.get("objects") or ()):
                yield from () if kind == "optimizer" and is_of_optax(name) else _module(name)
    if "metrics" not in (study.get("objects") or ()):
        measured = study.get("measured")
        measured = list(measured.values()) if isinstance(measured, Mapping) else measured
        for name in measured if isinstance(measured, list) else ():
            yield from _module(name)


def _module(name: Any) -> Iterator[str]:
    """The module of an import string; none of any other value."""
    if isinstance(name, str) and ":" in name:
        yield (of_torch(name) or name).partition(":")[0]


def _files(module: str) -> tuple[Path, ...]:
    """The files that importing a module would run, packages first; nothing is imported."""
    found: list[Path] = []
    name, path = "", None
    for part in module.split("."):
        if not part.isidentifier():
            return ()
        name = f"{name}.{part}".lstrip(".")
        spec = _spec(name, path)
        if spec is None:
            return ()
        if spec.has_location and spec.origin:
            found.append(Path(spec.origin).absolute())
        elif spec.submodule_search_locations is None:  # no file, nor a package without one
            return ()
        path = spec.submodule_search_locations
    return tuple(found)


def _spec(name: str, path: Any) -> ModuleSpec | None:
    """Where a module is; ``importlib.util.find_spec`` would import the packages around it."""
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    found = (find(name, path) for find in finders if find)
    return next((spec for spec in found if spec is not None), None)
