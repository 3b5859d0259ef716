"""Modules with BatchNorm and other state, against PyTorch over several updates, and in studies."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, planner_of, tiny, train

import gridscape as gs
from gridscape.base.state import STATE, joined, parted
from gridscape.engine.cohorts import partition
from gridscape.errors import ModelError
from gridscape.execution.cohort_run import CohortRun
from gridscape.execution.executors import Finished
from gridscape.models import torch_weights
from gridscape.models.torch_weights import TensorsOf

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, spectral_norm  # noqa: E402

RATE = 0.1


def stacked(*layers):
    """A class of a sequence of layers, each made anew."""

    class Stacked(nn.Sequential):
        def __init__(self):
            super().__init__(*(layer() for layer in layers))

    return Stacked


class Twice(nn.Module):
    """One BatchNorm that two places share."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.two(self.norm(torch.tanh(self.norm(self.one(x)))))


class Sharing(nn.Module):
    """Two BatchNorms that share their running statistics."""

    def __init__(self):
        super().__init__()
        self.norm, self.again, self.two = nn.BatchNorm1d(6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            setattr(self.again, name, getattr(self.norm, name))

    def forward(self, x):
        return self.two(self.again(torch.tanh(self.norm(x))))


class Frozen(nn.Module):
    """A BatchNorm that stays as it is, also in training."""

    def __init__(self):
        super().__init__()
        self.one, self.norm = nn.Linear(6, 3), nn.BatchNorm1d(3)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x):
        return self.norm(self.one(x))


def conv(norm):
    return stacked(
        lambda: nn.Conv2d(2, 4, 3),
        norm,
        nn.ReLU,
        lambda: nn.MaxPool2d(2),
        nn.Flatten,
        lambda: nn.Linear(16, 3),
    )


MODULES = {
    "flat": (stacked(lambda: nn.Linear(6, 5), lambda: nn.BatchNorm1d(5), nn.ReLU), (6,)),
    "rows": (stacked(lambda: nn.BatchNorm1d(4), nn.Flatten, lambda: nn.Linear(24, 3)), (4, 6)),
    "images": (conv(lambda: nn.BatchNorm2d(4)), (6, 6, 2)),
    "cumulative": (conv(lambda: nn.BatchNorm2d(4, momentum=None, eps=1e-3)), (6, 6, 2)),
    "plain": (conv(lambda: nn.BatchNorm2d(4, affine=False, momentum=0.5)), (6, 6, 2)),
    "instances": (conv(lambda: nn.InstanceNorm2d(4, track_running_stats=True)), (6, 6, 2)),
    "spectral": (stacked(lambda: parametrizations.spectral_norm(nn.Linear(6, 3))), (6,)),
    "weight": (stacked(lambda: parametrizations.weight_norm(nn.Linear(6, 3))), (6,)),
    "twice": (Twice, (6,)),
    "shared": (Sharing, (6,)),
    "frozen": (Frozen, (6,)),
    "volumes": (
        stacked(lambda: nn.Unflatten(1, (2, 3, 2, 2)), lambda: nn.BatchNorm3d(2), nn.Flatten),
        (24,),
    ),
}


def batches(shape, n_outputs, n=5):
    random = np.random.default_rng(0)
    for _ in range(n):
        x, w = random.normal(size=(6, *shape)), random.normal(size=(6, n_outputs))
        yield x.astype(np.float32), w.astype(np.float32)


def trained_by_torch(module, shape, n_outputs):
    """The tensors after some steps of SGD; and what the last batch gives when evaluated."""
    optimizer = torch.optim.SGD(module.parameters(), RATE)
    module.train()
    for x, w in batches(shape, n_outputs):
        given = torch.tensor(x.transpose(0, 3, 1, 2) if len(shape) == 3 else x)
        optimizer.zero_grad()
        (module(given) * torch.tensor(w)).sum().backward()
        optimizer.step()
    return module.state_dict(), module.eval()(given).detach().numpy()


def trained_by_ours(model, params, shape, n_outputs):
    training = model.training or (lambda *given: (model.apply(*given), ()))

    @jax.jit
    def step(params, x, w):
        weights, beside = parted(model.training, params)

        def loss(weights):
            given = joined(model.training, weights, beside), x, None, {}
            outputs, state = training(*given)
            return (outputs * w).sum(), state

        grads, state = jax.grad(loss, has_aux=True)(weights)
        moved = jax.tree.map(lambda p, g: p - RATE * g, weights, grads)
        return joined(model.training, moved, state)

    for x, w in batches(shape, n_outputs):
        params = step(params, x, w)
    return params, model.apply(params, jnp.asarray(x), None, {})


@pytest.mark.parametrize("name", MODULES)
def test_state_is_that_of_pytorch_after_several_updates(name):
    build, shape = MODULES[name]
    model = gs.from_torch(build)(shape, 3)
    params, module = model.init(jax.random.key(1), {}), build()
    weights = {n: np.array(x) for n, x in TensorsOf(params).items()}
    tensors = {n: torch.tensor(x) for n, x in weights.items()}
    module.load_state_dict(tensors, strict=name != "shared")  # stored by their first names
    n_outputs = model.apply(params, jnp.ones((6, *shape)), None, {}).shape[1]
    expected, outputs = trained_by_torch(module, shape, n_outputs)
    expected = {n: x for n, x in expected.items() if not (name == "shared" and n not in weights)}
    found, ours = trained_by_ours(model, params, shape, n_outputs)
    tensors = TensorsOf(found)
    assert tensors.keys() == expected.keys()
    for tensor, array in expected.items():
        # Float32 sums in another order, through five updates: some 1e-6 of numbers of order 1.
        np.testing.assert_allclose(
            tensors[tensor], array.numpy(), rtol=1e-4, atol=1e-5, err_msg=tensor
        )
    np.testing.assert_allclose(ours, outputs, rtol=1e-3, atol=1e-4)


class Normed(nn.Module):
    def __init__(self, hidden_size=8):
        super().__init__()
        self.one, self.norm = nn.Linear(64, hidden_size), nn.BatchNorm1d(hidden_size)
        self.drop, self.two = nn.Dropout(0.1), nn.Linear(hidden_size, 10)

    def forward(self, x):
        return self.two(self.drop(torch.relu(self.norm(self.one(x)))))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    study = tiny(model=gs.from_torch(Normed), task="digits-flat", keep_parameters="all")
    return study, gs.run(study, directory=tmp_path_factory.mktemp("state") / "normed")


def test_trained_weights_and_statistics_go_back_to_pytorch(run):
    study, land = run
    task = study.resolve().task
    images = torch.tensor(np.array(task.prepare(task.test.inputs)))
    for size in (4, 8):
        cell = {"hidden_size": size, "learning_rate": 0.1}
        module, tensors = Normed(size).eval(), land.state_dict(cell, 1)
        assert {n: x.dtype for n, x in tensors.items()} == {
            n: x.dtype for n, x in module.state_dict().items()
        }
        assert tensors["norm.num_batches_tracked"] == study.updates
        module.load_state_dict(tensors)
        with torch.no_grad():
            answers = module(images).argmax(dim=1).numpy()
        accuracy = float(land.data.test_accuracy.sel(cell).sel(replicate=1))
        # Both round otherwise: an example in a thousand may lie on the border of two classes.
        assert np.mean(answers == task.test.targets) == pytest.approx(accuracy, abs=2e-3)
        n_parameters = sum(p.numel() for p in module.parameters())
        assert land.data.n_parameters.sel(cell).sel(replicate=1) == n_parameters


def test_a_trial_is_the_same_alone_and_after_a_break(run):
    study, _ = run
    planner = planner_of(study)
    trials = planner.resolved.trials()
    whole = train(planner, trials)
    assert_same(train(planner, trials[-1:])[trials[-1].key], whole[trials[-1].key])
    cohort = partition(planner.resolved, trials)[0]
    begun = CohortRun(planner, cohort)
    update = next(begun.events()).update
    (snapshot,) = begun.snapshots()
    rest = CohortRun(planner, replace(cohort, start=update)).events(snapshot)
    ended = [event for event in rest if isinstance(event, Finished)]
    assert update < study.updates
    assert ended
    for event in ended:
        assert_same(event.result, whole[event.trial.key])


def test_state_has_one_name():
    assert torch_weights.STATE == STATE


def test_a_layer_trains_as_it_was_read_also_when_it_was_evaluated_since():
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4, 2, batch_first=True, dropout=0.5)

        def forward(self, x):
            return self.lstm(x)[0][:, -1]

    model = gs.from_torch(Dropping)((5, 3), 4)
    params, x = model.init(jax.random.key(0), {}), jnp.ones((2, 5, 3))
    first = model.apply(params, x, jax.random.key(1), {})
    assert not np.allclose(first, model.apply(params, x, None, {}))
    np.testing.assert_array_equal(model.apply(params, x, jax.random.key(1), {}), first)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: nn.BatchNorm1d(6, track_running_stats=False), "without running statistics"),
        (lambda: nn.BatchNorm2d(6), r"Stacked\.0: .*4D input"),
        (lambda: spectral_norm(nn.Linear(6, 3)), r"Stacked\.0: cannot translate a hook"),
    ],
)
def test_what_keeps_state_in_other_ways_is_refused_by_its_place(layer, words):
    with pytest.raises(ModelError, match=words) as caught:
        gs.from_torch(stacked(layer))((6,), 3)
    assert "Stacked.0" in str(caught.value)


def test_a_batch_of_one_is_refused_in_training():
    model = gs.from_torch(Normed)((64,), 10)
    params = model.init(jax.random.key(0), {})
    assert model.apply(params, jnp.ones((1, 64)), None, {}).shape == (1, 10)
    with pytest.raises(ModelError, match="a larger batch is needed"):
        model.training(params, jnp.ones((1, 64)), None, {})
    study = tiny({"learning_rate": [0.1]}, model=gs.from_torch(Normed), task="digits-flat")
    with pytest.raises(ModelError, match=r"Normed\.norm .*a larger batch is needed"):
        study.override(batch_size=1).resolve()


def test_what_is_translated_wrongly_in_training_is_told(monkeypatch):
    from gridscape.models._torch import state as _torch_state

    right = _torch_state._moved
    monkeypatch.setattr(_torch_state, "_moved", lambda read, share, *x: right(read, 0.9, *x))
    with pytest.raises(ModelError, match=r"differs from the module in norm\.running_mean"):
        gs.from_torch(Normed)((64,), 10)
