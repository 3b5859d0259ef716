"""Replicates that draw splits of their own: the same numbers as on tasks made by hand from them."""

import jax
import numpy as np
import pytest
from cohort_tools import assert_same, compilations, planner_of, tiny, train

import gridscape as gs
from gridscape.base.task import Task
from gridscape.engine.cohorts import partition
from gridscape.engine.sizes import tree_bytes
from gridscape.engine.splits import split_of
from gridscape.errors import StudyFileError, UsageError
from gridscape.execution.replay import replay, trained
from gridscape.inspection import answers
from gridscape.store.store import Store
from gridscape.study.conditions import differences, of_named
from gridscape.tasks.images import digits_flat
from gridscape.tasks.sequences import recall

KEY_BEFORE = "bbdf5821eae7310fab2df8ae4d783898"
BASE = digits_flat(validation=0.2)
STUDY = gs.Study(
    name="resampled",
    task="digits-flat",
    task_options={"validation": 0.2},
    model="mlp",
    axes={"hidden_size": [4, 8], "learning_rate": [0.01, 0.1]},
    updates=12,
    batch_size=20,
    replicates=2,
    evaluations=2,
    evaluation_examples=100,
    resample="split",
)


def parts(task):
    return [task.train_examples, *([task.validation] if task.validation else []), task.test]


def rows(*splits):
    """The examples of splits, each as bytes, in a fixed order: repeated ones stay repeated."""
    return sorted(
        bytes(np.asarray(x).tobytes() + np.asarray(y).tobytes())
        for split in splits
        for x, y in zip(split.inputs, split.targets, strict=True)
    )


def test_a_split_divides_all_examples_anew():
    one, other = (split_of(BASE, 0, replicate) for replicate in (0, 1))
    assert rows(*parts(one)) == rows(*parts(other)) == rows(*parts(BASE))
    sizes = [[part.n_examples for part in parts(task)] for task in (BASE, one, other)]
    assert sizes[0] == sizes[1] == sizes[2]
    assert rows(one.test) != rows(other.test) != rows(BASE.test)
    assert rows(one.test) == rows(split_of(BASE, 0, 0).test)
    assert rows(one.test) != rows(split_of(BASE, 1, 0).test)  # of another seed of the study


def test_every_class_keeps_its_share_in_every_part():
    everything = np.bincount(np.concatenate([part.targets for part in parts(BASE)]))
    for part in parts(split_of(BASE, 0, 3)):
        expected = everything * part.n_examples / everything.sum()
        # A stretch of a balanced order: its two ends are rounded to one example each.
        assert np.abs(np.bincount(part.targets) - expected).max() <= 2


def test_trials_are_those_of_a_task_made_by_hand_from_the_split():
    planner = planner_of(STUDY)
    found = train(planner, planner.resolved.trials())
    for replicate in range(2):
        by_hand = Task.from_arrays(
            *(
                (p.inputs, p.targets)
                for p in (lambda t: (t.train, t.test))(split_of(BASE, 0, replicate))
            ),
            validation=tuple(split_of(BASE, 0, replicate).validation),
            prepare=BASE.prepare,
            name=BASE.name,
        )
        plain = planner_of(STUDY.override(task=by_hand, resample="none"))
        expected = train(plain, [t for t in plain.resolved.trials() if t.replicate == replicate])
        cells = {t.cell: expected[t.key] for t in plain.resolved.trials() if t.key in expected}
        for trial in planner.resolved.trials():
            if trial.replicate == replicate:
                assert_same(found[trial.key], cells[trial.cell])


def test_all_replicates_share_the_programs_and_one_split_is_there_at_a_time():
    planner = planner_of(STUDY.override({"hidden_size": [4]}, replicates=3))
    cohorts = partition(planner.resolved, planner.resolved.trials())
    assert [cohort.split for cohort in cohorts] == [0, 1, 2]
    with compilations() as compiled:
        programs = {id(planner.program(cohort)) for cohort in cohorts}
        train(planner, planner.resolved.trials())
    assert len(programs) == 1
    assert len(compiled) <= 4  # init, train, evaluate, and a constant
    assert [split for _, split in planner._data] == [2]
    shapes, arrays = planner.machine.shapes(BASE), planner.data(BASE, 1)
    assert tree_bytes(shapes.arrays) == tree_bytes(arrays.arrays)
    for shape, array in zip(jax.tree.leaves(shapes), jax.tree.leaves(arrays), strict=True):
        if not isinstance(shape, int):
            assert (shape.shape, shape.dtype) == (array.shape, array.dtype)
    assert planner.plan(planner.resolved.trials(), timed=False).memory_bytes > tree_bytes(
        arrays.arrays
    )


def test_keys_tell_it_and_those_without_stay():
    plain = STUDY.override(resample="none")
    assert plain.resample is None
    keys, others = ({t.key for t in s.resolve().trials()} for s in (STUDY, plain))
    assert not keys & others
    # Taken from the version before there was a choice.
    assert tiny().resolve().trials()[0].key == KEY_BEFORE


def test_a_folder_replays_inspects_and_resumes(tmp_path):
    gs.run(STUDY.override(replicates=1), directory=tmp_path)
    land = gs.run(STUDY, directory=tmp_path)
    assert (land.data.status == "finished").all()
    cell = {"hidden_size": 8, "learning_rate": 0.1}
    assert replay(tmp_path, cell, replicate=1).identical
    network = trained(tmp_path, cell, replicate=1)
    assert rows(network.task.test) == rows(split_of(BASE, 0, 1).test)
    # The inspection counts the mistakes that the stored metric counted.
    seen = answers.mistakes(network.recipe, network.task, network.end)
    stored = float(land.data.test_accuracy.sel(cell).values[1])
    assert seen.n_wrong == round((1 - stored) * network.task.test.n_examples)
    with Store.read(tmp_path) as store:
        assert store.study["resample"] == "split"
        assert gs.Study.from_record(store.study).resample == "split"
    with pytest.raises(gs.GridscapeError, match="resample differs"):
        gs.run(STUDY.override(resample="none"), directory=tmp_path)


def test_streams_draw_their_fixed_sets_by_another_seed():
    base = recall(n_test=70, n_validation=35)
    first, second = (split_of(base, 0, replicate) for replicate in (0, 1))
    assert first.train.draw is base.train.draw
    assert first.loss is base.loss
    assert [p.n_examples for p in parts(first)] == [p.n_examples for p in parts(base)]
    for a, b in zip(parts(first), parts(second), strict=True):
        assert not np.array_equal(a.inputs, b.inputs)
    study = tiny(
        {"hidden_size": [4]},
        task="recall",
        model_options={"returns": "every"},
        task_options={"n_test": 70, "n_validation": 35},
        resample="split",
    )
    planner = planner_of(study)
    assert {r.status for r in train(planner, planner.resolved.trials()).values()} == {"finished"}


def test_tasks_without_a_split_to_draw_are_refused():
    with pytest.raises(StudyFileError, match="quadratic trains on its test examples"):
        gs.Study(
            task="quadratic",
            model="point",
            updates=1,
            batch_size=1,
            resample="split",
            axes={"learning_rate": [0.1]},
        ).resolve()
    base = recall(n_test=70)
    fixed = gs.Task(
        name="endless",
        train=base.train,
        test=base.test,
        input_shape=base.input_shape,
        n_outputs=9,
        prepare=base.prepare,
        loss=base.loss,
        metrics=base.metrics,
        per_step=True,
        answer=base.answer,
    )
    with pytest.raises(StudyFileError, match="endless draws its training examples"):
        tiny({"hidden_size": [4]}, task=fixed, resample="split").resolve()
    with pytest.raises(StudyFileError, match="resample"):
        tiny(resample="bootstrap")


@pytest.mark.parametrize(
    "made", [lambda seed: recall(n_test=60, test_seed=seed), lambda seed: None]
)
def test_a_redraw_that_gives_another_task_is_told(made):
    base = recall(n_test=70)
    object.__setattr__(base, "redraw", made)
    with pytest.raises(UsageError, match="redraw gives another task"):
        split_of(base, 0, 0)


def test_claims_of_a_resampled_run_are_judged_and_told():
    study = gs.Study.load("quickstart").override(resample="split").resolve().record()
    (found,) = differences(study, of_named("quickstart"))
    assert found.name == "resample"
    assert not found.matters
