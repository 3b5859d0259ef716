"""Whatever stands in a study: it is taken, or refused in one line of our own."""

import datetime
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gridscape as gs
from gridscape.claims import load_claims
from gridscape.errors import LONGEST, GridscapeError, StudyFileError, UsageError, short
from gridscape.grid.axes import Axis, same

HUGE = 10**5000  # of more digits than Python writes
BASE = {
    "name": "t",
    "task": "digits-rows",
    "model": "lstm",
    "updates": 10,
    "axes": {"hidden_size": [4], "learning_rate": [0.1]},
}
NESTED: list = []
NESTED.append(NESTED)

# Hypothesis cannot write numbers out that Python does not.
huge = st.builds(
    lambda sign, digits: sign * 10**digits, st.sampled_from([1, -1]), st.integers(300, 5000)
)
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), huge)
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["adam", "lstm", "digits", "none", "os:system", "x" * 100_000, "\ud800"]),
)
odd = st.sampled_from(
    [
        None,
        NESTED,
        len,
        object(),
        1j,
        b"x",
        (1, 2),
        {1},
        iter([1]),
        datetime.date(2020, 1, 1),
        datetime.time(1),
        np.array(5),
        np.array([1, 2]),
        np.array(["a"]),
        np.datetime64("2020"),
        [1] * 100_000,
    ]
)
names = st.one_of(st.sampled_from([*gs.Study.model_fields, "hidden_size", "clip_norm"]), texts)
plain = st.recursive(
    numbers | texts | odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)


def assert_told(call):
    """It works, or one line tells why not."""
    line = "done"
    try:
        call()
    except GridscapeError as error:
        line = str(error)
    assert "\n" not in line
    assert 0 < len(line) <= LONGEST


@example(key="zip", value=[[(1, 2)]])
@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(list(gs.Study.model_fields)), value=plain)
def test_any_value_of_any_setting(key, value):
    assert_told(lambda: gs.Study(**{**BASE, key: value}).unknown_names())
    assert_told(lambda: gs.Study(**BASE).override(**{key: value}).unknown_names())
    assert_told(lambda: gs.Study.from_record({**BASE, key: value}))


@settings(max_examples=60, deadline=None)
@given(plain)
def test_any_value_as_a_study_or_a_record_and_on_an_axis(value):
    assert_told(lambda: gs.Study.load(value))
    assert_told(lambda: gs.Study.from_record(value))
    assert_told(lambda: gs.Study.from_record({**BASE, "objects": value, "semantics": value}))
    assert_told(lambda: gs.Study(**BASE).override({"hidden_size": value}))
    assert_told(lambda: Axis("a", (value,)))


def toml(value):
    """A value as TOML has it; without what it has no word for."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return "9" * 5000 if abs(value) >= 10**4000 else str(value)
    if isinstance(value, float):
        return "nan" if math.isnan(value) else str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    return '"' + "".join(c if c.isascii() and c.isalnum() else "_" for c in str(value)) + '"'


in_toml = st.recursive(
    numbers | st.text(max_size=8) | st.sampled_from([datetime.date(2020, 1, 1)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=80, deadline=None)
@given(key=st.sampled_from(list(gs.Study.model_fields)), value=in_toml)
def test_any_value_in_a_study_file(tmp_path_factory, key, value):
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    content = {**BASE, key: value}
    path.write_text("".join(f"{name} = {toml(part)}\n" for name, part in content.items()))
    assert_told(lambda: gs.Study.load(path))


@pytest.mark.parametrize("text", ["updates = " + "9" * 5000, "x = " + "[" * 5000])
def test_what_no_reader_of_toml_takes_is_a_mistake_of_the_file(tmp_path, text):
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(StudyFileError, match=r"odd\.toml: \w+"):
        gs.Study.load(path)


@pytest.mark.parametrize("content", [b'name = "\xf0"', b"\xff\xfen\0a\0"])
def test_bytes_that_are_no_text_are_told_by_their_place(tmp_path, content):
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    with pytest.raises(StudyFileError, match=r"odd\.toml: no text in UTF-8: byte 0xf\w at \d"):
        gs.Study.load(path)
    with pytest.raises(StudyFileError, match=r"no text in UTF-8: byte 0xf\w at \d"):
        load_claims(path)


def test_numbers_that_no_text_holds_are_told_by_their_length():
    assert short(HUGE) == "a whole number of 5,001 digits"
    with pytest.raises(UsageError, match="found a whole number of 5,001 digits"):
        gs.Study(**BASE).override(updates=HUGE)
    assert "5,001 digits" in str(UsageError("too large", found=HUGE))
    assert not same(HUGE, 1)


def test_many_mistakes_and_long_names_keep_to_one_line():
    error = StudyFileError("a" * 500, [f"source.{n}: wrong type" for n in range(1000)])
    assert len(str(error)) <= LONGEST
    assert "1000 mistakes: source.0: wrong type; source.1: wrong type" in str(error)
    assert str(error).endswith(" more")
    assert len(error.mistakes) == 1000
    long = UsageError("no", where="w" * 999, expected="e" * 999, found="f" * 999, hint="do this")
    assert len(str(long)) <= LONGEST
    assert str(long).endswith("; do this")
