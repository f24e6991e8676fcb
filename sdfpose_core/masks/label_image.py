"""Instance masks from a semantic label image: each connected piece of a class is one instance."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import MOST_INSTANCES

__all__ = ["LabelImageMasks"]


class LabelImageMasks:
    """Splits the classes of interest into instances, with ids that stay from image to image.

    Two objects of one class that touch in the image are one instance. Of more than
    `MOST_INSTANCES` pieces the largest are instances.

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
        pieces = [
            (pixels, of_class, number, category)
            for class_id, category in self._classes.items()
            for pixels, of_class, number in self._pieces(image == class_id)
        ]
        pieces.sort(key=lambda x: -x[0])
        candidates = [
            Candidate(of_class == number, category, 1.0)
            for _, of_class, number, category in pieces[:MOST_INSTANCES]
        ]
        height, width = image.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of the images before."""
        self._identities.reset()

    def _pieces(self, of_class: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.int32], int]]:
        """Of each piece that is large enough its pixels, an image (H, W) and its number in it."""
        count, pieces, statistics, _ = cv2.connectedComponentsWithStats(of_class.astype(np.uint8))
        pixels = statistics[:, cv2.CC_STAT_AREA].tolist()
        image = np.asarray(pieces, dtype=np.int32)
        return [(pixels[i], image, i) for i in range(1, count) if pixels[i] >= self._min_pixels]
