"""Which of an image's masks is the scanned object."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import RgbdFrame, robust_centre

__all__ = ["ObjectFollower"]

_MIN_POINTS = 100
"""A mask with fewer pixels with depth is too small to be registered."""

_REACH = 0.8
"""Between two images, the object moves in the camera frame by no more than this share of its size,
or not at all in the world if the camera's pose is known..."""

_GROWTH = 2.5
"""...and its size changes by no more than this factor."""

_MEMORY = 0.1
"""Weight of a new image in the size that is remembered."""


class ObjectFollower:
    """Chooses the mask of one object in each image of a recording.

    In the first image it is the mask nearest to the middle. From there the object is followed by
    its place in space, or in the world if the pose of the camera is known.
    """

    def __init__(self) -> None:
        self._centre: NDArray[np.float64] | None = None
        self._size_m = 0.0

    def choose(self, frame: RgbdFrame) -> tuple[NDArray[np.bool_] | None, str]:
        """Choose the mask in the next image.

        Args:
            frame: with masks; ids need not persist from image to image.

        Returns:
            The object's pixels (H, W), and an empty string; or None, and why there are none.
        """
        found = {}
        for mask_id in np.unique(frame.mask[(frame.mask > 0) & (frame.depth > 0.0)]):
            v, u = np.nonzero((frame.mask == mask_id) & (frame.depth > 0.0))
            if len(u) >= _MIN_POINTS:
                points = frame.camera.back_project(np.stack([u, v], axis=-1), frame.depth[v, u])
                found[int(mask_id)] = self._placed(frame, points)
        if not found:
            return None, f"no mask has {_MIN_POINTS} pixels with depth"
        if self._centre is None:
            chosen = min(found, key=lambda x: _from_middle(frame, x))
            self._centre, self._size_m = found[chosen]
            return frame.mask == chosen, ""
        before = self._centre
        chosen = min(found, key=lambda x: float(np.linalg.norm(found[x][0] - before)))
        centre, size_m = found[chosen]
        moved = float(np.linalg.norm(centre - before))
        if moved > _REACH * self._size_m:
            return None, f"the nearest mask is {moved:.2f} m away from where the object was"
        if not 1.0 / _GROWTH < size_m / self._size_m < _GROWTH:
            return None, (
                f"the mask at the object's place is {size_m:.2f} m large and the object "
                f"{self._size_m:.2f} m"
            )
        self._centre = centre
        self._size_m += _MEMORY * (size_m - self._size_m)
        return frame.mask == chosen, ""

    @staticmethod
    def _placed(frame: RgbdFrame, points: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        """Centre (3,) and size, metres, of points (N, 3), in the world if it is known."""
        low, high = np.quantile(points, (0.05, 0.95), axis=0)
        centre = robust_centre(points)
        if frame.camera_pose is not None:
            centre = frame.camera_pose.to_world(centre)
        return centre, float(np.linalg.norm(high - low))


def _from_middle(frame: RgbdFrame, mask_id: int) -> float:
    """Distance of a mask's median pixel from the middle of the image, pixels."""
    v, u = np.nonzero(frame.mask == mask_id)
    middle = 0.5 * (frame.camera.width - 1), 0.5 * (frame.camera.height - 1)
    return float(np.hypot(np.median(u) - middle[0], np.median(v) - middle[1]))
