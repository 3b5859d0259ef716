"""How JAX and Gridscape are set up for the tests, before either is imported by one.

Not set: strict promotion of types, since optax's bias correction raises a float32 to an int32.
"""

import atexit
import os
import shutil
import signal
import tempfile
import zlib
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

# A program that one test compiled is read by all others, in their processes too.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="gridscape-test-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
KEPT_FROM_SECONDS = 0.1
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = str(KEPT_FROM_SECONDS)
# What a user trains is noted in the user's own data directory: not in that of whoever tests.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="gridscape-test-user-data-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", KEPT_FROM_SECONDS)
# Tests send signals; a shell has Ctrl-C ignored by what it starts in the background, nohup SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Two devices wherever the tests run: the division of trials among devices is always tried.
jax.config.update("jax_num_cpu_devices", 2)
# (B,) - (B, 1) is a (B, B) array and nearly always a mistake.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.local_devices()  # from here on, the number of devices is fixed


def modules_with_shapes():
    """Those that annotate shapes: in all others each call would be looked at in vain."""
    root = Path(__file__).parents[1]
    paths = [p for p in root.glob("gridscape/**/*.py") if "jaxtyping" in p.read_text("utf-8")]
    return [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]


install_import_hook(modules_with_shapes(), "shapes.check_shapes")


# Folders whose tests mostly compile: in continuous integration each of them runs on one version of
# JAX, a fifth of them on the newest, which compiles for twice as long.
COMPILING = {"base", "engine", "execution", "kernels", "models", "optimizers", "sweep", "tasks"}


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="more kills and every instruction set: an hour"
    )
    parser.addoption(
        "--jax",
        choices=["newest", "oldest"],
        help="the tests of this one in continuous integration",
    )


def pytest_collection_modifyitems(config, items):
    """What takes longest first: begun last, it would keep one worker while the others idle."""
    if version := config.getoption("jax"):
        left_out = [item for item in items if version != version_of(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if version == version_of(item)]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def version_of(item):
    """The version of JAX of a test: of one that compiles by its name, of all others the oldest."""
    if item.path.parent.name not in COMPILING or item.get_closest_marker("slow"):
        return "oldest"
    return "oldest" if zlib.crc32(item.nodeid.encode()) % 5 else "newest"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """What a tiny study comes to, trained without any trouble: results by cell and replicate."""
    # Here: only what is imported after the hook above has its shapes checked.
    from cohort_tools import tiny
    from runs import stored

    from gridscape.sweep import run

    folder = tmp_path_factory.mktemp("undisturbed")
    run(tiny(), directory=folder)
    return stored(folder)


@pytest.fixture
def one_after_the_other(monkeypatch):
    """Works on all devices at once, in this thread: what happens when is the same each time."""
    monkeypatch.setattr("gridscape.engine.machine.Machine.trains_apart", False)
