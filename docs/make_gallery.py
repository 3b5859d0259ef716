"""Trains the published experiments, and writes docs/gallery.md from their results folders.

    python docs/make_gallery.py                        the page and its pictures, from what is there
    python docs/make_gallery.py --train recall         trains a study into docs/gallery/recall first
    python docs/make_gallery.py --train all            all of them: three hours of two cores

A folder holds the curves of every network and no parameters. It may be stopped at any time; the
same command goes on. Those that are large, or quickly trained, are not kept in the repository, only
what they told (gallery/<study>.md). A test compares the page with what this would write now.
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
from gridscape.analysis.cells import CellSummary
from gridscape.analysis.published import Agreement, PublishedComparison
from gridscape.claims.records import Verdict
from gridscape.grid.axes import Value, show
from gridscape.report import figures
from gridscape.report.findings import Findings, gather
from gridscape.report.story import story
from gridscape.report.words import (
    agreement,
    duration,
    each_for_itself,
    look_words,
    plural,
    size_of,
    spoken,
)
from gridscape.store.store import Store

HERE = Path(__file__).parent
FOLDERS = HERE / "gallery"
TRAINED = FOLDERS / "trained.json"  # of each study: seconds, machine, networks, verdicts
HEAD = """\
<!-- Written by docs/make_gallery.py from the folders in docs/gallery: train there, then run it. -->

# Gallery

The published experiments, trained again with replicates. Each study has its landscape, the
published table beside it, and what the replicates say of each published statement. Four folders of
results are in [docs/gallery](gallery): curves of every network, no parameters. `gridscape report
docs/gallery/recall` opens one, `gridscape decide docs/gallery/recall --claims` goes on with it. The
folders of the others are not kept: `gridscape run momentum` trains one again.

Of a published table, *ours* is the mean over the runs that learn, and *inside* says that the
published number lies where one new run of ours that learns would. How many learn stands beside it.

"""


@dataclass(frozen=True)
class Wanted:
    """How much of a study is trained.

    at_most: replicates of a cell: the study's number everywhere, more only in the cells of
    published statements that are still open. is_kept: whether its folder is in the repository.
    axes: in place of the study's own. wide: widths beyond them, each with its replicates: too dear
    for more.
    """

    at_most: int = 20
    is_kept: bool = False
    axes: dict[str, list[Any]] = field(default_factory=dict)
    wide: dict[int, int] = field(default_factory=dict)

    def steps(self) -> Iterator[tuple[dict[str, list[Any]], int]]:
        """Axes and replicates, as the folder grows by one width after the other."""
        widths = list(self.axes.get("hidden_size", []))
        for width, replicates in self.wide.items():
            widths.append(width)
            yield {**self.axes, "hidden_size": list(widths)}, replicates


# In the order of the page. What is not here: widths beyond 512 take hours to days of two cores.
STUDIES = {
    "lstm-width-lr": Wanted(
        is_kept=True,
        axes={"hidden_size": [16, 32, 64, 128]},
        wide={256: 5, 512: 5},
    ),
    "cell-types": Wanted(is_kept=True),
    "quickstart": Wanted(is_kept=True),
    "recall": Wanted(is_kept=True),
    "recurrent-mnist": Wanted(at_most=5),
    "cnn-vs-rnn": Wanted(at_most=5),
    "lenet-optimizers": Wanted(at_most=5),
    "binary-addition": Wanted(),
    "mlp-digits": Wanted(at_most=5),
    "mlp-subsets": Wanted(at_most=5),
    "mlp-early-stopping": Wanted(),
    "momentum": Wanted(at_most=5),
    "momentum-quadratic": Wanted(),
}
LONGEST_MINUTES = 30.0  # of deciding


# ---- training ----


def train(name: str) -> None:
    """Go on with a folder until it has what is shown of its study; then its minutes are noted."""
    wanted, folder = STUDIES[name], FOLDERS / name
    study = gs.Study.load(name).override(wanted.axes, keep_parameters="none")
    earlier = trained().get(name, {}) if (folder / "study.json").exists() else {}
    spent = earlier.get("seconds", 0.0) if earlier.get("machine") == machine() else 0.0
    n_before, begun = n_ended(folder), time.monotonic()
    try:
        if not is_widened(folder, wanted):
            gs.run(study, directory=folder)
            if study.claims and wanted.at_most > study.replicates:
                gs.decide(folder, claims=True, at_most=wanted.at_most, minutes=LONGEST_MINUTES)
        for axes, replicates in wanted.steps():
            gs.run(study.override(axes, replicates=replicates), directory=folder)
    finally:
        if n_ended(folder) > n_before:
            note(name, seconds=round(spent + time.monotonic() - begun, 1), machine=machine())


def is_widened(folder: Path, wanted: Wanted) -> bool:
    """Whether a folder has wide networks, which deciding would give more replicates."""
    if not (wanted.wide and (folder / "study.json").exists()):
        return False
    axes = {axis.name: axis.values for axis in gs.Landscape.read(folder).axes}
    return not set(wanted.wide).isdisjoint(axes["hidden_size"])


def n_ended(folder: Path) -> int:
    """The networks that a folder has."""
    if not (folder / "study.json").exists():
        return 0
    with Store.read(folder) as store:
        return store.n_trials


def tell(name: str) -> None:
    """Write what a folder tells: its picture, its row of the overview, its section."""
    found = findings(name)
    figure = figures.heat_map(found.land)
    figure.savefig(FOLDERS / f"{name}.png", dpi=110)
    note(name, **row_of(found))
    if not STUDIES[name].is_kept:
        (FOLDERS / f"{name}.md").write_text(section(name, found), encoding="utf-8")


def note(name: str, **values: Any) -> None:
    """Keep what is told of a study."""
    told = trained()
    told[name] = {**told.get(name, {}), **values}
    TRAINED.write_text(json.dumps(dict(sorted(told.items())), indent=1) + "\n", encoding="utf-8")


def trained() -> dict[str, dict[str, Any]]:
    """What is noted of each study."""
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
    sections = []
    for name in there():
        if STUDIES[name].is_kept:
            sections.append(section(name, findings(name)))
        else:
            sections.append((FOLDERS / f"{name}.md").read_text(encoding="utf-8"))
    return HEAD + overview() + "\n\n" + "\n".join(sections)


def there() -> list[str]:
    """The studies that were trained."""
    return [name for name in STUDIES if "title" in trained().get(name, {})]


def findings(name: str) -> Findings:
    """Everything that is shown of a folder."""
    return gather(gs.Landscape.read(FOLDERS / name), FOLDERS / name)


OUTCOMES = ("holds", "fails", "undecided", "not comparable")


def row_of(found: Findings) -> dict[str, Any]:
    """What stands in the overview."""
    said = [verdict.outcome.value for verdict in found.verdicts]
    return {
        "title": found.land.study["title"],
        "networks": sum(found.land.counts().values()),
        "verdicts": {word: said.count(word) for word in OUTCOMES},
    }


def overview() -> str:
    """A line for each study."""
    rows = []
    for name in there():
        told = trained()[name]
        counts = [str(told["verdicts"][word] or "") for word in OUTCOMES]
        link = f"[{name}](#{anchor(told['title'])})"
        rows.append([link, f"{told['networks']:,}", lasted(name), *counts])
    return table(["study", "networks", "time", *OUTCOMES], rows)


def section(name: str, found: Findings) -> str:
    """A study: what was trained, its landscape, the published numbers and statements."""
    return "\n\n".join(filter(None, parts(name, found))) + "\n"


def parts(name: str, found: Findings) -> Iterator[str]:
    """The paragraphs of a section."""
    land = found.land
    yield f"## {land.study['title']}"
    yield f"{size_of(land)}. Trained in {lasted(name)} on {trained()[name]['machine']}."
    if source := land.study.get("source"):
        yield f"Published in: {'; '.join(source)}."
    yield f"![{land.study['title']}](gallery/{name}.png)"
    yield story(found)
    yield from (beside(each, found.main) for each in found.published)
    if found.verdicts:
        yield statements(found.verdicts)
    yield from found.notes


def beside(found: PublishedComparison, summaries: Sequence[CellSummary]) -> str:
    """A published table beside ours, folded, with its sum above it."""
    told = [c for c in found.cells if c.agreement is not Agreement.NOT_PUBLISHED]
    counts = {kind: sum(c.agreement is kind for c in told) for kind in Agreement}
    total = ", ".join(f"{n} {agreement(kind)}" for kind, n in counts.items() if n)
    axes = list(told[0].cell)
    meaning, learn = found.meaning, learning(summaries, axes)
    rows = [
        [
            *(show(cell.cell[axis]) for axis in axes),
            meaning.text(cell.published),
            meaning.text(cell.ours.mean) if cell.ours.mean == cell.ours.mean else "",
            learn.get(tuple(cell.cell[axis] for axis in axes), ""),
            agreement(cell.agreement),
        ]
        for cell in told
    ]
    unit = f", {meaning.shown_unit}" if meaning.shown_unit else ""
    head = [*axes, f"published{unit}", f"ours{unit}", "runs that learn", "the published number"]
    lines = table(head, rows)
    note = f" Not as published: {found.note}." if found.note else ""
    return (
        f"<details><summary>{found.table.source}, {spoken(found.table.metric)}: {total}.{note}"
        f"</summary>\n\n{lines}\n\n</details>"
    )


def learning(summaries: Sequence[CellSummary], axes: Sequence[str]) -> dict[tuple[Value, ...], str]:
    """How many runs of a cell learn, "6 of 20"; nothing where the table has not one row a cell."""
    if any(set(summary.cell) != set(axes) for summary in summaries):
        return {}
    return {
        tuple(summary.cell[axis] for axis in axes): f"{summary.n_learns} of {summary.n_ended}"
        for summary in summaries
    }


def statements(found: Sequence[Verdict]) -> str:
    """Each published statement with its verdict and the first of its numbers."""
    rows = []
    for verdict in found:
        first = next(iter(verdict.estimates), None)
        number = "" if first is None else f"{first.name}: {interval(first)}; needs {first.asks}."
        when = f" ({look_words(verdict)})" if verdict.decided else ""
        numbers = " ".join(filter(None, (number, f"Note: {verdict.note}." if verdict.note else "")))
        rows.append([f"**{verdict.outcome.value}**{when}", verdict.claim.statement, numbers])
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


def lasted(name: str) -> str:
    """What training, compiling and deciding took."""
    return duration(trained()[name]["seconds"])


def anchor(title: str) -> str:
    """Where GitHub has the section of a title."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines)


def escaped(text: str) -> str:
    """As it stands in a cell of a table."""
    return text.replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", choices=["all", *STUDIES], action="append", default=[])
    chosen = parser.parse_args().train
    for name in STUDIES if "all" in chosen else chosen:
        sys.stderr.write(f"{name}\n")
        train(name)
    for name in STUDIES:
        if (FOLDERS / name / "study.json").exists():
            tell(name)
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
