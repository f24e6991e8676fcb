"""Calibration and ranking of confidences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import ShapeError
from sdfpose_core.evaluation import expected_calibration_error, ranking_auroc


def test_error_of_a_hand_computed_case() -> None:
    # Bin 0.2-0.3: mean confidence 0.25, success 1/2; bin 0.9-1: 0.95 and 1.
    probability = np.array([0.25, 0.25, 0.95, 0.95])
    right = np.array([True, False, True, True])
    expected = 0.5 * 0.25 + 0.5 * 0.05
    assert expected_calibration_error(probability, right) == pytest.approx(expected)


def test_certainty_falls_into_the_last_bin() -> None:
    assert expected_calibration_error(np.ones(3), np.ones(3, dtype=bool)) == 0.0
    assert expected_calibration_error(np.ones(3), np.zeros(3, dtype=bool)) == 1.0


def test_auroc_of_a_hand_computed_case() -> None:
    probability = np.array([0.9, 0.8, 0.7, 0.1])
    right = np.array([True, False, True, False])
    # Pairs of right and wrong: (.9,.8) (.9,.1) (.7,.1) in order, (.7,.8) not.
    assert ranking_auroc(probability, right) == pytest.approx(0.75)


def test_ties_count_half_and_one_class_is_undefined() -> None:
    assert ranking_auroc(np.full(4, 0.5), np.array([True, False, True, False])) == 0.5
    assert np.isnan(ranking_auroc(np.array([0.2, 0.9]), np.array([True, True])))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_error_lies_between_zero_and_one(rows: list[tuple[float, bool]]) -> None:
    probability = np.array([p for p, _ in rows])
    right = np.array([r for _, r in rows])
    assert 0.0 <= expected_calibration_error(probability, right) <= 1.0


@pytest.mark.parametrize("metric", [expected_calibration_error, ranking_auroc])
def test_lengths_must_agree(metric: object) -> None:
    with pytest.raises(ShapeError, match="2 and 3 entries"):
        metric(np.zeros(2), np.zeros(3, dtype=bool))  # type: ignore[operator]
