"""Trains the published experiments, and writes docs/gallery.md from their results folders.

    python docs/make_gallery.py                        the page and its pictures, from what is there
    python docs/make_gallery.py --train recall         trains a study into docs/gallery/recall first
    python docs/make_gallery.py --train all            all of them: hours of a machine of its own

A folder holds the curves of every network and no parameters. It may be stopped at any time; the
same command goes on. A test compares the page with what this would write now.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gridscape as gs
from gridscape.analysis.published import Agreement, PublishedComparison
from gridscape.claims.records import Verdict
from gridscape.grid.axes import show
from gridscape.report import figures
from gridscape.report.findings import Findings, gather
from gridscape.report.story import story
from gridscape.report.words import agreement, each_for_itself, look_words, plural, size_of

HERE = Path(__file__).parent
FOLDERS = HERE / "gallery"
TRAINED = FOLDERS / "trained.json"  # minutes and machine of each folder
HEAD = """\
<!-- Written by docs/make_gallery.py from the folders in docs/gallery: train there, then run it. -->

# Gallery

The published experiments, trained again with replicates. Each study has its landscape, the
published table beside it, and what the replicates say of each published statement. The folders are
in [docs/gallery](gallery): curves of every network, no parameters. `gridscape report
docs/gallery/recall` opens one, `gridscape run` and `gridscape decide` go on with it.

"""


@dataclass(frozen=True)
class Shown:
    """How much of a study is trained.

    at_most: replicates of a cell: the study's number everywhere, more only in the cells of
    published statements that are still open. axes: in place of the study's own.
    """

    at_most: int = 20
    axes: dict[str, list[Any]] = field(default_factory=dict)


# In the order of the page. What is not here: LeNet5 on CIFAR-10 and widths beyond 128 take hours to
# days of two cores; the curves of binary-addition, of 10,000 updates, are 40 MB.
STUDIES = {
    "lstm-width-lr": Shown(axes={"hidden_size": [16, 32, 64, 128]}),
    "cell-types": Shown(),
    "quickstart": Shown(),
    "recall": Shown(),
    "mlp-digits": Shown(at_most=5),
    "mlp-early-stopping": Shown(),
    "momentum": Shown(at_most=5),
    "momentum-quadratic": Shown(),
}
LONGEST_MINUTES = 30.0  # of deciding


# ---- training ----


def train(name: str) -> None:
    """Go on with a folder until it has what is shown of its study; then its minutes are noted."""
    wanted, folder = STUDIES[name], FOLDERS / name
    study = gs.Study.load(name).override(wanted.axes, keep_parameters="none")
    begun = time.monotonic()
    try:
        gs.run(study, directory=folder)
        if study.claims and wanted.at_most > study.replicates:
            gs.decide(folder, claims=True, at_most=wanted.at_most, minutes=LONGEST_MINUTES)
    finally:
        note(name, time.monotonic() - begun)


def note(name: str, seconds: float) -> None:
    """Add to the time of a folder; the machine is the last one."""
    told = trained()
    seconds += told.get(name, {}).get("seconds", 0.0)
    told[name] = {"seconds": round(seconds, 1), "machine": machine()}
    TRAINED.write_text(json.dumps(dict(sorted(told.items())), indent=1) + "\n", encoding="utf-8")


def trained() -> dict[str, dict[str, Any]]:
    """What is noted of each folder."""
    return json.loads(TRAINED.read_text(encoding="utf-8")) if TRAINED.exists() else {}


def machine() -> str:
    """The processor and how many of its cores there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{plural(os.cpu_count() or 1, 'core')} of {(models or [platform.machine()])[0]}"


# ---- the page ----


def page() -> str:
    """The whole of docs/gallery.md."""
    found = {name: gather(gs.Landscape.read(FOLDERS / name), FOLDERS / name) for name in there()}
    return (
        HEAD
        + "\n\n".join(
            [overview(found), *("\n\n".join(section(name, each)) for name, each in found.items())]
        )
        + "\n"
    )


def there() -> list[str]:
    """The studies that were trained."""
    return [name for name in STUDIES if (FOLDERS / name / "study.json").exists()]


def overview(found: dict[str, Findings]) -> str:
    """A line for each study."""
    rows = [
        [
            f"[{name}](#{anchor(each.land.study['title'])})",
            f"{sum(each.land.counts().values()):,}",
            minutes(name),
            *(str(sum(v.outcome.value == word for v in each.verdicts)) for word in OUTCOMES),
        ]
        for name, each in found.items()
    ]
    return table(["study", "networks", "minutes", *OUTCOMES], rows)


OUTCOMES = ("holds", "fails", "undecided", "not comparable")


def section(name: str, found: Findings) -> Iterator[str]:
    """A study: what was trained, its landscape, the published numbers and statements."""
    land = found.land
    yield f"## {land.study['title']}"
    yield f"{size_of(land)}. Trained in {minutes(name)} minutes on {trained()[name]['machine']}."
    if source := land.study.get("source"):
        yield f"Published in: {'; '.join(source)}."
    yield f"![{land.study['title']}](gallery/{name}.png)"
    yield story(found)
    yield from (beside(each) for each in found.published)
    if found.verdicts:
        yield statements(found.verdicts)
    yield from found.notes


def beside(found: PublishedComparison) -> str:
    """A published table beside ours, folded, with its sum above it."""
    told = [c for c in found.cells if c.agreement is not Agreement.NOT_PUBLISHED]
    counts = {kind: sum(c.agreement is kind for c in told) for kind in Agreement}
    total = ", ".join(f"{n} {agreement(kind)}" for kind, n in counts.items() if n)
    axes = list(told[0].cell)
    meaning = found.meaning
    rows = [
        [
            *(show(cell.cell[axis]) for axis in axes),
            meaning.text(cell.published),
            meaning.text(cell.ours.mean) if cell.ours.mean == cell.ours.mean else "",
            agreement(cell.agreement),
        ]
        for cell in told
    ]
    unit = f", {meaning.shown_unit}" if meaning.shown_unit else ""
    lines = table([*axes, f"published{unit}", f"ours{unit}", "the published number"], rows)
    note = f" Not as published: {found.note}." if found.note else ""
    return (
        f"<details><summary>{found.table.source}: {total}.{note}</summary>\n\n{lines}\n\n</details>"
    )


def statements(found: Sequence[Verdict]) -> str:
    """Each published statement with its verdict and the first of its numbers."""
    rows = []
    for verdict in found:
        first = next(iter(verdict.estimates), None)
        number = "" if first is None else f"{first.name}: {interval(first)}; needs {first.asks}"
        when = f" ({look_words(verdict)})" if verdict.decided else ""
        rows.append([f"**{verdict.outcome.value}**{when}", verdict.claim.statement, number])
    told = each_for_itself(found)
    return table(["verdict", "published statement", "by our numbers"], rows) + (
        f"\n\n{told}" if told else ""
    )


def interval(estimate: Any) -> str:
    """A number with its interval."""
    found = estimate.interval
    if found.mean != found.mean:
        return "no estimate"
    text = f"{found.mean:.3g} {estimate.unit}".strip()
    return f"{text} ({found.low:.3g} to {found.high:.3g})" if found.known else text


def minutes(name: str) -> str:
    """Of training, compiling and deciding."""
    seconds = trained()[name]["seconds"]
    return f"{seconds / 60:.0f}" if seconds >= 570 else f"{seconds / 60:.1f}"


def anchor(title: str) -> str:
    """Where GitHub has the section of a title."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines)


def draw(names: Iterable[str]) -> None:
    """The landscapes."""
    for name in names:
        figure = figures.heat_map(gs.Landscape.read(FOLDERS / name))
        figure.savefig(FOLDERS / f"{name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", choices=["all", *STUDIES], action="append", default=[])
    chosen = parser.parse_args().train
    for name in STUDIES if "all" in chosen else chosen:
        sys.stderr.write(f"{name}\n")
        train(name)
    draw(there())
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
