"""Sub-grids and axes that go together: which cells there are, which trials, and what is told."""

import json
import time

import pytest

from gridscape.errors import StudyFileError, UsageError
from gridscape.grid.asked import Asked
from gridscape.study.study import Study

TINY = {"task": "digits-flat", "model": "mlp", "updates": 4, "replicates": 1}
RATES = {"learning_rate": [0.01, 0.1]}
RULES = [
    {"optimizer": ["adamw", "optax:lion"]},
    {"optimizer": "momentum", "momentum": [0.0, 0.9]},
]


def study(axes=RATES, **others):
    return Study(**{**TINY, "axes": axes, **others})


def cells(found):
    return [tuple(cell.values()) for cell in found.cells()]


def keys(found):
    return {trial.key for trial in found.resolve().trials()}


# ---- which cells there are ----


def test_the_cells_are_the_union_of_the_grids():
    found = study(grids=RULES)
    assert found.axes == {
        "learning_rate": [0.01, 0.1],
        "optimizer": ["adamw", "optax:lion", "momentum"],
        "momentum": [None, 0.0, 0.9],
    }
    assert len(found.cells()) == 8
    assert cells(found)[:4] == [
        (0.01, "adamw", None),
        (0.01, "optax:lion", None),
        (0.01, "momentum", 0.0),
        (0.01, "momentum", 0.9),
    ]
    assert str(found.cells()[0]) == "learning_rate=0.01, optimizer=adamw"
    assert found.grid.find(optimizer="adamw", learning_rate=0.1) == found.cells()[4]
    assert found.grid.find(optimizer="adamw", learning_rate=0.1, momentum="unset")


def test_zipped_axes_go_together_and_others_cross_them():
    pairs = {"hidden_size": [4, 8, 8], "learning_rate": [0.1, 0.1, 0.01], "init_scale": [1, 2]}
    found = study(pairs, zip=[["hidden_size", "learning_rate"]])
    assert found.axes["hidden_size"] == [4, 8]
    assert sorted(cells(found)) == [
        (4, 0.1, 1), (4, 0.1, 2), (8, 0.01, 1), (8, 0.01, 2), (8, 0.1, 1), (8, 0.1, 2)
    ]  # fmt: skip


def test_a_trial_is_the_same_in_a_grid_and_in_a_product():
    product = study({**RATES, "optimizer": ["momentum"], "momentum": [0.0, 0.9]})
    plain = study({**RATES, "optimizer": ["adamw", "optax:lion"]})
    assert keys(study(grids=RULES)) == keys(product) | keys(plain)
    pairs = study(
        {"hidden_size": [4, 8], "learning_rate": [0.1, 0.01]},
        zip=[["hidden_size", "learning_rate"]],
    )
    assert keys(pairs) < keys(study({"hidden_size": [4, 8], "learning_rate": [0.1, 0.01]}))


def test_clipping_is_of_the_grid_that_sets_it():
    clipped, plain = study({**RATES, "clip_norm": [1.0]}), study()
    both = study(grids=[{"optimizer": "adam"}, {"clip_norm": 1.0}])
    assert keys(both) == keys(clipped) | keys(plain)


def test_a_setting_of_the_study_holds_where_a_grid_has_none():
    found = study(
        batch_size=20, grids=[{"batch_size": [10], "hidden_size": 4}, {"schedule": "cosine"}]
    )
    assert found.axes["batch_size"] == [10, 20]
    assert found.axes["schedule"] == [None, "cosine"]
    assert len(keys(found)) == 4


def test_a_study_is_itself_again_from_its_record_and_in_json():
    found = study(grids=RULES, updates=5)
    record = json.loads(json.dumps(found.resolve().record()))
    assert record["grids"][0]["momentum"] == [None]
    assert "zip" not in record
    again = Study.from_record(record)
    assert (again.axes, again.grids, again.cells()) == (found.axes, found.grids, found.cells())
    plain = study().resolve().record()
    assert not {"grids", "zip"} & set(plain), "the record of a plain study is as it was"


# ---- other values ----


def test_other_values_of_an_axis_that_all_grids_share():
    found = study(grids=RULES).override({"learning_rate": [1.0]})
    assert cells(found) == [
        (1.0, "adamw", None),
        (1.0, "optax:lion", None),
        (1.0, "momentum", 0.0),
        (1.0, "momentum", 0.9),
    ]


def test_of_an_axis_that_grids_have_for_themselves_each_keeps_what_is_named():
    assert cells(study(grids=RULES).override({"optimizer": ["adamw"]})) == [
        (0.01, "adamw", None), (0.1, "adamw", None)
    ]  # fmt: skip
    less = study(grids=RULES).override({"momentum": [0.9]})
    assert len(less.cells()) == 6
    with pytest.raises(UsageError, match=r"axes.optimizer: no grid .* found rmsprop"):
        study(grids=RULES).override({"optimizer": ["rmsprop"]})


def test_a_new_axis_joins_all_grids():
    found = study(grids=RULES).override({"hidden_size": [4, 8]})
    assert len(found.cells()) == 16


# ---- what is wrong ----

HEAD = 'task = "digits-flat"\nmodel = "mlp"\n'
RATE = "[axes]\nlearning_rate = [0.1]\n"
ZIP = 'zip = [["hidden_size", "learning_rate"]]\n[axes]\n'
WRONG = {
    "no such setting": (
        f'{RATE}[[grids]]\noptimizer = "adam"\n[[grids]]\nmomentumm = [0.9]\n',
        "line 8: grids.2.momentumm: unknown axis 'momentumm'",
    ),
    "not read": (
        '[axes]\nlearning_rate = [0.1]\n[[grids]]\noptimizer = ["adam", "momentum"]\n'
        'momentum = [0.9]\n[[grids]]\noptimizer = "sgd"\n',
        "line 7: grids.1.momentum: not read by the optimizer adam",
    ),
    "no such optimizer": (
        '[axes]\nlearning_rate = [0.1]\n[[grids]]\noptimizer = "adam"\nl2 = [0]\n[[grids]]\n'
        'optimizer = ["sgd", "lion"]\n',
        "line 9: grids.2.optimizer: unknown optimizer 'lion'",
    ),
    "lengths": (
        f"{ZIP}learning_rate = [0.1, 1]\nhidden_size = [4]\n",
        "line 3: zip: axes of unequal lengths (expected as many values of each, found hidden_size"
        " 1, learning_rate 2)",
    ),
    "no such axis": (
        f'zip = [["hidden_sise", "learning_rate"]]\n{RATE}hidden_size = [4]\n',
        "line 3: zip: unknown axis 'hidden_sise'; did you mean 'hidden_size'",
    ),
    "no groups": (
        f'zip = ["hidden_size", "learning_rate"]\n{RATE}hidden_size = [4]\n',
        "line 3: zip: no groups of axes (expected groups of two or more axes, such as [[",
    ),
    "twice together": (
        'zip = [["hidden_size", "learning_rate"]]\n[axes]\nlearning_rate = [0.1, 0.1]\n'
        "hidden_size = [4, 4]\n",
        "line 3: zip: the same values together twice (found hidden_size=4, learning_rate=0.1)",
    ),
    "in two groups": (
        'zip = [["hidden_size", "learning_rate"], ["learning_rate", "init_scale"]]\n[axes]\n'
        "learning_rate = [0.1]\nhidden_size = [4]\ninit_scale = [1]\n",
        "line 3: zip: an axis goes with others once (found learning_rate)",
    ),
    "empty": (
        "[axes]\nlearning_rate = [0.1]\n[[grids]]\n",
        "line 5: grids.1: an empty grid (expected values of an axis, or a setting of its own",
    ),
    "no values": (
        "[axes]\nlearning_rate = [0.1]\n[[grids]]\nhidden_size = []\n",
        "line 6: grids.1.hidden_size: an axis needs at least one value",
    ),
    "contradiction": (
        "[axes]\nlearning_rate = [0.1, 1]\n[[grids]]\nlearning_rate = 0.5\n",
        "line 6: grids.1.learning_rate: contradicts the axis learning_rate of the study (expected"
        " some of 0.1, 1, found 0.5",
    ),
    "of the whole study": (
        "[axes]\nlearning_rate = [0.1]\n[[grids]]\nhidden_size = 4\nreplicates = 2\n",
        "line 7: grids.1.replicates: a setting of the whole study, not of a grid",
    ),
    "hidden number": (
        "[hyperparameters]\nl2 = 0.1\n[axes]\nlearning_rate = [0.1]\n[[grids]]\nl2 = [0.1]\n",
        "line 8: grids.1.l2: also set for the whole study, which a grid would hide",
    ),
    "out of range": (
        "[axes]\nlearning_rate = [0.1]\n[[grids]]\noptimizer = \"momentum\"\nmomentum = [-1]\n"
        '[[grids]]\noptimizer = "adam"\n',
        "line 7: grids.1.momentum: out of range",
    ),
    "no tables": ('grids = ["adam"]\n[axes]\nlearning_rate = [0.1]\n', "line 3: grids: wrong type"),
    "nothing at all": ("[[grids]]\n", "line 3: grids.1: an empty grid"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line(name, tmp_path):
    text, line = WRONG[name]
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + text)
    with pytest.raises(StudyFileError) as caught:
        Study.load(path)
    assert len(caught.value.mistakes) == 1, caught.value.mistakes
    assert caught.value.mistakes[0].startswith(line)


def test_a_mistake_elsewhere_is_told_as_well(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + "replicats = 3\n[axes]\nhidden_size = [4]\n[[grids]]\n")
    with pytest.raises(StudyFileError) as caught:
        Study.load(path)
    assert [line.partition(":")[0] for line in caught.value.mistakes] == ["line 3", "line 6"]


def test_two_cells_that_are_one_training_are_told():
    grids = [{"optimizer": "momentum"}, {"optimizer": "momentum", "momentum": [0.5, 0.9]}]
    with pytest.raises(StudyFileError, match=r"two cells are the same training.*momentum=0.9"):
        study(grids=grids).resolve()


def test_grids_that_overlap_are_merged():
    grids = [{"hidden_size": [4, 8]}, {"hidden_size": [8, 16]}]
    assert len(keys(study(grids=grids))) == 6


def test_an_axis_that_is_unset_needs_grids():
    with pytest.raises(StudyFileError, match=r"axes.momentum: wrong type .* found None"):
        study({"momentum": [None, 0.9]}, optimizer="momentum")


def test_too_much_emptiness_is_refused():
    values = list(range(1, 1200))
    axes = {"hidden_size": values, "learning_rate": [v / 10_000 for v in values]}
    with pytest.raises(StudyFileError, match=r"zip: these grids span too many cells.*1,437,601"):
        study(axes, zip=[["hidden_size", "learning_rate"]])


# ---- how many replicates of each cell ----


def test_holes_are_not_asked_for():
    found = study(grids=RULES, replicates=3)
    asked = Asked(found.resolve().record())
    inside = set(found.cells())
    for cell in found.grid.cells():
        assert asked.of(cell) == (3 if cell in inside else 0)
    numbers = asked.numbers(found.grid.axes)
    assert numbers.shape == (2, 3, 3)
    assert numbers.ravel().tolist() == [asked.of(cell) for cell in found.grid.cells()]


def test_many_cells_are_quick():
    rates = [float(f"{10 ** (-5 + 5 * i / 255):.6g}") for i in range(256)]
    scales = [float(f"{10 ** (-2 + 4 * i / 127):.6g}") for i in range(128)]
    begin = time.perf_counter()
    found = study(
        {"learning_rate": rates, "init_scale": scales},
        grids=[{"optimizer": "adam"}, {"optimizer": "sgd"}],
    )
    record = {"axes": found.axes, "grids": found.grids, "replicates": 1}
    assert len(found.cells()) == 65_536
    assert int(Asked(record).numbers(found.grid.axes).sum()) == 65_536
    assert time.perf_counter() - begin < 20, "about 1.5 s alone; nothing quadratic"
