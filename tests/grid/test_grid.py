"""Axes, cells, the grid, values as people type them, and keys by content."""

import itertools
import json
import math
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridscape.errors import UnknownNameError, UsageError
from gridscape.grid.axes import Axis, Cell, Grid, parse_value, parse_values, same, show
from gridscape.grid.trials import Trial, content_key

NUMBERS = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
WORDS = st.text(string.ascii_letters + "-", min_size=1, max_size=8).filter(
    lambda text: isinstance(parse_value(text), str)
)


# ---- axes ----


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0], "log"),
        ([16, 32, 64, 128], "log"),
        ([16, 64], "log"),
        ([1e-3, 3e-3, 1e-2, 3e-2], "log"),  # half decades, under two decades in all
        ([1, 10, 1000], "log"),
        ([100, 10, 1], "log"),  # in the order in which they are shown, whichever
        ([1, 2, 3], "linear"),
        ([1000, 1001, 1002], "linear"),  # ratios are even to 1e-3, steps exactly
        ([0.5, 0.9, 0.99], "linear"),
        ([0, 10, 1000], "linear"),
        ([-1, 1], "linear"),
        ([5], "linear"),
        ([1e-3], "linear"),
        (["rnn", "gru"], "category"),
        ([16, "auto"], "category"),
        ([True, False], "category"),
    ],
)
def test_scale(values, scale):
    assert Axis("x", tuple(values)).scale == scale


@given(st.lists(NUMBERS, min_size=1, max_size=6))
@example([1e-308, 1e308, 1.0])
@settings(max_examples=100, deadline=None)
def test_any_axis_of_finite_numbers_has_a_scale(values):
    try:
        axis = Axis("x", tuple(values))
    except UsageError as error:
        assert "more than once" in str(error)  # noqa: PT017
    else:
        assert axis.scale in ("log", "linear")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((16, 16), "16"),
        ((1, 1.0), "1"),
        ((0.1, 0.5, 0.1 + 1e-12), "0.1"),  # no name could tell them apart
        (("gru", "gru"), "gru"),
        ((1, True), "1"),
        ((2, "2"), "2"),
        ((1, 2, 1, 2), "1, 2"),
    ],
)
def test_an_axis_lists_each_value_once(values, found):
    with pytest.raises(UsageError) as caught:
        Axis("hidden_size", values)
    expected = f"axis hidden_size: an axis lists each value once (found {found} more than once)"
    assert str(caught.value) == expected


def test_an_axis_is_not_empty_and_holds_a_tuple():
    with pytest.raises(UsageError, match=r"^axis x: an axis needs at least one value"):
        Axis("x", ())
    assert Axis("x", [1, 2]) == Axis("x", (1, 2))
    assert hash(Axis("x", [1, 2])) == hash(Axis("x", (1, 2)))


# ---- cells ----


def test_a_cell_is_a_mapping():
    cell = Cell.of(hidden_size=16, learning_rate=1e-5)
    assert dict(cell) == {"hidden_size": 16, "learning_rate": 1e-5}
    assert (len(cell), list(cell), cell["hidden_size"]) == (2, ["hidden_size", "learning_rate"], 16)
    assert cell == {"learning_rate": 1e-5, "hidden_size": 16}
    assert "width" not in cell
    assert cell.get("width", 3) == 3
    with pytest.raises(KeyError):
        cell["width"]


@given(st.dictionaries(NAMES, NUMBERS | WORDS, min_size=1, max_size=5), st.randoms())
@settings(max_examples=50, deadline=None)
def test_cells_are_equal_by_content(values, random):
    items = list(values.items())
    random.shuffle(items)
    cell, other = Cell(tuple(values.items())), Cell(tuple(items))
    assert cell == other
    assert hash(cell) == hash(other)
    assert {cell: 1}[other] == 1
    assert cell != Cell((*items[1:], (items[0][0], "changed")))
    assert cell != Cell(tuple(items[1:]))


def test_a_number_spelled_as_another_type_is_the_same_cell():
    assert Cell.of(learning_rate=1) == Cell.of(learning_rate=1.0)
    assert hash(Cell.of(learning_rate=1)) == hash(Cell.of(learning_rate=1.0))
    assert Trial(Cell.of(x=1), 0, "k") == Trial(Cell.of(x=1.0), 0, "k")


def test_a_cell_reads_as_it_is_typed():
    cell = Cell.of(hidden_size=16, learning_rate=1e-5, cell="gru", both=True)
    assert str(cell) == "hidden_size=16, learning_rate=1e-05, cell=gru, both=True"


# ---- grid ----

GRID = Grid(
    (
        Axis("hidden_size", (16, 32)),
        Axis("learning_rate", (1e-3, 0.1, 1.0)),
        Axis("cell", ("gru", "lstm")),
        Axis("seed_bits", ("7",)),
    )
)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_every_point_once_the_last_axis_fastest(sizes):
    grid = Grid(tuple(Axis(f"a{i}", tuple(range(n))) for i, n in enumerate(sizes)))
    cells = grid.cells()
    assert grid.shape == tuple(sizes)
    assert len(cells) == math.prod(sizes) == len(set(cells))
    assert [tuple(c.values()) for c in cells] == sorted(tuple(c.values()) for c in cells)


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": 16, "learning_rate": 1, "cell": "gru"},
        {"hidden_size": 16.0, "learning_rate": 1.0, "cell": "gru"},
        {"hidden_size": "16", "learning_rate": "1e0", "cell": "gru", "seed_bits": 7},
        {"cell": "gru", "learning_rate": 0.9999999999, "hidden_size": 16},
    ],
)
def test_a_cell_is_found_however_its_values_are_typed(values):
    found = Cell.of(hidden_size=16, learning_rate=1.0, cell="gru", seed_bits="7")
    assert GRID.find(**values) == found


@given(st.sampled_from(GRID.cells()))
@settings(deadline=None)
def test_every_cell_is_found_by_what_is_shown_of_it(cell):
    shown = dict(part.split("=") for part in str(cell).split(", "))
    assert GRID.find(**{name: parse_value(text) for name, text in shown.items()}) == cell
    assert GRID.find(**shown) == cell


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"hidden_sise": 16}, UnknownNameError, "unknown axis 'hidden_sise'; did you mean 'hidden"),
        ({"hidden_size": 17}, UsageError, r"no cell has hidden_size=17 \(expected one of 16, 32\)"),
        ({"hidden_size": "wide"}, UsageError, "no cell has hidden_size=wide"),
        ({"cell": 3}, UsageError, r"no cell has cell=3 \(expected one of gru, lstm\)"),
        ({"learning_rate": math.nan}, UsageError, "no cell has learning_rate=nan"),
        ({"learning_rate": math.inf}, UsageError, "no cell has learning_rate=inf"),
        ({"hidden_size": 16, "cell": "gru"}, UsageError, "than one cell; say also learning_rate$"),
        ({}, UsageError, "more than one cell; say also hidden_size, learning_rate, cell$"),
    ],
)
def test_a_cell_that_is_not_one_of_the_grid(values, kind, message):
    with pytest.raises(kind, match=message):
        GRID.find(**values)


def test_a_cell_is_found_without_a_look_at_the_others(monkeypatch):
    grid = Grid((Axis("x", tuple(range(1000))), Axis("y", tuple(range(1000)))))
    monkeypatch.delattr(Grid, "cells")
    assert grid.find(x=999, y="7") == Cell.of(x=999, y=7)


def test_look_up_of_what_the_grid_has_and_of_what_it_lacks():
    cell = Cell.of(hidden_size=16, learning_rate=1.0, cell="gru", seed_bits="7")
    assert GRID.look_up({"cell": "gru", "learning_rate": "1e0", "hidden_size": 16}) == cell
    assert GRID.look_up({**cell, "learning_rate": 2}) is None
    assert GRID.look_up({**cell, "seed_bits": "8"}) is None
    assert GRID.look_up({"cell": "gru", "hidden_size": 16}) is None
    assert [GRID.at(GRID.places(cell)) for cell in GRID.cells()] == GRID.cells()


def test_an_axis_is_found_by_name():
    assert GRID.axis("cell").values == ("gru", "lstm")
    with pytest.raises(UnknownNameError, match="did you mean 'cell'"):
        GRID.axis("cel")


# ---- values as people write them ----


@given(NUMBERS | st.booleans() | WORDS)
@example(1e-5)
@example(0.1 + 0.2)
@example(-0.0)
@example(1e22)
@settings(max_examples=200, deadline=None)
def test_what_is_shown_can_be_typed(value):
    again = parse_value(show(value))
    assert again == value
    assert same(again, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(16, "16"), (0.01, "0.01"), (1e-5, "1e-05"), (1.0, "1"), (1 / 3, "0.3333333333333333")],
)
def test_numbers_are_shown_short_and_exact(value, text):
    assert show(value) == text


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (1e-3, 0.001, True),
        (0.1 + 0.2, 0.3, True),
        ("16", 16, True),
        ("1e-3", 0.001, True),
        ("gru", "gru", True),
        ("1e3", "1000", False),  # texts are texts
        ("gru", "lstm", False),
        ("gru", 1, False),
        ("nan", math.nan, False),
        (0, 1e-12, False),
        (16, 17, False),
    ],
)
def test_same(a, b, equal):
    assert same(a, b) is equal
    assert same(b, a) is equal


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16,32", (16, 32)),
        (" 16 , 32, ", (16, 32)),
        ("-1,-0.5", (-1, -0.5)),
        ("1e-3,.5,1.", (0.001, 0.5, 1.0)),
        ("adam,sgd", ("adam", "sgd")),
        ("true,False", (True, False)),
        ("16,auto", (16, "auto")),
        ("my.module:rnn", ("my.module:rnn",)),
        ("1e-5:1:6", (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        ("1e-3:1e-1:5", (1e-3, 0.00316228, 0.01, 0.0316228, 0.1)),
        ("16:4096:9", (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)),
        (" 16 : 64 : 3 ", (16, 32, 64)),
        ("1000001:3000003:2", (1000001, 3000003)),
        ("0.123456789:0.2:2", (0.123456789, 0.2)),
        ("1:3:10", (1, 2, 3)),  # whole numbers, each once
        ("1.0:100.0:3", (1.0, 10.0, 100.0)),
    ],
)
def test_values_of_a_command_line(text, values):
    found = parse_values("x", text)
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


def test_nan_is_read_and_left_to_the_study_to_refuse():
    (value,) = parse_values("learning_rate", "nan")
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_no_values(text):
    with pytest.raises(UsageError, match="axis x: an axis needs at least one value"):
        parse_values("x", text)


@pytest.mark.parametrize(
    "text",
    ["0:1:3", "-1:1:3", "1:1:3", "2:1:3", "1:2:1", "1:2:0", "1:2:x", "a:b:3", "1:inf:3", "nan:1:3",
     "1:2:2.5", "::", "1:2:10001"],
)  # fmt: skip
def test_no_range(text):
    with pytest.raises(UsageError) as caught:
        parse_values("learning_rate", text)
    expected = "axis learning_rate: not a range (expected low:high:count with 0 < low < high"
    assert str(caught.value).startswith(expected)


@given(st.floats(1e-9, 1e3), st.floats(1.01, 1e6), st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_a_range_rises_from_end_to_end_in_equal_ratios(low, ratio, count):
    high = low * ratio
    values = parse_values("x", f"{low!r}:{high!r}:{count}")
    assert (values[0], values[-1], len(values)) == (low, high, count)
    step = ratio ** (1 / (count - 1))
    for a, b in itertools.pairwise(values):
        assert math.isclose(b / a, step, rel_tol=1.1e-5)  # each rounded to six digits


# ---- keys ----

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), PLAIN, max_size=5), st.randoms())
@settings(max_examples=60, deadline=None)
def test_a_key_depends_on_content_and_not_on_order(content, random):
    names = list(content)
    random.shuffle(names)
    assert content_key({name: content[name] for name in names}) == content_key(content)
    assert content_key(json.loads(json.dumps(content))) == content_key(content)
    assert content_key({**content, "one more name": 1}) != content_key(content)


def test_keys_are_the_same_in_every_process_and_python():
    content = {"hyper": {"learning_rate": 1e-05, "b": [1, 2.5, None, True]}, "name": "größer"}
    assert content_key(content) == "8496a7938d9b5d19485780621c320951"
    assert content_key({}) == "44136fa355b3678a1146ad16f7e8649e"  # sha256 of {}
