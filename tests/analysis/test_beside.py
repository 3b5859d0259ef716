"""Studies side by side: what is shared, what differs, and whether the replicates show it."""

from pathlib import Path

import numpy as np
import pytest
from folders import stored
from scipy import stats
from synthetic import landscape

import gridscape as gs
from gridscape.analysis.beside import compare
from gridscape.errors import GridscapeError, UsageError
from gridscape.grid.trials import Status
from gridscape.report.beside import difference_words, write_beside

LAST = ("difference", "low", "high", "p_value")
ENDS = (Status.DIVERGED, Status.FINISHED)
AXES = {"hidden_size": [16, 32], "learning_rate": [0.001, 0.01]}


def study(folder: Path, better: float = 0.0, seed: int = 1, axes=AXES, **more: object) -> Path:
    """Accuracies around 0.8 that share the noise of their replicates."""
    land = landscape(
        axes, lambda cell: 0.8 + better, noise=0.002, shared_noise=0.03, seed=seed, replicates=5
    )
    return stored(folder, land, **more)


def test_what_is_shown_is_paired_and_corrected(tmp_path: Path) -> None:
    first, other = study(tmp_path / "a"), study(tmp_path / "b", better=0.02, updates=800)
    found = compare(first, other)
    assert found.names == ("a", "b")
    assert found.is_paired
    assert [(c.name, c.values) for c in found.changes] == [("updates", (400, 800))]
    assert len(found.cells) == 4
    assert all(cell.is_better for cell in found.cells)  # 2 points beside 3 of the replicates
    assert all(abs(cell.difference.mean - 0.02) < 0.006 for cell in found.cells)
    assert "4 shown to differ" in repr(found)
    assert list(found.table()["study"]) == ["b"] * 4
    axes = {axis.name: axis.values for axis in found.land.axes}
    assert axes == {"study": ("a", "b"), "hidden_size": (16, 32), "learning_rate": (0.001, 0.01)}


def test_other_seeds_are_not_paired(tmp_path: Path) -> None:
    first = study(tmp_path / "a")
    apart = stored(tmp_path / "c", landscape(AXES, lambda c: 0.82, replicates=5), seed=7)
    found = compare(first, apart)
    assert not found.is_paired
    assert "not paired" in found.notes[-1]
    cell = found.cells[0]
    a, b = (found.land.array("test_accuracy")[i, 0, 0] for i in (0, 1))
    expected = stats.ttest_ind(b, a, equal_var=False)
    assert cell.difference.mean == pytest.approx(b.mean() - a.mean())
    low, high = expected.confidence_interval()
    np.testing.assert_allclose((cell.difference.low, cell.difference.high), (low, high), rtol=1e-9)


def test_replicates_that_agree_by_chance_are_no_proof(tmp_path: Path) -> None:
    # 0.3 points of 360 test examples, of other seeds: one example more.
    lands = [landscape(AXES, lambda c, m=m: m, noise=0.0) for m in (0.95, 0.953)]
    folders = [stored(tmp_path / str(i), land, seed=i) for i, land in enumerate(lands)]
    found = compare(*folders)
    assert not found.is_paired
    assert not any(cell.is_shown for cell in found.cells)
    assert found.cells[0].difference.known


def test_cells_without_a_number_are_told(tmp_path: Path) -> None:
    def lost(cell, replicate):  # type: ignore[no-untyped-def]
        if cell["hidden_size"] == 32:
            return Status.DIVERGED
        return Status.DIVERGED if replicate == 0 else Status.FINISHED

    first = study(tmp_path / "a")
    wild = landscape(AXES, lambda c: 0.8, status=lost)
    found = compare(first, stored(tmp_path / "b", wild))
    assert len(found.cells) == 2
    assert "2 more shared cells have no number in a or b: not compared" in found.notes
    assert any(note.startswith("in 2 cells of a or b not all runs learn") for note in found.notes)
    none = compare(first, stored(tmp_path / "c", landscape(status=lambda c, r: Status.DIVERGED)))
    assert list(none.table()) == ["study", *AXES, "first", "other", *LAST]


def test_replicates_that_have_no_partner_tell_no_difference(tmp_path: Path) -> None:
    alone = [
        landscape(AXES, lambda c: 0.8, status=lambda c, r, i=i: ENDS[r == i]) for i in range(2)
    ]
    found = compare(*(stored(tmp_path / str(i), land) for i, land in enumerate(alone)))
    assert {difference_words(cell) for cell in found.cells} == {"-"}


def test_no_difference_is_not_told_apart(tmp_path: Path) -> None:
    found = compare(study(tmp_path / "a"), study(tmp_path / "b", seed=3))
    assert not any(cell.is_shown for cell in found.cells)


def test_only_what_is_shared_is_compared(tmp_path: Path) -> None:
    first = study(tmp_path / "a", axes={**AXES, "hidden_size": [16, 32, 64]})
    further = {"momentum": [0.0, 0.9], **AXES}
    found = compare(first, study(tmp_path / "b", axes=further))
    assert found.notes[:2] == (
        "only a has hidden_size 64: left out",
        "b at the best momentum of each cell, chosen from its own results, which flatters it",
    )
    assert {c.name for c in found.changes} == {"momentum"}
    held = study(tmp_path / "c", hyperparameters={"momentum": 0.9})
    found = compare(held, tmp_path / "b")
    assert found.notes == ("b at momentum=0.9",)
    with pytest.raises(UsageError, match="share no axis"):
        compare(first, study(tmp_path / "d", axes={"momentum": [0.0, 0.9]}))
    with pytest.raises(UsageError, match="share no value of an axis"):
        compare(first, study(tmp_path / "e", axes={**AXES, "hidden_size": [8]}))
    with pytest.raises(UsageError, match="nothing to compare"):
        compare(first)


def test_folders_of_one_name_are_told_by_their_place(tmp_path: Path) -> None:
    found = compare(study(tmp_path / "x" / "run"), study(tmp_path / "y" / "run"))
    assert found.names == ("x/run", "y/run")


def test_their_page_opens_with_the_difference(tmp_path: Path) -> None:
    found = gs.compare(study(tmp_path / "a"), study(tmp_path / "b", better=0.02))
    path = write_beside(found, tmp_path / "both.html")
    text = path.read_text(encoding="utf-8")
    assert "a beside b" in text
    assert "shown to be better in 4, worse in 0, not told apart in 0" in text
    with pytest.raises(GridscapeError, match="cannot write the page"):
        write_beside(found, tmp_path)
