"""The command that serves the page of studies while they train."""

import os
import shlex
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gridscape.cli._options import Debug
from gridscape.cli._streams import complain
from gridscape.errors import GridscapeError, UnknownNameError, check_whole

ENDING_SECONDS = 3  # in which open pages hear of the end of a run


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(live)


def live(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR",
            help="A results folder, the name of one in runs/, or a folder of several.",
            show_default="runs",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="The address to listen at.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="The port.", show_default="8765, or the next"),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser of this machine.")
    ] = False,
    control: Annotated[
        bool, typer.Option("--control", help="Let who has the address act on runs, too.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Serve the page of studies while they train; it trains nothing."""
    if port is not None:
        check_whole(1, 65_535, **{"--port": port})
    require_extra()
    directory = Path(folder or "runs")
    if not directory.exists() and (Path("runs") / directory / "study.json").is_file():
        directory = Path("runs") / directory
    if not directory.exists():
        known = sorted(path.parent.name for path in Path("runs").glob("*/study.json"))
        raise UnknownNameError("results folder", str(directory), known)
    from gridscape.report.live.server import serve

    def tell(address: str) -> None:
        print(f"Live page: {address}", flush=True)
        acts = ", and lets them act on runs" if control else ""
        print(f"It shows all to whoever has this address{acts}.", end=" ")
        print("Ctrl-C ends it; no run ends with it.", flush=True)
        if browser:
            webbrowser.open(address)

    try:
        serve(directory, host=host, port=port, told=tell, control=control)
    except KeyboardInterrupt:
        return


def require_extra() -> None:
    """Raise GridscapeError where the extra ``live`` is not installed."""
    for name in ("starlette", "uvicorn"):
        if find_spec(name) is None:
            raise GridscapeError(
                f"the live page needs {name}",
                found="not installed",
                hint="pip install 'gridscape[live]'",
            )


SERVE = """\
import sys
from pathlib import Path
from gridscape.report.live.server import serve
folder, parent, control = sys.argv[1:]
tell = lambda at: print(at, flush=True)
serve(Path(folder), told=tell, parent=int(parent), control=control == "control")
"""


@contextmanager
def beside(directory: Path, *, control: bool = False) -> Iterator[None]:
    """A server of a folder that is about to be trained in, in a process of its own.

    The run does not end with it; it ends a little after the run, or when nobody looks on any more
    where the run was killed. control: whether who has the address may act on the run.
    """
    given = [str(directory), str(os.getpid()), "control" if control else "show"]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, *given],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is the run's
    )
    try:
        address = server.stdout.readline().strip() if server.stdout else ""
        if address:
            print(f"Live page: {address}", file=sys.stderr, flush=True)
            if control:
                print("Whoever has this address may act on the run.", file=sys.stderr, flush=True)
            webbrowser.open(address)
        else:
            again = f"gridscape live {shlex.quote(str(directory))}"
            complain(f"warning: no live page; once the run has begun, this tells why: {again}")
        yield
        with suppress(subprocess.TimeoutExpired):
            server.wait(ENDING_SECONDS)
    finally:
        server.terminate()
        server.wait(10)
        if server.stdout:
            server.stdout.close()
