"""Pictures of networks: what they show is what the records say; no pixels are compared."""

import base64
import io
from pathlib import Path

import looks
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from gridscape.grid.axes import Cell
from gridscape.inspection import images as mosaics
from gridscape.inspection.kinds import MOST_GROUPS, sample_lines, spread_groups
from gridscape.inspection.records import Example, Mistakes, Sample
from gridscape.report import network_figures
from gridscape.report.network_document import MOST_MAPS, PLAIN, network, uri

pytestmark = pytest.mark.slow

CELL = Cell.of(hidden_size=64, model="my:net/a")


def draw(figure: Figure) -> Figure:
    """Rendered, so that anything that cannot be drawn fails here; warnings are errors."""
    figure.draw_without_rendering()
    return figure


def images(figure: Figure) -> list[AxesImage]:
    return [image for box in figure.axes for image in box.get_images()]


def titles(figure: Figure) -> list[str]:
    return [box.get_title(loc=loc) for box in figure.axes for loc in ("left", "center")]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for box in figure.axes for text in box.texts]


# ---- pixels ----


def test_a_sheet_holds_every_tile_in_its_place_and_sees_through_gaps():
    tiles = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 2, 3, 3), np.uint8)
    full = mosaics.sheet(tiles, columns=2)
    assert full.shape == (3 * 3 - 1, 2 * 4 - 1, 4)
    for i in range(5):
        y, x = i // 2 * 3, i % 2 * 4
        assert (full[y : y + 2, x : x + 3, :3] == i).all()
    assert (full[..., 3] == 0).sum() == full.shape[0] * full.shape[1] - 5 * 6


def test_filters_are_scaled_by_themselves_and_by_one_limit():
    values = np.array([-1.0, 0.0, 3.0]).reshape(1, 1, 3, 1)
    own = mosaics.shaded(values, np.array([-1.0]), np.array([3.0]))
    assert own[0, 0, :, 0].tolist() == [0, 64, 255]
    common = mosaics.around_zero(values, 3.0)
    assert tuple(common[0, 0, 1]) == mosaics.WHITE
    assert tuple(common[0, 0, 2]) == mosaics.RED
    colors = mosaics.around_zero(np.zeros((1, 1, 1, 3)), 3.0)
    assert colors.ravel().tolist() == [128] * 3  # zero of a colored filter is gray


def test_a_reconstruction_has_its_zeros_in_gray():
    parts = np.array([0.0, 2.0, -1.0]).reshape(1, 1, 3, 1)
    assert mosaics.balanced(parts)[0, 0, :, 0].tolist() == [128, 255, 64]
    assert (mosaics.balanced(np.zeros((1, 2, 2, 1))) == 128).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28), (28, 28, 1)),
        ((784,), (28, 28, 1)),
        ((8, 8, 3), (8, 8, 3)),
        ((32, 96), (32, 32, 3)),
        ((3072,), (32, 32, 3)),
        ((7,), (1, 7, 1)),
        ((4, 4, 2), (4, 4, 1)),
    ],
)
def test_inputs_of_any_shape_become_a_picture(shape, expected):
    assert mosaics.pictures(np.zeros((2, *shape))).shape == (2, *expected)


def test_photographs_use_the_whole_range_of_brightness():
    sixteen = np.array([[0, 8, 16, 4]], np.uint8)
    assert mosaics.photographs(sixteen)[0, :, :, 0].ravel().tolist() == [0, 128, 255, 64]
    floats = np.array([[-1.0, 0.0, 1.0, 1.0]])
    assert mosaics.photographs(floats)[0, :, :, 0].ravel().tolist() == [0, 128, 255, 255]
    assert (mosaics.photographs(np.zeros((1, 4), np.uint8)) == 0).all()


# ---- pictures ----


def test_every_example_is_a_picture_with_truth_answer_and_probability():
    figure = draw(network_figures.mistakes(looks.mistakes()))
    assert len(images(figure)) == 9
    assert "true 1\nanswer 2, 75.0 %" in titles(figure)
    panels = [str(panel.get_suptitle()) for panel in figure.subfigs]
    assert panels == ["2 of 40 wrong; the largest losses first", "The first correct ones"]


def test_without_a_mistake_only_what_is_right_is_drawn():
    found = Mistakes((), looks.mistakes().right, 0, 40)
    assert len(draw(network_figures.mistakes(found)).subfigs) == 1


def test_symbols_are_written_and_not_painted():
    sequence = looks.example(0, 1, 2, np.array([5, 0, 3, -1, -1], np.int32))
    figure = draw(network_figures.mistakes(Mistakes((sequence,), (), 1, 1)))
    assert images(figure) == []
    assert "5 0 3" in texts(figure)


def test_a_probability_that_is_unknown_is_not_told():
    unsure = Example(0, 1, 2, None, 0.3, np.zeros((2, 2), np.uint8))
    assert network_figures.caption(unsure) == ("true 1", "answer 2")


def test_the_confusion_matrix_writes_its_counts_and_tells_mistakes_by_color():
    figure = draw(network_figures.confusion(looks.confusion()))
    assert sorted(texts(figure)) == ["10", "12", "5", "5"]
    assert str(figure.get_suptitle()) == "84.4 % of 32 right"
    (image,) = images(figure)
    faces = np.asarray(image.get_array())
    right, wrong, nothing = faces[0, 0, :3], faces[1, 2, :3], faces[0, 3, :3]
    assert right[2] > right[0]  # blue
    assert wrong[0] > wrong[2]  # orange
    assert (nothing == 1).all()


def test_many_classes_have_no_numbers():
    counts = np.eye(60, dtype=int)
    figure = draw(network_figures.confusion(type(looks.confusion())(counts)))
    assert texts(figure) == []


def test_filters_stand_start_beside_end_on_two_scales():
    figure = draw(network_figures.filters(looks.filters()))
    assert [t for t in titles(figure) if t] == [
        "start: each on its own scale",
        "end: each on its own scale",
        "start: on one common scale",
        "end: on one common scale",
    ]
    assert len(images(figure)) == 4
    assert "7, of 5 x 5 weights" in str(figure.get_suptitle())


def test_too_many_filters_are_cut_and_the_title_says_so():
    figure = draw(network_figures.filters(looks.filters(100, channels=3)))
    assert "the first 64 of 100" in str(figure.get_suptitle())
    assert "black" in str(figure.get_supxlabel())


def test_activations_have_a_row_for_each_layer_with_weights():
    figure = draw(network_figures.activations(looks.activations()))
    assert len(figure.axes) == 4
    first, zeros, output, _ = figure.axes
    labels = [text.get_text() for text in first.get_legend().get_texts()]
    assert labels == ["before", "after", "pooled"]
    assert [set(line.get_ydata()) for line in zeros.lines] == [{0.0}, {100.0}, {25.0}]
    (band,) = output.collections
    ends = band.get_paths()[0].vertices[:, 1]
    assert (ends.min(), ends.max()) == (0.5, 1.5)  # 1 +- the root of 0.25


def test_each_feature_map_has_its_images_beside_their_reconstructions():
    figure = draw(network_figures.deconv(looks.deconvnet()))
    assert texts(figure) == ["map 0", "map 1", "map 2, silent"]
    block = mosaics.map_sheet(looks.deconvnet(), 2)
    side = 3 * looks.SIDE + 2
    assert block.shape == (side, 2 * side + 3, 4)
    silent = block[:, side + 3 :]
    assert set(silent[silent[..., 3] == 255][:, 0]) == {128}


def test_wrong_symbols_are_marked_where_they_stand():
    figure = draw(network_figures.samples(looks.samples(), "length"))
    (box,) = figure.axes
    wrong = [
        p
        for p in box.patches
        if p.get_facecolor()[:3] == pytest.approx((0.651, 0.227, 0.078), abs=0.01)
    ]
    assert [round(patch.get_x() + 0.5) for patch in wrong] == [1]
    assert {"length 2", "length 3", "truth", "answer", "input 1"} <= set(texts(figure))
    assert str(figure.get_suptitle()) == "1 of 2 samples right"


def test_lines_of_one_number_and_of_one_step():
    sample = Sample(0, None, np.array([5, 0, 3]), np.array(0), np.array(3))
    lines = sample_lines(sample)
    assert [line.name for line in lines] == ["input", "truth", "answer"]
    assert [line.symbols for line in lines] == [("5", "0", "3"), ("0",), ("3",)]
    assert [line.wrong for line in lines] == [(False,) * 3, (False,), (True,)]


def test_beside_bits_stands_the_number_that_they_encode():
    inputs = np.array([[1.0, 1], [0, 1], [1, 0], [0, 0]])  # 5 and 3, least significant bit first
    sample = Sample(0, 3, inputs, np.array([0, 0, 0, 1]), np.array([0, 1, 0, 1]), of_bits=True)
    assert [line.number for line in sample_lines(sample)] == ["5", "3", "8", "10"]
    (shown,) = PLAIN["samples"]([sample])["shown"]
    assert [line["number"] for line in shown["lines"]] == ["5", "3", "8", "10"]
    figure = network_figures.samples([sample])
    assert {"= 5", "= 3", "= 8", "= 10"} <= set(texts(figure))
    symbols = Sample(0, 3, np.array([1, 0, 1]), np.array(1), np.array(1))
    assert {line.number for line in sample_lines(symbols)} == {""}


def test_samples_that_are_answered_wrong_come_first():
    one = looks.samples()[0]
    many = [type(one)(i, i, one.inputs, one.truth, one.answer ^ (i == 3)) for i in range(1, 5)]
    assert [sample.group for sample in spread_groups(many)] == [3, 1, 2, 4]


def test_of_many_kinds_some_are_shown_evenly_spread():
    one = looks.samples()[0]
    many = [type(one)(i, i, one.inputs, one.truth, one.answer) for i in range(1, 21)]
    groups = [sample.group for sample in spread_groups(many)]
    assert len(groups) == MOST_GROUPS
    assert (groups[0], groups[-1]) == (1, 20)
    assert np.ptp(np.diff(groups)) <= 1


# ---- files ----


def test_a_look_is_saved_as_png_and_svg_under_its_cell(tmp_path: Path):
    paths = network_figures.save_look(looks.look(CELL), tmp_path)
    folder = tmp_path / "figures" / "inspect" / "hidden_size=64,model=my_net_a"
    assert {path.parent for path in paths} == {folder}
    assert sorted({path.stem for path in paths}) == sorted(looks.all_records())
    assert all(path.stat().st_size > 1000 for path in paths)


def test_the_name_of_a_long_cell_is_cut_and_its_own():
    names = {network_figures.folder_name(Cell.of(model="x" * 300 + end)) for end in "ab"}
    assert len(names) == 2
    assert max(map(len, names)) <= network_figures.LONGEST_NAME


# ---- the page ----


def test_a_picture_of_the_page_is_the_pixels_themselves():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    head, _, text = uri(pixels).partition(",")
    assert head == "data:image/png;base64"
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    np.testing.assert_array_equal(found, pixels)


def test_the_page_has_every_record_and_a_bounded_number_of_maps():
    records = {**looks.all_records(), "deconv": looks.deconvnet(40)}
    found = network(looks.look(CELL, records), 5)
    assert found["cell"] == 5
    assert records.keys() <= found.keys()
    assert len(found["deconv"]["maps"]) == MOST_MAPS
    assert found["deconv"]["n"] == 40
    assert found["mistakes"]["wrong"][0]["truth"] == 1
    assert found["confusion"]["counts"][1][2] == 5
    assert [len(block["stages"]) for block in found["activations"]] == [3, 1]
    assert found["activations"][0]["stages"][1]["silent"] == 5
    assert found["samples"]["n_right"] == 1
