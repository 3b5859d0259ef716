"""The widths of layers as lists on an axis: the same cells, by the same names, as "64-32"."""

import pytest

from gridscape.cli._shared import axes_of, cell_of
from gridscape.errors import StudyFileError
from gridscape.study.study import Study

DIGITS = {"task": "digits-flat", "model": "mlp", "updates": 4, "replicates": 1}


def study(layers, **others):
    return Study(**{**DIGITS, **others, "axes": {"layers": layers}})


def test_a_list_is_the_text_that_names_it():
    assert study([[64], [64, 32], (8, 8), 2]).axes["layers"] == ["64", "64-32", "8-8", 2]
    keys = [
        {t.key for t in study(layers).resolve().trials()} for layers in ([[6, 4]], ["6-4"], [[6]])
    ]
    assert keys[0] == keys[1] != keys[2]


def test_a_study_file_and_a_command_line_have_lists(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text(
        'task = "digits-flat"\nmodel = "mlp"\n[axes]\nlayers = [[64], [64, 32], "4-3"]\n'
    )
    assert Study.load(path).axes["layers"] == ["64", "64-32", "4-3"]
    given = axes_of(["layers=[64],[64,32],8-8,3", "learning_rate=0.1,1"])
    assert given["learning_rate"] == (0.1, 1)
    assert Study.load(path).override(given).axes["layers"] == ["64", "64-32", "8-8", 3]
    assert cell_of("layers=[64,32],learning_rate=0.1") == {"layers": "64-32", "learning_rate": 0.1}


def test_a_cell_is_found_by_a_list():
    grid = study([[64], [64, 32]]).grid
    assert grid.find(layers=[64, 32]) == grid.find(layers="64-32")
    assert grid.look_up({"layers": [32, 64]}) is None


@pytest.mark.parametrize("wrong", [[], [64, 0], [64, 3.5], [64, "32"], [[64]], [True], [-1]])
def test_a_list_of_anything_else_is_told_in_one_line(wrong):
    with pytest.raises(StudyFileError) as caught:
        study([[8], wrong])
    assert len(caught.value.mistakes) == 1
    assert (
        "axes.layers: no widths of layers (expected a list of whole numbers from 1, such as"
        in (caught.value.mistakes[0])
    )


def test_the_same_widths_twice_are_told_and_no_other_axis_has_lists():
    with pytest.raises(StudyFileError, match="64-32 more than once"):
        study([[64, 32], "64-32"])
    with pytest.raises(StudyFileError, match=r"axes.hidden_size: .* \(expected .*found \[4\]"):
        Study(**DIGITS, axes={"hidden_size": [[4]]})
