"""Modules of textbooks and tutorials, against PyTorch: attention, upsampling, bags of words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from against_torch import assert_agrees  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812


class Read(nn.Module):
    """A layer of several inputs, given what ``forward`` says, and a linear layer."""

    def __init__(self, layer, forward):
        super().__init__()
        self.layer, self.how, self.fc = layer, forward, nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.how(self.layer, x))


def encoder(**options):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=not options)


def causal(layer, x):
    mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
    return layer(x, mask=mask, is_causal=True)[:, -1]


def both(layer, x):
    read, weights = layer(x, x, x)
    return read.mean(1) + weights.sum(2).mean(1, keepdim=True)


def over_time(layer, x):
    x = x.transpose(0, 1)
    return layer(x, x, x, need_weights=False)[0][-1]


def across(layer, x):
    y = x[..., :5]
    read, weights = layer(x, y, y, average_attn_weights=False)
    return read[:, 0] + weights.mean((1, 2, 3))[:, None]


def unless_masked(layer, x):
    mask = torch.ones(4, 4, dtype=torch.bool).tril(-1)  # the first step may look at nothing
    read, weights = layer(x, x, x, attn_mask=~mask, need_weights=False)
    assert weights is None
    return (read + F.scaled_dot_product_attention(x, x, x, attn_mask=mask)).mean(1)


def in_groups(layer, x):
    q, k = layer(x).view(-1, 4, 4, 2).transpose(1, 2), x[..., :4].view(-1, 4, 2, 2).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, k, enable_gqa=True).transpose(1, 2).flatten(2)[:, 1]


ATTENTION = {
    "unless masked": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), unless_masked),
    "in groups": (lambda: nn.Linear(8, 8), in_groups),
    "both": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), both),
    "over time": (lambda: nn.MultiheadAttention(8, 4, dropout=0.3), over_time),
    "across": (
        lambda: nn.MultiheadAttention(8, 2, kdim=5, vdim=5, bias=False, batch_first=True),
        across,
    ),
    "causal": (lambda: encoder(norm_first=True, activation="gelu"), causal),
    "decoder": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda layer, x: layer(x, x[:, :2])[:, 0],
    ),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_pytorchs(name):
    layer, forward = ATTENTION[name]
    assert_agrees(lambda: Read(layer(), forward), (4, 8))


def test_padding_is_masked_out():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.encode = nn.Embedding(9, 8, padding_idx=0), encoder()
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            is_padding = (x == 0) & (torch.arange(x.size(1)) > 0)
            return self.fc(self.encode(self.embed(x), src_key_padding_mask=is_padding)[:, 0])

    assert_agrees(Words, (6,), ints=9)


def test_attention_drops_out_in_training_alone():
    from gridscape import from_torch

    layer, forward = ATTENTION["over time"]
    model = from_torch(lambda: Read(layer(), forward))((4, 8), 3)
    params, x = model.init(jax.random.key(0), {}), jnp.ones((2, 4, 8)).at[:, 0].set(0)
    whole, again = (model.apply(params, x, None, {}) for _ in range(2))
    np.testing.assert_array_equal(whole, again)
    assert not np.allclose(model.apply(params, x, jax.random.key(1), {}), whole)


class Pictures(nn.Module):
    """What functions make of (B, 4, 5, 6), side by side."""

    def __init__(self, functions):
        super().__init__()
        self.first, self.functions = nn.Conv2d(2, 4, 1), nn.ModuleList(functions)
        n = sum(f(torch.ones(1, 4, 5, 6)).numel() for f in functions)
        self.last = nn.Linear(n, 3)

    def forward(self, x):
        x = self.first(x)
        return self.last(torch.cat([f(x).flatten(1) for f in self.functions], dim=1))


class Resized(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, x):
        return F.interpolate(x, **self.options)


LARGER = {
    "transposed": lambda: [
        nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(4, 6, (2, 3), stride=(1, 2), dilation=(2, 1), groups=2, bias=False),
    ],
    "resized": lambda: [
        Resized(scale_factor=2, mode="bilinear"),
        Resized(size=(7, 9), mode="bilinear", align_corners=True),
        Resized(scale_factor=(0.5, 1.7), mode="bilinear"),
        Resized(size=(3, 8)),
        Resized(scale_factor=1.5, mode="nearest-exact"),
        Resized(size=(2, 3), mode="area"),
        Resized(scale_factor=(0.5, 2), mode="area"),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    ],
    "rearranged": lambda: [
        nn.PixelShuffle(2),
        nn.Sequential(nn.ZeroPad2d((0, 0, 1, 0)), nn.PixelUnshuffle(2)),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
        nn.LocalResponseNorm(3, alpha=0.1),
        nn.Softshrink(0.2),
        nn.Hardshrink(),
    ],
}


@pytest.mark.parametrize("name", LARGER)
def test_pictures_grow_and_shrink_as_in_pytorch(name):
    assert_agrees(lambda: Pictures(LARGER[name]()), (5, 6, 2), images=True)


def test_a_transposed_convolution_of_rows():
    layer = nn.ConvTranspose1d(4, 3, 4, stride=2, padding=1)
    assert_agrees(
        lambda: nn.Sequential(nn.Conv1d(4, 4, 1), layer, nn.Flatten(), nn.Linear(36, 3)), (4, 6)
    )


@pytest.mark.parametrize("mode", ["mean", "sum"])
def test_a_bag_of_words(mode):
    bag = {"mode": mode}
    assert_agrees(
        lambda: nn.Sequential(nn.EmbeddingBag(9, 4, **bag), nn.Linear(4, 3)), (5,), ints=9
    )


def test_alpha_dropout_keeps_mean_and_variance():
    from gridscape import from_torch

    model = from_torch(lambda: nn.Sequential(nn.Linear(1, 4000), nn.SELU(), nn.AlphaDropout(0.2)))
    made = model((1,), 4000)
    params, x = made.init(jax.random.key(0), {}), jnp.ones((1, 1))
    kept = np.asarray(made.apply(params, x, None, {}))
    dropped = np.asarray(made.apply(params, x, jax.random.key(1), {}))
    assert 0.7 < np.mean(dropped != dropped.min()) < 0.9
    module = nn.AlphaDropout(0.2).train()
    many = module(torch.tensor(kept).repeat(50, 1)).numpy()
    # Of 4,000 numbers of spread about 1: 0.016 each, and the same law in both.
    assert dropped.mean() == pytest.approx(many.mean(), abs=0.08)
    assert dropped.std() == pytest.approx(many.std(), abs=0.08)
