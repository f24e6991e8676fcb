"""Masks of a stream whose source loses or renames what is followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from followed_objects import followed, found, overlap, standing, view

from sdfpose_core.masks.claimed_masks import ClaimedMasks

PERIOD_NS = 100_000_000


class Scripted:
    """A backend that finds what a test says."""

    def __init__(self, masks):
        self.masks = iter(masks)
        self.resets = 0

    def segment(self, frame):
        return found(next(self.masks))

    def reset(self):
        self.resets += 1


@pytest.fixture(scope="module")
def can():
    return standing(4, "can", 0.0, 0.0)


@pytest.fixture(scope="module")
def frame(can):
    return view([can])


def counts(source, frame, can, times):
    """The number of masks at each time, in periods, while the can is followed."""
    return [
        len(source.segment(replace(frame, stamp_ns=round(t * PERIOD_NS)), [followed(can)]).labels)
        for t in times
    ]


def test_a_mask_that_is_not_found_now_and_then_is_kept(frame, can):
    empty = np.zeros_like(frame.mask)
    source = ClaimedMasks(Scripted([frame.mask, empty, 7 * (frame.mask > 0), empty]))
    for k in range(4):
        mask = source.segment(replace(frame, stamp_ns=(1 + k) * PERIOD_NS), [followed(can)])
        assert set(mask.labels) == {4}
        measured = (frame.mask == 4) & (frame.depth > 0.0)
        assert overlap((mask.ids == 4) & (frame.depth > 0.0), measured) > 0.95


def test_what_is_not_found_for_long_has_no_mask(frame, can):
    """Else it would confirm itself."""
    empty = np.zeros_like(frame.mask)
    source = ClaimedMasks(Scripted([frame.mask] + [empty] * 5))
    assert counts(source, frame, can, [1, 5, 10.9, 11.1, 11.2, 5]) == [1, 1, 1, 0, 0, 0]


def test_what_was_never_found_has_no_mask(frame, can):
    source = ClaimedMasks(Scripted([np.zeros_like(frame.mask)] * 2))
    assert counts(source, frame, can, [1, 2]) == [0, 0]


def test_images_without_stamps_tell_no_time(frame, can):
    source = ClaimedMasks(Scripted([frame.mask, np.zeros_like(frame.mask)]))
    assert counts(source, frame, can, [0, 0]) == [1, 0]


def test_masks_may_be_found_before_it_is_known_what_is_followed(frame, can):
    """As where the next image is segmented while the objects of this one are estimated."""
    empty = np.zeros_like(frame.mask)
    masks = [frame.mask, 7 * (frame.mask > 0), empty]
    frames = [replace(frame, stamp_ns=(1 + k) * PERIOD_NS) for k in range(3)]
    early = ClaimedMasks(Scripted(masks))
    ahead = [early.find(x) for x in frames]
    one_by_one = ClaimedMasks(Scripted(masks))
    for x, mask in zip(frames, ahead, strict=True):
        claimed, whole = (
            early.claimed(x, mask, [followed(can)]),
            one_by_one.segment(x, [followed(can)]),
        )
        np.testing.assert_array_equal(claimed.ids, whole.ids)
        assert claimed.labels == whole.labels
        assert set(claimed.labels) == {4}


def test_a_reset_forgets(frame, can):
    backend = Scripted([frame.mask, np.zeros_like(frame.mask)])
    source = ClaimedMasks(backend)
    assert counts(source, frame, can, [1]) == [1]
    source.reset()
    assert backend.resets == 1
    assert counts(source, frame, can, [2]) == [0]
