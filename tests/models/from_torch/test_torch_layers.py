"""Every layer and function of PyTorch that is translated, against PyTorch."""

import pytest

torch = pytest.importorskip("torch")

from against_torch import assert_agrees  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812


class Applied(nn.Module):
    """A linear layer, a function of (B, 2, 6), and a linear layer on what is left."""

    def __init__(self, function, n_left=None):
        super().__init__()
        self.first, self.function = nn.Linear(5, 12), function
        n_left = function(torch.ones(1, 2, 6)).numel() if n_left is None else n_left
        self.last = nn.Linear(n_left, 3)

    def forward(self, x):
        x = self.function(self.first(x).view(-1, 2, 6))
        return self.last(x.float().reshape(len(x), -1))


OF_NUMBERS = {
    **{
        n: getattr(F, n)
        for n in [
            "relu",
            "relu6",
            "elu",
            "selu",
            "celu",
            "gelu",
            "silu",
            "mish",
            "leaky_relu",
            "softplus",
            "hardtanh",
            "hardsigmoid",
            "hardswish",
            "logsigmoid",
            "softsign",
            "tanhshrink",
        ]
    },
    **{
        n: getattr(torch, n)
        for n in ["tanh", "sigmoid", "exp", "sin", "cos", "abs", "square", "erf", "sign", "floor"]
    },
    "gelu of tanh": lambda x: F.gelu(x, approximate="tanh"),
    "log": lambda x: torch.log(x.abs() + 1) + torch.log1p(x**2) + (x**2 + 1).sqrt().rsqrt(),
    "clamp": lambda x: x.clamp(-0.5, 0.5) + torch.clamp(F.relu(x), min=0) + x.clamp(max=0.1),
    "threshold": lambda x: F.threshold(x, 0.1, -1.0) + F.elu(x, 0.5) + F.leaky_relu(x, 0.2),
    "arithmetic": lambda x: (1 - x) * 2 / (3 + x * x) + 2 ** x.abs() - x**2 + x % 0.7,
    "two": lambda x: torch.maximum(x, -x) + torch.add(x, x, alpha=2) + x.sub(x * 3) + x.div(2.0),
    "broadcast": lambda x: x + x[:, 0, :1, None] * x[:, :1] - torch.arange(6.0) * torch.ones(2, 1),
    "where": lambda x: torch.where(x > 0, x, torch.tensor(0.5)) + x.masked_fill(x < 0, -1.0),
    "compared": lambda x: x * ((x > 0) & (x <= 1) | ~(x != 3)).float() + x * (x >= 0) + x * (x < 1),
    "in place": lambda x: F.relu(x, inplace=True) * 2,
    "detach": lambda x: x * x.detach() + x.clone().contiguous(),
    "type": lambda x: (
        x.to(torch.float32) + x.type_as(x) + (x * 3).long().float() + x.int() + x.to(x)
    ),
}
OF_ARRAYS = {
    "sum": lambda x: (
        x.sum(1) + x.sum(dim=1, keepdim=True)[:, 0] + torch.sum(x, (1,)) + x.mean(dim=1)
    ),
    "max": lambda x: x.max(1)[0] + x.min(dim=1).values + torch.max(x, 1).values + x.amax((1,)),
    "min": lambda x: x + x.min(1, keepdim=True)[0] + x.amin(1)[:, None],
    "variance": lambda x: x.var(2) + x.std(2) + torch.var(x, dim=-1, unbiased=False),
    "norm": lambda x: (
        x.norm(dim=2) + F.normalize(x, dim=2)[:, :, 0] + torch.linalg.vector_norm(x, dim=-1)
    ),
    "similar": lambda x: F.cosine_similarity(x[:, 0], x[:, 1], dim=-1)[:, None] * x[:, 0],
    "logsumexp": lambda x: torch.logsumexp(x, 2) + x.logsumexp(dim=-1),
    "softmax": lambda x: (
        F.softmax(x, dim=-1) + x.softmax(1) + F.log_softmax(x, dim=2) + F.softmin(x, 1)
    ),
    "cumsum": lambda x: x.cumsum(2) + torch.cumsum(x, dim=1),
    "by NumPy's names": lambda x: (
        x.sum(axis=1, keepdims=True) + torch.cat([x, x.max(axis=1, keepdim=True)[0]], axis=1)
    ),
    "by name": lambda x: (
        x.permute(dims=(0, 2, 1)).reshape(shape=(-1, 2, 6)) + torch.flip(x, dims=[2])
    ),
    "argmax": lambda x: (
        x.argmax(2).float() + x.argmin(dim=-1) + F.one_hot(x.argmax(1), 2).sum((1, 2))[:, None]
    ),
    "view": lambda x: (
        x.view(x.size(0), -1)[:, ::2] + x.reshape(len(x), 12)[:, 6:] + torch.flatten(x, 1)[:, :6]
    ),
    "flat": lambda x: x.flatten(1).unflatten(1, (3, 4)).flatten(start_dim=1, end_dim=2),
    "squeeze": lambda x: (
        x.unsqueeze(1).squeeze() + x.unsqueeze(-1).squeeze(-1) + x[:, None].squeeze(1)
    ),
    "permute": lambda x: (
        x.permute(0, 2, 1) + x.transpose(1, 2) + x.mT + x.swapaxes(-1, -2) + x.movedim(1, 2)
    ),
    "cat": lambda x: (
        torch.cat([x, x * 2], dim=1) + torch.cat((x, x), 1) + torch.stack([x, x], 2).view(-1, 4, 6)
    ),
    "split": lambda x: (
        sum(x.chunk(3, dim=2)) + sum(torch.split(x, 2, dim=-1)) + x.split([2, 4], 2)[0]
    ),
    "unbind": lambda x: (
        sum(one for one in x.unbind(2)) + x.select(2, 0) + x.narrow(2, -2, 1)[..., 0]
    ),
    "expand": lambda x: (
        x[:, :1].expand(-1, 4, 6) + x.repeat(1, 2, 1) + x[:, :1].expand(len(x), 4, -1)
    ),
    "expand as": lambda x: x[:, :1].expand_as(x) + x[:, :, :1].expand_as(x).view_as(x),
    "index": lambda x: x[:, -1] + x[:, 0, :] + x[..., 1, :] + x[:, 1, [0, 2, 1, 3, 5, 4]],
    "select": lambda x: (
        x.index_select(2, torch.tensor([0, 3]))
        + x.gather(2, torch.zeros(1, 2, 2).long().expand(len(x), -1, -1))
    ),
    "flip": lambda x: x.flip(2) + torch.flip(x, [1]) + torch.roll(x, 1, 2),
    "pad": lambda x: (
        F.pad(x, (1, 2)) + F.pad(x, (2, 1), value=1.5) + F.pad(x, (1, 2), mode="reflect")
    ),
    "triangles": lambda x: torch.tril(x) + x.triu(1) + torch.tril(torch.ones(2, 6)) * x,
    "made": lambda x: (
        x + x.new_zeros(2, 6) + torch.zeros_like(x) + torch.ones_like(x) + torch.arange(6)
    ),
    "products": lambda x: (
        x @ x.transpose(1, 2) + torch.bmm(x, x.mT) + torch.matmul(x, torch.ones(6, 2))
    ),
    "einsum": lambda x: (
        torch.einsum("bct,bdt->bcd", x, x) + torch.einsum("bct,td->bcd", [x, torch.ones(6, 2)])
    ),
    "attention": lambda x: (
        F.scaled_dot_product_attention(x, x, x)
        + F.scaled_dot_product_attention(x, x, x, is_causal=True)
    ),
    "masked attention": lambda x: F.scaled_dot_product_attention(
        x, x, x, attn_mask=torch.tensor([[True, False], [True, True]])
    ),
    "gated": lambda x: F.glu(x, dim=-1) + F.glu(x),
    "loop": lambda x: sum(x[:, :, t] * t for t in range(x.size(2))) if x.dim() == 3 else x,
    "chosen": lambda x: x[:, :, : x.shape[-1] // 2] if x.shape[1] == 2 else None,
    "layer norm": lambda x: (
        F.layer_norm(x, (6,)) + F.layer_norm(x, x.shape[1:], eps=0.1) + F.rms_norm(x, (6,))
    ),
    "interpolated": lambda x: F.interpolate(x[:, :, None], scale_factor=2),
}


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_functions_of_numbers(name):
    assert_agrees(lambda: Applied(OF_NUMBERS[name]), (5,))


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_functions_of_arrays(name):
    assert_agrees(lambda: Applied(OF_ARRAYS[name]), (5,))


LAYERS = {
    "linear": lambda: nn.Linear(12, 4, bias=False),
    "one": lambda: nn.Sequential(nn.Flatten(0, -2), nn.Linear(12, 1), nn.Tanh()),
    "norm": lambda: nn.Sequential(nn.LayerNorm(12), nn.Dropout(0.3), nn.RMSNorm(12)),
    "norm without weights": lambda: nn.LayerNorm(12, elementwise_affine=False),
    "activations": lambda: nn.Sequential(
        nn.PReLU(), nn.ELU(), nn.LeakyReLU(0.1), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.Softmax(1)
    ),
    "rows": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 6)), nn.Conv1d(2, 4, 3, padding=1), nn.ReLU()
    ),
    "pooled rows": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 6)), nn.Conv1d(2, 4, 2), nn.MaxPool1d(2), nn.AvgPool1d(2, 1)
    ),
    "means of rows": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 6)), nn.Conv1d(2, 4, 3, stride=2, groups=2), nn.AdaptiveAvgPool1d(1)
    ),
    "adaptive rows": lambda: nn.Sequential(nn.Unflatten(1, (2, 6)), nn.AdaptiveMaxPool1d(4)),
    **{
        f"longer rows {options}": lambda o=options: nn.Sequential(
            nn.Unflatten(1, (2, 6)), nn.Conv1d(2, 4, 3), nn.Upsample(**o)
        )
        for options in (
            {"scale_factor": 2},
            {"size": 7, "mode": "linear"},
            {"size": (9,), "mode": "linear", "align_corners": True},
            {"scale_factor": 1.7, "mode": "linear"},
            {"scale_factor": (0.6,), "mode": "nearest-exact"},
        )
    },
    "group norm": lambda: nn.Sequential(nn.Unflatten(1, (4, 3)), nn.GroupNorm(2, 4)),
    "instance norm": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 3)), nn.InstanceNorm1d(4, affine=True)
    ),
    "bilinear": lambda: Bilinear(),
    "identity": lambda: nn.Sequential(nn.Identity(), nn.Sequential(), nn.Hardtanh()),
}


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair = nn.Bilinear(12, 12, 4)

    def forward(self, x):
        return self.pair(x, x)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    def build():
        layer = LAYERS[name]()
        n_left = layer(torch.ones(2, 12)).reshape(2, -1).shape[1]
        return nn.Sequential(nn.Linear(5, 12), layer, nn.Flatten(), nn.Linear(n_left, 3))

    assert_agrees(build, (5,))


PICTURES = {
    "same": lambda: nn.Conv2d(2, 4, 3, padding=1),
    "valid": lambda: nn.Conv2d(2, 4, 3),
    "by word": lambda: nn.Conv2d(2, 4, 5, padding="same", bias=False),
    "wide": lambda: nn.Conv2d(2, 4, (3, 5), padding=(2, 3)),
    "strided": lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1),
    "dilated": lambda: nn.Conv2d(2, 4, 3, dilation=2),
    "grouped": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Conv2d(4, 4, 1)),
    "reflecting": lambda: nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"),
    **{
        f"pooled {kernel} {padding}": lambda k=kernel, p=padding: nn.Sequential(
            nn.Conv2d(2, 4, k, padding=p), nn.ReLU(), nn.MaxPool2d(2)
        )
        for kernel in (1, 2, 3, 5)
        for padding in (0, 1, 2)
    },
    "pooled first": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.ReLU()),
    "pooled by 3": lambda: nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), nn.ReLU()),
    "pooled beyond": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "pooled wide": lambda: nn.MaxPool2d((2, 3), (2, 1), (1, 0), dilation=(2, 1), ceil_mode=True),
    "means": lambda: nn.Sequential(nn.AvgPool2d(2), nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
    "adaptive": lambda: nn.Sequential(nn.AdaptiveAvgPool2d((4, 3)), nn.AdaptiveMaxPool2d(2)),
    "mean": lambda: nn.AdaptiveAvgPool2d(1),
    "normed": lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Dropout2d()),
    "residual": lambda: Residual(),
    "larger": lambda: nn.Upsample(scale_factor=2),
}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.two(F.relu(self.one(x))) * 0.5).mean(dim=(2, 3)) + x[:, :, 0, 0]


@pytest.mark.parametrize("name", PICTURES)
def test_layers_of_pictures(name):
    def build():
        layer = PICTURES[name]()
        n_left = layer(torch.ones(2, 2, 9, 8)).reshape(2, -1).shape[1]
        return nn.Sequential(layer, nn.Flatten(), nn.Linear(n_left, 3))

    assert_agrees(build, (9, 8, 2), images=True)


class Tutorial(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3)
        self.pool, self.fc = nn.MaxPool2d(2, 2), nn.Linear(4 * 3 * 3, 3)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = F.relu(F.max_pool2d(self.conv2(F.pad(x, (1, 1, 1, 1))), 2)) if x.size(2) > 6 else x
        return F.log_softmax(self.fc(x.view(-1, 4 * 3 * 3)), dim=1)


def test_a_network_of_one_channel_as_tutorials_have_it():
    assert_agrees(Tutorial, (14, 15, 1), images=True)


class Read(nn.Module):
    """A recurrent layer, and what is read of it."""

    def __init__(self, kind, read, **options):
        super().__init__()
        self.layer, self.read = kind(3, 4, **{"batch_first": True, **options}), read
        self.last = nn.Linear(4 * (2 if self.layer.bidirectional else 1), 3)

    def forward(self, x):
        x = x if self.layer.batch_first else x.transpose(0, 1)
        return self.last(self.read(self.layer, x))


def final(layer, x):
    out, _ = layer(x)
    return out[:, -1, :] if layer.batch_first else out[-1]


def mean(layer, x):
    return layer(x)[0].mean(dim=1)


def hidden(layer, x):
    _, h = layer(x)
    h = h[0] if isinstance(layer, nn.LSTM) else h
    return torch.cat((h[-2], h[-1]), dim=1) if layer.bidirectional else h[-1]


def cell(layer, x):
    out, (h, c) = layer(x)
    return h.squeeze(0) + c[0] + out[:, 0]


def from_a_state(layer, x):
    shape = layer.num_layers * (2 if layer.bidirectional else 1), len(x), 4
    h = x.mean(dim=1)[None, :, :1].expand(*shape).contiguous()
    out, _ = layer(x, (h, h * 2) if isinstance(layer, nn.LSTM) else h)
    return out[:, 1]


@pytest.mark.parametrize("read", [final, mean, hidden, from_a_state])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers(kind, read):
    assert_agrees(lambda: Read(kind, read), (5, 3))
    assert_agrees(lambda: Read(kind, read, num_layers=2, bidirectional=True), (5, 3))


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 3, "dropout": 0.4},
        {"bias": False},
        {"batch_first": False, "num_layers": 2},
        {"bidirectional": True},
    ],
)
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_options_of_recurrent_layers(kind, options):
    assert_agrees(lambda: Read(kind, final, **options), (5, 3))


def test_other_recurrent_layers():
    assert_agrees(lambda: Read(nn.LSTM, cell), (5, 3))
    assert_agrees(lambda: Read(nn.RNN, final, nonlinearity="relu"), (5, 3))


class Stepwise(nn.Module):
    """A loop over the steps, as it is written with cells."""

    def __init__(self, kind):
        super().__init__()
        self.cell, self.last = kind(3, 4), nn.Linear(4, 3)

    def forward(self, x):
        h, c = torch.zeros(x.size(0), 4), torch.zeros(x.size(0), 4)
        for step in x.unbind(1):
            if isinstance(self.cell, nn.LSTMCell):
                h, c = self.cell(step, (h, c))
            else:
                h = self.cell(step, h)
        return self.last(h)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_cells(kind):
    assert_agrees(lambda: Stepwise(kind), (5, 3))


class Words(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embed = nn.Embedding(7, 4, **options)
        self.lstm, self.last = nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.lstm(self.embed(x))[1][0][-1])


@pytest.mark.parametrize("options", [{}, {"padding_idx": 0}])
def test_embedding_of_whole_numbers(options):
    assert_agrees(lambda: Words(**options), (6,), ints=7)
