from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.observation.frame import InstanceLabel

SHAPE = (8, 10)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        mask=arrays(np.bool_, SHAPE),
        category=st.sampled_from(["mug", "bowl"]),
        score=st.floats(0.0, 1.0),
    ),
    max_size=5,
)


@given(CANDIDATES, st.integers(0, 40))
def test_each_pixel_belongs_to_the_likeliest_of_those_that_claim_it(candidates, min_pixels):
    result = compose(candidates, SHAPE, min_pixels, image_identities())
    assert result.ids.dtype == np.uint16
    assert set(np.unique(result.ids)) - {0} == set(result.labels)
    claimed = np.zeros(SHAPE, dtype=np.bool_)
    for candidate in candidates:
        claimed |= candidate.mask
    assert not result.ids[~claimed].any()
    for i, label in result.labels.items():
        own = result.ids == i
        assert own.sum() >= min_pixels
        assert not any((x.mask & own).any() for x in candidates if x.score > label.score)
    if min_pixels <= 1:
        np.testing.assert_array_equal(result.ids > 0, claimed)


def test_the_higher_score_wins():
    left, right = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    left[:, :6], right[:, 4:] = True, True
    result = compose(
        [Candidate(left, "mug", 0.9), Candidate(right, "bowl", 0.8)], SHAPE, 1, image_identities()
    )
    assert result.labels[int(result.ids[0, 5])] == InstanceLabel("mug", 0.9, detected=True)
    assert result.labels[int(result.ids[0, 6])] == InstanceLabel("bowl", 0.8, detected=True)


def test_ids_stay_with_what_moves_a_little():
    identities = image_identities()
    ids = []
    for place in (10, 12, 14):
        mask = np.zeros((40, 100), np.bool_)
        mask[10:20, place : place + 10] = True
        ids.append(set(compose([Candidate(mask, "mug", 0.5)], (40, 100), 1, identities).labels))
    assert ids[0] == ids[1] == ids[2]
