"""A folder of very many trials: its curves are read when they are looked at, and are the same."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from synthetic import landscape

from gridscape import landscape as module
from gridscape.analysis.cells import summarize
from gridscape.analysis.reasons import explanations
from gridscape.errors import StoreError
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status, Trial, TrialResult, content_key
from gridscape.landscape import Landscape
from gridscape.report.findings import gather
from gridscape.store.store import Store, StoreWarning

AXES = {"hidden_size": [4, 8], "learning_rate": [0.01, 0.1, 1.0]}


def result(key: str, cell: Cell, replicate: int) -> TrialResult:
    """Trials that learn, that give one answer, and that diverge half way."""
    rate = cell["learning_rate"]
    n = 10 if rate == 1.0 else 20
    at, evaluated = np.arange(1, n + 1), np.arange(5, n + 1, 5)
    falls = 2.3 - 0.01 * at + 0.001 * replicate
    finals = {"test_accuracy": 0.1 if rate == 0.01 else 0.8, "test_loss": 1.0, "train_loss": 2.0}
    return TrialResult(
        key=key,
        status=Status.DIVERGED if rate == 1.0 else Status.FINISHED,
        updates=n,
        metrics={**finals, "top_answer_share": 1.0 if rate == 0.01 else 0.2},
        curves={
            "recorded_at": at,
            "train_loss": falls,
            "evaluated_at": evaluated,
            "test_accuracy": 0.1 + 0.001 * evaluated,
        },
        seconds=1.0,
        n_parameters=10,
        flops=1e6,
        memory_bytes=100,
        first_bad_update=11 if rate == 1.0 else None,
        bad_quantity="loss" if rate == 1.0 else None,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study = {"name": "many", "axes": AXES, "replicates": 3, "guessing": 0.1}
    with Store.create(tmp_path / "many", study) as store:
        for cell in landscape(AXES).grid.cells():
            for replicate in range(3):
                key = content_key({**cell, "replicate": replicate})
                store.put(Trial(cell, replicate, key), result(key, cell, replicate))
    return tmp_path / "many"


@pytest.fixture
def both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Landscape, Landscape]:
    """The landscape read at once, and read late."""
    at_once = Landscape.read(folder)
    monkeypatch.setattr(module, "AT_ONCE", 1)
    return at_once, Landscape.read(folder)


def test_the_data_are_the_same(both: tuple[Landscape, Landscape]) -> None:
    at_once, late = both
    assert late.curves == at_once.curves
    assert late.metrics == at_once.metrics
    assert late.data.identical(at_once.data)


def test_what_the_curves_tell_is_the_same(both: tuple[Landscape, Landscape]) -> None:
    at_once, late = both
    assert repr(summarize(late)) == repr(summarize(at_once))
    assert any(cell.n_not_started for cell in summarize(late))
    assert explanations(late, summarize(late)) == explanations(at_once, summarize(at_once))
    assert repr(gather(late).bands) == repr(gather(at_once).bands)


def test_only_the_curves_that_are_looked_at_are_read(
    both: tuple[Landscape, Landscape], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, late = both
    asked: list[str] = []
    read = Store.curves

    def noted(self, keys):
        asked.extend(keys)
        return read(self, keys)

    monkeypatch.setattr(Store, "curves", noted)
    late.finished()
    assert not asked
    updates, lines = late.lines_of("train_loss", [1])
    assert lines.shape == (1, 3, len(updates))
    keys = late.array("key").reshape(-1, 3)[1]
    assert set(asked) <= set(keys)
    asked.clear()
    late.lines_of("test_accuracy", [1])
    assert not asked  # a blob is read once


def test_a_damaged_blob_loses_its_curves_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    late = Landscape.read(folder)
    keys = late.array("key")[0, 1].tolist()
    damaged = next(i for i, key in enumerate(keys) if late._late and key not in late._late._read)
    key = keys[damaged]
    path = folder / "blobs" / f"{key}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.warns(StoreWarning, match="checksum"):
        _, lines = late.lines_of("train_loss", [1])
    assert [np.isnan(line).all() for line in lines[0]] == [i == damaged for i in range(3)]


def test_a_torn_blob_loses_its_trial(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    (first, *_) = sorted((folder / "blobs").iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.warns(StoreWarning, match="is torn"):
        late = Landscape.read(folder)
    assert late.counts()["missing"] == 1


def test_a_folder_that_is_gone_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    late = Landscape.read(folder)
    folder.rename(folder.with_name("elsewhere"))
    with warnings.catch_warnings(), pytest.raises(StoreError, match="holds no results"):
        late.lines_of("train_loss", [0])
