"""Which trials keep their final parameters: none, all, the best of each row, chosen ones."""

import pytest
from cohort_tools import tiny

from gridscape.errors import StudyFileError
from gridscape.store.store import Store
from gridscape.sweep import run


def kept_cells(directory):
    with Store.read(directory) as store:
        return {str(trial.cell) for trial, result in store.results() if result.params}


def test_the_best_cell_of_each_row_keeps_its_parameters(tmp_path):
    land = run(tiny().override(keep_parameters="best"), directory=tmp_path)
    assert kept_cells(tmp_path) == {str(cell) for cell in land.best_cells()}
    assert len(land.best_cells()) == len(land.axis("hidden_size").values)
    with Store.read(tmp_path) as store:
        n_kept = sum(result.params is not None for _, result in store.results())
    assert n_kept == len(land.best_cells()) * land.data.sizes["replicate"]


def test_the_best_of_an_axis_of_numbers_and_text(tmp_path):
    study = tiny(
        {"layers": [1, "3-2"], "learning_rate": [0.001, 0.1]},
        model_options={"hidden_size": 4},
        keep_parameters="best",
        replicates=1,  # of two, one that collapsed would leave a row without a best
    )
    land = run(study, directory=tmp_path)
    kept = kept_cells(tmp_path)
    assert kept == {str(cell) for cell in land.best_cells()}
    assert {cell.split(",")[0] for cell in kept} == {"layers=1", "layers=3-2"}


def test_chosen_cells_keep_theirs_and_a_later_run_adds_none(tmp_path):
    study = tiny()
    (rate, *_) = study.axes["learning_rate"]
    run(study.override(keep_parameters=[{"learning_rate": rate}]), directory=tmp_path)
    chosen = {str(cell) for cell in study.grid.cells() if cell["learning_rate"] == rate}
    assert kept_cells(tmp_path) == chosen
    run(study.override(keep_parameters="all"), directory=tmp_path)
    assert kept_cells(tmp_path) == chosen


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("some", "keep_parameters: out of range (expected none, best, all, or a list of cells"),
        ([{"hidden_sizes": 4}], "unknown axis 'hidden_sizes'; use 'hidden_size'"),
        ([{"hidden_size": 5}], "keep_parameters.hidden_size: no such value on the axis"),
    ],
)
def test_what_cannot_be_kept_is_told(given, told):
    with pytest.raises(StudyFileError) as caught:
        tiny().override(keep_parameters=given).resolve()
    assert told in str(caught.value)
