"""Studies that no memory holds are refused, also where a changed record tells of one."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from cohort_tools import tiny

import gridscape as gs
from gridscape.errors import StoreError, StudyFileError
from gridscape.grid.size import MOST_CELLS, MOST_NETWORKS, too_large
from gridscape.store.record import parse_study


def test_the_largest_studies_are_let_pass():
    assert too_large({"a": range(1024), "b": range(1024)}, 16) is None
    assert (MOST_CELLS, MOST_NETWORKS) == (1024**2, 16 * 1024**2)
    assert "too many cells" in too_large({"a": range(1024), "b": range(1025)}, 1)
    assert "too many networks" in too_large({"a": range(1024), "b": range(1024)}, 17)
    many = {str(number): range(2) for number in range(1_100)}  # more than a float has room for
    assert "found more than 10^15" in too_large(many, 1)


@pytest.mark.parametrize(("n_values", "replicates"), [(1100, 1), (800, 100)])
def test_a_study_that_is_too_large_is_refused_at_once(n_values, replicates):
    rates = [1e-6 * (1 + k) for k in range(n_values)]
    begin = time.process_time()
    with pytest.raises(StudyFileError, match=r"axes: too many (cells|networks)"):
        tiny({"learning_rate": rates, "b1": [0.0004 * k for k in range(n_values)]}).override(
            replicates=replicates
        )
    assert time.process_time() - begin < 10


@pytest.mark.parametrize(
    "axes",
    [
        {"width": list(range(1, 3001)), "learning_rate": list(range(1, 3001))},
        {str(number): [1, 2] for number in range(1_100)},
    ],
)
def test_a_folder_whose_record_tells_of_too_many_cells(tmp_path, axes):
    gs.run(tiny({"learning_rate": [0.1]}), directory=tmp_path)
    path = tmp_path / "study.json"
    record = json.loads(path.read_text())
    record["study"]["axes"] = axes
    path.write_text(json.dumps(record))
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("DELETE FROM meta")
    with pytest.raises(StoreError, match=r"study\.json: too many cells.*put it back"):
        gs.Landscape.read(tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        {"grids": [{"learning_rate": list(range(3000)), "width": list(range(3000))}]},
        {"replicates_of": [[{"learning_rate": 0.1, "width": 1}, 10_000]], "replicates": 1},
    ],
)
def test_sub_grids_and_replicates_of_single_cells_count(more):
    values = {"learning_rate": [0.1], "width": list(range(1, 2_000))}
    study = {"axes": values, "replicates": 1, **more}
    with pytest.raises(StoreError, match="too many"):
        parse_study(json.dumps({"format": 1, "study": study}), Path("study.json"))
