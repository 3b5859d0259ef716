"""The page's document as declarations for tsc, made of the TypedDicts of report/contract.py.

    .venv-test/bin/python tests/declarations.py

writes gridscape/report/page/document.d.ts.
"""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from gridscape.report import contract, words

ROOT = Path(__file__).parents[1]
PATH = ROOT / "gridscape" / "report" / "page" / "document.d.ts"
HEAD = "// Made by tests/declarations.py of report/contract.py: change that, not this.\n"
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
PLAIN[object] = "any"  # a part of the document


def declarations() -> str:
    """The text of document.d.ts."""
    names = {"Unit": words.Unit, "Cost": words.Cost}
    aliases = "".join(f"type {name} = {_type(hint)};\n" for name, hint in names.items())
    interfaces = [_interface(name, kind) for name, kind in records().items()]
    return "\n".join([HEAD, aliases, *interfaces])


def records() -> dict[str, Any]:
    """The TypedDicts of the contract by name, in its order."""
    own = [v for v in vars(contract).values() if getattr(v, "__module__", "") == contract.__name__]
    return {kind.__name__: kind for kind in own if typing.is_typeddict(kind)}


def fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Of a TypedDict: the type of each field, and whether it may be missing."""
    hints = typing.get_type_hints(kind, vars(contract))
    return {name: (hint, name in kind.__optional_keys__) for name, hint in hints.items()}


def _interface(name: str, kind: Any) -> str:
    doc = inspect.getdoc(kind) or ""
    lines = [f"{field}{'?' * free}: {_type(hint)};" for field, (hint, free) in fields(kind).items()]
    body = "\n".join(f"  {line}" for line in lines)
    comment = "\n".join(f" * {line}".rstrip() for line in doc.splitlines())
    return f"/**\n{comment}\n */\ninterface {name} {{\n{body}\n}}\n"


def _type(hint: Any) -> str:
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(f'"{value}"' for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(dict.fromkeys(_type(argument) for argument in arguments))
    if origin is tuple:
        return f"[{', '.join(_type(argument) for argument in arguments)}]"
    if origin is Sequence:
        return f"Array<{_type(arguments[0])}>"
    if origin is Mapping:
        key, value = map(_type, arguments)
        return f"{{ [key in {key}]?: {value} }}"
    if typing.is_typeddict(hint):
        return str(hint.__name__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " | ".join(f'"{member.value}"' for member in hint)
    raise TypeError(f"no declaration for {hint}")


# ---- a document against its contract ----


def mistakes(value: Any, hint: Any = contract.PageData, where: str = "doc") -> list[str]:
    """Where plain data of JSON is not what the contract says, one line each."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        tried = [mistakes(value, argument, where) for argument in arguments]
        return min(tried, key=len)
    if typing.is_typeddict(hint):
        return _of_record(value, hint, where)
    if origin is Mapping and isinstance(value, dict):
        of_keys = [m for key in value for m in mistakes(key, arguments[0], f"{where}: key {key}")]
        return of_keys + [
            m for key, item in value.items() for m in mistakes(item, arguments[1], f"{where}.{key}")
        ]
    if origin is Sequence and isinstance(value, list):
        return [m for i, v in enumerate(value) for m in mistakes(v, arguments[0], f"{where}[{i}]")]
    if origin is tuple and isinstance(value, list) and len(value) == len(arguments):
        pairs = zip(value, arguments, strict=True)
        return [m for i, (v, a) in enumerate(pairs) for m in mistakes(v, a, f"{where}[{i}]")]
    return [] if _is(value, hint, origin, arguments) else [f"{where}: {value!r} is no {hint}"]


def _of_record(value: Any, kind: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no {kind.__name__}"]
    known = fields(kind)
    required = {name for name, (_, free) in known.items() if not free}
    missing = [f"{where}.{name} is missing" for name in sorted(required - set(value))]
    strange = [f"{where}.{name} is not in the contract" for name in sorted(set(value) - set(known))]
    inner = [
        m for n in value if n in known for m in mistakes(value[n], known[n][0], f"{where}.{n}")
    ]
    return missing + strange + inner


def _is(value: Any, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> bool:
    if origin is typing.Literal:
        return value in arguments
    if not isinstance(hint, type):
        return False
    if issubclass(hint, Enum):
        return value in [member.value for member in hint]
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


if __name__ == "__main__":
    PATH.write_text(declarations(), encoding="utf-8")
