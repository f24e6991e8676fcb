from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation import MaskNoise

CAMERA = PinholeCamera(320, 240, 600.0, 600.0, 159.5, 119.5)


def disc(radius=40):
    v, u = np.mgrid[:240, :320]
    return np.where((u - 160) ** 2 + (v - 120) ** 2 < radius**2, 5, 0).astype(np.uint16)


def test_no_noise_is_the_truth():
    exact = disc()
    found = MaskNoise.none().apply(exact, CAMERA, np.random.default_rng(0))
    assert np.array_equal(found, exact)
    assert found is not exact


@pytest.mark.parametrize("change", [-3.0, 3.0])
def test_masks_shrink_and_grow(change):
    noise = MaskNoise(shrink_px=-change, grow_px=change)  # the same bound twice: no draw
    mask = noise.apply(disc(), CAMERA, np.random.default_rng(0))
    radius = np.sqrt((mask == 5).sum() / np.pi)
    assert radius == pytest.approx(40.0 + change, abs=0.7)
    assert set(np.unique(mask)) == {0, 5}


def test_a_leak_adds_no_more_than_its_share_and_on_one_side():
    noise = MaskNoise(leak=0.2, leak_probability=1.0)
    exact = disc()
    shares = []
    for i in range(30):
        mask = noise.apply(exact, CAMERA, np.random.default_rng(i))
        added = (mask > 0) & (exact == 0)
        assert not ((mask == 0) & (exact > 0)).any()
        shares.append(added.sum() / (exact > 0).sum())
        if shares[-1] > 0.05:
            v, u = np.nonzero(added)
            assert np.hypot(u.mean() - 160, v.mean() - 120) > 15.0
    assert max(shares) < 0.3
    assert 0.05 < np.mean(shares) < 0.15


def test_detector_masks_keep_ids_and_overlap_the_truth():
    exact = disc(30)
    exact[:60, :90] = 2
    for i in range(10):
        mask = MaskNoise.realistic().apply(exact, CAMERA, np.random.default_rng(i))
        assert set(np.unique(mask)) == {0, 2, 5}
        for label in (2, 5):
            union = ((mask == label) | (exact == label)).sum()
            assert ((mask == label) & (exact == label)).sum() > 0.65 * union


def test_an_empty_mask_stays_empty():
    empty = np.zeros((240, 320), dtype=np.uint16)
    assert not MaskNoise.realistic().apply(empty, CAMERA, np.random.default_rng(0)).any()
