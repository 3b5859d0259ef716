"""The page's document is what its contract says, and so are the declarations that tsc reads."""

import copy
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import declarations
import matplotlib as mpl
import numpy as np
import pytest
import watched
from declarations import mistakes

from gridscape.grid import meanings
from gridscape.report import palette, words
from gridscape.report.document import to_json
from gridscape.report.live.study import StudyView
from gridscape.store.acts import Act, ask

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

import pages


def plain(content: Any) -> Any:
    return json.loads(to_json(content))


@pytest.mark.parametrize("name", pages.LANDSCAPES)
def test_a_document_is_what_the_contract_says(name: str) -> None:
    assert mistakes(plain(pages.content(name))) == []


def test_a_served_document_is_what_the_contract_says(tmp_path: Path) -> None:
    document, _ = watched_documents(tmp_path)
    assert mistakes(document) == []
    assert document["live"]["state"] == "training"


def watched_documents(folder: Path) -> tuple[Any, Any]:
    """The document of a page that is served while it trains, and a change of it."""
    about = watched.study()
    watched.put(folder, about, watched.entries(about, slice(0, 1)), watched.TRAINING)
    ask(folder, Act("stop", {"hidden_size": 16}))
    view = StudyView(folder)
    view.look()
    return plain(view.shown.page_document(view.live)), plain(view.change(0))


def test_the_documents_have_every_field_of_the_contract(tmp_path: Path) -> None:
    """What no document holds, no test compares."""
    seen = set[str]().union(*map(names_in, watched_documents(tmp_path)))
    for name in pages.LANDSCAPES:
        seen |= names_in(plain(pages.content(name)))
    wanted = {
        name for kind in declarations.records().values() for name in declarations.fields(kind)
    }
    assert wanted - seen == set()


def names_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {n for item in value.values() for n in names_in(item)}
    if isinstance(value, list):
        return {n for item in value for n in names_in(item)}
    return set()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda doc: doc.pop("top"), "doc.top is missing"),
        (lambda doc: doc.update(chances=0.1), "doc.chances is not in the contract"),
        (lambda doc: doc["cells"]["state"].append("lost"), "doc.cells.state[24]: 'lost' is no"),
        (lambda doc: doc["metrics"][0]["mean"].append("1"), "doc.metrics[0].mean[24]: '1' is no"),
        (lambda doc: doc["axes"][0].update(name=None), "doc.axes[0].name: None is no"),
        (lambda doc: doc.update(columns=True), "doc.columns: True is no"),
    ],
)
def test_what_the_contract_does_not_say_is_found(change: Any, found: str) -> None:
    content = copy.deepcopy(plain(pages.content("study")))
    change(content)
    (mistake,) = mistakes(content)
    assert mistake.startswith(found)


def test_the_declarations_are_those_of_the_contract() -> None:
    written = declarations.PATH.read_text(encoding="utf-8")
    assert written == declarations.declarations(), f"run {Path(declarations.__file__).name}"


def test_the_colors_are_those_of_the_figures() -> None:
    steps = np.linspace(0, 1, len(palette.VIRIDIS))
    expected = 255 * mpl.colormaps["viridis"](steps)[:, :3]
    assert np.abs(np.array(palette.VIRIDIS) - expected).max() <= 1  # of 255: rounded once


# ---- numbers, which the page's scripts write by the same rules ----

NUMBERS = [
    *(
        0.0,
        0.5,
        1.0,
        0.0005,
        0.9725,
        0.9775,
        1.125,
        2.5,
        0.00042,
        0.067,
        3.28,
        9.96,
        12.0,
        97.25,
        99.5,
        100.4,
        999.6,
    ),
    *(1234.5, 12_345.0, 9.99e5, 1e6, 3.2e8, 1.5e9, 1.234e-7, 4.0e12, -0.25, -1234.5),
    *(41.7, 89.9, 90.0, 5399.0, 5400.0, 129_599.0, 129_600.0, 9e7, 0.94, 0.95),
    *np.random.default_rng(0).lognormal(0, 8, 300).tolist(),
]
ASKED = """
const numbers = JSON.parse(require("fs").readFileSync(0, "utf-8"));
console.log(JSON.stringify(numbers.map((x) => [
  UNITS.number.text(x), UNITS.fraction.short(x), number(x), duration(Math.abs(x)),
  memory(Math.abs(x)), plural(Math.round(Math.abs(x)), "word"),
])));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_writes_numbers_as_the_terminal_does(tmp_path: Path) -> None:
    script = tmp_path / "numbers.js"
    source = (declarations.PATH.parent / "format.js").read_text(encoding="utf-8")
    script.write_text(f"{source}\n{ASKED}", encoding="utf-8")
    asked = json.dumps(NUMBERS)
    done = subprocess.run(
        ["node", str(script)], input=asked, capture_output=True, text=True, timeout=600, check=True
    )
    for value, told in zip(NUMBERS, json.loads(done.stdout), strict=True):
        size = abs(value)
        expected = [
            typeset(meanings.digits(value)),
            meanings.Meaning("higher", "fraction").text(value),
            words.number(value),
            words.duration(size),
            words.memory(size),
            words.plural(int(size + 0.5), "word"),
        ]
        assert told == expected, value


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_quotes_as_python_does(tmp_path: Path) -> None:
    script = tmp_path / "quoted.js"
    source = (declarations.PATH.parent / "format.js").read_text(encoding="utf-8")
    asked = 'JSON.parse(require("fs").readFileSync(0, "utf-8")).map(quoted)'
    script.write_text(f"{source}\nconsole.log(JSON.stringify({asked}));", encoding="utf-8")
    words = ["a=1,b=0.5", "a b", "it's", "$(x)", "ü", "a\n", "'\"'", "x;y", "\\"]
    done = subprocess.run(
        ["node", str(script)],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert json.loads(done.stdout) == [shlex.quote(word) for word in words]


def typeset(text: str) -> str:
    """An exponent as the page writes it: 1.2 x 10^-7."""
    mantissa, e, power = text.partition("e")
    raised = power.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa} {words.TIMES} 10{raised}" if e else text
