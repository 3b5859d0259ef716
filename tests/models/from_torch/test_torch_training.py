"""PyTorch modules in studies: seeds, cohorts, weights back, sequences, dropout, study files."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cohort_tools import assert_same, compilations, planner_of, tiny, train

import gridscape as gs
from gridscape.base.data import Sequences
from gridscape.errors import ModelError, StoreError, UntrustedError, UsageError
from gridscape.models.torch import seed_of
from gridscape.models.torch_weights import TensorsOf
from gridscape.study import reach

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402


class Net(nn.Module):
    def __init__(self, hidden_size=4):
        super().__init__()
        self.lstm = nn.LSTM(8, hidden_size, 2, batch_first=True, bidirectional=True, dropout=0.2)
        self.fc = nn.Linear(2 * hidden_size, 10)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Words(nn.Module):
    """Token numbers and how many of them there are -> 2 classes."""

    def __init__(self, n_read="hidden"):
        super().__init__()
        self.embed, self.fc = nn.Embedding(6, 4), nn.Linear(5, 2)
        self.gru, self.n_read = nn.GRU(4, 5, batch_first=True), n_read

    def forward(self, x, lengths):
        packed = pack_padded_sequence(
            self.embed(x), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        out, h = self.gru(packed)
        if self.n_read == "hidden":
            return self.fc(h[-1])
        out, lengths = pad_packed_sequence(out, batch_first=True)
        at = (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.size(2))
        return self.fc(out.gather(1, at).squeeze(1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch") / "net"
    study = tiny(model=gs.from_torch(Net), keep_parameters="all")
    return study, gs.run(study, directory=folder)


def test_all_cells_are_trained(trained):
    _, land = trained
    assert (land.data.status == "finished").all()
    n_parameters = sum(p.numel() for p in Net(8).parameters())
    assert (land.data.n_parameters.sel(hidden_size=8) == n_parameters).all()


def test_a_trial_alone_is_the_same_in_a_cohort(trained):
    study, _ = trained
    planner = planner_of(study)
    trials = planner.resolved.trials()
    together, alone = train(planner, trials), train(planner, trials[-1:])
    assert_same(together[trials[-1].key], alone[trials[-1].key])


def test_a_new_learning_rate_compiles_nothing(trained):
    study, _ = trained
    axes = {"hidden_size": [4], "learning_rate": [0.01, 0.02, 0.3]}
    planner = planner_of(tiny(axes, model=study.model))
    first, *more = planner.resolved.trials()
    train(planner, [first])
    with compilations() as found:
        results = train(planner, [more[-1]])
    assert results
    assert not found


def test_trained_weights_go_back_to_pytorch(trained):
    study, land = trained
    task = study.resolve().task
    images = torch.tensor(np.array(task.prepare(task.test.inputs)))
    for size in (4, 8):
        cell = {"hidden_size": size, "learning_rate": 0.1}
        module = Net(size).eval()
        module.load_state_dict(land.state_dict(cell, 1))
        with torch.no_grad():
            answers = module(images).argmax(dim=1).numpy()
        accuracy = float(land.data.test_accuracy.sel(cell).sel(replicate=1))
        # Both round otherwise: an example in a thousand may lie on the border of two classes.
        assert np.mean(answers == task.test.targets) == pytest.approx(accuracy, abs=2e-3)


def test_weights_that_are_not_there_are_told(trained, tmp_path):
    _, land = trained
    with pytest.raises(UsageError, match="no cell has hidden_size=5"):
        land.state_dict({"hidden_size": 5, "learning_rate": 0.1})
    with pytest.raises(UsageError, match="unknown replicate '7'"):
        land.state_dict({"hidden_size": 4, "learning_rate": 0.1}, 7)
    axes = {"learning_rate": [0.1]}
    none = gs.run(tiny(axes, keep_parameters="none"), directory=tmp_path / "none")
    with pytest.raises(StoreError, match="were not kept"):
        none.state_dict({})
    other = gs.run(tiny(axes, keep_parameters="all"), directory=tmp_path / "other")
    with pytest.raises(StoreError, match="no parameters of a PyTorch module"):
        other.state_dict({})


def test_initial_weights_are_those_of_the_seed():
    model, key = gs.from_torch(Net)((8, 8), 10), jax.random.key(3)
    tensors = TensorsOf(jax.jit(lambda k: model.init(k, {}))(key))
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(np.asarray(jax.random.key_data(key))))
        expected = Net().state_dict()
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy(), err_msg=name)


def test_the_generator_of_pytorch_stays_as_it_was():
    before = torch.random.get_rng_state()
    model = gs.from_torch(Net)((8, 8), 10)
    model.init(jax.random.key(3), {})
    assert torch.equal(before, torch.random.get_rng_state())


def test_dropout_drops_in_training_alone():
    class Dropping(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(1, 400), nn.Dropout(0.25))

    model = gs.from_torch(Dropping)((1,), 400)
    params, x = model.init(jax.random.key(0), {}), jnp.ones((3, 1))
    whole = np.asarray(model.apply(params, x, None, {}))
    one, other = (np.asarray(model.apply(params, x, jax.random.key(k), {})) for k in (1, 2))
    kept = one != 0
    np.testing.assert_allclose(one[kept], whole[kept] / 0.75, rtol=1e-5)
    assert 0.65 < kept.mean() < 0.85  # of 1,200 numbers, sd 0.013
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("n_read", ["hidden", "gathered"])
def test_packed_sequences_are_read_to_their_ends(n_read):
    model = gs.from_torch(Words)((7, 1), 2, n_read=n_read)
    params = model.init(jax.random.key(0), {})
    module = Words(n_read)
    tensors = TensorsOf(params).items()
    module.load_state_dict({name: torch.tensor(np.asarray(x)) for name, x in tensors})
    steps = np.random.default_rng(0).integers(0, 6, (4, 7, 1)).astype(np.float32)
    lengths = np.array([3, 7, 1, 5], np.int32)
    found = model.apply(params, Sequences(jnp.asarray(steps), jnp.asarray(lengths)), None, {})
    expected = module(torch.tensor(steps[..., 0]).long(), torch.tensor(lengths).long())
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_module_that_reads_no_lengths_is_refused_sequences():
    model = gs.from_torch(Net)((8, 8), 10)
    params = model.init(jax.random.key(0), {})
    sequences = Sequences(jnp.ones((2, 8, 8)), jnp.array([3, 8]))
    with pytest.raises(ModelError, match=r"take forward\(x, lengths\)"):
        model.apply(params, sequences, None, {})


def test_channels_may_stay_last():
    class Last(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 3), nn.Flatten(), nn.Linear(36, 5))

    model = gs.from_torch(Last, channels="last")((4, 3, 2), 5)
    assert model.apply(
        model.init(jax.random.key(0), {}), jnp.ones((2, 4, 3, 2)), None, {}
    ).shape == (2, 5)
    with pytest.raises(ModelError, match="does not run on the task's inputs"):
        gs.from_torch(Last)((4, 3, 2), 5)


def test_shared_weights_are_one_parameter():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
            self.two.weight = self.one.weight

        def forward(self, x):
            return F.relu(self.two(torch.tanh(self.one(x)))) @ self.one.weight

    model = gs.from_torch(Tied)((4,), 4)
    params = model.init(jax.random.key(0), {})
    assert sum(x.size for x in jax.tree.leaves(params)) == 16 + 4 + 4


NETS = """
from torch import nn

SCALE = 2

def block(width):
    return nn.Linear(64, width)

class Net(nn.Sequential):
    def __init__(self, width=8):
        super().__init__(nn.Flatten(), block(width), nn.ReLU(), nn.Linear(width, 10))

def build(width: int = 8) -> nn.Module:
    return Net(width)

def bare(width=8):
    return Net(width)
"""
STUDY = """
task = "digits-flat"
model = "torch:own_nets:build"
updates = 4
batch_size = 20
replicates = 1
[axes]
width = [3, 5]
learning_rate = [0.1]
"""


@pytest.fixture
def own_nets(tmp_path, monkeypatch):
    """A module file and a study file that names what is in it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "own.toml").write_text(STUDY)
    yield tmp_path
    sys.modules.pop("own_nets", None)


def test_a_study_file_names_a_module(own_nets, monkeypatch):
    land = gs.run(own_nets / "own.toml", directory=own_nets / "runs")
    assert (land.data.status == "finished").all()
    assert reach.is_known(land.study)
    (found,) = reach.check(land.study)
    assert found.files == (own_nets / "modules" / "own_nets.py",)
    sys.modules.pop("own_nets")
    gs.Landscape.read(own_nets / "runs")
    assert "own_nets" not in sys.modules, "opening results imports nobody's code"
    monkeypatch.setenv("XDG_DATA_HOME", str(own_nets / "another-user"))
    with pytest.raises(UntrustedError, match="the module 'own_nets'"):
        reach.check(land.study)


def test_keys_follow_the_classes_that_a_build_reaches(own_nets):
    def keys(text):
        (own_nets / "modules" / "own_nets.py").write_text(text)
        sys.modules.pop("own_nets", None)
        __import__("linecache").clearcache()
        study = gs.Study.load(own_nets / "own.toml")
        return [trial.key for trial in study.resolve().trials()]

    first = keys(NETS)
    assert keys(NETS) == first
    assert set(keys(NETS.replace("nn.ReLU()", "nn.Tanh()"))).isdisjoint(first)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_nets:bare", "annotated -> torch.nn.Module"),
        ("os:system", "not a build of a PyTorch module"),
        ("own_nets:gone", "cannot import"),
        ("own_nets", "unknown build of a PyTorch module"),
    ],
)
def test_what_a_name_may_stand_for(own_nets, name, words):
    text = STUDY.replace("own_nets:build", name)
    (own_nets / "own.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        gs.Study.load(own_nets / "own.toml").resolve()
