"""Units of files, and models without a size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.category_learning.sizes import SizeRange, find_scaling
from sdfpose_core.errors import ConfigurationError

SIZE = SizeRange(0.2, 0.4)


@pytest.mark.parametrize(
    ("diagonals", "factor", "name"),
    [
        ([0.25, 0.3, 0.35], 1.0, "metres"),
        ([250.0, 300.0, 350.0], 0.001, "millimetres"),
        ([12.0, 15.0], 0.01, "centimetres"),
    ],
)
def test_the_unit_is_guessed_and_said(diagonals, factor, name):
    found = find_scaling(diagonals)
    assert found.factors == (factor,) * len(diagonals)
    assert found.has_sizes
    assert found.summary.startswith(f"unit: {name}, guessed")
    assert not found.notes


@given(
    st.lists(st.floats(0.2, 0.4), min_size=1, max_size=8),
    st.sampled_from([1.0, 0.001]),
)
def test_a_plausible_size_tells_the_unit(diagonals_m, unit_m):
    found = find_scaling([x / unit_m for x in diagonals_m], size=SIZE)
    assert found.factors == (unit_m,) * len(diagonals_m)
    assert found.has_sizes
    assert not found.notes


@given(st.lists(st.floats(0.5, 5000.0), min_size=1, max_size=8))
def test_with_a_plausible_size_all_models_have_one(diagonals):
    found = find_scaling(diagonals, size=SIZE)
    assert all(SIZE.holds(f * d) for f, d in zip(found.factors, diagonals, strict=True))


def test_normalised_models_need_a_size():
    with pytest.raises(ConfigurationError, match=r"normalised .* --unit-m, or .* --size"):
        find_scaling([1.0, 1.0, 1.001])
    with pytest.raises(ConfigurationError, match="all 3 models have the longest side 2: they are"):
        find_scaling([2.2, 2.5, 3.1], lengths={"longest side": [2.0, 1.999, 2.0]})
    assert find_scaling([0.22, 0.25, 0.31], lengths={"longest side": [0.2, 0.2, 0.2]}).has_sizes
    found = find_scaling([1.0, 1.0, 1.001], size=SIZE)
    assert not found.has_sizes
    assert found.factors[0] == pytest.approx(SIZE.middle_m)
    assert find_scaling([1.0, 1.0, 1.0], unit_m=1.0).factors == (1.0,) * 3


def test_one_file_in_another_unit():
    found = find_scaling([0.3, 0.25, 310.0, 0.28])
    assert found.factors == (1.0, 1.0, 0.001, 1.0)
    assert "taken for millimetres" in found.notes[2]
    found = find_scaling([0.3, 0.25, 310.0, 0.28], size=SIZE)
    assert found.factors == (1.0, 1.0, 0.001, 1.0)
    assert list(found.notes) == [2]


def test_an_odd_size_is_said_or_rescaled():
    found = find_scaling([0.3, 0.25, 0.28, 3.0])
    assert found.factors == (1.0,) * 4
    assert found.notes[3].startswith("warning: its diagonal is")
    found = find_scaling([0.3, 0.25, 0.28, 5.0], size=SIZE)
    assert found.factors[3] * 5.0 == pytest.approx(SIZE.middle_m)
    assert "was rescaled" in found.notes[3]
    found = find_scaling([0.3, 7.0], unit_m=1.0, size=SIZE)
    assert found.factors == (1.0, 1.0)
    assert "7 m is not within 0.2 to 0.4 m" in found.notes[1]


def test_a_unit_that_cannot_be_guessed():
    with pytest.raises(ConfigurationError, match=r"cannot be guessed .* 0.0003: give the unit"):
        find_scaling([0.0003])


@pytest.mark.parametrize("text", ["0.4..0.2", "small", "0..0.3", "..", "0.2..inf", "-1"])
def test_a_size_range_that_is_none(text):
    with pytest.raises(ConfigurationError, match=r"expected two diagonals in metres"):
        SizeRange.parse(text)


def test_a_size_range():
    assert SizeRange.parse("0.2..0.4") == SIZE
    assert SizeRange.parse("0.3").middle_m == pytest.approx(0.3)
    assert SizeRange.parse("0.3").log_sd == 0.0
