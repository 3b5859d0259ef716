"""What is traced to the same program is compiled once; what is not, is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

from gridscape._compilers import Compilers
from gridscape.cohorts import partition


@pytest.fixture
def compilers():
    made = Compilers()
    yield made
    made.close()


ONE = (jax.ShapeDtypeStruct((), jnp.float32),)


def compiled(compilers, function, shapes=ONE):
    return compilers.submit(jax.jit(function), shapes).result(60)


def programs_of(study):
    planner = planner_of(study)
    cohorts = partition(planner.resolved, planner.resolved.trials())
    return [planner.program(cohort) for cohort in cohorts]


def recall(axes, **values):
    return tiny(axes, task="recall", model_options={"returns": "every"}, **values)


def test_tasks_that_differ_in_their_data_share_all_but_what_draws_it():
    first, second = programs_of(recall({"position": [1, 2], "hidden_size": [4]}))
    assert first.draw is not second.draw
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


def test_equal_functions_are_one_program(compilers):
    first, second = (compiled(compilers, lambda x: x * 2) for _ in range(2))
    assert first is second


def test_numbers_inside_tell_programs_apart(compilers):
    close = [0.1, float(np.nextafter(np.float32(0.1), np.float32(1)))]
    first, second = (compiled(compilers, lambda x, a=a: x * a) for a in close)
    assert first is not second


@pytest.mark.parametrize("kind", [jnp.asarray, np.asarray, lambda x: jax.random.key(x[0])])
def test_constants_tell_programs_apart(compilers, kind):
    def of(seed):
        constant = kind(np.arange(5000, dtype=np.uint32) + seed)
        if jnp.issubdtype(constant.dtype, jax.dtypes.prng_key):
            return compiled(compilers, lambda x: x + jax.random.uniform(constant))
        return compiled(compilers, lambda x: x + jnp.asarray(constant).sum())

    assert of(1) is of(1)
    assert of(1) is not of(2)


def test_names_of_what_comes_out_tell_programs_apart(compilers):
    first = compiled(compilers, lambda x: {"loss": x})
    second = compiled(compilers, lambda x: {"accuracy": x})
    assert first(1.0).keys() == {"loss"}
    assert second(1.0).keys() == {"accuracy"}


def test_names_of_what_goes_in_tell_programs_apart(compilers):
    for name in ("learning_rate", "momentum"):
        found = compiled(compilers, lambda x: sum(x.values()), ({name: ONE[0]},))
        assert found({name: 3.0}) == 3


def test_programs_that_call_python_are_their_own(compilers):
    def of(number):
        return compiled(
            compilers, lambda x: jax.pure_callback(lambda y: np.float32(number), ONE[0], x)
        )

    first, second = of(1), of(2)
    assert (first(0.0), second(0.0)) == (1, 2)


def test_what_cannot_be_compiled_is_told_to_everyone(compilers):
    def broken(x):
        return jax.ffi.ffi_call("gridscape_no_such_call", ONE[0])(x)

    for _ in range(2):
        with pytest.raises(Exception, match="gridscape_no_such_call"):
            compiled(compilers, broken)
    assert compiled(compilers, lambda x: x + 1)(1.0) == 2
