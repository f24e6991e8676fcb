"""One image of a scan, cut out around the object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.support_plane import SupportPlane, dominant_planes, find_supports

__all__ = ["ScanView", "scan_view", "tolerance_m"]

_MARGIN = 0.6
"""The image is kept this far around the mask, in sides of the mask's box: the free space beside the
object shows where it ends."""

_BORDER_WIDTH_PX = 320
"""The border of the mask is left out: one pixel wide per this many pixels of the image's width.
Masks leak there, and depth mixes object and background."""

_STEEPEST = 12.0
"""Depth differs by more than this many pixel widths between neighbours where the surface ends, or
where it is too steep to be measured."""

_TABLE_SHARE = 0.02
"""Points of the mask this near to the table, in sizes of the object, may be the table's."""

_PLANE_GRID = 96
"""The table is looked for on a grid with this many pixels along each side of the image."""

_TOLERANCE_M, _TOLERANCE_PER_M = 0.003, 0.004
"""Depth errs by up to 3 mm + 4 mm (z / m)^2, as for support planes."""

_NORMAL_VOXELS = 3.0
"""Radius for estimating normals, in voxels of the cloud."""


def tolerance_m(depth: NDArray[np.floating] | float) -> NDArray[np.floating] | float:
    """Largest usual error of measured depth (...), metres, of a consumer camera."""
    return _TOLERANCE_M + _TOLERANCE_PER_M * depth**2


@dataclass(frozen=True, eq=False)
class ScanView:
    """One image of the object and what surrounds it.

    Attributes:
        name: of the image, for messages.
        colour: (H, W, 3) uint8, RGB.
        depth: (H, W) float32, metres, 0 = missing.
        mask: (H, W) bool, pixels of the object.
        surface: (H, W) bool, pixels of the object whose depth is reliable.
        camera: intrinsics of the cut-out.
        plane: the table that the object stands on; None if it is not seen.
        camera_pose: measured pose of the camera in the world; None if unknown.
    """

    name: str
    colour: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.bool_]
    surface: NDArray[np.bool_]
    camera: PinholeCamera
    plane: SupportPlane | None
    camera_pose: MeasuredCameraPose | None

    @cached_property
    def points(self) -> NDArray[np.float32]:
        """Reliable points (N, 3) of the object, metres, camera frame."""
        v, u = np.nonzero(self.surface)
        return self.camera.back_project(np.stack([u, v], axis=-1), self.depth[v, u])

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """Median (3,) of the object's points, metres, camera frame."""
        return np.median(self.points, axis=0).astype(np.float64)

    @property
    def tolerance_m(self) -> float:
        """Largest usual error of the depth at the object, metres."""
        return float(tolerance_m(float(self.centre[2])))

    def cloud(self, voxel_m: float) -> o3d.geometry.PointCloud:
        """Points with colours and normals toward the camera, thinned to a grid of voxels.

        Args:
            voxel_m: side of a voxel, metres.
        """
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(self.points.astype(float)))
        cloud.colors = o3d.utility.Vector3dVector(self.colour[self.surface] / 255.0)
        cloud = cloud.voxel_down_sample(voxel_m)
        cloud.estimate_normals(
            o3d.geometry.KDTreeSearchParamHybrid(radius=_NORMAL_VOXELS * voxel_m, max_nn=30)
        )
        cloud.orient_normals_towards_camera_location(np.zeros(3))
        return cloud


def scan_view(name: str, frame: RgbdFrame, mask: NDArray[np.bool_]) -> ScanView:
    """Cut the object out of a frame.

    Args:
        name: of the image, for messages.
        frame: the image; its mask is not read.
        mask: (H, W) bool, pixels of the object, at least one.
    """
    box = _surroundings(mask)
    top, left = box[0].start, box[1].start
    depth, inside = frame.depth[box], mask[box]
    camera = frame.camera.crop(left, top, depth.shape[1], depth.shape[0])
    border = max(1, round(frame.camera.width / _BORDER_WIDTH_PX))
    surface = _reliable(depth, inside, camera, border)
    plane = _table(frame, mask, depth, inside, camera)
    if plane is not None:
        v, u = np.nonzero(surface)
        points = camera.back_project(np.stack([u, v], axis=-1), depth[v, u])
        if len(points):
            size = float(np.linalg.norm(np.ptp(points, axis=0)))
            surface[v, u] = ~plane.holds(points, _TABLE_SHARE * size)
    return ScanView(
        name,
        frame.colour[box].copy(),
        depth.copy(),
        inside.copy(),
        surface,
        camera,
        plane,
        frame.camera_pose,
    )


def _surroundings(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns around a mask (H, W)."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    margin = round(_MARGIN * max(width, height))
    return (
        slice(max(top - margin, 0), min(top + height + margin, mask.shape[0])),
        slice(max(left - margin, 0), min(left + width + margin, mask.shape[1])),
    )


def _reliable(
    depth: NDArray[np.float32], mask: NDArray[np.bool_], camera: PinholeCamera, border: int
) -> NDArray[np.bool_]:
    """Pixels (H, W) inside the mask's border, with depth, where the surface is not cut off."""
    kernel = np.ones((2 * border + 1, 2 * border + 1), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderValue=1) > 0
    known = depth > 0.0
    near = np.where(known, depth, np.float32(np.inf))
    around = np.ones((3, 3), np.uint8)
    farthest, nearest = cv2.dilate(depth, around), cv2.erode(near, around)
    steep = farthest - nearest > _STEEPEST * depth / camera.fx
    return np.asarray(inner & known & ~steep)


def _table(
    frame: RgbdFrame,
    mask: NDArray[np.bool_],
    depth: NDArray[np.float32],
    inside: NDArray[np.bool_],
    camera: PinholeCamera,
) -> SupportPlane | None:
    """The plane that the object stands on.

    Args:
        frame: the whole image.
        mask: (H, W) of the whole image.
        depth: (h, w) of the cut-out, metres.
        inside: (h, w), the mask of the cut-out.
        camera: of the cut-out.
    """
    points = _grid(depth, inside, camera)
    if len(points) == 0:
        return None
    size = float(np.linalg.norm(np.ptp(points, axis=0)))
    around = _grid(depth, ~inside, camera)
    planes = dominant_planes(_grid(frame.depth, ~mask, frame.camera), frame.up)
    return find_supports(around, points, [size], planes, frame.up)[0]


def _grid(
    depth: NDArray[np.float32], chosen: NDArray[np.bool_], camera: PinholeCamera
) -> NDArray[np.float32]:
    """Points (N, 3), metres, of chosen pixels (H, W) on a coarse grid, row by row."""
    every = max(1, round(np.sqrt(depth.size) / _PLANE_GRID))
    v, u = np.nonzero((chosen & (depth > 0.0))[::every, ::every])
    pixels = every * np.stack([u, v], axis=-1)
    return camera.back_project(pixels, depth[pixels[:, 1], pixels[:, 0]])
