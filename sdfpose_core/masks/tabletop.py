"""Instance masks from depth alone: each object on the table is one instance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.identities import IdentityTracker
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.outlines import clean_outlines
from sdfpose_core.masks.tabletop_clusters import TabletopClusters, find_tabletop_clusters
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["TabletopMasks"]

_STEP = 2
"""Stride in rows and columns for measuring size and position of an object."""

_TOP_PERCENTILE = 95.0
"""Percentile of an object's heights that defines its top; higher points are outliers."""


class TabletopMasks:
    """Segments the objects on the dominant plane, with ids that persist from image to image.

    Objects that touch or nearly touch are one instance; see `TabletopConfig`.

    Args:
        config: parameters of the segmentation.
    """

    def __init__(self, config: TabletopConfig | None = None) -> None:
        self._config = TabletopConfig() if config is None else config
        self._identities = IdentityTracker(self._config.reach_m, self._config.patience)

    def segment(self, depth: NDArray[np.floating], camera: PinholeCamera) -> InstanceMask:
        """Segment the next image; each instance is labelled `ANY_CATEGORY`.

        Args:
            depth: (H, W), metres; missing depth is 0, NaN or Inf.
            camera: camera of the depth image.

        Raises:
            FrameError: depth and camera differ in size.
        """
        standing = find_tabletop_clusters(depth, camera, self._config)
        labels = clean_outlines(standing.labels, standing.depth == 0.0, self._config.close_px)
        objects = self._objects(standing, labels)
        assigned = self._identities.assign(np.array(list(objects.values())).reshape(-1, 3))
        id_of = np.zeros(labels.max() + 1, dtype=np.uint16)
        id_of[list(objects)] = assigned
        return InstanceMask(
            standing.full_size(id_of[labels], depth.shape),
            {i: InstanceLabel(ANY_CATEGORY, detected=True) for i in assigned},
            standing.problem,
        )

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()

    def _objects(
        self, standing: TabletopClusters, labels: NDArray[np.int32]
    ) -> dict[int, NDArray[np.float32]]:
        """Compute centres (3,), metres, camera frame, of the labels with the size of an object."""
        if standing.surface is None:
            return {}
        config = self._config
        measured = np.where(labels == standing.labels, labels, 0)
        v, u = np.nonzero(measured[::_STEP, ::_STEP])
        pixels = np.stack([u, v], axis=-1) * _STEP
        label_of = measured[pixels[:, 1], pixels[:, 0]]
        points = standing.camera.back_project(pixels, standing.depth[pixels[:, 1], pixels[:, 0]])
        heights = standing.surface.plane.height(points)
        centres = {}
        for label in np.flatnonzero(np.bincount(label_of) * _STEP**2 >= config.min_pixels):
            own = label_of == label
            high_enough = np.percentile(heights[own], _TOP_PERCENTILE) >= config.min_top_m
            if high_enough and config.min_size_m <= _length(points[own]) <= config.max_size_m:
                centres[int(label)] = np.median(points[own], axis=0)
        return centres


def _length(points: NDArray[np.float32]) -> float:
    """Approximate the largest distance between points (N, 3), metres, slightly from below."""
    end = points[np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    return float(np.sqrt(((points - end) ** 2).sum(axis=1).max()))
