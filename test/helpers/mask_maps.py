"""Outputs of a mask network that knows the answer."""

from __future__ import annotations

import numpy as np

from sdfpose_core.masks.grouping import PixelMaps
from sdfpose_core.masks.network import UNIT_PX

__all__ = ["maps_of"]

RADIUS_PX = 8.0


def maps_of(ids, *, noise_px=1.0, places=None):
    """Maps (H, W) of which each pixel votes for the middle of its object, more or less.

    Args:
        ids: (H, W), number of the object, 0 = background.
        noise_px: standard deviation of the votes.
        places: other places (column, row) of some objects, by number, pixels.
    """
    rng = np.random.default_rng(0)
    v, u = np.indices(ids.shape)
    votes = np.zeros((5, *ids.shape), dtype=np.float32)
    votes[0], votes[1] = u, v
    for number in np.unique(ids[ids > 0]):
        own = ids == number
        votes[0][own], votes[1][own] = (places or {}).get(number, (u[own].mean(), v[own].mean()))
    error = noise_px * rng.standard_normal((2, *ids.shape))
    votes[:2] += error
    seed = np.where(ids > 0, 3.0 - np.square(error).sum(axis=0) / (noise_px + 1e-9), -5.0)
    precision = np.full((2, *ids.shape), 2.0 * np.log(UNIT_PX / RADIUS_PX))
    return PixelMaps(
        np.where(ids > 0, 4.0, -4.0).astype(np.float32),
        seed.astype(np.float32),
        votes / np.float32(UNIT_PX),
        precision.astype(np.float32),
    )
