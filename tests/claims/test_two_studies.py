"""A rule that compares two studies."""

import pytest
from synthetic import landscape
from verdicts import CELLS, FAILS, HOLDS, UNDECIDED, by_cell, diverging, verdict

from gridscape.grid.trials import Status


@pytest.fixture
def beside(monkeypatch):
    """Makes a landscape what is read from a folder."""
    from gridscape.landscape import Landscape

    def put(land):
        def read(folder):
            assert folder.name == "cell-types"
            return land

        monkeypatch.setattr(Landscape, "read", read)

    return put


BEATS = {"cell": {"updates": 511}, "other": "cell-types"}


@pytest.mark.parametrize(
    ("theirs", "options", "outcome"),
    [
        (by_cell(rnn=0.85, lstm=0.9, gru=0.92), {}, HOLDS),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.97), {}, FAILS),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.95), {"noise": 0.02}, UNDECIDED),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.92), {"replicates": 1}, UNDECIDED),
        (by_cell(rnn=0.85, lstm=0.9, gru=0.97), {"status": diverging(cell=["gru"])}, HOLDS),
        (lambda c: 0.8, {"status": lambda c, r: Status.MISSING}, UNDECIDED),
    ],
)
def test_beats_study(beside, tmp_path, theirs, options, outcome):
    options = {"replicates": 6, "noise": 0.004, **options}
    beside(landscape(CELLS, theirs, seed=1, **options))
    land = landscape({"learning_rate": [511, 5500]}, lambda c: 0.95, replicates=6, noise=0.004)
    parameters = BEATS | {"cell": {"learning_rate": 511}}
    found = verdict("beats_study", land, parameters, folder=tmp_path)
    assert found.outcome is outcome, found
    assert bool(found.note) or outcome is not UNDECIDED


def test_without_the_other_study_it_is_undecided(tmp_path):
    land = landscape({"learning_rate": [511]}, lambda c: 0.95)
    parameters = BEATS | {"cell": {"learning_rate": 511}}
    nowhere = verdict("beats_study", land, parameters)
    assert nowhere.outcome is UNDECIDED
    assert "judge(..., folder=...)" in nowhere.note
    alone = verdict("beats_study", land, parameters, folder=tmp_path / "cnn")
    assert alone.outcome is UNDECIDED
    assert "cell-types" in alone.note
    assert "run a study first" in alone.note
