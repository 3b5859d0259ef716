"""A model that would end the process has an error of its own; Ctrl-C is none of a model's."""

import signal

import jax.numpy as jnp
import pytest

import gridscape as gs
from gridscape.errors import ModelError, UsageError, one_line
from gridscape.study.parts import load_object

ENDINGS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("x")]


def a_study(raises, n_examples=None):
    """A study whose model calls ``raises`` for so many examples; None: whenever it is asked."""

    def init(key, hyper):
        return {"w": jnp.zeros((64, 10))}

    def apply(params, inputs, key, hyper):
        if n_examples in (None, inputs.shape[0]):
            raises()
        return inputs @ params["w"]

    axes = {"learning_rate": [0.1]}
    return gs.Study(task="digits-flat", model=(init, apply), axes=axes, updates=2, replicates=1)


def raising(error):
    def call(*_):
        raise error

    return call


@pytest.mark.parametrize("error", ENDINGS, ids=repr)
def test_while_it_is_checked(error):
    with pytest.raises(ModelError) as caught:
        a_study(raising(error)).resolve()
    assert f"found {one_line(error)}" in str(caught.value)


def test_while_it_is_trained(tmp_path):
    land = gs.run(a_study(raising(SystemExit(3)), n_examples=100), directory=tmp_path / "r")
    assert land.array("status").item() == "failed"
    assert land.array("reason").item() == "SystemExit: 3"


def test_ctrl_c_meanwhile_is_ctrl_c():
    with pytest.raises(KeyboardInterrupt):
        a_study(lambda: signal.raise_signal(signal.SIGINT)).resolve()


def test_other_parts():
    with pytest.raises(UsageError, match="found SystemExit: 3"):
        gs.Task.from_arrays(([[1.0]], [0]), ([[1.0]], [0]), prepare=raising(SystemExit(3)))


def test_a_module_that_ends_the_process(tmp_path, monkeypatch):
    (tmp_path / "ends_the_process.py").write_text("import sys\nsys.exit('enough')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="found SystemExit: enough"):
        load_object("model", "ends_the_process:model", {})


def test_a_callback_that_raises_is_told_by_its_own_error():
    trace = 'Traceback (most recent call last):\n  File "my.py", line 3, in read\n    x = 1\n'
    begin = "INTERNAL: CpuCallback error calling callback: "
    error = RuntimeError(f"{begin}{trace}ValueError: my own reason\nand more")
    assert one_line(error) == "ValueError: my own reason"
    assert one_line(RuntimeError(begin + trace)) == f"{begin}{trace.splitlines()[0]}"
