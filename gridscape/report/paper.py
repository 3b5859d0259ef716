"""The files for a paper: every figure of a results folder, drawn side by side, if it changed.

What each file was drawn of is kept beside the files. A picture that was edited since stays until
its numbers change.
"""

import hashlib
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from gridscape.errors import GridscapeError
from gridscape.identity.version import __version__
from gridscape.landscape import Landscape
from gridscape.report import figures
from gridscape.report._drawing import needs_matplotlib, paths_of, save
from gridscape.report.findings import gather
from gridscape.report.showcase import showcase
from gridscape.store.blobs import require_within, write_whole

with needs_matplotlib():
    import matplotlib as mpl
    from matplotlib.figure import Figure

DRAWN = ".drawn.json"  # in the folder of figures: what each file was drawn of
AT_ONCE = 3  # figures that take no longer than it takes to start a process


class Picture(NamedTuple):
    """A figure to be drawn into ``folder`` as ``name.png``, ``name.svg`` and ``name.pdf``."""

    folder: Path
    name: str
    make: Callable[[], Figure]

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return paths_of(self.folder, self.name)

    def content(self) -> str:
        """A hash of all that the files depend on."""
        versions = f"{__version__} {mpl.__version__}".encode()
        return hashlib.sha256(versions + pickle.dumps(self.make)).hexdigest()

    def draw(self) -> None:
        """Write the files."""
        save(self.make(), self.folder, self.name)


def draw(
    directory: str | Path,
    data_dir: str | Path | None = None,
    *,
    trust: bool = False,
    processes: int = 1,
) -> list[Path]:
    """Draws the figures of a results folder into its ``figures/``, as PNG, SVG, PDF; returns them.

    Those whose numbers are as they were stay. data_dir, trust: as of ``write``. processes: that
    draw at the same time; a script that asks for more than one begins under
    ``if __name__ == "__main__":``. Raises StoreError where the folder cannot be used,
    GridscapeError where a file cannot be written or matplotlib is not installed.
    """
    directory = Path(directory)
    folder = directory / "figures"
    require_within(directory, folder)
    pictures = list(_pictures(directory, data_dir, trust))
    names = [str(picture.paths[0].relative_to(folder).with_suffix("")) for picture in pictures]
    wanted = dict(zip(names, (picture.content() for picture in pictures), strict=True))
    drawn = _drawn(folder / DRAWN)
    todo = [
        picture
        for name, picture in zip(names, pictures, strict=True)
        if drawn.get(name) != wanted[name] or not all(p.is_file() for p in picture.paths)
    ]
    _draw_all(todo, processes)
    if todo:
        _keep(folder / DRAWN, drawn | wanted)
    return [path for picture in pictures for path in picture.paths]


def _pictures(directory: Path, data_dir: str | Path | None, trust: bool) -> Iterator[Picture]:
    land = Landscape.read(directory)
    shown = showcase(directory, land, data_dir, trust=trust)
    found = gather(land, directory, trust=trust)
    for name, make in figures.pictures(found, shown.chance).items():
        yield Picture(directory / "figures", name, make)
    if shown.looks:
        from gridscape.report import network_figures  # here: it imports JAX

        for look in shown.looks:
            place = network_figures.place_of(look, directory)
            for name, make in network_figures.pictures(look).items():
                yield Picture(place, name, make)


def _draw_all(pictures: list[Picture], processes: int) -> None:
    if processes < 2 or len(pictures) <= AT_ONCE:
        for picture in pictures:
            picture.draw()
        return
    # Not forked: JAX may have begun threads, which a fork would leave behind half done.
    with ProcessPoolExecutor(min(processes, len(pictures)), get_context("spawn")) as pool:
        for _ in pool.map(Picture.draw, pictures):
            pass


def _drawn(path: Path) -> dict[str, str]:
    """What the files were drawn of; nothing where that cannot be read: they are drawn again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(path: Path, drawn: Mapping[str, str]) -> None:
    try:
        write_whole(path, json.dumps(drawn, indent=1).encode())
    except OSError as error:
        raise GridscapeError(
            "cannot write what was drawn", where=path, found=error.strerror or str(error)
        ) from error
