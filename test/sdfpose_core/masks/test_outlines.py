from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sdfpose_core.masks.outlines import clean_outlines

NOTHING = np.zeros((40, 60), dtype=np.bool_)


def square(label=1, size=20):
    labels = np.zeros((40, 60), dtype=np.int32)
    labels[10 : 10 + size, 10 : 10 + size] = label
    return labels


def test_a_clean_label_stays_as_it_is():
    np.testing.assert_array_equal(clean_outlines(square(), NOTHING, 5), square())


def test_holes_are_filled():
    holed = square()
    holed[15:25, 15:25] = 0
    np.testing.assert_array_equal(clean_outlines(holed, NOTHING, 5), square())


def test_another_label_in_a_hole_stays():
    both = square()
    both[15:20, 15:20] = 2
    np.testing.assert_array_equal(clean_outlines(both, NOTHING, 5), both)


def test_gaps_are_closed_where_depth_is_missing_alone():
    cut = square()
    cut[18:21] = 0
    missing = cut == 0
    np.testing.assert_array_equal(clean_outlines(cut, missing, 5), square())
    seen = clean_outlines(cut, NOTHING, 5)
    np.testing.assert_array_equal(seen[21:], cut[21:])
    assert not seen[:21].any()


def test_pieces_apart_are_dropped():
    spread = square()
    spread[5, 50:53] = 1
    np.testing.assert_array_equal(clean_outlines(spread, NOTHING, 5), square())


IMAGE = (12, 16)
MISSING = arrays(np.bool_, IMAGE)


@settings(deadline=None)
@given(arrays(np.int32, IMAGE, elements=st.integers(0, 3)), MISSING, st.integers(1, 7))
def test_nothing_is_taken_from_other_labels(labels, missing, gap_px):
    cleaned = clean_outlines(labels, missing, gap_px)
    assert set(np.unique(cleaned)) <= set(np.unique(labels)) | {0}
    assert not cleaned[(labels > 0) & (cleaned != labels)].any()


@settings(deadline=None)
@given(arrays(np.int32, IMAGE, elements=st.integers(0, 1)), MISSING, st.integers(1, 7))
def test_a_label_alone_is_one_piece_without_holes(labels, missing, gap_px):
    cleaned = clean_outlines(labels, missing, gap_px)
    assert ndimage.label(cleaned, structure=np.ones((3, 3)))[1] == labels.any()
    np.testing.assert_array_equal(ndimage.binary_fill_holes(cleaned), cleaned > 0)
