"""Evaluation by a native call: the numbers of any other way, and which outputs are left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gridscape import kernels
from gridscape.base.data import Split
from gridscape.engine.evaluation import (
    FLOATS_READ_ONCE,
    _readers,
    evaluate_trial,
    in_chunks,
    outputs_of,
    read_once,
)
from gridscape.engine.trial import Functions
from gridscape.kernels.library import plain
from gridscape.study.study import Study

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"no native kernels here: {kernels.trouble()}"
)
N_EXAMPLES = 70


def prepared(name, loss=None, **changed):
    """Functions, parameters, numbers and test examples of a named study."""
    axes = {"hidden_size": [5]} | ({"loss": [loss]} if loss else {})
    resolved = Study.load(name).override(axes, **changed).resolve()
    cell = resolved.study.cells()[0]
    recipe, task = resolved.recipe(cell), resolved.task_of(cell)
    functions = Functions.of(recipe, task)
    hyper = {name: jnp.float32(value) for name, value in recipe.hyper.items()}
    params = jax.tree.map(lambda x: 3 * x, recipe.model.init(jax.random.key(0), hyper))
    rows = np.minimum(np.arange(in_chunks(N_EXAMPLES)), N_EXAMPLES - 1)
    return functions, params, hyper, jax.tree.map(lambda x: jnp.asarray(x[rows]), task.test)


def calls_native(*given):
    text = jax.jit(evaluate_trial, static_argnums=0).lower(*given).as_text()
    return "gridscape_sequence_outputs" in text


STUDIES = [("recall", None)]
STUDIES += [("binary-addition", loss) for loss in ("bce", "mse", "mse_raw", "time_softmax")]


@pytest.mark.parametrize(("name", "loss"), STUDIES)
@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_sums_are_those_of_the_plain_path(name, loss, model):
    functions, params, hyper, test = prepared(name, loss=loss, model=model, hyperparameters={})
    given = functions, params, hyper, test, jnp.int32(N_EXAMPLES)
    assert calls_native(*given)
    found = evaluate_trial(*given)
    with plain():
        wanted = evaluate_trial(*given)
    assert found.keys() == wanted.keys()
    for quantity in wanted:  # float32 through some ten steps, summed over 70 examples
        np.testing.assert_allclose(found[quantity], wanted[quantity], rtol=2e-5, atol=1e-4)


def test_the_answer_after_the_last_step_alone():
    functions, params, hyper, test = prepared("quickstart")
    given = functions, params, hyper, test, jnp.int32(N_EXAMPLES)
    assert calls_native(*given)
    with plain():
        wanted = evaluate_trial(*given)
    for quantity, found in evaluate_trial(*given).items():  # float32 through eight steps
        np.testing.assert_allclose(found, wanted[quantity], rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_products_of_rounded_operands_are_those_of_the_layers(precision):
    functions, params, hyper, test = prepared("recall", precision=precision)
    assert not calls_native(functions, params, hyper, test, jnp.int32(N_EXAMPLES))


@pytest.mark.parametrize(("name", "loss"), STUDIES)
def test_what_reads_the_outputs_ignores_those_that_do_not_count(name, loss):
    functions, params, hyper, test = prepared(name, loss=loss)
    read = Split(functions.prepare(test.inputs), test.targets)
    outputs = functions.apply(params, read.inputs, None, hyper)
    n_counted = test.targets.length + (name == "binary-addition")
    counts = jnp.arange(outputs.shape[1])[None, :] < n_counted[:, None]
    assert not counts.all()
    for reader in _readers(functions):
        wanted = reader(outputs, test.targets)
        for other in (jnp.nan, 1e3, -1e3, 0.0):
            changed = jnp.where(counts[:, :, None], outputs, other)
            np.testing.assert_array_equal(reader(changed, test.targets), wanted)


def test_a_metric_of_ones_own_sees_all_outputs():
    functions, params, hyper, test = prepared("recall")
    read = Split(functions.prepare(test.inputs), test.targets)

    def outputs(*readers):
        given = functions.apply, functions.layers, params, hyper, read
        return np.asarray(outputs_of(*given, [*_readers(functions), *readers]))

    beyond = np.arange(9)[None, :] >= np.asarray(test.targets.length)[:, None]
    assert (outputs()[beyond] == 0).any()
    whole = outputs(lambda outputs, targets: outputs.sum(axis=(1, 2)))
    wanted = functions.apply(params, read.inputs, None, hyper)
    np.testing.assert_allclose(whole, wanted, rtol=2e-5, atol=2e-5)  # float32, nine steps
    np.testing.assert_array_equal(whole[~beyond], outputs()[~beyond])


def test_a_model_that_was_changed_is_asked_itself():
    functions, params, hyper, test = prepared("recall")
    changed = functions._replace(layers=None, apply=lambda *given: -functions.apply(*given))
    given = params, hyper, test, jnp.int32(N_EXAMPLES)
    assert not calls_native(changed, *given)
    assert evaluate_trial(changed, *given)["loss"] != evaluate_trial(functions, *given)["loss"]


# ---- examples made ready once ----


def test_few_examples_are_made_ready_once_and_give_the_same_to_the_bit():
    functions, params, hyper, test = prepared("recall")
    once, ready = read_once(functions, test)
    assert ready.inputs.shape == (N_EXAMPLES, 9, 9)
    found = evaluate_trial(once, params, hyper, ready, jnp.int32(N_EXAMPLES))
    wanted = evaluate_trial(functions, params, hyper, test, jnp.int32(N_EXAMPLES))
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_many_examples_and_what_may_look_at_a_batch_are_made_ready_chunk_by_chunk():
    functions, _, _, test = prepared("recall")
    own = functions._replace(prepare=lambda symbols: jax.nn.one_hot(symbols, 9))
    assert read_once(own, test) == (own, test)
    n_many = FLOATS_READ_ONCE // 81 + 1
    many = jax.tree.map(lambda x: jnp.resize(x, (n_many, *x.shape[1:])), test)
    assert read_once(functions, many)[1] is many
    few = jax.tree.map(lambda x: x[: n_many - 1], many)
    assert read_once(functions, few)[1] is not few
