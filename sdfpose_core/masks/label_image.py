"""Instance masks from a semantic label image: each connected piece of a class is one instance."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.instance_mask import InstanceMask

__all__ = ["LabelImageMasks"]


class LabelImageMasks:
    """Splits the classes of interest into instances, with ids that stay from image to image.

    Two objects of one class that touch in the image are one instance.

    Args:
        classes: category of each class id that is of interest.
        min_pixels: smaller pieces are dropped.
    """

    def __init__(self, classes: Mapping[int, str], min_pixels: int = 150) -> None:
        self._classes = dict(classes)
        self._min_pixels = min_pixels
        self._identities = image_identities()

    def segment(self, image: NDArray[np.integer]) -> InstanceMask:
        """Instances of the next image.

        Args:
            image: (H, W), class id per pixel.

        Raises:
            FrameError: the image has no two dimensions, or no integers.
        """
        if image.ndim != 2 or not np.issubdtype(image.dtype, np.integer):
            raise FrameError(
                f"label image is {image.dtype} {image.shape}: expected integer class ids (H, W)"
            )
        candidates = [
            Candidate(piece, category, 1.0)
            for class_id, category in self._classes.items()
            for piece in self._pieces(image == class_id)
        ]
        height, width = image.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of the images before."""
        self._identities.reset()

    def _pieces(self, of_class: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        count, pieces, statistics, _ = cv2.connectedComponentsWithStats(of_class.astype(np.uint8))
        large = statistics[:, cv2.CC_STAT_AREA] >= self._min_pixels
        return [pieces == i for i in range(1, count) if large[i]]
