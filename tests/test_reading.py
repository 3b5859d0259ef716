"""What reads results starts no compiler, and what only shows them no other slow package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridscape.store.store import Store
from gridscape.study.study import Study
from gridscape.sweep import run

# What is imported, Python and JAX have no say in.
pytestmark = pytest.mark.slow

COMPILERS = ("jax", "optax")
SLOW = (*COMPILERS, "xarray", "pandas", "scipy.stats", "matplotlib", "asyncio")
COMMANDS = {
    "help": ["--help"],
    "help of a command": ["run", "--help"],
    "show": ["show", "folder"],
    "show as JSON": ["show", "folder", "--json"],
    "export": ["export", "folder", "--output", "table.csv"],
    "export for netCDF": ["export", "folder", "--format", "netcdf"],
    "claims": ["claims", "folder"],
    "report": ["report", "folder"],
    "data": ["data", "list"],
}
QUICK = {
    "version": ["--version"],
    "help": ["--help"],
    "help of a command": ["run", "--help"],
    "show": ["show", "folder"],
    "show as JSON": ["show", "folder", "--json"],
    "show what was not trained": ["show", "empty"],
    "data": ["data", "list"],
}
CALLS = {
    "read": "gs.Landscape.read('folder').best('learning_rate')",
    "claims": "gs.claims.verdicts('folder')",
    "analysis": "gs.analysis.summarize(gs.Landscape.read('folder'))",
    "a study without claims": "try: gs.claims.verdicts('plain')\nexcept gs.GridscapeError: pass",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with claims, and one without."""
    place = tmp_path_factory.mktemp("reading")
    few = Study.load("quickstart").override(
        {"hidden_size": [4], "learning_rate": [0.01, 0.1]}, updates=4, replicates=2
    )
    run(few, directory=place / "plain")
    run(few.override(claims="lstm-width-lr"), directory=place / "folder")
    Store.create(place / "empty", few.resolve().record()).close()
    return place


def imported_by(code: str, place: Path, named: tuple[str, ...] = COMPILERS) -> list[str]:
    """Which of the named modules a fresh process has imported when it ends."""
    ending = f"import sys\nprint([m for m in {named} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{ending}"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return json.loads(done.stderr.splitlines()[-1].replace("'", '"'))


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_reads_imports_no_compiler(place: Path, arguments: list[str]) -> None:
    call = f"from gridscape.cli.commands import exit_status\nassert exit_status({arguments}) == 0"
    assert imported_by(call, place) == []


@pytest.mark.parametrize("arguments", QUICK.values(), ids=QUICK)
def test_a_command_that_shows_imports_nothing_slow(place: Path, arguments: list[str]) -> None:
    call = f"from gridscape.cli.commands import exit_status\nassert exit_status({arguments}) == 0"
    assert imported_by(call, place, SLOW) == []


def test_a_command_that_says_no_number_imports_no_numpy(place: Path) -> None:
    call = "from gridscape.cli.commands import exit_status\nassert exit_status(['--help']) == 0"
    assert imported_by(call, place, ("numpy", "scipy", "rich")) == []


def test_a_landscape_imports_xarray_when_its_data_set_is_asked_for(place: Path) -> None:
    call = "import gridscape as gs\nland = gs.Landscape.read('folder')"
    assert imported_by(f"{call}\nland.counts()", place, ("xarray",)) == []
    assert imported_by(f"{call}\nland.data", place, ("xarray",)) == ["xarray"]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_that_reads_imports_no_compiler(place: Path, call: str) -> None:
    assert imported_by(f"import gridscape as gs\n{call}", place) == []


def test_what_trains_does_import_them(place: Path) -> None:
    """As the tests above would not notice otherwise."""
    assert imported_by("import gridscape.sweep", place) == list(COMPILERS)
