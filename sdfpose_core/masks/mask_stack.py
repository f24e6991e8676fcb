"""Instance masks from a stack of binary masks, one for each prompt of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import MAX_INSTANCES, InstanceLabel

__all__ = ["StackedMasks"]


class StackedMasks:
    """Combines masks that may overlap; ids persist from image to image.

    Args:
        min_pixels: smaller instances are dropped.
    """

    def __init__(self, min_pixels: int = 150) -> None:
        self._min_pixels = min_pixels
        self._identities = image_identities()

    def segment(
        self, masks: NDArray[np.bool_], labels: Sequence[InstanceLabel | None]
    ) -> InstanceMask:
        """Combine the masks of the next image; where they overlap, the higher score wins.

        Args:
            masks: (N, H, W).
            labels: label of each mask, None to drop it. At most `MAX_INSTANCES` masks with the
                highest scores are used.

        Raises:
            FrameError: the stack is not three-dimensional, or has another number of masks.
        """
        if masks.ndim != 3 or len(masks) != len(labels):
            raise FrameError(
                f"stack of masks has shape {masks.shape} with {len(labels)} labels: expected "
                "(N, H, W) with N labels"
            )
        known = [(x, mask) for x, mask in zip(labels, masks, strict=True) if x is not None]
        known.sort(key=lambda x: -x[0].score)
        candidates = [Candidate(m, x.category, x.score) for x, m in known[:MAX_INSTANCES]]
        _, height, width = masks.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()
