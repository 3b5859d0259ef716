"""What is traced to the same program is compiled once; what is not, is not."""

import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

from gridscape import kernels
from gridscape.engine import compilers as module
from gridscape.engine.cohorts import partition
from gridscape.engine.compilers import Compilers
from gridscape.engine.naming import tells_all


@pytest.fixture
def compilers():
    made = Compilers()
    yield made
    made.close()


ONE = (jax.ShapeDtypeStruct((), jnp.float32),)


def compiled(compilers, function, shapes=ONE, **options):
    return compilers.submit(function, shapes, **options).result(60)


def programs_of(study):
    planner = planner_of(study)
    cohorts = partition(planner.resolved, planner.resolved.trials())
    return [planner.program(cohort) for cohort in cohorts]


def recall(axes, **values):
    return tiny(axes, task="recall", model_options={"returns": "every"}, **values)


def test_tasks_that_differ_in_their_data_share_all_but_what_draws_it():
    first, second = programs_of(recall({"position": [1, 2], "hidden_size": [4]}))
    assert first.draw.as_text() != second.draw.as_text()
    assert first.train is second.train
    assert first.evaluate is second.evaluate
    assert first.init is second.init


def test_optimizers_share_what_does_not_train():
    first, second = programs_of(recall({"optimizer": ["momentum", "nesterov"]}))
    assert first.train is not second.train
    assert first.draw is second.draw


def test_a_shared_program_gives_each_trial_its_own_numbers():
    whole = planner_of(recall({"position": [1, 2], "hidden_size": [4]}))
    results = train(whole, whole.resolved.trials())
    assert len({result.params_digest for result in results.values()}) == len(results)
    alone = planner_of(recall({"position": [2], "hidden_size": [4]}))
    for key, result in train(alone, alone.resolved.trials()).items():
        assert_same(result, results[key])


STUDIES = {
    "recall": recall({"position": [1, 2], "shortest": [2, 3], "hidden_size": [2, 3]}),
    "binary addition": tiny(
        {
            "loss": ["mse", "bce"],
            "operands": ["report", "uniform"],
            "train_length": [3, 5],
            "hidden_size": [2],
        },
        task="binary-addition",
        model_options={"returns": "every"},
    ),
    "images": tiny(
        {
            "optimizer": ["sgd", "adam"],
            "activation": ["tanh", "relu_scaled"],
            "loss": ["cross_entropy", "squared_error"],
            "batch_size": [10, 20],
        },
        task="digits",
        model="mlp",
    ),
    "bfloat16": recall({"position": [1, 2]}, precision="bfloat16"),
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_what_is_known_to_be_the_same_function_is_lowered_to_the_same_text(study, monkeypatch):
    texts, begin = {}, Compilers.submit

    def submit(self, function, shapes, donate=(), light=False, same=None):
        text = jax.jit(function, donate_argnums=donate, keep_unused=True).lower(*shapes).as_text()
        program = begin(self, function, shapes, donate, light, same)
        assert texts.setdefault(id(program), (program, text))[1] == text
        submitted.append(text)
        return program

    submitted = []
    monkeypatch.setattr(Compilers, "submit", submit)
    monkeypatch.setattr(Compilers, "_compile", lambda self, *args: args[-1].set_result(None))
    planner = planner_of(study)
    for cohort in partition(planner.resolved, planner.resolved.trials()):
        planner.program(cohort).begin()
    planner.close()
    assert len(texts) < len(submitted)


def test_equal_functions_are_one_program(compilers):
    first, second = (compiled(compilers, lambda x: x * 2) for _ in range(2))
    assert first is second


def test_numbers_inside_tell_programs_apart(compilers):
    close = [0.1, float(np.nextafter(np.float32(0.1), np.float32(1)))]
    first, second = (compiled(compilers, lambda x, a=a: x * a) for a in close)
    assert first is not second


CONSTANTS = {
    "number of JAX": lambda seed: jnp.float32(seed),
    "array of JAX": lambda seed: jnp.arange(5000.0) + seed,
    "array of NumPy": lambda seed: np.arange(5000, dtype=np.float32) + np.float32(seed),
}
WRAPPED = {
    "plainly": lambda function: function,
    "by an inner jit": jax.jit,
    "in a loop": lambda f: lambda x: jax.lax.fori_loop(0, 1, lambda _, y: jax.jit(f)(y), x),
}


@pytest.mark.parametrize("constant", CONSTANTS.values(), ids=CONSTANTS)
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_constants_tell_programs_apart(compilers, constant, wrap):
    def of(seed):
        value = constant(seed)
        return compiled(compilers, wrap(lambda x: x + jnp.sum(value * jnp.float32(1))))

    assert of(1) is of(1)
    assert of(1) is not of(2)
    assert of(2)(0.0) == pytest.approx(np.sum(constant(2)))


def test_keys_tell_programs_apart(compilers):
    def of(seed):
        key = jax.random.key(seed)
        return compiled(compilers, lambda x: x + jax.random.uniform(key))

    assert of(1) is of(1)
    assert of(1) is not of(2)


def test_ways_to_draw_tell_programs_apart(compilers):
    def of(is_partitionable):
        def draw(x):
            with jax.threefry_partitionable(is_partitionable):
                return x + jax.random.uniform(jax.random.key(0), (7,))

        return compiled(compilers, draw)

    np.testing.assert_array_equal(of(True)(0.0), of(True)(0.0))
    assert of(True) is not of(False)


def test_which_argument_is_used_tells_programs_apart(compilers):
    first = compiled(compilers, lambda a, b: a, 2 * ONE)
    second = compiled(compilers, lambda a, b: b, 2 * ONE)
    assert (first(1.0, 2.0), second(1.0, 2.0)) == (1, 2)


def test_options_tell_programs_apart(compilers):
    plain = compiled(compilers, lambda x: x * 3)
    assert compiled(compilers, lambda x: x * 3, light=True) is not plain
    donating = compiled(compilers, lambda x: x * 3, donate=(0,))
    assert donating is not plain
    number = jnp.float32(2)
    donating(number)
    assert number.is_deleted()


def test_no_operation_is_cut_among_cores(compilers):
    large = (jax.ShapeDtypeStruct((500, 800), jnp.float32),)
    cut, function = "outer_dimension_partitions", jnp.tanh
    assert cut in jax.jit(function).lower(*large).compile().as_text()  # as XLA has it
    assert cut not in compiled(compilers, function, large).as_text()


def test_names_of_what_comes_out_tell_programs_apart(compilers):
    first = compiled(compilers, lambda x: {"loss": x})
    second = compiled(compilers, lambda x: {"accuracy": x})
    assert first(1.0).keys() == {"loss"}
    assert second(1.0).keys() == {"accuracy"}


def test_names_of_what_goes_in_tell_programs_apart(compilers):
    for name in ("learning_rate", "momentum"):
        found = compiled(compilers, lambda x: sum(x.values()), ({name: ONE[0]},))
        assert found({name: 3.0}) == 3


class Adding(NamedTuple):
    """What is written the same whatever it adds."""

    number: float

    def __call__(self, x):
        return np.float32(x + self.number)

    def __repr__(self):
        return "Adding"


def test_programs_that_call_python_are_their_own(compilers):
    def of(number):
        return compiled(compilers, lambda x: jax.pure_callback(Adding(number), ONE[0], x))

    first, second = of(1), of(2)
    assert (first(0.0), second(0.0)) == (1, 2)


def test_constants_that_become_arguments_are_not_shared():
    """As JAX has it with jax_use_simplified_jaxpr_constants, which cannot be set in a process."""
    text = "func.func public @main(%arg0: tensor<f32>, %arg1: tensor<9xf32>) -> (tensor<f32>) {"
    assert tells_all(text, 2)
    assert not tells_all(text, 1)


def test_the_same_function_is_traced_once(compilers):
    traced = []

    def function(x):
        traced.append(x)
        return x + 1

    first = compilers.submit(function, ONE, same="it")
    assert compilers.submit(function, ONE, same="it") is first
    first.result(60)
    assert len(traced) == 1


def test_shapes_and_options_and_path_tell_the_same_function_apart(compilers):
    def submit(shapes=ONE, **options):
        return compilers.submit(lambda x: x + 1, shapes, same="it", **options)

    programs = [submit(), submit((jax.ShapeDtypeStruct((2,), jnp.float32),))]
    programs += [submit(donate=(0,)), submit(light=True)]
    with kernels.plain():
        programs.append(submit())
    assert len(set(map(id, programs))) == (5 if kernels.available() else 4)


class Doubled(NamedTuple):
    """Equal to a Negated with the same number, as all tuples are."""

    scale: float

    def __call__(self, outputs, targets):
        return 2 * self.scale * (outputs**2).sum(axis=-1)


class Negated(NamedTuple):
    scale: float

    def __call__(self, outputs, targets):
        return -self.scale * (outputs**2).sum(axis=-1)


class Shifted:
    """All are equal, or so they say; or they can be neither compared nor hashed."""

    def __init__(self, by, trouble=None):
        self.by, self.trouble = by, trouble

    def __eq__(self, other):
        if self.trouble == "eq":
            raise ValueError("cannot be compared")
        return True

    def __hash__(self):
        if self.trouble == "hash":
            raise ValueError("cannot be hashed")
        return 1

    def __call__(self, outputs, targets):
        return self.by + (outputs**2).sum(axis=-1)


doubled, negated = Doubled(1.0), Negated(1.0)
shifted_1, shifted_2 = Shifted(1), Shifted(2)
no_eq_1, no_eq_2 = Shifted(1, "eq"), Shifted(2, "eq")
no_hash_1, no_hash_2 = Shifted(1, "hash"), Shifted(2, "hash")


@pytest.mark.parametrize(
    "names",
    [
        ("doubled", "negated"),
        ("shifted_1", "shifted_2"),
        ("no_eq_1", "no_eq_2"),
        ("no_hash_1", "no_hash_2"),
    ],
)
def test_functions_that_call_themselves_equal_are_told_apart(names):
    losses = [f"test_compilers:{name}" for name in names]
    whole = planner_of(tiny({"loss": losses}, model="mlp", task="digits", replicates=1))
    results = train(whole, whole.resolved.trials())
    assert len({result.metrics["test_loss"] for result in results.values()}) == 2
    alone = planner_of(tiny({"loss": losses[1:]}, model="mlp", task="digits", replicates=1))
    for key, result in train(alone, alone.resolved.trials()).items():
        assert_same(result, results[key])


@pytest.mark.parametrize("same", [None, Shifted(1), Shifted(1, "eq"), Shifted(1, "hash")])
def test_functions_that_cannot_be_told_apart_are_all_traced(compilers, same):
    sames = [same, same and Shifted(same.by, same.trouble)]
    first, second = (
        compilers.submit(lambda x, n=n: x * n, ONE, same=s)
        for n, s in zip((2, 3), sames, strict=True)
    )
    assert (first.result(60)(1.0), second.result(60)(1.0)) == (2, 3)


def test_the_same_function_is_tried_again_where_it_failed(compilers):
    answers = iter([MemoryError("this once"), 7.0])

    def function(x):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return x + answer

    with pytest.raises(MemoryError, match="this once"):
        compilers.submit(function, ONE, same="it").result(60)
    assert compilers.submit(function, ONE, same="it").result(60)(1.0) == 8


def broken(x):
    return jax.ffi.ffi_call("gridscape_no_such_call", ONE[0])(x)


def test_what_cannot_be_compiled_is_told_to_everyone_who_waits(compilers):
    wanted = [compilers.submit(broken, ONE) for _ in range(3)]
    for one in wanted:
        with pytest.raises(Exception, match="gridscape_no_such_call"):
            one.result(60)
    assert compiled(compilers, lambda x: x + 1)(1.0) == 2


@pytest.fixture
def held(monkeypatch):
    """Compiling goes on when the event is set; ``begins`` is set, and ``begun`` counts, before."""
    event, plain = threading.Event(), jax.stages.Lowered.compile
    event.begins, event.begun = threading.Event(), 0

    def compile(*args, **options):
        event.begun += 1
        event.begins.set()
        assert event.wait(60)
        return plain(*args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    return event


def test_no_thread_waits_for_a_program_that_another_one_compiles(compilers, held, monkeypatch):
    monkeypatch.setattr(module, "n_cores", lambda: 2)
    two = Compilers()
    waiting = [two.submit(lambda x: x * 2, ONE) for _ in range(3)]
    traced = threading.Event()

    def other(x):
        traced.set()
        return x

    last = two.submit(other, ONE)
    assert traced.wait(60)
    held.set()
    assert len({one.result(60) for one in waiting}) == 1
    assert last.result(60)(5.0) == 5
    assert held.begun == 2


def test_what_failed_once_is_tried_again(compilers, monkeypatch):
    plain, tries = jax.stages.Lowered.compile, []

    def compile(*args, **options):
        tries.append(args)
        if len(tries) == 1:
            raise MemoryError("this once")
        return plain(*args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile)
    with pytest.raises(MemoryError, match="this once"):
        compiled(compilers, lambda x: x - 1)
    assert compiled(compilers, lambda x: x - 1)(3.0) == 2


def test_what_was_not_begun_when_all_ends_is_cancelled(held, monkeypatch):
    monkeypatch.setattr(module, "n_cores", lambda: 1)
    compilers = Compilers()
    first = compilers.submit(lambda x: x, ONE)
    assert held.begins.wait(60)
    second = compilers.submit(lambda x: x + 1, ONE)
    compilers.close()
    held.set()
    assert first.result(60)(1.0) == 1
    assert second.cancelled()
