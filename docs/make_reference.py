"""Writes docs/reference.md from the registries, signatures and docstrings of the package.

    python docs/make_reference.py

A test compares the file with what this would write now.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

import gridscape as gs
from gridscape import models, optimizers, tasks
from gridscape.base.limits import FINITE, Limit
from gridscape.claims.rules import RULES
from gridscape.cli.commands import app
from gridscape.optimizers import extras, rules, schedules
from gridscape.study.files import names
from gridscape.study.parts import load_object
from gridscape.study.settings import SAMPLINGS, STUDY_AXES
from gridscape.study.study import Study
from gridscape.tasks import fetch, losses
from gridscape.tasks.images import ImageOptions

KNOWN = {"task": tasks.NAMES, "model": models.NAMES, "optimizer": optimizers.NAMES}
OF_IMAGES = inspect.signature(ImageOptions).parameters
HERE = Path(__file__).parent
HEAD = """\
<!-- Written by docs/make_reference.py from the code: change the code, then run it. -->

# Reference

All names of Gridscape, from its own tables. Defaults stand where a signature gives them; the
indented text is the docstring. How to add to it: [extending.md](extending.md).
"""


def page() -> str:
    """The whole reference, as markdown."""
    parts = (commands, python, study_settings, axes, named_studies, all_tasks, all_models)
    further = (all_optimizers, all_schedules, all_losses, all_rules, data_sets)
    sections = ["\n\n".join(filter(None, part())) for part in (*parts, *further)]
    contents = [re.match("## (.+)", section) for section in sections]
    links = [f"[{found[1]}](#{_anchor(found[1])})" for found in contents if found]
    return "\n\n".join([HEAD + "\n" + " · ".join(links), *sections]) + "\n"


# ---- the command line ----


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "## Commands"
    for path, command in walk(typer.main.get_command(app)):
        yield f"### `gridscape {path}`"
        yield command.help or ""
        parameters = [p for p in command.params if p.name != "help"]
        yield table(("takes", "default", "what it is"), map(_parameter, parameters))


def walk(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(words, command) of every command of a group and of the groups in it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _parameter(parameter: Any) -> tuple[str, str, str]:
    takes = parameter.metavar or ""
    if parameter.param_type_name == "option":
        takes = f"{parameter.opts[0]} {takes}".strip()
    told = parameter.show_default
    default = told if isinstance(told, str) else parameter.default
    if default is None or default is False:
        default = "must be given" if parameter.required else ""
    return f"`{takes}`", str(default), parameter.help or ""


# ---- Python ----


def python() -> Iterator[str]:
    """Every public name, and the names in the modules behind commands."""
    yield "## Python"
    yield "`import gridscape as gs`; what is not here is not public."
    for name in gs.__all__:
        yield from _public(f"gs.{name}", getattr(gs, name))
    for name in sorted(set(dir(gs)) - set(gs.__all__) - {"__version__"}):
        module = getattr(gs, name)
        yield f"### `gs.{name}`"
        yield docstring(module)
        public = [n for n in dir(module) if _is_of(module, n)]
        rows = ((f"`{n}`", _first(getattr(module, n))) for n in public)
        yield table(("name", "what it is"), rows)
    yield "### `gs.__version__`"
    yield "The version, as text."


def _public(name: str, found: Any) -> Iterator[str]:
    yield f"### `{name}`"
    is_enum = hasattr(found, "__members__")
    is_error = inspect.isclass(found) and issubclass(found, Exception)
    if not (found is Study or is_enum or is_error):
        yield f"`{call_of(name, found)}`"
    yield docstring(found)
    if is_enum:
        yield ", ".join(f"`{member.name}` = {member.value}" for member in found)
    elif inspect.isclass(found):
        fields = getattr(found, "__dataclass_fields__", ())
        own = {n: v for n, v in _members(found).items() if n[0] != "_" and n not in fields}
        rows = [(f"`{call_of(n, v)}`", _first(v)) for n, v in own.items() if _is_method(v)]
        yield table(("member", "what it does"), rows)


def _members(cls: type) -> dict[str, Any]:
    """What a class defines, then what it has of Gridscape's classes that are not public."""
    homes = [c for c in cls.__mro__ if c is cls or _is_hidden(c)]
    return {n: inspect.getattr_static(cls, n) for home in homes for n in vars(home)}


def _is_hidden(cls: type) -> bool:
    return cls.__module__.startswith("gridscape.") and cls.__name__ not in gs.__all__


def _is_method(value: Any) -> bool:
    return isinstance(value, classmethod | property) or inspect.isfunction(value)


def _is_of(module: Any, name: str) -> bool:
    """Whether a name of a module is for users: of its __all__, else defined in it."""
    if name.startswith("_"):
        return False
    if hasattr(module, "__all__"):
        return name in module.__all__
    home = getattr(getattr(module, name), "__module__", "")
    return home.startswith(module.__name__) and callable(getattr(module, name))


def call_of(name: str, found: Any) -> str:
    """How a function, class or method is called; a property by its name alone."""
    found = getattr(found, "__func__", found)
    if isinstance(found, property):
        return name
    return f"{name}({', '.join(n for n in arguments(found) if n not in ('self', 'cls'))})"


def arguments(function: Callable[..., Any]) -> list[str]:
    """The parameters of a function with their defaults; types stay in the code."""
    found, has_star = [], False
    for p in inspect.signature(function).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not has_star:
            found.append("*")
        has_star |= p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        found.append(stars + p.name + ("" if p.default is p.empty else f"={shown(p.default)}"))
    return found


# ---- studies ----


def study_settings() -> Iterator[str]:
    """What may stand in a study file."""
    yield "## Study files"
    yield "What may stand at its top; `[axes]` is a table. The same names make a `gs.Study`."
    rows = [
        (f"`{name}`", "must be given" if f.is_required() else f"`{shown(f.default)}`", _range(f))
        for name, f in Study.model_fields.items()
    ]
    yield table(("setting", "default", "range"), rows)


def _range(field: Any) -> str:
    bounds = []
    for bound in field.metadata:
        for sign, words in (("ge", "from"), ("le", "to")):
            if (number := getattr(bound, sign, None)) is not None:
                bounds.append(f"{words} {number:,}")
    parts = (field.annotation, *get_args(field.annotation))
    choices = [c for part in parts if get_origin(part) is Literal for c in get_args(part)]
    return " ".join(bounds) or ", ".join(f"`{c}`" for c in choices)


def axes() -> Iterator[str]:
    """Every name that can be an axis."""
    yield "## Axes"
    yield (
        "An axis is a setting of the study, an option of its task or model, or a traced number of"
        " its model or optimizer. New values of a traced number compile nothing; any other axis"
        " gives programs of their own. Models and optimizers of your own add their names."
    )
    allowed = {"sampling": " or ".join(SAMPLINGS), "optimizer": "a name", "loss": "a name"}
    rows = [(f"`{n}`", "the study", allowed.get(n, "a whole number from 1")) for n in STUDY_AXES]
    rows.append(("`schedule`", "the study", " or ".join(schedules.SCHEDULES)))
    of_training = {**schedules.LIMITS, **extras.LIMITS}
    rows += [(f"`{name}`", "training", str(x)) for name, x in of_training.items()]
    for of in (numbers_of, options_of):
        found = [
            (name, kind, part) for kind in KNOWN for part in KNOWN[kind] for name in of(kind, part)
        ]
        for name in sorted({name for name, _, _ in found}):
            owners = [(kind, part) for one, kind, part in found if one == name]
            rows.append(
                (f"`{name}`", _listed([part for _, part in owners]), of(*owners[0])[name][1])
            )
    yield table(("axis", "of", "values"), rows)


def _listed(owners: list[str]) -> str:
    if owners == [name for name, home in tasks.NAMES.items() if ".images:" in home]:
        return "every task of images"
    if len(owners) == len(optimizers.NAMES):
        return "every optimizer"
    return ", ".join(f"`{owner}`" for owner in owners)


def named_studies() -> Iterator[str]:
    """What Gridscape brings."""
    yield "## Named studies"
    rows = []
    for name in names():
        study = Study.load(name)
        sizes = " \N{MULTIPLICATION SIGN} ".join(
            f"{len(values)} {axis}" for axis, values in study.axes.items()
        )
        count = len(study.cells()) * study.replicates
        model = study.model if isinstance(study.model, str) else ""
        rows.append((f"`{name}`", study.title, f"`{study.task}`", f"`{model}`", sizes, str(count)))
    yield table(("study", "title", "task", "model", "axes", "networks"), rows)


# ---- parts ----


def all_tasks() -> Iterator[str]:
    """Every task with its options."""
    yield "## Tasks"
    yield from _parts("task")
    yield "### Options of every task of images"
    yield docstring(ImageOptions)
    rows = [(f"`{p.name}`", *_told(p)) for p in OF_IMAGES.values()]
    yield table(("option", "default", "values"), rows)


def all_models() -> Iterator[str]:
    """Every model with its options and traced numbers."""
    yield "## Models"
    yield from _parts("model")


def all_optimizers() -> Iterator[str]:
    """Every optimizer with its traced numbers."""
    yield "## Optimizers"
    yield docstring(rules)
    yield from _parts("optimizer")
    yield "### Rules of optax"
    yield 'By name, "optax:lion", where they need gradients only; see [training](training.md).'


def all_schedules() -> Iterator[str]:
    """What may become of the learning rate, and the numbers that go with it."""
    yield "## Schedules"
    rows = [
        (f"`{name}`", s.summary, ", ".join(f"`{n}` {shown(v)}" for n, v in s.numbers.items()))
        for name, s in schedules.SCHEDULES.items()
    ]
    yield table(("schedule", "the rate", "numbers"), rows)
    of_training = {**schedules.LIMITS, **extras.LIMITS}
    limits = [(f"`{name}`", str(limit)) for name, limit in of_training.items()]
    yield table(("number", "values"), limits)


def _parts(kind: str) -> Iterator[str]:
    for name in KNOWN[kind]:
        yield f"### `{name}`"
        yield docstring(_factory(kind, name))
        own = options_of(kind, name)
        if OF_IMAGES.keys() <= own.keys():  # told once for all tasks of images
            own = {n: told for n, told in own.items() if n not in OF_IMAGES}
        rows = [(f"`{n}`", *told) for n, told in {**own, **numbers_of(kind, name)}.items()]
        yield table(("option", "default", "values"), rows)


def _factory(kind: str, name: str) -> Any:
    return load_object(kind, name, KNOWN[kind])


def options_of(kind: str, name: str) -> dict[str, tuple[str, str]]:
    """(default, what it may be) of the options of a named part."""
    given, factory = ("input_shape", "n_outputs", "data_dir"), _factory(kind, name)
    found = inspect.signature(factory).parameters.values()
    limits = getattr(factory, "limits", {})
    return {p.name: _told(p, limits.get(p.name)) for p in found if p.name not in given}


def _told(option: inspect.Parameter, limit: Limit | None = None) -> tuple[str, str]:
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    default = "must be given" if option.default is option.empty else f"`{shown(option.default)}`"
    return default, str(limit or words.get(option.annotation, "see its text"))


def numbers_of(kind: str, name: str) -> dict[str, tuple[str, str]]:
    """(default, what it may be) of the traced numbers of a named part."""
    factory = _factory(kind, name)
    made = factory() if kind == "optimizer" else factory
    found, limits = getattr(made, "hyperparameters", {}), getattr(made, "limits", {})
    words = {n: str(limits.get(n, FINITE)) for n in found}
    return {n: (f"`{shown(default)}`", f"traced: {words[n]}") for n, default in found.items()}


def all_losses() -> Iterator[str]:
    """Every loss."""
    yield "## Losses"
    yield docstring(losses)
    for name in losses.NAMES:
        yield f"### `{name}`"
        yield docstring(load_object("loss", name, losses.NAMES))


def all_rules() -> Iterator[str]:
    """Every rule of a claim with its parameters."""
    yield "## Rules of claims"
    for name, rule in sorted(RULES.items()):
        yield f"### `{name}`"
        yield f"`{', '.join(arguments(rule)[1:])}`"
        yield docstring(rule)


def data_sets() -> Iterator[str]:
    """Every data set that can be fetched."""
    yield "## Data sets"
    yield table(
        ("data set", "what it is"), ((f"`{d.name}`", d.note) for d in fetch.DATA_SETS.values())
    )


# ---- markdown ----


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; nothing where there are no rows."""
    lines = [f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in rows]
    if not lines:
        return ""
    head = list(head)
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def docstring(found: Any) -> str:
    """A docstring without its examples, as text that keeps its lines."""
    text = inspect.cleandoc(found.__doc__ or "").partition("\n>>>")[0].rstrip()
    return f"```text\n{text}\n```"


def _first(found: Any) -> str:
    """The first line of a docstring; of a plain value, that value."""
    found = getattr(found, "__func__", found)
    if not (inspect.isclass(found) or inspect.isroutine(found) or isinstance(found, property)):
        return f"`{shown(found)}`"
    return inspect.cleandoc(found.__doc__ or "").partition("\n")[0]


def shown(value: Any) -> str:
    """A default as it is written; a function or class by its name."""
    value = dict(value) if isinstance(value, Mapping) else value
    text = getattr(value, "__qualname__", None) or repr(value)
    return "..." if " at 0x" in text or "<" in text else str(text)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


if __name__ == "__main__":
    (HERE / "reference.md").write_text(page(), encoding="utf-8")
