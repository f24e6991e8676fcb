"""Instance masks from an image of instance ids, as Segment Anything and its kin make them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import MAX_INSTANCES

__all__ = ["InstanceImageMasks"]


class InstanceImageMasks:
    """Takes each id of an image as an instance, with new ids that persist from image to image.

    At most `MAX_INSTANCES` ids become instances, the largest first.

    Args:
        min_pixels: smaller instances are dropped.
    """

    def __init__(self, min_pixels: int = 150) -> None:
        self._min_pixels = min_pixels
        self._identities = image_identities()

    def segment(
        self, image: NDArray[np.integer], category_of: Callable[[int], str | None]
    ) -> InstanceMask:
        """Segment the next image.

        Args:
            image: (H, W), any positive id per pixel; 0 and negative values are the background.
            category_of: gives the category of an id, or None to drop the instance.

        Raises:
            FrameError: the image is not two-dimensional, or its type is not an integer type.
        """
        if image.ndim != 2 or not np.issubdtype(image.dtype, np.integer):
            raise FrameError(
                f"instance image is {image.dtype} {image.shape}: expected integer ids (H, W)"
            )
        values, pixels = np.unique(image, return_counts=True)
        large = (values > 0) & (pixels >= self._min_pixels)
        order = np.flatnonzero(large)[np.argsort(-pixels[large], kind="stable")]
        candidates: list[Candidate] = []
        for value in values[order].tolist():
            category = category_of(value)
            if category is not None:
                candidates.append(Candidate(image == value, category, 1.0))
            if len(candidates) == MAX_INSTANCES:
                break
        height, width = image.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()
