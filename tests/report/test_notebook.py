"""A landscape in a notebook: its page, its picture, the progress of a run."""

import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from folders import stored
from synthetic import landscape

from gridscape.errors import UnknownNameError, UsageError
from gridscape.execution.executors import Finished
from gridscape.grid.trials import Status, Trial, TrialResult
from gridscape.landscape import Landscape
from gridscape.report import figures
from gridscape.report._drawing import save
from gridscape.report.following import Following, following
from gridscape.sweep import Started


def test_the_page_is_a_document_of_its_own() -> None:
    found = landscape(study={"title": 'A "study" <b>'}).page()
    text = found._repr_html_()
    assert text.startswith(
        '<iframe title="A &quot;study&quot; &lt;b&gt;" srcdoc="&lt;!doctype html'
    )
    assert text.count("<") == 2  # nothing of the page is markup of the notebook
    assert len(repr(found)) < 100


def test_a_landscape_is_drawn_where_it_is_told() -> None:
    land = landscape()
    figure = land.plot()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert land.plot(size=(3, 2)).get_size_inches().tolist() == [3, 2]
    ax = mpl.figure.Figure().subplots()
    assert land.plot("test_loss", ax=ax) is ax
    assert ax.get_title(loc="left") == "test loss"
    assert figures.heat_map(land, ax=mpl.figure.Figure().subplots()).get_xlabel() == "learning_rate"
    with pytest.raises(UnknownNameError, match="unknown metric 'x'"):
        land.plot("x")
    more = landscape({"cell": ["a", "b"], "hidden_size": [1, 2], "learning_rate": [0.1, 1.0]})
    with pytest.raises(UsageError, match="two axes that vary"):
        more.plot(ax=ax)


def test_every_picture_of_a_landscape_takes_an_ax_and_a_size() -> None:
    land = landscape()
    for draw, label in (
        (figures.curves, "updates"),
        (figures.best_per_row, "hidden_size"),
        (figures.pareto, "FLOP of training"),
        (figures.heat_map, "learning_rate"),
    ):
        figure = draw(land, size=(3, 2))
        assert figure.get_size_inches().tolist() == [3, 2]
        figure.draw_without_rendering()
        ax = mpl.figure.Figure().subplots()
        assert draw(land, ax=ax) is ax
        assert label in ax.get_xlabel()


def test_a_cell_and_a_cost_can_be_chosen() -> None:
    land = landscape()
    cell = land.grid.cells()[0]
    assert str(cell) in str(figures.curves(land, cell=cell).get_suptitle())
    assert "seconds" in figures.pareto(land, cost="seconds").axes[0].get_xlabel()
    with pytest.raises(UnknownNameError, match="unknown cost 'gold'"):
        figures.pareto(land, cost="gold")
    with pytest.raises(UsageError, match="two axes that vary"):
        figures.best_per_row(landscape({"learning_rate": [0.1, 1.0]}, lambda cell: 0.5))
    nothing = landscape(status=lambda cell, replicate: Status.FAILED)
    for draw in (figures.curves, figures.best_per_row, figures.pareto):
        with pytest.raises(UsageError, match="none finished"):
            draw(nothing)


def by_length() -> Landscape:
    name = "test_accuracy_by_length"
    axes = {"hidden_size": [2, 4], "learning_rate": [0.1, 1.0]}
    study = {"axes": axes, "replicates": 1, "groups": ["length", [3, 5]]}
    results = [
        (
            Trial(cell, 0, str(i)),
            TrialResult(
                key=str(i),
                status=Status.FINISHED,
                updates=1,
                metrics={"test_accuracy": 0.6},
                curves={name: np.array([0.9, 0.1 * i], np.float32)},
                seconds=1.0,
                n_parameters=1,
                flops=1.0,
                memory_bytes=1,
            ),
        )
        for i, cell in enumerate(landscape(axes, lambda c: 0.5).grid.cells())
    ]
    return Landscape.of(study, results)


def test_pictures_of_many_panels_take_a_landscape_and_a_size() -> None:
    land = landscape(study={"published": ["width_lr_report1"]})
    for draw, of, told in (
        (figures.curves_side_by_side, land, "Test accuracy"),
        (figures.by_kind, by_length(), "Test accuracy"),
        (figures.published, land, "Assignment 2"),
    ):
        figure = draw(of, size=(6, 4))
        assert figure.get_size_inches().tolist() == [6, 4]
        figure.draw_without_rendering()
        assert told in figure.get_suptitle()
        assert any(line.get_xdata().size for box in figure.axes for line in box.lines)
    loss = figures.curves_side_by_side(land, curve="train_loss")
    assert loss.get_suptitle() == "Train loss"
    with pytest.raises(UnknownNameError, match="unknown curve 'x'"):
        figures.curves_side_by_side(land, curve="x")
    with pytest.raises(UsageError, match="no cell has this curve"):
        figures.curves_side_by_side(landscape(status=lambda cell, replicate: Status.MISSING))
    with pytest.raises(UsageError, match="told apart by a kind of test examples"):
        figures.by_kind(land)
    with pytest.raises(UsageError, match="names no published table"):
        figures.published(landscape())
    with pytest.raises(UnknownNameError, match="unknown published table 'x'"):
        figures.published(land, table="x")


def test_words_of_an_svg_are_text(tmp_path: Path) -> None:
    png, svg, pdf = save(landscape().plot(), tmp_path, "map")
    assert ">hidden_size</text>" in svg.read_text(encoding="utf-8")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.exists()


def events(n: int, directory: Path):  # type: ignore[no-untyped-def]
    trials = [Trial(cell, 0, str(i)) for i, cell in enumerate(landscape().grid.cells()[:n])]
    yield Started(None, directory, tuple(trials), 0)  # type: ignore[arg-type]
    for trial in trials:
        result = TrialResult(trial.key, Status.FINISHED, 1, {}, {}, 1.0, 1, 1.0, 1)
        yield Finished(trial, result)


def test_a_run_tells_how_far_it_is_and_where_its_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridscape.report.following.TELL_SECONDS", 0.0)
    lines: list[str] = []
    folder = stored(tmp_path / "run", landscape())
    told = Following(lines.append)
    for event in events(3, folder):
        told(event)
    told.ended(folder)
    assert lines[0] == f"training 3 networks into {folder}"
    assert [line.partition(",")[0] for line in lines[1:4]] == [
        f"{n} of 3 networks" for n in (1, 2, 3)
    ]
    assert lines[4].endswith(f"the page: {folder / 'report.html'}\n")
    assert (folder / "report.html").exists()


def test_nobody_is_told_where_nobody_looks_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    folder = stored(tmp_path / "run", landscape())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    following(quiet=False).ended(folder)
    assert sys.stderr.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    following(quiet=True).ended(folder)
    assert sys.stderr.getvalue() == ""
    assert not (folder / "report.html").exists()
    following(quiet=False).ended(folder)
    assert "the page: " in sys.stderr.getvalue()


def test_records_are_short(tmp_path: Path) -> None:
    import gridscape as gs

    land = Landscape.read(stored(tmp_path / "run", landscape()))
    records = [
        *gs.analysis.summarize(land),
        *gs.analysis.best_per(land, "learning_rate"),
        *gs.analysis.boundary(land, "learning_rate"),
        land,
    ]
    assert max(len(repr(record)) for record in records) < 160
