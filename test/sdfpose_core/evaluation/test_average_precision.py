"""Average precision against values found by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.errors import ShapeError
from sdfpose_core.evaluation import average_precision


def ap(score, right, truths):
    return average_precision(np.array(score, float), np.array(right, bool), truths)


def test_by_hand():
    # Precisions at the right ones: 1, 2/3, 3/5; the best at each recall or beyond is the same.
    assert ap([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 1, 0, 1], 4) == pytest.approx(
        (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 4.0
    )
    # A wrong one first: the precision at the first recall is that of the second, 2/3.
    assert ap([0.9, 0.8, 0.7], [0, 1, 1], 2) == pytest.approx(2.0 / 3.0)


def test_all_right_all_wrong_and_nothing_found():
    assert ap([0.1, 0.2], [1, 1], 2) == 1.0
    assert ap([0.1, 0.2], [0, 0], 2) == 0.0
    assert ap([], [], 3) == 0.0
    assert np.isnan(ap([], [], 0))


def test_misses_cost():
    assert ap([0.5], [1], 4) == 0.25


def test_wrong_numbers_are_refused():
    with pytest.raises(ShapeError, match="2 scores, 1 detections"):
        ap([0.1, 0.2], [1], 2)
    with pytest.raises(ShapeError, match="no more true positives than objects"):
        ap([0.1, 0.2], [1, 1], 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_it_lies_between_nothing_and_recall_and_grows_with_right_ones(items):
    score = [x for x, _ in items]
    right = [y for _, y in items]
    value = ap(score, right, len(items))
    assert 0.0 <= value <= sum(right) / len(items) + 1e-12
    for i, y in enumerate(right):
        if not y:
            assert ap(score, [*right[:i], True, *right[i + 1 :]], len(items)) >= value - 1e-12
