"""What a reader waits for: the landscape in the terminal, the page, and its answers, as cells grow.

    python benchmarks/page.py                     100 to 65,536 cells
    python benchmarks/page.py --sides 10,30       a quick look

Every turn is a new process over a folder that ``page_study.py`` wrote. Where Chromium and
playwright are installed, the page is opened, hovered and clicked; where Optuna is, its contour and
slice of as many trials are drawn and written beside it.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import describe, is_installed, machine, table, whole_numbers, write
from page_study import write_study

READ = "from gridscape.landscape import Landscape; Landscape.read({folder!r})"
OPTUNA = """
import optuna
from optuna.distributions import FloatDistribution
from gridscape.landscape import Landscape
land = Landscape.read({folder!r})
values = land.finished().ravel().tolist()
axes = {{axis.name: FloatDistribution(min(axis.values), max(axis.values)) for axis in land.axes}}
trials = [
    optuna.create_trial(params=dict(cell), distributions=axes, value=value)
    for cell, value in zip(land.grid.cells(), values) if value == value
]
study = optuna.create_study()
study.add_trials(trials)
names = list(axes)
optuna.visualization.plot_contour(study, names).write_html({page!r})
optuna.visualization.plot_slice(study, names).write_html({page!r} + ".slice.html")
"""
PATIENCE_SECONDS = 900


def main() -> None:
    options = _options()
    facts = machine()
    found = [measure(side) for side in options.sides]
    write("page", facts, report(facts, found), {**facts, "sizes": found})


def measure(side: int) -> dict[str, Any]:
    """Seconds, megabytes and bytes of one size, by what was done."""
    with tempfile.TemporaryDirectory() as place:
        folder = str(write_study(Path(place) / "study", side, side))
        command = [sys.executable, "-m", "gridscape"]
        found = {
            "cells": side * side,
            "read": _timed([sys.executable, "-c", READ.format(folder=folder)]),
            "show": _timed([*command, "show", folder]),
            "page": _timed([*command, "report", folder]),
        }
        page = Path(folder) / "report.html"
        found["page_bytes"] = page.stat().st_size
        if is_installed("playwright") and (chromium := shutil.which("chromium")):
            found["browser"] = _opened(page, chromium)
        if is_installed("optuna"):
            theirs = Path(place) / "optuna.html"
            script = OPTUNA.format(folder=folder, page=str(theirs))
            found["optuna"] = _timed([sys.executable, "-c", script])
            found["optuna_bytes"] = theirs.stat().st_size
        return found


def _timed(command: Sequence[str]) -> dict[str, float]:
    """Seconds by the clock, seconds of a core, and the most memory of a process in MB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} failed")
    return {
        "seconds": time.perf_counter() - begin,
        "core_seconds": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
    }


def _opened(page: Path, chromium: str) -> dict[str, float]:
    """Seconds until a page shows its landscape, and until a hover and a click are answered."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.set_default_timeout(1000 * PATIENCE_SECONDS)
        begin = time.perf_counter()
        tab.goto(page.as_uri())
        tab.locator("#cell-title").wait_for()
        opened = time.perf_counter() - begin
        box = tab.locator("#map").bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
        tab.mouse.move(x - 40, y)
        tab.locator("#tip:not([hidden])").wait_for()
        hovered = _answered(tab, "#tip", lambda: tab.mouse.move(x, y))
        clicked = _answered(tab, "#cell-title", lambda: tab.mouse.click(x, y))
        browser.close()
    return {"open": opened, "hover": hovered, "click": clicked}


def _answered(tab: Any, selector: str, act: Callable[[], None]) -> float:
    """Seconds until an act changes a text; nan where it does not within ten."""
    before, begin = tab.locator(selector).inner_text(), time.perf_counter()
    act()
    while time.perf_counter() - begin < 10:
        if tab.locator(selector).inner_text() != before:
            return time.perf_counter() - begin
    return math.nan


def report(facts: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    """The table, in words that stand by themselves."""
    head = ["cells", "read", "`show`", "page", "MB", "page, MB", "open", "hover", "click"]
    head += ["Optuna", "its file, MB"]
    return (
        "# What a reader waits for, as cells grow\n\n"
        f"{describe(facts)}\n\n"
        "Momentum x learning rate, one replicate, folders as a run leaves them. Seconds; in"
        " brackets those of a core, which other programs lengthen less. MB: the most memory that"
        " writing the page took. Optuna: contour and slice of as many trials, drawn and written."
        "\n\n" + table(head, [_row(size) for size in found]) + "\n"
    )


def _row(size: Mapping[str, Any]) -> list[str]:
    def seconds(name: str) -> str:
        took = size.get(name)
        return f"{took['seconds']:.1f} ({took['core_seconds']:.1f})" if took else "-"

    def answer(name: str) -> str:
        return f"{size['browser'][name]:.2f}" if "browser" in size else "-"

    def megabytes(name: str) -> str:
        return f"{size[name] / 1e6:.1f}" if name in size else "-"

    memory = f"{size['page']['megabytes']:.0f}"
    return [
        f"{size['cells']:,}",
        *map(seconds, ("read", "show", "page")),
        *(memory, megabytes("page_bytes")),
        *map(answer, ("open", "hover", "click")),
        *(seconds("optuna"), megabytes("optuna_bytes")),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sides", type=whole_numbers, default=[10, 30, 50, 100, 256], help="values of each axis"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
