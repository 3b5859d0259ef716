"""Pages of synthetic landscapes, and what a visit of one records."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import looks
import numpy as np
import xarray as xr
from synthetic import RATES, STUDY_AXES, hump, landscape

from gridscape.analysis.beside import Beside, CellBeside, Change
from gridscape.analysis.cells import summarize
from gridscape.analysis.confirmed import Confirmation, Finalist
from gridscape.analysis.differences import Comparison
from gridscape.grid.axes import Cell
from gridscape.grid.trials import Status
from gridscape.landscape import Landscape
from gridscape.report.contract import PageData
from gridscape.report.document import document
from gridscape.report.findings import Findings, gather
from gridscape.report.html import page
from gridscape.report.showcase import Showcase

HOSTILE = '<img src=x onerror="window.hacked=1"></script><b>&amp;%{x}$y$'
PUBLISHED = {"claims": "lstm-width-lr", "published": ["width_lr_report1", "width_lr_report2"]}


def status(cell: Cell, replicate: int) -> Status:
    """Diverged at the highest rate of wide networks; one replicate of one more cell, too."""
    if cell["learning_rate"] == 1.0 and cell["hidden_size"] >= 64:
        return Status.DIVERGED
    if cell["learning_rate"] == 0.1 and cell["hidden_size"] == 128 and replicate == 1:
        return Status.DIVERGED
    if cell["learning_rate"] == 1e-5 and cell["hidden_size"] == 128:
        return Status.FAILED
    missing = cell["learning_rate"] == 1e-5 and cell["hidden_size"] == 64
    return Status.MISSING if missing else Status.FINISHED


def collapsed(cell: Cell, replicate: int) -> bool:
    return cell["learning_rate"] == 1.0 and cell["hidden_size"] < 64


def study() -> Landscape:
    """Two axes, three replicates, every state, published tables and claims."""
    as_published = {"task": "mnist-rows", "updates": 999}
    about = {"title": "LSTM: width x learning rate", **as_published, **PUBLISHED}
    return landscape(status=status, collapsed=collapsed, study=about)


def reduced() -> Landscape:
    """A named study on other data, and for fewer updates than published."""
    about = {"title": "LSTM on MNIST rows: width x learning rate", "task": "digits-rows"}
    return landscape(study={**about, **PUBLISHED})


def four_axes() -> Landscape:
    loss = {"adam": 0.0, "sgd": 0.1}
    return landscape(
        {
            "optimizer": ["adam", "sgd"],
            "cell": ["rnn", "lstm"],
            "hidden_size": [16, 32],
            "learning_rate": [1e-3, 1e-2, 1e-1],
        },
        lambda cell: hump(cell) - loss[str(cell["optimizer"])],
    )


def hostile() -> Landscape:
    def lost(cell: Cell, replicate: int) -> Status:
        return Status.FAILED if cell[HOSTILE] == "a b" else Status.FINISHED

    found = landscape(
        {HOSTILE: [HOSTILE, "a b"], "learning_rate": [1e-3, 1e-2]},
        lambda cell: 0.9 + float(cell["learning_rate"]),
        status=lost,
        study=dict.fromkeys(("title", "task", "name", "model", "description"), HOSTILE),
    )
    reason = found.data["reason"].astype(object)
    return Landscape(found.data.assign(reason=reason.where(reason == "", HOSTILE)), found.study)


def by_length(land: Landscape | None = None) -> Landscape:
    """The test metrics of every trial for sequences of 3 to 6: each step loses a tenth."""
    land = land or landscape({"cell": ["rnn", "lstm"], "hidden_size": [2, 5, 10]}, lambda c: 0.9)
    lost = xr.DataArray(1 - 0.1 * np.arange(4), dims="length", coords={"length": [3, 4, 5, 6]})
    told = {f"{name}_by_length": land.data[name] * lost for name in ("test_accuracy", "test_loss")}
    return Landscape(land.data.assign(told), {**land.study, "groups": ["length", [3, 4, 5, 6]]})


def distances() -> Landscape:
    """A metric that is no fraction, better when lower, from 1e-12 to 100, with an exact zero."""
    land = landscape(
        {"momentum": [0.0, 0.9], "learning_rate": [1e-3, 1e-2, 1e-1, 1.0]},
        lambda cell: 100 * float(cell["learning_rate"]) ** 4,
        noise=0.0,
    )
    names = {str(n): str(n).replace("accuracy", "distance") for n in land.data if "acc" in str(n)}
    data = land.data.rename(names).drop_attrs()
    data.attrs = land.data.attrs | {"main_metric": "test_distance"}
    zero = data["test_distance"].where(data["momentum"] == 0.9, 0.0)
    exact = data["test_distance"].where(data["learning_rate"] > 1e-3, zero)
    return Landscape(data.assign(test_distance=exact), land.study)


def text_axes() -> Landscape:
    """Axes of words, of words and numbers, and of truth values; 96 cells in many panels."""
    axes: dict[str, Any] = {
        "optimizer": ["adam", "sgd", "adagrad", "rmsprop"],
        "cell": ["rnn", "gru", "lstm"],
        "layers": ["64", "128", "64-64", "a layer with a long name"],
        "bidirectional": [False, True],
    }
    return landscape(axes, lambda cell: 0.8, replicates=2)


def one_axis(cell: Cell) -> float:
    return hump(Cell.of(hidden_size=64, learning_rate=cell["learning_rate"]))


LANDSCAPES: dict[str, Callable[[], Landscape]] = {
    "study": study,
    "reduced": reduced,
    "four axes": four_axes,
    "guessed": lambda: landscape(study={"guessing": 0.2}),
    "hostile": hostile,
    "by length": by_length,
    "distances": distances,
    "text axes": text_axes,
    "networks": study,
    "few curves": study,
    "long values": lambda: landscape(
        {"hidden_size": [16, 32], "learning_rate": [0.00478385, 0.0309317, 0.2]}, replicates=1
    ),
    "one axis": lambda: landscape({"learning_rate": RATES}, one_axis),
    "twenty rates": lambda: landscape(
        {"hidden_size": [16, 32], "learning_rate": np.geomspace(1e-5, 1, 20).round(7).tolist()}
    ),
    "beside": lambda: landscape(
        {"study": ["a", "b"], **STUDY_AXES},
        lambda cell: hump(cell) * (0.5 if cell["study"] == "b" else 1.0),
    ),
    "schedules": lambda: landscape(
        {"schedule": ["constant", "cosine"], "learning_rate": [0.01, 0.1]},
        lambda cell: 0.9,
        study={"hyperparameters": {"warmup": 0.1}},
    ),
    "predict": lambda: landscape(study={"guessing": 0.1}),
    "predict nothing": lambda: landscape(status=lambda cell, r: Status.MISSING),
    "categories": lambda: landscape(
        {"cell": ["rnn", "gru"], "optimizer": ["adam", "sgd"]}, lambda c: 0.9
    ),
    "one replicate": lambda: landscape(replicates=1),
    "running": lambda: landscape(
        status=lambda cell, r: (
            Status.FINISHED if cell["hidden_size"] < 64 and r < 2 else Status.MISSING
        )
    ),
    "nothing yet": lambda: landscape(status=lambda cell, r: Status.MISSING),
    "all lost": lambda: landscape(status=lambda cell, r: Status.DIVERGED),
    "a picture": lambda: landscape(
        {
            "hidden_size": [8 * i for i in range(1, 61)],
            "learning_rate": np.geomspace(1e-5, 1, 60).round(7).tolist(),
        },
        replicates=1,
        status=lambda cell, r: (
            Status.DIVERGED if r == 0 and cell["learning_rate"] > 0.5 else Status.FINISHED
        ),
    ),
    "many cells": lambda: landscape(
        {
            "hidden_size": [16 * i for i in range(1, 7)],
            "learning_rate": np.geomspace(1e-5, 1, 30).round(7).tolist(),
        },
        replicates=2,
    ),
}


SHOWN: dict[str, Callable[[Landscape], Showcase]] = {
    "networks": lambda land: Showcase(tuple(map(looks.look, land.grid.cells()[8:10])), (HOSTILE,)),
    "by length": lambda land: Showcase(chance=0.1),
}


class Pages:
    """HTML files by the name of their landscape."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        path = self.folder / f"{name}.html"
        if not path.exists():
            path.write_text(page(content(name)), encoding="utf-8")
        return path


def _confirmed(found: Findings) -> Confirmation:
    """As if the best cell had been trained again."""
    best, meaning = found.top, found.land.meaning(found.metric)
    fresh = replace(best.estimate, mean=best.estimate.mean - 0.01)
    finalist = Finalist(best.cell, best.estimate, fresh, n_fresh=3, n_learns=3)
    return Confirmation(
        found.metric, meaning, found.metric, 24, (finalist,), Path("confirmed"), 1.0
    )


def _beside(land: Landscape) -> Beside:
    """As if two studies had been compared, and one cell of them differed."""
    cells = {s.cell: s for s in summarize(land)}
    values = {"hidden_size": 16, "learning_rate": 0.01}
    a, b = (cells[Cell.of(study=study, **values)] for study in ("a", "b"))
    difference = Comparison([a, b]).difference(b, a).interval()
    one = CellBeside(Cell.of(**values), "b", a.estimate, b.estimate, difference, 0.001, a.meaning)
    change = Change("updates", (100, 60))
    return Beside(land, ("a", "b"), land.main_metric, True, (change,), (one,), ("a note",))


def content(name: str) -> PageData:
    """The document of a landscape."""
    found = gather(LANDSCAPES[name]())
    if name == "study":
        found = replace(found, confirmed=_confirmed(found))
    if name == "few curves":
        found = replace(found, bands=dict([*found.bands.items()][:1]), without_curves=20)
    shown = SHOWN.get(name, lambda land: Showcase())(found.land)
    made = "2024-05-01T12:00:00+00:00"
    studies = _beside(found.land) if name == "beside" else None
    return document(
        found,
        Path("runs/it"),
        made,
        {"Gridscape": "0"},
        shown,
        studies,
        covered=name.startswith("predict"),
    )


LOOK_AT_CHARTS = """
async () => {
  for (const host of document.querySelectorAll(".chart")) {
    for (let frame = 0; frame < 600 && host.isConnected && !host.data; frame++) {
      if (frame % 60 === 0) host.scrollIntoView();
      await new Promise(requestAnimationFrame);
    }
  }
  scrollTo(0, 0);
}
"""


class Visit:
    """An open page: ``tab`` drives it; requests and complaints are kept."""

    def __init__(self, tab: Any, path: Path, view: str, media: dict[str, Any]) -> None:
        self.tab, self.address = tab, path.as_uri()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.expected_complaints: list[str] = []
        tab.on("request", lambda request: self._note(request.url.partition("#")[0]))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("console", self._console)
        if media:
            tab.emulate_media(**media)
        tab.goto(self.address + view)

    def _note(self, url: str) -> None:
        """What is asked of the page's own memory leaves nothing."""
        if not url.startswith(("blob:", "data:")):
            self.requests.append(url)

    def _console(self, message: Any) -> None:
        if message.type not in ("log", "info", "debug"):
            self.complaints.append(message.text)

    def cell(self, row: int, column: int) -> Any:
        """A cell of the landscape on show."""
        return self.tab.locator(f'.landscape [data-row="{row}"][data-column="{column}"]')

    def text(self, selector: str) -> str:
        """The text of the first element, as it is seen."""
        return str(self.tab.locator(selector).first.inner_text())

    def choose(self, label: str, option: str) -> None:
        """Sets one of the landscape's menus."""
        self.tab.locator("#controls").get_by_label(label, exact=True).select_option(option)

    def until(self, script: str) -> None:
        """Waits for a condition; playwright's own way needs eval, which the page forbids."""
        for _ in range(100):
            if self.run(script):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"never true: {script}")

    def run(self, script: str) -> Any:
        """What a script gives; charts that it asks for are looked at first, and so are built."""
        if ".chart" in script:
            self.tab.evaluate(LOOK_AT_CHARTS)
        return self.tab.evaluate(script)
