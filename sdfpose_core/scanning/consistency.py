"""Whether the views agree with the surface that was fused from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.scanning.fusion import FusedSurface
from sdfpose_core.scanning.poses import PlacedView
from sdfpose_core.scanning.views import tolerance_m

__all__ = ["ViewAgreement", "agreements", "largest_gap_deg"]

_MIN_INLIERS, _MIN_OVERLAP = 0.75, 0.75
"""A view agrees if so much of its depth is on the surface, and its mask overlaps as much with the
surface's silhouette."""


@dataclass(frozen=True)
class ViewAgreement:
    """How well one view agrees with a surface.

    Attributes:
        inliers: share of the object's depth that is on the surface within its tolerance.
        residual_m: median distance of depth from the surface along the rays, metres.
        overlap: intersection over union of mask and silhouette.
    """

    inliers: float
    residual_m: float
    overlap: float

    @property
    def agrees(self) -> bool:
        """Whether the view belongs to the surface."""
        return self.inliers >= _MIN_INLIERS and self.overlap >= _MIN_OVERLAP


def agreements(views: Sequence[PlacedView], surface: FusedSurface) -> list[ViewAgreement]:
    """Compare depth and mask of each view with the surface, seen from its pose."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(surface.vertices.astype(np.float32)),
        o3d.core.Tensor.from_numpy(surface.faces.astype(np.uint32)),
    )
    return [_agreement(x, scene, surface.voxel_m) for x in views]


def _agreement(
    placed: PlacedView, scene: o3d.t.geometry.RaycastingScene, voxel_m: float
) -> ViewAgreement:
    view = placed.view
    rays = view.camera.rays(view.camera.pixel_grid()) @ placed.pose[:3, :3].T.astype(np.float32)
    origins = np.broadcast_to(placed.pose[:3, 3].astype(np.float32), rays.shape)
    query = np.concatenate([origins, rays], axis=-1).astype(np.float32)
    depth: NDArray[np.float32] = scene.cast_rays(o3d.core.Tensor.from_numpy(query))["t_hit"].numpy()
    hit = np.isfinite(depth)
    union = np.count_nonzero(hit | view.mask)
    overlap = np.count_nonzero(hit & view.mask) / union if union else 0.0
    away = np.abs(depth[view.surface] - view.depth[view.surface])
    if not len(away):
        return ViewAgreement(0.0, math.inf, overlap)
    limit = tolerance_m(view.depth[view.surface]) + voxel_m
    return ViewAgreement(float(np.mean(away < limit)), float(np.median(away)), overlap)


def largest_gap_deg(views: Sequence[PlacedView]) -> float:
    """Largest angle about y between directions of neighbouring cameras, degrees; 360 for one."""
    eyes = np.array([x.pose[:3, 3] for x in views])
    angles = np.sort(np.degrees(np.arctan2(eyes[:, 2], eyes[:, 0])))
    return float(np.diff(np.append(angles, angles[0] + 360.0)).max())
