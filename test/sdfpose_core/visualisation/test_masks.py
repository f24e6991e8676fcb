from __future__ import annotations

import numpy as np
import pytest
from mask_frames import BLOCKS, block_frame
from simple_estimates import make_estimate

from sdfpose_core.categories import default_categories
from sdfpose_core.evaluation.mask_metrics import match_masks
from sdfpose_core.visualisation.masks import (
    draw_estimated_masks,
    draw_mask_comparison,
    draw_masks,
)

FRAME = block_frame()
INNER = {i: tuple(slice(x.start + 8, x.stop - 8) for x in block) for i, block in BLOCKS.items()}
"""Parts of the blocks without outlines and labels."""


def test_each_mask_has_a_colour_of_its_own():
    before = FRAME.colour.copy()
    image = draw_masks(FRAME.colour, FRAME.mask)
    assert image.shape == FRAME.colour.shape
    np.testing.assert_array_equal(FRAME.colour, before)
    tints = {i: np.unique(image[part].reshape(-1, 3), axis=0) for i, part in INNER.items()}
    assert all(len(x) == 1 for x in tints.values())
    assert np.abs(tints[4].astype(int) - tints[2]).max() > 50
    np.testing.assert_array_equal(image[100:, :60], before[100:, :60])


def test_partners_share_a_colour_and_other_masks_are_white():
    found = np.where(FRAME.mask == 4, 7, 0).astype(np.uint16)
    found[95:115, 10:40] = 9
    image = draw_mask_comparison(FRAME.colour, FRAME.mask, found, match_masks(FRAME.mask, found))
    heading = image.shape[0] - 120
    left, right = image[heading:, :160], image[heading:, -160:]
    np.testing.assert_array_equal(left[INNER[4]], right[INNER[4]])
    np.testing.assert_array_equal(right[INNER[2]], FRAME.colour[INNER[2]])
    false = right[107, 15].astype(int)
    assert false.min() == false.max() > 90


def test_masks_of_estimates_have_the_outline_of_their_category():
    before = FRAME.colour.copy()
    categories = default_categories()
    estimates = [make_estimate("mug", mask_id=4)]
    image = draw_estimated_masks(FRAME.colour, FRAME.mask, estimates, categories)
    np.testing.assert_array_equal(FRAME.colour, before)
    outline = image[35, 20].astype(int)  # anti-aliased
    assert np.abs(outline - categories["mug"].colour).max() < 30
    red, green, blue = image[75, 90]  # the laptop has no estimate
    assert red == green == blue > 150
    for part in INNER.values():
        np.testing.assert_array_equal(image[part], before[part])
    noted = draw_estimated_masks(FRAME.colour, FRAME.mask, estimates, categories, {4: "invented"})
    assert np.any(noted != image)


@pytest.mark.parametrize("size", [(16, 16), (1, 1)])
def test_small_images(size):
    colour, ids = np.zeros((*size, 3), np.uint8), np.ones(size, np.uint16)
    image = draw_mask_comparison(colour, ids, ids, match_masks(ids, ids))
    assert image.shape[1] == 2 * size[1] + 6
