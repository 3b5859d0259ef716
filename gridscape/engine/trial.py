"""Training of ONE trial: init, train, as pure functions; _slots.py adds the others.

The numbers of a trial follow from its recipe, its replicate and the study's seed alone: keys and
data order are derived from content, never from a position in a cohort.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Float, Int, UInt32

from gridscape.base.data import Groups, Split, Stream
from gridscape.base.parts import Dense, Recurrent
from gridscape.base.state import Training, in_training, joined, parted
from gridscape.base.task import Task
from gridscape.base.types import Array, Hyper, Key, Params
from gridscape.engine.order import batch_order
from gridscape.engine.whole import TrialParts, Whole, are_own, one_after_the_other, whole
from gridscape.kernels import optimizers as native
from gridscape.kernels.batches import take as native_take
from gridscape.kernels.library import in_use
from gridscape.kernels.tables import BAD_QUANTITIES
from gridscape.optimizers.extras import averaged, with_noise
from gridscape.optimizers.schedules import clipped
from gridscape.study.study import Recipe

# Of updates that native code does in one call, what they read of their own and give: 1 MB.
FLOATS_AT_ONCE = 2**18
BAD_PARAMETERS = BAD_QUANTITIES.index("parameters")


Rule = Callable[[Hyper], optax.GradientTransformation]
PerExample = Callable[[Array, Any], Array]


class Functions(NamedTuple):
    """The functions of a recipe and its task that training and evaluating a trial call.

    They and the shapes of the arguments determine what is traced: trials with the same functions
    have the same programs.
    """

    apply: Callable[..., Array]
    layers: Dense | Recurrent | None
    training: Training | None
    rule: Rule
    native: str | None
    schedule: Callable[[Hyper, Array], Array] | None
    clips: bool
    noisy: bool
    averages: bool
    loss: PerExample
    smoothed: Callable[[Array, Any, Array], Array] | None
    metrics: tuple[tuple[str, PerExample], ...]
    of_means: tuple[tuple[str, Callable[[Array], Array]], ...]
    of_sets: tuple[tuple[str, PerExample, Callable[[Array, Array], Array]], ...]
    prepare: Callable[[Array], Array]
    answer: PerExample | None
    numbers: bool
    groups: Groups | None

    @classmethod
    def of(cls, recipe: Recipe, task: Task) -> "Functions":
        """Those of a recipe that is trained on a task."""
        return cls(
            apply=recipe.model.apply,
            layers=recipe.model.native_layers,
            training=recipe.model.training,
            rule=recipe.optimizer.make,
            native=recipe.optimizer.native_rule,
            schedule=recipe.optimizer.schedule,
            clips=recipe.optimizer.clips,
            noisy=recipe.optimizer.noisy,
            averages=recipe.optimizer.averages,
            loss=recipe.loss,
            smoothed=recipe.smoothed,
            metrics=tuple((n, m.function) for n, m in task.measured.items() if not m.of_set),
            of_means=tuple((n, m.of_mean) for n, m in task.measured.items() if m.of_mean),
            of_sets=tuple((n, m.function, m.of_set) for n, m in task.measured.items() if m.of_set),
            prepare=task.prepare,
            answer=task.answer,
            numbers=task.numbers,
            groups=task.groups,
        )


class TrialState(NamedTuple):
    """A trial between two segments.

    update: updates done. bad_update: the update (from 1) at which something was not finite, or 0;
    bad_quantity: what, as an index of BAD_QUANTITIES of kernels/tables.py. The parameters are the
    last finite ones; the optimizer's state is then undefined. average: of the parameters, where
    that is what is evaluated and kept, else (). State beside the parameters is among both.
    """

    params: Params
    opt_state: Any
    update: Int[Array, ""]
    bad_update: Int[Array, ""]
    bad_quantity: Int[Array, ""]
    average: Params = ()

    @property
    def kept(self) -> Params:
        """The parameters that are evaluated and stored."""
        return self.average if jax.tree.leaves(self.average) else self.params


def init_trial(
    init: Callable[..., Params],
    rule: Rule,
    words: UInt32[Array, "2"],
    hyper: Hyper,
    averages: bool = False,
    training: Training | None = None,
) -> TrialState:
    """A trial before its first update: ``init`` of its model, ``rule`` of its optimizer."""
    params = init(jax.random.wrap_key_data(words), hyper)
    opt_state = rule(hyper).init(parted(training, params)[0])
    zero = jnp.zeros((), jnp.int32)
    return TrialState(params, opt_state, zero, zero, zero, params if averages else ())


def state_shapes(recipe: Recipe) -> TrialState:
    """The shapes of the state of one trial: its parameters and the optimizer's state."""
    hyper = dict.fromkeys(recipe.hyper, jax.ShapeDtypeStruct((), jnp.float32))
    model, averages = recipe.model, recipe.optimizer.averages
    parts = model.init, recipe.optimizer.make, hyper, averages, model.training
    return recipe.memo.of(_state_shapes, *parts)


def _state_shapes(
    init: Callable[..., Params],
    rule: Rule,
    hyper: Hyper,
    averages: bool,
    training: Training | None,
) -> TrialState:
    words = jax.ShapeDtypeStruct((2,), jnp.uint32)
    one_trial = partial(init_trial, init, rule, averages=averages, training=training)
    return jax.eval_shape(one_trial, words, hyper)


def train_trial(
    functions: Functions,
    n_microbatches: int,
    state: TrialState,
    words: UInt32[Array, "2"],
    hyper: Hyper,
    order: Any,
    stop: Int[Array, ""],
    train: Split | None,
) -> tuple[TrialState, dict[str, Float[Array, " U"]]]:
    """Train until ``stop`` updates are done or something is not finite.

    Also returns the loss and the metrics of each batch, before its update.
    """
    if (found := _whole(functions, n_microbatches, state, hyper, order, train)) is not None:
        return _train_whole(functions, found, state, hyper, order, stop)
    start, key = state.update, jax.random.wrap_key_data(words)
    names, n_updates = history_names(functions), len(jax.tree.leaves(order)[0])
    history = {name: jnp.full(n_updates, jnp.nan) for name in names}
    batch_of = batches(functions.prepare, train, order)

    def unfinished(carry: tuple[TrialState, Any]) -> Array:
        return (carry[0].update < stop) & (carry[0].bad_update == 0)

    def one_update(carry: tuple[TrialState, Any]) -> tuple[TrialState, Any]:
        state, history = carry
        at = state.update - start
        step_key = jax.random.fold_in(key, state.update)
        state, numbers = update_trial(
            functions, n_microbatches, state, batch_of(at), step_key, hyper
        )
        return state, {name: history[name].at[at].set(numbers[name]) for name in names}

    return lax.while_loop(unfinished, one_update, (state, history))


def _whole(
    functions: Functions,
    n_microbatches: int,
    state: TrialState,
    hyper: Hyper,
    order: Any,
    train: Any,
) -> Whole | None:
    """How native code does all updates in one call; None where a trial asks for more."""
    f = functions
    more = (f.training, f.schedule, f.clips, f.noisy, f.averages, f.smoothed)
    if any(more) or n_microbatches > 1:
        return None
    metrics = tuple(function for _, function in f.metrics)
    parts = f.loss, f.native, f.rule, f.prepare, state, hyper, order, train, metrics
    return whole(f.layers, TrialParts(*parts))


def _train_whole(
    functions: Functions, found: Whole, state: TrialState, hyper: Hyper, order: Any, stop: Array
) -> tuple[TrialState, dict[str, Float[Array, " U"]]]:
    """The same by calls of native code, of as many updates as their numbers fit into a cache."""
    start, n_updates = state.update, len(jax.tree.leaves(order)[0])
    at_once = max(1, min(n_updates, FLOATS_AT_ONCE // found.floats))
    if at_once == n_updates:
        return _updates_whole(functions, found, state, hyper, order, stop)
    n_padded = -(-n_updates // at_once) * at_once
    order = jax.tree.map(lambda x: _padded(x, n_padded), order)
    history = {name: jnp.full(n_padded, jnp.nan) for name in history_names(functions)}

    def unfinished(carry: tuple[TrialState, Any]) -> Array:
        return (carry[0].update < stop) & (carry[0].bad_update == 0)

    def part(carry: tuple[TrialState, Any]) -> tuple[TrialState, Any]:
        state, history = carry
        at = state.update - start  # all parts before this one were done whole
        own = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, at, at_once), order)
        until = jnp.minimum(stop, state.update + at_once)
        state, numbers = _updates_whole(functions, found, state, hyper, own, until)
        put = lax.dynamic_update_slice_in_dim
        return state, {name: put(x, numbers[name], at, 0) for name, x in history.items()}

    state, history = lax.while_loop(unfinished, part, (state, history))
    return state, {name: x[:n_updates] for name, x in history.items()}


def _padded(x: Array, length: int) -> Array:
    return jnp.pad(x, [(0, length - len(x)), *[(0, 0)] * (x.ndim - 1)])


def _updates_whole(
    functions: Functions, found: Whole, state: TrialState, hyper: Hyper, order: Any, stop: Array
) -> tuple[TrialState, dict[str, Float[Array, " U"]]]:
    """Updates of one call; metrics come after it, of all its outputs."""
    trained = found.train(state, hyper, stop, order)
    step, n_updates = trained.state, len(trained.losses)
    reached = jnp.arange(n_updates) < step.update - state.update
    measured = dict[str, Array]()
    if functions.metrics:
        of_updates = trained.outputs, found.targets(order)
        measured = {name: _means(f, *of_updates) for name, f in functions.metrics}
        # Not by vmap: it may be anything that jit takes.
        measured |= {name: lax.map(f, measured[name]) for name, f in functions.of_means}
    history = {name: jnp.where(reached, x, jnp.nan) for name, x in measured.items()}
    return TrialState(*step), {"loss": trained.losses, **history}


def _means(function: PerExample, outputs: Array, targets: Any) -> Array:
    """The mean of a metric over the batch of each update: outputs (U, B, ...) -> (U, ...)."""
    if not are_own(function):  # it may look at a batch as a whole
        return lax.map(lambda of: function(*of).mean(axis=0), (outputs, targets))
    of_each = function(*jax.tree.map(one_after_the_other, (outputs, targets)))
    return of_each.reshape(*outputs.shape[:2], *of_each.shape[1:]).mean(axis=1)


def history_names(functions: Functions) -> tuple[str, ...]:
    """Names of the numbers in the history of a trial, one of each per batch."""
    return ("loss", *(name for name, _ in functions.metrics))


def draw_batches(
    draw: Callable[[Key, int], Split], batch_size: int, words: UInt32[Array, "U 2"]
) -> Split:
    """The fresh examples of a stream's updates, (U, B, ...), drawn with the key of each.

    All at once, since random numbers cost far less in large numbers.
    """
    return jax.vmap(lambda one: draw(jax.random.wrap_key_data(one), batch_size))(words)


def order_shapes(recipe: Recipe, task: Task, n_updates: int) -> Any:
    """The shapes of a trial's batches in a program: example indices; of a Stream, examples."""
    if isinstance(task.train, Stream):
        return recipe.memo.of(_drawn_shapes, task.train.draw, recipe.batch_size, n_updates)
    one = batch_order(recipe, task, 0, 0, 0, 1)
    return jax.ShapeDtypeStruct((n_updates, one.shape[1]), one.dtype)


def _drawn_shapes(draw: Callable[[Key, int], Split], batch_size: int, n_updates: int) -> Split:
    words = jax.ShapeDtypeStruct((n_updates, 2), jnp.uint32)
    return jax.eval_shape(partial(draw_batches, draw, batch_size), words)


def batches(
    prepare: Callable[[Array], Array], train: Split | None, order: Any
) -> Callable[[Any], Split]:
    """The batch of the update at an index of ``order``, as the model reads it.

    Gathers each batch on demand; a full batch is used in place. For a Stream, ``order`` already
    holds the examples.
    """
    if train is None:
        return lambda at: prepared(prepare, jax.tree.map(lambda x: x[at], order))
    if not order.shape[1]:
        return lambda at: prepared(prepare, train)
    take = native_take if in_use() else _take
    return lambda at: prepared(prepare, take(train, order, at))


def _take(tables: Any, order: Int[Array, "U B"], at: Array) -> Any:
    return jax.tree.map(lambda x: x[order[at]], tables)


def prepared(prepare: Callable[[Array], Array], batch: Split) -> Split:
    """A batch as the model reads it."""
    return Split(prepare(batch.inputs), batch.targets)


def update_trial(
    functions: Functions,
    n_microbatches: int,
    state: TrialState,
    batch: Split,
    key: Array,
    hyper: Hyper,
) -> tuple[TrialState, dict[str, Array]]:
    """One update; a trial in which something is not finite keeps its last finite parameters.

    State beside the parameters is not averaged: it is the last, as PyTorch's AveragedModel has it.
    """
    training = functions.training
    params, beside = parted(training, state.params)
    apart = state._replace(params=params)
    new, moved, numbers = _updated(functions, n_microbatches, apart, beside, batch, key, hyper)
    if training is not None:
        new, beside = _moved(new, params, moved, beside)
    average = state.average
    if functions.averages:
        average, _ = parted(training, average)
        nearer = averaged(average, new.params, hyper["ema"], state.update)
        average = _where(new.bad_update == 0, nearer, average)
        average = joined(training, average, beside)
    params = joined(training, new.params, beside)
    return new._replace(params=params, average=average), numbers


def _moved(new: TrialState, params: Params, moved: Any, beside: Any) -> tuple[TrialState, Any]:
    """The trial and its state after an update; from before where that state is not finite.

    It counts as parameters, which it stands among.
    """
    is_bad = (new.bad_update == 0) & ~all_finite(moved)
    new = new._replace(
        params=_where(is_bad, params, new.params),
        bad_update=jnp.where(is_bad, new.update, new.bad_update),
        bad_quantity=jnp.where(is_bad, BAD_PARAMETERS, new.bad_quantity),
    )
    return new, _where(new.bad_update == 0, moved, beside)


def _updated(
    functions: Functions,
    n_microbatches: int,
    state: TrialState,
    beside: Any,
    batch: Split,
    key: Array,
    hyper: Hyper,
) -> tuple[TrialState, Any, dict[str, Array]]:
    """The same of parameters alone, without their average; and the state beside them."""
    differentiated = _gradient(functions, n_microbatches, state.params, beside, batch, key, hyper)
    numbers, moved, grads = differentiated
    if functions.clips:
        grads = clipped(grads, hyper["clip_norm"])
    if functions.noisy:
        grads = with_noise(grads, key, hyper, state.update)
    rule, schedule = functions.native, functions.schedule
    if schedule and rule in native.RATE_IN_STATE:
        rule = None
    if rule is not None and native.serve(rule, numbers["loss"], state.params, state.opt_state):
        if schedule:
            rate = hyper["learning_rate"] * schedule(hyper, state.update)
            hyper = {**hyper, "learning_rate": rate}
        step = native.step(
            rule, hyper, numbers["loss"], grads, state.params, state.opt_state, state.update
        )
        return TrialState(*step), moved, numbers
    share = schedule(hyper, state.update) if schedule else None
    new = _optax_step(functions.rule, state, numbers["loss"], grads, hyper, share)
    return new, moved, numbers


def _optax_step(
    rule: Rule,
    state: TrialState,
    loss: Array,
    grads: Params,
    hyper: Hyper,
    share: Array | None = None,
) -> TrialState:
    """The state after an update with these gradients, or a share of it, as optax has the rule."""
    transform = rule(hyper)
    updates, opt_state = transform.update(grads, state.opt_state, state.params)
    if share is not None:
        updates = jax.tree.map(lambda update: share * update, updates)
    params = optax.apply_updates(state.params, updates)
    finite = jnp.stack([jnp.isfinite(loss), all_finite(grads), all_finite(params)])
    healthy = finite.all()
    done = state.update + 1
    return TrialState(
        params=_where(healthy, params, state.params),
        opt_state=_where(healthy, opt_state, state.opt_state),
        update=done,
        bad_update=jnp.where(healthy, 0, done),
        bad_quantity=jnp.where(healthy, 0, jnp.argmin(finite).astype(jnp.int32) + 1),
    )


def _gradient(
    functions: Functions,
    n_microbatches: int,
    params: Params,
    beside: Any,
    batch: Split,
    key: Array,
    hyper: Hyper,
) -> tuple[dict[str, Array], Any, Params]:
    """Mean loss and metrics of the batch, the state after it, and the gradient.

    Over so many microbatches, of which a model with state knows one: its statistics are those of
    whole batches.
    """
    found = _means_and_gradient(functions, n_microbatches, params, beside, batch, key, hyper)
    (means, moved), grads = found
    return means | {name: f(means[name]) for name, f in functions.of_means}, moved, grads


def _means_and_gradient(
    functions: Functions,
    n_microbatches: int,
    params: Params,
    beside: Any,
    batch: Split,
    key: Array,
    hyper: Hyper,
) -> tuple[tuple[dict[str, Array], Any], Params]:
    """The same, but of metrics that are made of a mean only the mean."""
    training = functions.training

    def loss(params: Params, batch: Split, key: Array) -> tuple[Array, Any]:
        whole = joined(training, params, beside)
        given = whole, batch.inputs, key, hyper
        outputs, moved = in_training(functions.apply, training, *given)
        mean_loss = functions.loss(outputs, batch.targets).mean()
        means = {name: f(outputs, batch.targets).mean(axis=0) for name, f in functions.metrics}
        trained = mean_loss
        if functions.smoothed is not None:  # what is told is the loss of the labels themselves
            amount = hyper["label_smoothing"]
            trained = functions.smoothed(outputs, batch.targets, amount).mean()
        return trained, ({"loss": mean_loss, **means}, moved)

    differentiate = jax.grad(loss, has_aux=True)
    if n_microbatches == 1 or training is not None:
        grads, found = differentiate(params, batch, key)
        return found, grads

    def microbatch(total: Any, at: tuple[Split, Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, differentiate(params, *at)), None

    parts = jax.tree.map(lambda x: x.reshape(n_microbatches, -1, *x.shape[1:]), batch)
    shapes = jax.eval_shape(differentiate, params, jax.tree.map(lambda x: x[0], parts), key)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    total, _ = lax.scan(microbatch, zeros, (parts, jax.random.split(key, n_microbatches)))
    grads, found = jax.tree.map(lambda x: x / n_microbatches, total)
    return found, grads


def all_finite(tree: Any) -> Array:
    """Whether every number of a pytree is finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _where(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
