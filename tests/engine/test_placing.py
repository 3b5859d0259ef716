"""Programs of one device on another: the same code, and compiled only where it cannot be moved."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from gridscape.engine import compilers, placing
from gridscape.engine.compilers import Compilers
from gridscape.engine.placing import loaded, made_with, moved, source_of


@pytest.fixture
def function(monkeypatch):
    """One that nobody has compiled before: what comes from a cache of JAX's cannot be moved."""
    monkeypatch.setattr(compilers, "kept_programs", lambda: None)
    unlike_any_other = int.from_bytes(os.urandom(3), "little") / 2**24

    def function(x, y):
        noise = jax.random.normal(jax.random.key(3), x.shape)
        return {"sum": jnp.sin(x) + noise + y.sum() + unlike_any_other, "product": x @ x.T}

    return function


def shapes_on(device):
    where = SingleDeviceSharding(device)
    return [jax.ShapeDtypeStruct(s, jnp.float32, sharding=where) for s in ((4, 4), (3,))]


def arguments_on(device):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in ((4, 4), (3,))]
    return jax.device_put(arrays, device)


def run_on(program, device):
    found = program(*arguments_on(device))
    assert found["sum"].devices() == {device}
    return jax.tree.map(np.asarray, found)


def assert_same(one, other):
    assert jax.tree.all(jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), one, other))


@pytest.mark.parametrize("light", [False, True])
def test_a_program_gives_the_same_bits_wherever_it_was_moved(light, function):
    first, second = jax.local_devices()[:2]
    options = compilers._options(light)
    program = made_with(jax.jit(function).lower(*shapes_on(first)).compile(options), options)
    there = moved(program, second)
    back = moved(there, first)
    wanted = run_on(program, first)
    for each, device in ((there, second), (back, first), (moved(back, first), first)):
        assert_same(run_on(each, device), wanted)
        assert each.memory_analysis().temp_size_in_bytes == (
            program.memory_analysis().temp_size_in_bytes
        )


def test_what_was_not_compiled_here_cannot_be_moved(function):
    first, second = jax.local_devices()[:2]
    program = jax.jit(function).lower(*shapes_on(first)).compile()
    with pytest.raises(KeyError):
        moved(program, second)
    source, trees = source_of(made_with(program, {}))
    run_on(loaded(source, trees, second), second)


@pytest.mark.parametrize("can_be_moved", [True, False])
@pytest.mark.parametrize("same", [None, "told"])
def test_all_devices_share_what_one_has_compiled(monkeypatch, can_be_moved, same, function):
    """XLA cannot write every program: each device has those compiled."""

    def refuse(program, device):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: not serializable")

    count, compiled = [], compilers.compiled
    monkeypatch.setattr(compilers, "compiled", lambda compile: count.append(1) or compiled(compile))
    if not can_be_moved:
        monkeypatch.setattr(compilers, "moved", refuse)
    devices, threads = jax.local_devices()[:2], Compilers()
    asked = [threads.submit(function, shapes_on(device), same=same) for device in devices]
    first, second = (
        run_on(program.result(60), device) for program, device in zip(asked, devices, strict=True)
    )
    assert_same(first, second)
    again = threads.submit(function, shapes_on(devices[1]), same=same).result(60)
    assert_same(run_on(again, devices[1]), first)
    threads.close()
    assert len(count) == (1 if can_be_moved else 2)


def test_where_jax_lacks_what_it_needs_each_device_has_its_own(monkeypatch, function):
    def lacking():
        raise AttributeError("_JaxPjrtUnpickler")

    monkeypatch.setattr(placing, "_reader", lacking)
    assert not placing.can_move()
    devices, threads = jax.local_devices()[:2], Compilers()
    found = [threads.submit(function, shapes_on(d), same="x").result(60) for d in devices]
    assert_same(*(run_on(p, d) for p, d in zip(found, devices, strict=True)))
    threads.close()


def test_trouble_of_one_device_is_that_of_the_other_and_is_tried_again():
    def broken(x, y):
        raise RuntimeError("no such layer")

    devices, threads = jax.local_devices()[:2], Compilers()
    asked = [threads.submit(broken, shapes_on(device), same="broken") for device in devices]
    for each in asked:
        with pytest.raises(RuntimeError, match="no such layer"):
            each.result(60)
    threads.close()


def test_nobody_waits_for_what_was_closed_meanwhile(function):
    devices, threads = jax.local_devices()[:2], Compilers()
    threads.submit(function, shapes_on(devices[0]), same="x").result(60)
    threads.close()
    with pytest.raises(BaseException):  # noqa: B017, PT011
        threads.submit(function, shapes_on(devices[1]), same="x").result(60)
