"""Instance masks from detections: their outlines, or else boxes filled with depth's help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.outlines import clean_outlines
from sdfpose_core.masks.polygons import check_polygon, polygon_mask
from sdfpose_core.masks.tabletop_clusters import TabletopClusters, find_tabletop_clusters
from sdfpose_core.observation.frame import MAX_INSTANCES

__all__ = ["Box", "BoxMasks"]

_GAP_M = 0.05
"""Without a table, the nearest object in a box ends at a depth gap of this width, metres..."""

_MIN_SHARE = 0.1
"""...and contains at least this share of the box's pixels with depth."""


@dataclass(frozen=True)
class Box:
    """One detection.

    Attributes:
        x0, y0, x1, y1: left, top, right and bottom edge, pixels. A pixel is inside if its centre
            is inside.
        category: name or label of its category.
        score: 0 to 1.
        outline: (N, 2), (u, v), pixels: polygon round the object; None if only the box is known.

    Raises:
        FrameError: an edge is not finite, edges are in the wrong order, or the outline is no
            polygon.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    category: str
    score: float = 1.0
    outline: NDArray[np.floating] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        edges = (self.x0, self.y0, self.x1, self.y1)
        if not np.all(np.isfinite(edges)) or self.x0 > self.x1 or self.y0 > self.y1:
            raise FrameError(
                f"box of {self.category} from ({self.x0}, {self.y0}) to ({self.x1}, {self.y1}): "
                "expected finite edges, left before right and top before bottom"
            )
        if self.outline is not None:
            check_polygon(self.outline)


class BoxMasks:
    """Segments the object in each box; boxes separate touching objects, higher scores first.

    If a box has an outline, its mask is what the outline encloses, and depth is not needed.
    Otherwise it is the cluster on the table that fits the box best. If no table is visible, it is
    the nearest object in the box. If a table is visible but the box contains no cluster, the box
    has no mask.

    Args:
        config: parameters of the tabletop segmentation.
    """

    def __init__(self, config: TabletopConfig | None = None) -> None:
        self._config = TabletopConfig() if config is None else config
        self._identities = image_identities()

    def segment(
        self, boxes: Sequence[Box], depth: NDArray[np.floating], camera: PinholeCamera
    ) -> InstanceMask:
        """Segment the next image.

        Args:
            boxes: detections in the image; parts outside the image are ignored. At most
                `MAX_INSTANCES` boxes with the highest scores are used.
            depth: (H, W), metres; missing depth is 0, NaN or Inf.
            camera: camera of the depth image.

        Raises:
            FrameError: depth is used, and differs from the camera in size.
        """
        used = sorted(boxes, key=lambda x: -x.score)[:MAX_INSTANCES]
        height, width = depth.shape
        candidates = [
            Candidate(polygon_mask(x.outline, (height, width)), x.category, x.score)
            for x in used
            if x.outline is not None
        ]
        bare = [x for x in used if x.outline is None]
        if bare:
            standing = find_tabletop_clusters(depth, camera, self._config)
            candidates += [
                Candidate(mask, x.category, x.score)
                for x in bare
                if (mask := self._mask(x, standing, depth.shape)) is not None
            ]
        return compose(candidates, (height, width), self._config.min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()

    def _mask(
        self, box: Box, standing: TabletopClusters, shape: tuple[int, ...]
    ) -> NDArray[np.bool_] | None:
        """Fill a box; None if it contains no pixel centre."""
        rows, columns = _inside(box, standing)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        filled = np.zeros(standing.depth.shape, dtype=np.uint16)
        filled[rows, columns] = self._filled(standing, rows, columns)
        return np.asarray(standing.full_size(filled, shape) > 0)

    def _filled(self, standing: TabletopClusters, rows: slice, columns: slice) -> NDArray[np.bool_]:
        depth = standing.depth[rows, columns]
        if standing.surface is None:
            own = _nearest(depth)
        else:
            labels = standing.labels[rows, columns]
            inside = np.bincount(labels.reshape(-1), minlength=2).astype(np.float64)
            everywhere = np.bincount(standing.labels.reshape(-1), minlength=len(inside))
            inside[0] = 0.0
            # Prefer clusters that are large in the box, but not mostly outside (background).
            fit = inside**2 / np.maximum(everywhere[: len(inside)], 1)
            own = (labels == int(fit.argmax())) & (fit.max() > 0.0)
        cleaned = clean_outlines(own.astype(np.int32), depth == 0.0, self._config.close_px)
        return np.asarray(cleaned > 0)


def _inside(box: Box, standing: TabletopClusters) -> tuple[slice, slice]:
    """Return the rows and columns of the pixels in a box."""
    height, width = standing.depth.shape
    low = np.ceil(np.clip(np.array([box.y0, box.x0]) / standing.step, 0, (height, width)))
    last = (height - 1, width - 1)
    high = np.floor(np.clip(np.array([box.y1, box.x1]) / standing.step, -1, last)) + 1
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _nearest(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Select the nearest pixels of depth (H, W), separated from the rest by a gap."""
    ordered = np.sort(depth[depth > 0.0])
    if len(ordered) == 0:
        return np.zeros(depth.shape, dtype=np.bool_)
    ends = np.append(np.flatnonzero(np.diff(ordered) > _GAP_M), len(ordered) - 1)
    sizes = np.diff(ends, prepend=-1)
    group = int(np.argmax(sizes >= _MIN_SHARE * len(ordered)))
    first, last = ordered[ends[group] - sizes[group] + 1], ordered[ends[group]]
    return np.asarray((depth >= first) & (depth <= last))
