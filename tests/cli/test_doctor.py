"""The self-check finds wrong numbers, and what the doctor says is true of this machine."""

import importlib.metadata
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from gridscape import kernels
from gridscape.cli import doctor
from gridscape.engine.machine import Machine
from gridscape.identity.version import version_of
from gridscape.kernels import cores, library


@pytest.fixture(scope="module")
def checks():
    return {check.name: check for check in doctor.self_check()}


def test_this_jax_computes_right_numbers(checks):
    assert {name: check.error for name, check in checks.items() if not check.passed} == {}
    assert all(0 <= check.error < doctor.TOLERANCE for check in checks.values())


def test_the_shape_that_jax_0_10_2_got_wrong_is_among_the_checks(checks):
    assert any(name.startswith("32,769 matrix-vector products") for name in checks)


def test_what_training_rests_on_is_checked(checks):
    for word in ("matrix product", "cross-entropy", "LSTM", "LSTM, gradient"):
        assert any(word in name for name in checks)


def test_a_wrong_number_is_found():
    def last_one_lost(a, b):
        return jnp.matmul(a, b).at[-1, -1].set(0.0)

    rng = np.random.default_rng(0)
    right = doctor._check("right", jnp.matmul, np.matmul, rng, (20, 30), (30, 40))
    wrong = doctor._check("wrong", last_one_lost, np.matmul, rng, (20, 30), (30, 40))
    assert right.passed
    assert not wrong.passed


def test_a_number_that_is_not_finite_does_not_pass():
    assert not doctor.SelfCheck("x", float("nan")).passed
    assert not doctor.SelfCheck("x", float("inf")).passed


def test_a_wrong_gradient_is_found(monkeypatch):
    right = doctor.lstm_layer
    detached = lambda kernel, bias, inputs: right(jax.lax.stop_gradient(kernel), bias, inputs)  # noqa: E731
    monkeypatch.setattr(doctor, "lstm_layer", detached)
    state, gradient = doctor._check_lstm(np.random.default_rng(0), "LSTM", 16)
    assert state.passed
    assert not gradient.passed


def test_the_references_agree_with_the_independent_ones():
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(8 + 5, 20)), rng.normal(size=20)
    x = rng.random((3, 4, 8))  # (B, T, D)
    params = {
        "kernel": kernel,
        "bias": bias,
        "output_kernel": np.eye(5),
        "output_bias": np.zeros(5),
    }
    expected, _ = reference.lstm_forward(params, x, forget_bias=0.0)
    np.testing.assert_allclose(
        doctor._numpy_lstm(kernel, bias, x.swapaxes(0, 1)), expected, rtol=1e-12
    )


def test_the_doctor_tells_this_machine(tmp_path):
    found = doctor.examine(tmp_path)
    assert found.passed
    assert found.versions["jax"] == jax.__version__
    assert found.versions["numpy"] == np.__version__
    assert len(found.devices) == jax.local_device_count()
    assert (found.n_cores, found.cores_by) == cores.cores()
    assert found.n_cores <= len(os.sched_getaffinity(0))
    assert 1e7 < found.memory_bytes < 1e14
    assert found.data_folders[0] == tmp_path
    assert found.kernels.keys() == {"recurrent", "dense", "convolution", "optimizer"}
    native = f"native ({kernels.target()})" if kernels.available() else "XLA"
    assert set(found.kernels.values()) == {native}
    has_own = "avx512bf16" in kernels.targets()
    assert found.bfloat16 == ("AVX512_BF16" if has_own else "float32 instructions, slower")


def test_missing_kernels_are_told_with_the_reason(monkeypatch):
    def loaded():
        return library.Loaded(None, "not compiled when Gridscape was installed")

    monkeypatch.setattr(library, "load", loaded)
    (advice,) = doctor._advice(dict.fromkeys(doctor.EXTRAS, "1") | {"jax": "0.10.1"}, ())
    assert advice == "slower without native kernels: not compiled when Gridscape was installed"
    assert doctor._computed_by() == "XLA"


def test_the_speed_of_a_product_is_plausible():
    speed = doctor.product_speed(Machine.local(), seconds=0.05, n=256)
    assert 1e8 < speed < 1e16


def test_a_release_of_jax_that_is_known_to_be_wrong_is_named():
    advice = doctor._advice(dict.fromkeys(doctor.EXTRAS, "1") | {"jax": "0.10.2"}, ())
    assert len(advice) == 1
    assert "39103" in advice[0]


def test_a_failed_check_comes_first_and_a_lacking_extra_has_its_command():
    failed = doctor.SelfCheck("matrix product", 0.5)
    installed = dict.fromkeys(doctor.EXTRAS, "1") | {"jax": "0.10.1", "matplotlib": None}
    first, second = doctor._advice(installed, (failed,))
    assert "matrix product" in first
    assert "pip install 'gridscape[report]'" in second


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert version_of("numpy") is None
