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


def test_what_did_not_change_is_not_drawn_again(drawn: Path) -> None:
    before = times(drawn)
    paths = paper.draw(drawn)
    assert {path.name for path in paths} == before.keys() - {paper.DRAWN}
    assert times(drawn) == before


def test_what_changed_or_is_missing_is_drawn(drawn: Path) -> None:
    (drawn / "figures" / "landscape.svg").unlink()
    kept = drawn / "figures" / paper.DRAWN
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"cost_flops": "of other numbers"}))
    before = times(drawn)
    paper.draw(drawn)
    after = times(drawn)
    assert {name for name in after if after[name] != before.get(name)} == {
        *(f"landscape.{kind}" for kind in KINDS),
        *(f"cost_flops.{kind}" for kind in KINDS),
        kept.name,
    }


@pytest.mark.parametrize("damage", ["", "[]", "{"])
def test_a_damaged_record_of_what_was_drawn_draws_all(
    drawn: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[paper.Picture] = []
    monkeypatch.setattr(paper, "_draw_all", lambda pictures, _: again.extend(pictures))
    (drawn / "figures" / paper.DRAWN).write_text(damage)
    paths = paper.draw(drawn)
    assert [path for picture in again for path in picture.paths] == paths
    again.clear()
    paper.draw(drawn)
    assert again == []  # the record is whole again


def test_several_processes_draw_the_same(drawn: Path) -> None:
    alone = {path.name: path.read_bytes() for path in paper.draw(drawn)}
    for path in (drawn / "figures").iterdir():
        path.unlink()
    together = paper.draw(drawn, processes=2)
    assert {path.name: path.read_bytes() for path in together} == alone


@pytest.mark.parametrize("processes", [1, 2])
def test_a_figure_that_cannot_be_written_is_told(folder: Path, processes: int) -> None:
    os.makedirs(folder / "figures" / "landscape.png")
    with pytest.raises(GridscapeError, match="cannot write this figure"):
        paper.draw(folder, processes=processes)
