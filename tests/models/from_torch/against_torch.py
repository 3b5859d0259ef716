"""Compares what a module gives as a model with what PyTorch gives, apart from the check inside."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

from gridscape import from_torch
from gridscape.models.torch_weights import TensorsOf

# Float32 sums in another order: of the largest number of an array, and for gradients that are zero
# in exact arithmetic, of the largest of all.
OF_OWN, OF_ALL = 1e-4, 1e-6


def assert_agrees(build, shape, n_outputs=3, *, images=False, ints=0, n=4, lengths=None):
    """A model of ``build`` gives what its module does: outputs and gradients, and its weights."""
    model = from_torch(build)(shape, n_outputs)
    key = jax.random.key(5)
    params = model.init(key, {})
    module = build()
    tensors = {name: torch.tensor(np.asarray(x)) for name, x in TensorsOf(params).items()}
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    assert not unexpected
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert not trained & set(missing)
    random = np.random.default_rng(3)
    x = random.normal(size=(n, *shape)).astype(np.float32)
    x = random.integers(0, ints, (n, *shape)).astype(np.float32) if ints else x
    module.eval()
    given = torch.tensor(x).long() if ints else torch.tensor(x)
    if images:  # in a fresh array: one channel turned round would keep odd strides
        given = torch.empty(n, shape[2], *shape[:2]).copy_(given.permute(0, 3, 1, 2))
    outputs = module(given)
    weights = random.normal(size=outputs.shape).astype(np.float32)
    (outputs * torch.tensor(weights)).sum().backward()
    expected = {n: p.grad.numpy() for n, p in module.named_parameters() if p.grad is not None}

    def total(params):
        found = model.apply(params, jnp.asarray(x), None, {})
        return (found * weights).sum(), found

    gradients, found = jax.jit(jax.grad(total, has_aux=True))(params)
    assert_close({"outputs": found}, {"outputs": outputs.detach().numpy()})
    assert_close(TensorsOf(gradients), expected)
    return model, params, module


def assert_close(found, expected):
    largest = max((np.abs(x).max() for x in expected.values()), default=0)
    for name, array in expected.items():
        allowed = OF_OWN * np.abs(array).max() + OF_ALL * largest
        np.testing.assert_allclose(found[name], array, rtol=0, atol=allowed, err_msg=name)
