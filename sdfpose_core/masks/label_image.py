"""Instance masks from a semantic label image: each connected component of a class."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import MAX_INSTANCES

__all__ = ["LabelImageMasks"]


class LabelImageMasks:
    """Splits the selected classes into instances, with ids that persist from image to image.

    Two objects of one class that touch in the image are one instance. At most `MAX_INSTANCES`
    components become instances, the largest first.

    Args:
        min_pixels: smaller components are dropped.
    """

    def __init__(self, min_pixels: int = 150) -> None:
        self._min_pixels = min_pixels
        self._identities = image_identities()

    def segment(self, image: NDArray[np.integer], classes: Mapping[int, str]) -> InstanceMask:
        """Segment the next image.

        Args:
            image: (H, W), class id per pixel.
            classes: category by class id; other classes are ignored.

        Raises:
            FrameError: the image is not two-dimensional, or its type is not an integer type.
        """
        if image.ndim != 2 or not np.issubdtype(image.dtype, np.integer):
            raise FrameError(
                f"label image is {image.dtype} {image.shape}: expected integer class ids (H, W)"
            )
        components = [
            (pixels, of_class, number, category)
            for class_id, category in classes.items()
            for pixels, of_class, number in self._components(image == class_id)
        ]
        components.sort(key=lambda x: -x[0])
        candidates = [
            Candidate(of_class == number, category, 1.0)
            for _, of_class, number, category in components[:MAX_INSTANCES]
        ]
        height, width = image.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()

    def _components(self, of_class: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.int32], int]]:
        """List large enough components: number of pixels, component image (H, W), label in it."""
        count, components, statistics, _ = cv2.connectedComponentsWithStats(
            of_class.astype(np.uint8)
        )
        pixels = statistics[:, cv2.CC_STAT_AREA].tolist()
        image = np.asarray(components, dtype=np.int32)
        return [(pixels[i], image, i) for i in range(1, count) if pixels[i] >= self._min_pixels]
