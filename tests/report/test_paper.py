"""The files for a paper: what is drawn, when again, in which process."""

import json
import os
from pathlib import Path

import pytest

from gridscape.errors import GridscapeError
from gridscape.report import paper
from gridscape.report._drawing import KINDS


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "figures").iterdir()}


def test_every_figure_is_a_png_an_svg_and_a_pdf(folder: Path) -> None:
    paths = paper.draw(folder)
    names = {path.name for path in paths}
    assert {"landscape.png", "landscape.svg", "curves_of_the_best.pdf"} <= names
    assert all(path.parent == folder / "figures" and path.stat().st_size > 1000 for path in paths)
    assert {p.name for p in (folder / "figures").iterdir()} == {*names, paper.DRAWN}


def test_what_did_not_change_is_not_drawn_again(folder: Path) -> None:
    paths = paper.draw(folder)
    before = times(folder)
    assert paper.draw(folder) == paths
    assert times(folder) == before


def test_what_changed_or_is_missing_is_drawn(folder: Path) -> None:
    paper.draw(folder)
    (folder / "figures" / "landscape.svg").unlink()
    kept = folder / "figures" / paper.DRAWN
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"cost_flops": "of other numbers"}))
    before = times(folder)
    paper.draw(folder)
    after = times(folder)
    drawn = {name for name in after if after[name] != before.get(name)}
    assert drawn == {
        *(f"landscape.{kind}" for kind in KINDS),
        *(f"cost_flops.{kind}" for kind in KINDS),
        kept.name,
    }


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_damaged_record_of_what_was_drawn_draws_all(folder: Path, damage: str) -> None:
    paper.draw(folder)
    before = times(folder)
    (folder / "figures" / paper.DRAWN).write_text(damage)
    paper.draw(folder)
    assert all(times(folder)[name] != time for name, time in before.items())


def test_several_processes_draw_the_same(folder: Path, tmp_path: Path) -> None:
    alone = {path.name: path.read_bytes() for path in paper.draw(folder)}
    for path in (folder / "figures").iterdir():
        path.unlink()
    together = paper.draw(folder, processes=2)
    assert {path.name: path.read_bytes() for path in together} == alone


@pytest.mark.parametrize("processes", [1, 2])
def test_a_figure_that_cannot_be_written_is_told(folder: Path, processes: int) -> None:
    os.makedirs(folder / "figures" / "landscape.png")
    with pytest.raises(GridscapeError, match="cannot write this figure"):
        paper.draw(folder, processes=processes)
