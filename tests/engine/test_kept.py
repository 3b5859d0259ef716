"""Programs that a run compiles are there for the next one; a user's settings of JAX stay."""

import itertools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train
from forks import ROOT
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import gridscape as gs
from gridscape.engine import kept, naming
from gridscape.engine.cohorts import partition
from gridscape.engine.compilers import Compilers
from gridscape.engine.flops import update_flops
from gridscape.engine.kept import compiled, kept_programs
from gridscape.engine.known import KeptFunction, known_number
from gridscape.engine.naming import of_parts, of_text

FOLDER = "jax_compilation_cache_dir"
FLAT = tiny({"hidden_size": [3]}, task="digits-flat", model="mlp")
STUDIES = {
    "recurrent": tiny({"hidden_size": [3]}),
    "dense": FLAT,
    "stream": tiny({"hidden_size": [3]}, task="recall", model_options={"returns": "every"}),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where programs are kept, in a process in which JAX has no folder."""
    before = jax.config.values[FOLDER]
    monkeypatch.setattr(kept, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(naming, "_as_imported", "")
    monkeypatch.setattr(kept, "IS_QUIET", True)
    kept._is_ours.cache_clear()
    jax.config.update(FOLDER, None)
    reset_cache()
    yield tmp_path / "cache" / "programs"
    jax.config.update(FOLDER, before)
    reset_cache()


@pytest.fixture
def own_process(monkeypatch):
    monkeypatch.setattr(naming, "_as_imported", naming._stamp())


@pytest.fixture
def lowered(monkeypatch):
    """What is traced and lowered, and what is compiled, from now on."""
    found, lower, compile = [], jax.stages.Traced.lower, jax.stages.Lowered.compile

    def lowering(traced, *arguments, **options):
        found.append("lowered")
        return lower(traced, *arguments, **options)

    def compiling(lowered, *arguments, **options):
        found.append("compiled")
        return compile(lowered, *arguments, **options)

    monkeypatch.setattr(jax.stages.Traced, "lower", lowering)
    monkeypatch.setattr(jax.stages.Lowered, "compile", compiling)
    return found


def trained(study):
    planner = planner_of(study)
    return train(planner, planner.resolved.trials())


def assert_all_same(found, expected):
    assert found.keys() == expected.keys()
    for key, result in found.items():
        assert_same(result, expected[key])


@pytest.mark.parametrize("name", STUDIES)
def test_in_a_process_of_its_own_nothing_is_traced_again(folder, own_process, lowered, name):
    first = trained(STUDIES[name])
    assert lowered.count("compiled") >= 3
    lowered.clear()
    assert_all_same(trained(STUDIES[name]), first)
    assert lowered == []


def test_in_a_users_process_programs_are_found_by_their_text(folder, lowered):
    first = trained(FLAT)
    n_lowered = lowered.count("lowered")
    lowered.clear()
    assert_all_same(trained(FLAT), first)
    assert lowered == ["lowered"] * n_lowered


def test_a_run_from_python_keeps_its_programs(folder, tmp_path, lowered):
    before = dict(jax.config.values)
    gs.run(FLAT, directory=tmp_path / "one", quiet=True)
    assert len(list(folder.iterdir())) >= 3
    assert dict(jax.config.values) == before
    lowered.clear()
    gs.run(FLAT, directory=tmp_path / "two", quiet=True)
    assert "compiled" not in lowered


def test_a_model_of_ones_own_is_found_by_its_text(folder, own_process, lowered):
    def apply(params, inputs, key, hyper):
        return jnp.tanh(inputs) @ params["w"]

    def init(key, hyper):
        return {"w": jax.random.normal(key, (64, 10))}

    study = gs.Study(
        task="digits-flat", model=gs.Model(init, apply), updates=3, axes={"learning_rate": [0.1]}
    )
    first = trained(study)
    lowered.clear()
    assert_all_same(trained(study), first)
    assert "lowered" in lowered
    assert "compiled" not in lowered


DENSE = ({}, {"activation": "tanh"}, {"bias": False}, {"init": "pytorch"})
RECALL = {"task": "recall", "model_options": {"returns": "every"}}
VARIANTS = [
    *(tiny({"hidden_size": [size]}) for size in (3, 4)),
    *(tiny({"hidden_size": [3]}, model=cell) for cell in ("gru", "rnn")),
    *(tiny({"hidden_size": [3]}, optimizer=name) for name in ("sgd", "adam", "adagrad")),
    *(tiny({"hidden_size": [3]}, updates=n, batch_size=b) for n, b in ((3, 5), (3, 6), (40, 5))),
    *(tiny(model="mlp", task="digits-flat", model_options=options) for options in DENSE),
    *(tiny(task_options={"position": position}, **RECALL) for position in (1, 2)),
]


def test_programs_of_one_name_have_one_text(folder, own_process, monkeypatch):
    """The name of the parts says no less than the text that they lower to."""
    named = {}

    def begin(compilers, function, shapes, donate, light, same):
        text = jax.jit(function, donate_argnums=donate, keep_unused=True).lower(*shapes).as_text()
        name = of_parts(same, shapes, donate, light)
        named.setdefault(name, set()).add(text)
        raise RuntimeError("enough")

    monkeypatch.setattr(Compilers, "_begin", begin)
    for study in VARIANTS:
        planner = planner_of(study)
        cohort, *_ = partition(planner.resolved, planner.resolved.trials())
        program = planner.program(cohort)
        for attribute in ("_train", "_init", "_evaluate", "_draw")[: 3 + program.draws]:
            with pytest.raises(RuntimeError, match="enough"):
                getattr(program, attribute)
    assert None not in named
    assert len(named) > len(VARIANTS)
    assert {len(texts) for texts in named.values()} == {1}


ONE = (jax.ShapeDtypeStruct((), jnp.float32),)


def product(number):
    """A program that multiplies by a number, compiled or found; it is kept by now."""
    compilers = Compilers()
    program = compilers.submit(lambda x: x * number, ONE).result(60)
    compilers._threads.shutdown()
    return program


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-1] + b"x"])
def test_what_was_damaged_is_compiled_again(folder, lowered, damage):
    product(2)
    (path,) = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    lowered.clear()
    assert product(2)(1.0) == 2
    assert "compiled" in lowered


def test_settings_and_flags_are_part_of_a_name(folder, own_process, monkeypatch):
    names = [of_parts(1), of_text("text", {})]
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    names += [of_parts(1), of_text("text", {})]
    monkeypatch.delenv("XLA_FLAGS")
    jax.config.update("jax_default_matmul_precision", "float32")
    try:
        names += [of_parts(1), of_text("text", {})]
    finally:
        jax.config.update("jax_default_matmul_precision", None)
    assert len(set(names)) == 6


@pytest.mark.parametrize("is_told", ["folder", "none"])
def test_a_setting_of_the_user_goes_before(folder, tmp_path, is_told):
    jax.config.update(FOLDER, str(tmp_path / "own") if is_told == "folder" else None)
    jax.config.update("jax_enable_compilation_cache", is_told == "folder")
    try:
        assert kept_programs() is None
        assert product(2)(1.0) == 2
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert not folder.exists()


def test_where_nothing_can_be_written_nothing_is_kept(folder):
    folder.parent.write_text("no folder")
    assert kept_programs() is None
    assert product(2)(1.0) == 2


def test_what_comes_from_the_cache_of_jax_is_not_kept(tmp_path):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    before = jax.config.values[FOLDER]
    jax.config.update(FOLDER, str(tmp_path))
    reset_cache()
    try:
        fresh = [compiled(jax.jit(lambda x: x * 37.5).lower(1.0).compile)[1] for _ in range(2)]
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update(FOLDER, before)
        reset_cache()
    assert fresh == [True, False]


def test_those_that_were_not_used_for_longest_are_dropped(folder, monkeypatch):
    product(2)
    (path,) = folder.iterdir()
    # Room for two, of which none is quite as large as another.
    monkeypatch.setattr(kept, "MOST_BYTES", 2.8 * path.stat().st_size)
    monkeypatch.setattr(kept, "DROP_EVERY", 1)
    os.utime(path, (1000, 1000))
    product(3)
    (second,) = set(folder.iterdir()) - {path}
    os.utime(second, (1000, 1000))
    assert product(2)(1.0) == 2  # which is of use now
    product(4)
    left = set(folder.iterdir())
    assert path in left
    assert second not in left
    assert len(left) == 2


def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    def full(path, to):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    assert product(2)(1.0) == 2
    assert list(folder.iterdir()) == []


def test_a_folder_that_goes_away_loses_nothing(folder):
    product(2)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert product(3)(1.0) == 3
    assert KeptFunction(lambda x: 2 * x, "doubled")(1.0) == 2


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_folder_in_which_others_can_write_is_not_read(folder, mode):
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert kept_programs() is None
    folder.chmod(0o700)
    kept._is_ours.cache_clear()
    assert kept_programs() is not None


def test_a_new_folder_is_for_this_user_alone(folder):
    assert kept_programs() is not None
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\xff" * 96])
def test_damaged_pointers_and_numbers_are_made_again(folder, own_process, damage):
    first = trained(FLAT)
    for path in folder.iterdir():
        path.write_bytes(damage)
    assert_all_same(trained(FLAT), first)
    assert {result.flops for result in first.values()} == {
        result.flops for result in trained(FLAT).values()
    }


def test_options_of_the_compiler_are_part_of_a_name(folder):
    assert of_text("text", {"a": 1}) != of_text("text", {"a": 2})


@jax.tree_util.register_pytree_node_class
class Labelled:
    """Pytrees that look the same and are not."""

    def __init__(self, x, label):
        self.x, self.label = x, label

    def tree_flatten(self):
        return (self.x,), Label(self.label)

    @classmethod
    def tree_unflatten(cls, label, parts):
        return cls(*parts, label.label)


class Label:
    def __init__(self, label):
        self.label = label

    def __repr__(self):
        return "a label"

    def __eq__(self, other):
        return self.label == other.label

    def __hash__(self):
        return hash(self.label)


def test_results_have_the_pytree_of_whoever_asks(folder):
    for label in (1, 2):
        compilers = Compilers()
        program = compilers.submit(lambda x, label=label: Labelled(2 * x, label), ONE).result(60)
        compilers._threads.shutdown()
        assert program(1.0).label == label


def test_where_sources_have_just_changed_nothing_is_found_by_its_parts(folder, monkeypatch):
    monkeypatch.setattr(naming, "SETTLED_SECONDS", -1e12)
    naming.own_process()
    assert of_parts(1) is not None
    monkeypatch.setattr(naming, "SETTLED_SECONDS", 1e12)
    naming.own_process()
    assert of_parts(1) is None


def test_where_sources_change_meanwhile_nothing_is_kept(folder, own_process, monkeypatch):
    monkeypatch.setattr(naming, "_stamp_at", lambda second: "others")
    product(2)
    assert list(folder.iterdir()) == []


def test_sources_that_go_away_meanwhile_cost_nothing_but_the_time(folder, own_process, monkeypatch):
    monkeypatch.setattr(naming, "_sources", lambda: [folder / "gone.py"])
    naming._stamp_at.cache_clear()
    naming._digest.cache_clear()
    assert of_parts(1) is None
    assert product(2)(1.0) == 2
    assert list(folder.iterdir()) == []
    naming.own_process()  # says nothing of it
    naming._stamp_at.cache_clear()


SCRIPT = """
study = gs.Study.load("quickstart").override({"hidden_size": [4]}, replicates=1, updates=3)
gs.run(study, directory=sys.argv[1], quiet=True)
"""


@pytest.mark.parametrize(
    ("imports", "is_kept"),
    [("import sys, gridscape as gs, jax", True), ("import sys, jax, gridscape as gs", False)],
)
def test_a_second_run_from_python_is_as_quiet_as_the_first(tmp_path, imports, is_kept):
    unset = ("JAX_COMPILATION_CACHE_DIR", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for number in range(2):
        done = subprocess.run(
            [sys.executable, "-c", imports + SCRIPT, str(tmp_path / f"run-{number}")],
            env=environment,
            capture_output=True,
            timeout=300,
            check=True,
        )
        assert done.stderr == b""
    assert (tmp_path / "gridscape" / "programs").exists() == is_kept


def test_a_function_is_compiled_once_for_each_shape(folder, own_process, lowered):
    def doubled(x, name):
        return dict.fromkeys(name, 2 * x)

    for _ in range(2):
        function = KeptFunction(lambda x, y: (2 * x, jnp.sum(y)), "doubled")
        for n, _ in itertools.product((2, 3), range(2)):
            first, second = function(np.arange(n), np.float32(3))
            np.testing.assert_array_equal(first, 2 * np.arange(n))
            assert second == 3
    assert lowered == ["lowered", "compiled"] * 2


def test_a_number_is_found_once(folder, own_process):
    found = []

    def find():
        found.append(1)
        return 1 / 3

    assert [known_number(find, "a", k) for k in (1, 1, 2)] == [1 / 3] * 3
    assert len(found) == 2
    found.clear()
    assert known_number(find, find) == 1 / 3  # somebody's own
    assert known_number(find, find) == 1 / 3
    assert len(found) == 2


def test_operations_are_counted_once(folder, own_process, monkeypatch):
    def flops():
        planner = planner_of(FLAT)
        (cohort,) = partition(planner.resolved, planner.resolved.trials())
        return update_flops(cohort.recipe, cohort.task)

    first = flops()
    monkeypatch.setattr("gridscape.engine.flops._traced_update", None)  # it is not asked
    assert flops() == first > 0
