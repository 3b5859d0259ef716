"""What cannot be translated is told in one line, by its place, before anything trains."""

import sys

import numpy as np
import pytest

from gridscape import Study, from_torch
from gridscape.errors import GridscapeError, ModelError, StudyFileError, UsageError

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812
from torch.nn.utils.rnn import pack_padded_sequence  # noqa: E402


class Linear(nn.Module):
    """64 numbers -> 10, on which the others build."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return self.after(self.body(x))


def after(function, name="Net"):
    """A module that applies a function to what a linear layer gives."""
    return type(name, (Linear,), {"after": lambda self, x: function(x)})


def branching(x):
    return x * 2 if x.sum() > 0 else x


def assigning(x):
    x[:, 0] = 0
    return x


def changing(x):
    x.mul_(2)
    return x


def filling(x):
    out = torch.zeros(len(x), 10)
    out[:, 0] = x[:, 0]
    return out


def aside(x):
    with torch.no_grad():
        y = x * 3
    return x + y


class Keeping(Linear):
    def forward(self, x):
        self.state = self.body(x)
        return self.state


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Flatten(), nn.Linear(64, 64), after(torch.fft.fft)()])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Along(nn.Module):
    """Forgets batch_first."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 10)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Projected(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, proj_size=10, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 10, batch_first=True)

    def forward(self, x):
        return self.lstm(x.flatten(1))[0]


class Two(Linear):
    def forward(self, x, y, z):
        return self.body(x)


class OwnNorm(nn.BatchNorm1d):
    pass


class Frozen(Linear):
    def __init__(self):
        super().__init__()
        self.body[1].weight.requires_grad_(False)

    def forward(self, x):
        return self.body(x)


def unseeded():
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.constant_(module[1].bias, np.random.default_rng().normal())
    return module


HERE = "test_torch_refusals.py, line "
REFUSED = {
    "data-dependent": (after(branching), [f"Net ({HERE}", "goes by the values of a tensor"]),
    "item": (after(lambda x: x * x.max().item()), ["goes by the values of a tensor"]),
    "float": (after(lambda x: x * float(x[0, 0])), ["goes by the values of a tensor"]),
    "selected by a mask": (after(lambda x: x[x > 0].sum() + x), ["by a mask"]),
    "function": (after(torch.fft.fft), ["cannot translate fft_fft", "docs/models.md"]),
    "place": (Nested, [f"Nested.blocks.2 ({HERE}", "fft_fft"]),
    "assigned": (after(assigning), ["an assignment to a part of a tensor", "torch.where"]),
    "filled": (after(filling), ["an assignment to a part of a tensor"]),
    "in place": (after(changing), ["the in-place mul_"]),
    "not followed": (after(aside), ["differs from the module in the gradient of body.1."]),
    "random": (after(lambda x: x + torch.randn(len(x), 10)), ["random numbers, by randn"]),
    "state": (Keeping, ["Keeping.state: the module keeps a value between calls"]),
    "no tensor": (after(lambda x: (x, x)), ["forward gives no tensor", "found tuple"]),
    "raises": (after(lambda x: x.nothing()), ["has no attribute 'nothing'", f"Net ({HERE}"]),
    "mixes": (after(lambda x: x - x.mean(0)), ["depends on the other examples of the batch"]),
    "mixes in order": (Along, ["depends on the other examples of the batch", "batch_first=True"]),
    "projected": (Projected, ["Projected.lstm", "an LSTM with proj_size"]),
    "unbatched": (Flat, ["Flat.lstm", "a batch that is read as one sequence"]),
    "three inputs": (Two, ["forward takes other inputs", "forward(x, y, z)"]),
    "shape": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(60, 10)),
        ["Sequential.1", "does not run on the task's inputs", "(B, 8, 8)", "64 and 60x10"],
    ),
    "double": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double(),
        ["Sequential.1.weight: a parameter that cannot be trained", "found float64"],
    ),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), ["a lazy layer"]),
    "frozen at random": (Frozen, ["Frozen.body.1.weight: what is not trained differs"]),
    "unseeded": (unseeded, ["Sequential.1.bias: build gives other weights under the same seed"]),
    "raising build": (lambda: nn.Linear(-1, 2), ["build raises an error"]),
    "no module": (lambda: 3, ["build makes no PyTorch module", "found int"]),
    "float64": (after(lambda x: x.double()), ["cannot translate a tensor of type double"]),
    "batch norm": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), OwnNorm(10)),
        ["Sequential.2: cannot translate batch_norm", "nn.BatchNorm1d, nn.BatchNorm2d"],
    ),
    "embedding": (
        lambda: nn.Sequential(nn.Flatten(), nn.Embedding(5, 3, max_norm=1.0)),
        ["an Embedding with max_norm"],
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of lazy layers, and of what a forward does
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    build, words = REFUSED[name]
    with pytest.raises(ModelError) as caught:
        from_torch(build)((8, 8), 10)
    for word in words:
        assert word in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_linear_layer_alone_is_not_refused():
    from_torch(after(lambda x: x))((8, 8), 10)


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 10, batch_first=True)

    def forward(self, x, lengths):
        return self.lstm(pack_padded_sequence(x, lengths, batch_first=True))[1][0][-1]


def test_batches_need_not_be_sorted():
    with pytest.raises(ModelError, match="enforce_sorted=False"):
        from_torch(Packed)((8, 8), 10)


@pytest.mark.parametrize(
    ("build", "word"), [(3, "int"), (nn.Linear(2, 3), r"lambda: nn.Sequential")]
)
def test_a_build_is_a_function(build, word):
    with pytest.raises(UsageError, match=word):
        from_torch(build)


def test_channels_are_first_or_last():
    with pytest.raises(UsageError, match="unknown channels"):
        from_torch(Linear, channels="middle")


def on_digits(model, **values):
    return Study(name="t", task="digits-rows", model=model, axes={"learning_rate": [0.1]}, **values)


def test_a_module_that_was_not_brought_says_how():
    for model in (Linear, Linear()):
        with pytest.raises(StudyFileError, match=r"a PyTorch module by gridscape\.from_torch"):
            on_digits(model).resolve()


def test_what_does_not_fit_the_task():
    build = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 12))  # noqa: E731
    with pytest.raises(ModelError, match=r"the model's output does not fit the task.*\(B, 12\)"):
        on_digits(from_torch(build)).resolve()


def test_options_of_the_build_are_those_of_the_model():
    def build(width, depth=1):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    with pytest.raises(StudyFileError, match="required by the model, but missing"):
        on_digits(from_torch(build)).resolve()
    with pytest.raises(StudyFileError, match="did you mean 'width'"):
        on_digits(from_torch(build), model_options={"widht": 3}).resolve()


def test_without_pytorch_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(GridscapeError) as caught:
        from_torch(Linear)
    assert str(caught.value) == "PyTorch is not installed; pip install 'gridscape[torch]'"
    with pytest.raises(GridscapeError, match="PyTorch is not installed"):
        on_digits("torch:nets:build").resolve()


def test_unknown_function_of_functional():
    with pytest.raises(ModelError, match="cannot translate"):
        from_torch(after(lambda x: F.gumbel_softmax(x)))((8, 8), 10)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: x.sum(), r"float32 of shape \(\)"),
        (lambda x: x > 0, r"bool of shape \(\d+, 3\)"),
        (lambda x: (x > 0).all(), r"bool of shape \(\)"),
    ],
)
def test_what_is_no_number_of_each_example_is_told_so(answer, found):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return answer(self.fc(x))

    with pytest.raises(ModelError, match=f"no numbers of each example.*{found}"):
        from_torch(Odd)((4,), 3)


def test_what_has_no_gradient_is_told_so():
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(x) // 2

    with pytest.raises(ModelError, match=r"no gradient comes.*floor_divide.*detach"):
        from_torch(Whole)((4,), 3)
