"""The compiled library is found, refused and switched off as it says; all trains without it."""

import json
import os
import runpy
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from setuptools import Distribution, Extension

from gridscape import kernels
from gridscape.kernels import library, tables
from gridscape.models import feedforward
from gridscape.models._cells import CELLS

needs_library = pytest.mark.skipif(
    not kernels.available(), reason=f"native kernels: {kernels.trouble()}"
)


@pytest.fixture
def fresh():
    """The library as if it had not been looked for yet."""
    library.load.cache_clear()
    yield
    library.load.cache_clear()
    library.load()


def told(value, code="print(kernels.target(), '|', kernels.trouble())"):
    """What a process says in which GRIDSCAPE_KERNELS has this value."""
    found = subprocess.run(
        [sys.executable, "-c", f"from gridscape import kernels; {code}"],
        env={**os.environ, library.VARIABLE: value},
        capture_output=True,
        text=True,
        timeout=600,
    )
    return found.stdout.strip() or found.stderr.strip().splitlines()[-1]


def test_kernels_can_be_switched_off():
    assert told("off") == "None | switched off by GRIDSCAPE_KERNELS"


@needs_library
def test_an_instruction_set_can_be_chosen_outside():
    assert told("baseline") == "baseline |"
    assert "expected off, " in told("abacus")


@needs_library
def test_a_library_for_a_newer_interface_is_not_registered(fresh, monkeypatch):
    monkeypatch.setattr(library, "_interface_of_jax", lambda: (0, 1))
    assert not kernels.available()
    assert "this jaxlib has 0.1: install Gridscape again" in kernels.trouble()
    assert kernels.targets() == ()


@needs_library
def test_the_interface_of_this_jaxlib_is_read(fresh):
    assert library._interface_of_jax() >= library._interface_of(library.load().library) > (0, 0)


@needs_library
def test_a_library_of_other_sources_is_not_called(fresh, monkeypatch):
    monkeypatch.setattr(library, "_digest_of_sources", lambda _: "0123456789abcdef")
    assert "compiled from other sources" in kernels.trouble()


def reversed_table(table):
    return dict(reversed(table.items())) if isinstance(table, dict) else table[::-1]


@needs_library
@pytest.mark.parametrize(
    "name", ["CELLS", "ACTIVATIONS", "RULES", "NUMBERS", "LOSSES", "BAD_QUANTITIES"]
)
def test_a_library_of_tables_in_another_order_is_not_called(fresh, monkeypatch, name):
    monkeypatch.setattr(tables, name, reversed_table(getattr(tables, name)))
    assert not kernels.available()
    assert kernels.trouble() == f"its table {name} is not that of kernels/tables.py"


@needs_library
@pytest.mark.parametrize("name", ["RecurrentWorkspace", "DenseWorkspace", "ConvWorkspace"])
def test_a_library_of_fields_in_another_order_is_not_called(fresh, monkeypatch, name):
    fields = getattr(tables, name)._fields
    monkeypatch.setattr(tables, name, namedtuple(name, reversed(fields)))
    assert f"its table {name} " in kernels.trouble()


@needs_library
@pytest.mark.parametrize("name", ["CELLS", "RULES"])
def test_a_library_with_other_counts_is_not_called(fresh, monkeypatch, name):
    table = getattr(tables, name)
    monkeypatch.setattr(tables, name, {**table, next(iter(table)): 7})
    assert f"its table {name} " in kernels.trouble()


@needs_library
def test_what_was_traced_before_is_traced_again_inside_plain():
    def traced(layer):
        return str(jax.make_jaxpr(layer)(jnp.ones((3, 4)), jnp.ones((4, 2))))

    layer = jax.jit(
        lambda x, kernel: feedforward.dense("d", (4, 2), None).apply({"kernel": kernel}, x)
    )
    assert "gridscape_dense" in traced(layer)
    with kernels.plain():
        assert "gridscape_dense" not in traced(layer)
    assert "gridscape_dense" in traced(layer)


def test_weights_of_another_shape_and_empty_batches_take_the_plain_path():
    layer = feedforward.dense("d", (5, 3), None)
    with pytest.raises(TypeError, match="dot_general"):
        layer.apply({"kernel": jnp.ones((5, 3))}, jnp.ones((2, 4)))
    assert layer.apply({"kernel": jnp.ones((5, 3))}, jnp.ones((0, 5))).shape == (0, 3)
    states = CELLS["rnn"].states
    params = {"kernel": jnp.ones((3 + 2, 2)), "bias": jnp.ones(2)}
    with pytest.raises(TypeError, match="dot_general"):
        states(params, jnp.ones((4, 6, 7)), {}, False)
    assert not states(params, jnp.ones((0, 6, 3)), {}, False).any()


def test_what_was_not_compiled_is_told(fresh, monkeypatch):
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    assert not kernels.available()
    assert "needs a C++17 compiler" in kernels.trouble()


def test_a_library_that_is_none_is_told(fresh, monkeypatch, tmp_path):
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"not a library")
    spec = type("Spec", (), {"origin": str(broken)})
    monkeypatch.setattr(library, "find_spec", lambda name: spec)
    assert "cannot be loaded" in kernels.trouble()


def test_a_study_trains_without_them(tmp_path):
    """The plain path, from the command line."""
    options = "--updates 3 --replicates 1 --set hidden_size=4 --set learning_rate=0.01 --json"
    found = subprocess.run(
        [sys.executable, "-m", "gridscape", "run", *options.split(), "--dir", str(tmp_path)],
        env={**os.environ, library.VARIABLE: "off"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["counts"]["finished"] == 1


@pytest.mark.slow
def test_environments_of_a_checkout_compile_the_library_once(tmp_path, monkeypatch):
    """And anew with other flags."""
    made_by_setup = runpy.run_path("setup.py", run_name="made_by_setup")
    monkeypatch.chdir(tmp_path)
    built = []

    class Builds(made_by_setup["BuildKernels"]):
        def _build(self, output):
            built.append(output)
            output.write_bytes(b"library %d" % len(built))

    def installed(environment):
        build = Builds(Distribution())
        build.build_lib, build.compiler = environment, SimpleNamespace(compiler_so_cxx=["cat"])
        build.build_extension(Extension("gridscape.kernels._native", []))
        return (Path(environment) / "gridscape/kernels/_native.so").read_bytes()

    assert [installed("one"), installed("another"), installed("one")] == [b"library 1"] * 3
    monkeypatch.setenv("CXXFLAGS", "-Og")
    assert installed("one") == b"library 2"
    assert len(built) == 2
