"""Numeric arguments refuse senseless values."""

import argparse

import pytest

from sdfpose_core.cli.numbers import integer, positive, real, seed


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (integer(), "3", 3),
        (integer(0, 6), "6", 6),
        (seed, "0", 0),
        (positive, "0.5", 0.5),
        (positive, "1e-3", 0.001),
        (real(), "0", 0.0),
        (real(-360.0), "-90", -90.0),
        (real(0.0, 1.0), "1", 1.0),
    ],
)
def test_good_values(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((integer(), x) for x in ("0", "-1", "1.5", "", "many", "nan", str(2**70))),
        *((integer(0, 6), x) for x in ("-1", "7")),
        (seed, "-1"),
        *((positive, x) for x in ("0", "-1", "nan", "inf", "-inf", "fast", "")),
        *((real(), x) for x in ("-0.1", "nan", "inf")),
        *((real(0.0, 1.0), x) for x in ("-0.1", "1.1", "nan")),
    ],
)
def test_senseless_values_are_refused(kind, text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        kind(text)
