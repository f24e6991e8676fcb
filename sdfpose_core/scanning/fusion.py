"""From views with poses to a closed surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.poses import PlacedView
from sdfpose_core.shapes.solids import from_mesh, triangles

__all__ = ["FusedSurface", "fuse"]

_CELLS = 144
"""Largest number of voxels along a side of the volume; more do not show more of an object whose
depth errs by a millimetre."""

_VOXEL_TOLERANCE = 0.25
"""A voxel is at least this share of the depth's tolerance..."""

_TRUNCATION_VOXELS, _TRUNCATION_TOLERANCE = 3.5, 1.2
"""...and distances are truncated at the larger of so many voxels and so many tolerances."""

_MARGIN_VOXELS = 7
_OUTLIERS = 0.002
"""Share of the points at each end of an axis that may be outliers."""

_SMOOTHING_VOXELS = 0.8
_CAP_WIDTH_VOXELS = 1.0

_SIMPLIFICATION = 0.12
"""Edges are collapsed where this moves the surface by so many voxels."""

_SEEN_VOXELS = 1.5
"""A vertex was seen if a view measured a surface this near."""


@dataclass(frozen=True)
class FusedSurface:
    """A closed surface.

    Attributes:
        vertices: (V, 3) float64, metres, y up, the table at 0.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        voxel_m: resolution, metres.
        seen_share: share of the surface above the table that was measured; the rest is the border
            of what was seen to be empty.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    voxel_m: float
    seen_share: float


def fuse(views: Sequence[PlacedView]) -> FusedSurface:
    """Fuse the depth of all views to a truncated signed distance field, and mesh it.

    Curless and Levoy, "A Volumetric Method for Building Complex Models from Range Images",
    SIGGRAPH 1996: distances are averaged (section 3), and where no surface was seen, the border
    between empty and unseen space closes the surface (section 4). The rays beside the object show
    that space is empty as well. The table closes the surface from below.

    Args:
        views: with poses in which y is up and the table at 0.

    Raises:
        ScanError: the views enclose no volume.
    """
    points = np.concatenate([x.points for x in views])
    low, high = np.quantile(points, (_OUTLIERS, 1.0 - _OUTLIERS), axis=0)
    low[1] = 0.0
    tolerance = float(np.median([x.view.tolerance_m for x in views]))
    length = float((high - low).max())
    voxel = max(length / (_CELLS - 2 * _MARGIN_VOXELS), _VOXEL_TOLERANCE * tolerance)
    cells = int(np.ceil(length / voxel)) + 2 * _MARGIN_VOXELS
    origin = 0.5 * (low + high) - 0.5 * cells * voxel
    truncation = max(_TRUNCATION_VOXELS * voxel, _TRUNCATION_TOLERANCE * tolerance)
    distance, weight = _integrated(views, origin, cells, voxel, truncation)

    centres = [origin[k] + (np.arange(cells) + 0.5) * voxel for k in range(3)]
    margin = _MARGIN_VOXELS * voxel
    beyond = np.zeros(distance.shape, dtype=np.bool_)
    for k in (0, 2):  # nothing was measured there, which the rays of few views do not show
        outside = (centres[k] < low[k] - margin) | (centres[k] > high[k] + margin)
        beyond |= np.expand_dims(outside, tuple({0, 1, 2} - {k}))
    beyond |= (centres[1] > high[1] + margin)[None, :, None]
    field = np.where(weight > 0.0, distance, -1.0)
    field[beyond] = 1.0
    field = ndimage.gaussian_filter(field, _SMOOTHING_VOXELS)
    height = np.broadcast_to((centres[1] / truncation)[None, :, None], field.shape)
    field = _one_piece(np.maximum(field, -height))
    if not (field < 0.0).any():
        raise ScanError(
            "the images enclose no volume: expected masks of one object that stands still relative "
            "to its table, with depth inside of them, and poses of the camera in the frame of this "
            "table"
        )
    field = np.pad(field, 1, constant_values=1.0)
    surface, faces, _, _ = marching_cubes(field, 0.0, spacing=(voxel, voxel, voxel))
    solid = from_mesh(surface + origin - 0.5 * voxel, faces).simplify(_SIMPLIFICATION * voxel)
    vertices, corners = triangles(solid)
    measured = (weight > 0.0) & (np.abs(distance) < 1.0)
    seen = _seen_share(vertices, measured, origin, voxel)
    return FusedSurface(vertices, corners, voxel, seen)


def _integrated(
    views: Sequence[PlacedView],
    origin: NDArray[np.float64],
    cells: int,
    voxel: float,
    truncation: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Truncated distances (C, C, C), -1 to 1, and their weights (C, C, C)."""
    integration = o3d.pipelines.integration
    volume = integration.UniformTSDFVolume(
        cells * voxel, cells, truncation, integration.TSDFVolumeColorType.NoColor, origin
    )
    for x in views:
        camera = x.view.camera
        depth = _depth(x, truncation)
        image = o3d.geometry.RGBDImage.create_from_color_and_depth(
            _image(np.zeros((*depth.shape, 3), np.uint8)),
            _image(depth),
            depth_scale=1.0,
            depth_trunc=float(depth.max()) + 1.0,
            convert_rgb_to_intensity=False,
        )
        intrinsics = o3d.camera.PinholeCameraIntrinsic(
            camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy
        )
        volume.integrate(image, intrinsics, np.linalg.inv(x.pose))
    values = np.asarray(volume.extract_volume_tsdf()).reshape(cells, cells, cells, 2)
    return values[..., 0], values[..., 1]


def _image(pixels: NDArray[np.generic]) -> o3d.geometry.Image:
    return o3d.t.geometry.Image(o3d.core.Tensor.from_numpy(pixels)).to_legacy()


def _depth(placed: PlacedView, truncation: float) -> NDArray[np.float32]:
    """Depth (H, W), metres, for the integration; 0 where a ray tells nothing.

    Beside the object, rays go through empty space up to what they hit. That surface is moved
    behind the truncation, because it is not the object's.
    """
    view = placed.view
    near_border = cv2.dilate(view.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beside = ~near_border & (view.depth > 0.0)
    depth = np.where(view.surface, view.depth, np.float32(0.0))
    return np.where(beside, view.depth + np.float32(2.0 * truncation), depth).astype(np.float32)


def _one_piece(field: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep the largest region below zero, and fill what it encloses."""
    regions, count = ndimage.label(field < 0.0)
    if count > 1:
        largest = 1 + int(np.bincount(regions.ravel())[1:].argmax())
        field = np.where((regions > 0) & (regions != largest), np.abs(field) + 1e-6, field)
    outside, count = ndimage.label(np.pad(field >= 0.0, 1, constant_values=True))
    enclosed = (outside > 0) & (outside != outside[0, 0, 0])
    return np.where(enclosed[1:-1, 1:-1, 1:-1], -np.abs(field) - 1e-6, field)


def _seen_share(
    vertices: NDArray[np.float64],
    measured: NDArray[np.bool_],
    origin: NDArray[np.float64],
    voxel: float,
) -> float:
    """Share of vertices (V, 3) above the table that lie where a surface was measured."""
    near = ndimage.distance_transform_edt(~measured) <= _SEEN_VOXELS
    above = vertices[vertices[:, 1] > _CAP_WIDTH_VOXELS * voxel]
    index = np.clip(np.floor((above - origin) / voxel).astype(int), 0, measured.shape[0] - 1)
    return float(near[tuple(index.T)].mean()) if len(above) else 0.0
