"""The report: one HTML file with everything in it.

The page opens from a disk and asks nobody for anything: its Content-Security-Policy forbids every
load and lets only the two scripts run that are inside. All that a study says is text to it.
"""

import base64
import gzip
import hashlib
import html
import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from gridscape.errors import GridscapeError
from gridscape.grid.many import many_records
from gridscape.identity.version import __version__, version_of
from gridscape.landscape import Landscape
from gridscape.report.contract import PageData
from gridscape.report.document import NOTHING_SHOWN, document, to_json
from gridscape.report.findings import Findings, gather
from gridscape.report.showcase import Showcase, showcase
from gridscape.store.blobs import write_whole

SCRIPTS = (
    *("dom", "tables", "format", "color", "charts", "landscape", "views", "cell", "families"),
    *("networks", "sections", "predict", "main"),
)
LIVE_SCRIPTS = ("live", "control")  # of a page that is served while its study trains
MOST_PLAIN = 1_000_000  # letters of a document that are not packed
PACKAGES = ("jax", "numpy", "optax")


def write(
    directory: str | Path,
    data_dir: str | Path | None = None,
    *,
    trust: bool = False,
    predict: bool = False,
) -> Path:
    """Reads a results folder, writes ``report.html`` into it; returns the page.

    predict: writes ``predict.html`` instead, which is covered until the reader has predicted it.

    The study may be finished, running or crashed. An older report is replaced as a whole. Networks
    whose parameters were kept are looked at where their task is at hand: data_dir is looked in
    first, and nothing is fetched. Code that the study names runs for them only where this user
    trained this study, or with ``trust``; without, the page says so. Raises StoreError where the
    folder cannot be used, GridscapeError where the report cannot be written.
    """
    data = _written(directory, data_dir, trust=trust, predict=predict).encode()
    path = Path(directory) / ("predict.html" if predict else "report.html")
    try:
        try:
            write_whole(path, data)
        except FileNotFoundError:  # a run that began just now took it for one that a crash left
            write_whole(path, data)
    except OSError as error:
        raise GridscapeError(
            "cannot write the report", where=path, found=error.strerror or str(error)
        ) from error
    return path


@many_records()  # until nothing is left of them
def _written(
    directory: str | Path, data_dir: str | Path | None, *, trust: bool, predict: bool
) -> str:
    land = Landscape.read(directory)
    found = gather(land, Path(directory), trust=trust)
    shown = showcase(directory, land, data_dir, trust=trust)
    return _page_of(found, directory, shown, predict)


@many_records()
def read(directory: str | Path) -> str:
    """The page of a results folder as it stands now, as text; nothing is written.

    Without networks, which take seconds to look at. Raises StoreError where the folder cannot be
    used.
    """
    return _page_of(gather(Landscape.read(directory), Path(directory)), directory, NOTHING_SHOWN)


def _page_of(found: Findings, directory: str | Path, shown: Showcase, covered: bool = False) -> str:
    made = datetime.now(UTC).isoformat(timespec="seconds")
    content = document(found, Path(directory), made, environment(), shown, covered=covered)
    return page(content)


def page(content: PageData, *, table: str = "") -> str:
    """The HTML page of a document; one with ``live`` data follows the server that it comes from.

    table: HTML for browsers without JavaScript.
    """
    is_live = "live" in content
    drawn = "\n".join(
        _part(f"{name}.js") for name in (*SCRIPTS, *(LIVE_SCRIPTS if is_live else ()))
    )
    script = f'"use strict";\nconst start = (results) => {{\n{drawn}\n}};\n{_part("start.js")}'
    scripts = {"plotly": inline(plotly()), "script": inline(f"(() => {{\n{script}\n}})();")}
    packing, results = packed(to_json(content))
    return Template(_part("page.html")).substitute(
        scripts,
        title=html.escape(" | ".join(filter(None, (content["altered"], content["title"])))),
        version=html.escape(__version__),
        style=_part("page.css"),
        table=table,
        policy=policy(scripts.values(), connect=is_live),
        packing=packing,
        results=results,
    )


def packed(text: str) -> tuple[str, str]:
    """How a document is packed, as attributes of its element, and the document: long ones are."""
    if len(text) < MOST_PLAIN:
        return 'type="application/json"', text
    data = base64.b64encode(gzip.compress(text.encode(), 4, mtime=0)).decode()
    return 'type="text/plain" data-packed="gzip"', data


def policy(scripts: Any, *, connect: bool = False) -> str:
    """A Content-Security-Policy: nothing is loaded, and only these inline scripts run.

    Styles may be inline because plotly writes its own. connect: whether the page may ask its own
    server what has changed.
    """
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    asks = "connect-src 'self'; " if connect else ""
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        f"img-src data: blob:; {asks}base-uri 'none'; form-action 'none'"
    )


def inline(script: str) -> str:
    """A script that may stand inside a <script> element: nothing in it ends the element."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def plotly() -> str:
    """The part of plotly.js that draws charts along two axes; ``npm run charts`` fetches it."""
    return _part("plotly-cartesian.min.js", "plotly")


def environment() -> dict[str, str]:
    """The versions that made the report."""
    installed = {name: version_of(name) for name in PACKAGES}
    known = {name: version for name, version in installed.items() if version}
    charts = re.search(r"v([\d.]+)", plotly()[:200])
    return {"Gridscape": __version__, **known, "plotly.js": charts[1] if charts else ""}


@cache
def _part(name: str, folder: str = "page") -> str:
    return (resources.files("gridscape") / "report" / folder / name).read_text(encoding="utf-8")
