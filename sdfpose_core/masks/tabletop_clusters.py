"""Clusters of the points that stand on the dominant plane of a depth image.

This is the classical tabletop segmentation (Rusu et al., "Close-range scene segmentation and
reconstruction of 3D point cloud maps for mobile manipulation in domestic environments", IROS 2009):
find a plane with RANSAC, then Euclidean clusters of the points above its convex hull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.surface import Surface, find_surface
from sdfpose_core.observation.frame import clean_depth
from sdfpose_core.observation.support_plane import SupportPlane

__all__ = ["TabletopClusters", "find_tabletop_clusters"]

_PLANE_STEP = 4
"""Stride in rows and columns of the depth image for the plane search."""

_KEY_BITS = 20
"""Bits of a voxel index per axis, so that three indices fit into 64 bits."""


@dataclass(frozen=True)
class TabletopClusters:
    """Clusters of the points that stand on a surface.

    Attributes:
        labels: (H, W) int32, cluster of each pixel, starting at 1, 0 for none; outlines are ragged.
        depth: (H, W) float32, metres, 0 = missing or too far.
        camera: camera of `labels` and `depth`.
        surface: the surface below the clusters; None if there is none, and hence no clusters.
        step: stride in rows and columns of the image.
    """

    labels: NDArray[np.int32]
    depth: NDArray[np.float32]
    camera: PinholeCamera
    surface: Surface | None
    step: int

    def full_size(self, labels: NDArray[np.uint16], shape: tuple[int, ...]) -> NDArray[np.uint16]:
        """Enlarge labels to the `shape` of the image."""
        if self.step == 1:
            return labels
        large = labels.repeat(self.step, axis=0).repeat(self.step, axis=1)
        return large[: shape[0], : shape[1]]

    @property
    def problem(self) -> str:
        """Why there are no clusters; empty if there is a surface."""
        if self.surface is not None:
            return ""
        share = np.count_nonzero(self.depth) / self.depth.size
        return (
            f"no table in the depth image ({share:.0%} of the pixels have depth in range): "
            "expected a plane in a large part of the image; point the camera at the table, or set "
            "depth_unit if the depth is in another unit"
        )


def find_tabletop_clusters(
    depth: NDArray[np.floating], camera: PinholeCamera, config: TabletopConfig
) -> TabletopClusters:
    """Find the surface and the clusters above it.

    Args:
        depth: (H, W), metres; missing depth is 0, NaN or Inf.
        camera: camera of the depth image.
        config: parameters of the segmentation.

    Raises:
        FrameError: depth and camera differ in size.
    """
    if depth.shape != (camera.height, camera.width):
        raise FrameError(
            f"depth has shape {depth.shape}: expected {(camera.height, camera.width)}, the size of "
            "the camera image (register depth to colour)"
        )
    step = -(-camera.width // config.width_px)
    depth, camera = _subsampled(depth, camera, step)
    depth = clean_depth(depth)
    depth[depth > config.max_distance_m] = 0.0
    surface = find_surface(
        _points(*_subsampled(depth, camera, _PLANE_STEP)), config.least_plane_share, config.margin_m
    )
    labels = np.zeros(depth.shape, dtype=np.int32)
    if surface is not None:
        above = _above(depth, camera, surface.plane, config)
        points = _points(np.where(above, depth, np.float32(0.0)), camera)
        supported = surface.supports(points)
        above[above] = supported
        labels[above] = _clusters(points[supported], config)
    return TabletopClusters(labels, depth, camera, surface, step)


def _subsampled(
    depth: NDArray[np.floating], camera: PinholeCamera, step: int
) -> tuple[NDArray[np.floating], PinholeCamera]:
    """Select every `step`-th row and column, and return the camera of these pixels."""
    depth = depth[::step, ::step]
    height, width = depth.shape
    fx, fy, cx, cy = (x / step for x in (camera.fx, camera.fy, camera.cx, camera.cy))
    return depth, PinholeCamera(width, height, fx, fy, cx, cy)


def _points(depth: NDArray[np.floating], camera: PinholeCamera) -> NDArray[np.float32]:
    """Return points (N, 3), metres, camera frame, of the pixels with depth, row by row."""
    v, u = np.nonzero(depth)
    return camera.back_project(np.stack([u, v], axis=-1), depth[v, u])


def _above(
    depth: NDArray[np.float32], camera: PinholeCamera, plane: SupportPlane, config: TabletopConfig
) -> NDArray[np.bool_]:
    """Return a mask (H, W) of the pixels at object height above the plane."""
    x, y, z = (float(n) for n in plane.normal)
    across = x / camera.fx * (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx))
    down = y / camera.fy * (np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy)) + z
    height = depth * (across[None, :] + down[:, None]) - np.float32(plane.offset)
    lowest = np.maximum(config.min_height_m, config.noise_sds * np.float32(plane.noise) * depth**2)
    return np.asarray((depth > 0.0) & (height > lowest) & (height < config.max_height_m))


def _clusters(points: NDArray[np.float32], config: TabletopConfig) -> NDArray[np.int32]:
    """Cluster points (N, 3), metres, camera frame, by voxels; 0 for none."""
    if len(points) == 0:
        return np.zeros(0, dtype=np.int32)
    indices = np.floor((points - points.min(axis=0)) / config.voxel_m).astype(np.int64)
    keys = (indices[:, 0] << 2 * _KEY_BITS) | (indices[:, 1] << _KEY_BITS) | indices[:, 2]
    _, first, voxel_of = np.unique(keys, return_index=True, return_inverse=True)
    centres = (indices[first] + 0.5) * config.voxel_m
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(centres))
    labels = np.asarray(cloud.cluster_dbscan(config.gap_m, config.dense_voxels), dtype=np.int32)
    return labels[voxel_of] + 1
