"""Poses of the camera round the object: measured, or found by registration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.chain import chained
from sdfpose_core.scanning.registration import StandingCloud
from sdfpose_core.scanning.views import ScanView

__all__ = ["PlacedView", "ScanPoses", "find_poses"]

_STILL_SHARE = 0.05
"""A camera that moves by less than this share of its distance stands still: the object turns."""

_LEVEL_DEG, _LEVEL_M = 6.0, 0.02
"""The tables of all views agree within this angle and height, if the poses are right."""

_MOST_UNLEVEL = 0.4
"""Share of views whose table may disagree."""

_REFINING_ROUNDS = 2
_MODEL_VOXELS = 64.0
_REACH = 2.0
"""Largest distance of corresponding points, in tolerances of the depth."""

_MEASURED_M, _MEASURED_DEG = 0.015, 3.0
"""Measured poses may be corrected by as much."""


@dataclass(frozen=True, eq=False)
class PlacedView:
    """A view with its pose.

    Attributes:
        view: the view.
        pose: (4, 4), from the camera frame to the object's: y up, the table at 0, metres.
    """

    view: ScanView
    pose: NDArray[np.float64]

    @property
    def points(self) -> NDArray[np.float64]:
        """Points (N, 3) of the object, metres, in its frame."""
        return np.asarray(self.view.points @ self.pose[:3, :3].T + self.pose[:3, 3])


@dataclass(frozen=True)
class ScanPoses:
    """Views round an object.

    Attributes:
        views: those with a pose.
        source: where the poses come from, as a sentence.
        notes: what was left out or is doubtful.
    """

    views: tuple[PlacedView, ...]
    source: str
    notes: tuple[str, ...]


def find_poses(views: Sequence[ScanView], size_m: float) -> list[ScanPoses]:
    """Find the poses of views of an object on a table.

    Measured poses are used if the camera moves. Otherwise, and without any, the object turns, or
    the camera moves in an unknown way: the views are registered to each other. In both cases each
    view is then registered to all others. That corrects measured poses, but makes them worse where
    the shape does not tell the rotation.

    Args:
        views: at least two, with a table.
        size_m: size of the object.

    Returns:
        The poses, or two alternatives: measured, and measured and corrected.

    Raises:
        ScanError: the poses contradict the images, or the views cannot be registered.
    """
    measured = [x for x in views if x.camera_pose is not None]
    notes = []
    if measured and not _stands_still(measured):
        if without := len(views) - len(measured):
            notes.append(f"{without} images have no camera pose and were left out")
        given = _levelled([_as_measured(x) for x in measured])
        placed, median_m = _corrected(given, _refined(given, size_m))
        source = f"measured camera poses of {len(placed)} images"
        corrected = f"{source}, corrected by registration by {1e3 * median_m:.1f} mm (median)"
        return [
            ScanPoses(tuple(given), source, tuple(notes)),
            ScanPoses(tuple(_levelled(placed)), corrected, tuple(notes)),
        ]
    if measured:
        notes.append("the camera stands still by its poses: the object is taken to turn")
    # One image without a table may be left out; if all lack it, the first one says so.
    standing = [x for x in views if x.plane is not None] or views
    if without := len(views) - len(standing):
        notes.append(f"{without} images show no table around the object and were left out")
    chain = chained([StandingCloud.of(x, size_m) for x in standing])
    if left_out := len(standing) - len(chain.poses):
        notes.append(f"{left_out} images fit to none before them and were left out")
    placed = [PlacedView(standing[i], pose) for i, pose in chain.poses.items()]
    loops = f"{chain.loops} pairs closed a turn" if chain.loops else "no full turn was closed"
    source = f"registration of {len(placed)} images to each other; {loops}"
    return [ScanPoses(tuple(_levelled(_refined(placed, size_m))), source, tuple(notes))]


def _stands_still(views: Sequence[ScanView]) -> bool:
    poses = [x.camera_pose for x in views if x.camera_pose is not None]
    moved = max(float(np.linalg.norm(x.translation - poses[0].translation)) for x in poses)
    distance = float(np.median([x.centre[2] for x in views]))
    return len(poses) > 1 and moved < _STILL_SHARE * distance


def _as_measured(view: ScanView) -> PlacedView:
    """A view whose camera pose is known, at that pose."""
    pose = np.eye(4)
    if view.camera_pose is not None:
        pose[:3, :3], pose[:3, 3] = view.camera_pose.rotation, view.camera_pose.translation
    return PlacedView(view, pose)


def _levelled(views: Sequence[PlacedView]) -> list[PlacedView]:
    """Turn and shift all poses so that y is up, the table at 0 and the object over the origin.

    Raises:
        ScanError: no table is seen, or the tables of most views do not agree.
    """
    normals, feet = [], []
    for x in views:
        plane, centre = x.view.plane, x.view.centre
        if plane is not None:
            normals.append(x.pose[:3, :3] @ plane.normal)
            foot = centre - float(plane.height(centre)) * plane.normal
            feet.append(x.pose[:3, :3] @ foot + x.pose[:3, 3])
    if not normals:
        raise ScanError(
            "no table is seen around the object in any image: expected an object that stands on a "
            "table or a turntable, with some of it in the image"
        )
    up = np.median(normals, axis=0)
    up /= np.linalg.norm(up)
    centre = np.median([np.median(x.points, axis=0) for x in views], axis=0)
    heights = (np.array(feet) - centre) @ up
    level = float(np.median(heights))
    angles = np.degrees(np.arccos(np.clip(np.array(normals) @ up, -1.0, 1.0)))
    lifts = np.abs(heights - level)
    if np.mean((angles > _LEVEL_DEG) | (lifts > _LEVEL_M)) > _MOST_UNLEVEL:
        raise ScanError(
            f"the camera poses contradict the table: it is tilted by {np.quantile(angles, 0.8):.0f}"
            f" degrees and lifted by {1e3 * np.quantile(lifts, 0.8):.0f} mm from image to image: "
            "expected the pose of the optical frame (z forward, x right, y down) in a frame in "
            "which the table stands still"
        )
    x_axis = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    x_axis /= np.linalg.norm(x_axis)
    world = np.eye(4)
    world[:3, :3] = [x_axis, up, np.cross(x_axis, up)]
    world[:3, 3] = -world[:3, :3] @ (centre + level * up)
    return [PlacedView(x.view, world @ x.pose) for x in views]


def _corrected(
    given: Sequence[PlacedView], refined: Sequence[PlacedView]
) -> tuple[list[PlacedView], float]:
    """The refined views where the correction is small; and its median shift, metres."""
    chosen, shifts = [], []
    for old, new in zip(given, refined, strict=True):
        shift = float(np.linalg.norm((new.pose - old.pose) @ np.append(old.view.centre, 1.0)))
        cosine = 0.5 * (np.trace(old.pose[:3, :3].T @ new.pose[:3, :3]) - 1.0)
        degrees = math.degrees(math.acos(float(np.clip(cosine, -1.0, 1.0))))
        chosen.append(new if shift <= _MEASURED_M and degrees <= _MEASURED_DEG else old)
        shifts.append(shift)
    return chosen, float(np.median(shifts))


def _refined(views: Sequence[PlacedView], size_m: float) -> list[PlacedView]:
    """Register each view to all others by point-to-plane ICP, in turn."""
    registration = o3d.pipelines.registration
    clouds = [x.view.cloud(size_m / _MODEL_VOXELS) for x in views]
    poses = [x.pose for x in views]
    for _ in range(_REFINING_ROUNDS):
        placed = [_moved(x, pose) for x, pose in zip(clouds, poses, strict=True)]
        for i, (view, cloud) in enumerate(zip(views, clouds, strict=True)):
            model = o3d.geometry.PointCloud()
            for j, other in enumerate(placed):
                if j != i:
                    model += other
            result = registration.registration_icp(
                cloud,
                model,
                _REACH * view.view.tolerance_m,
                poses[i],
                registration.TransformationEstimationPointToPlane(
                    registration.TukeyLoss(view.view.tolerance_m)
                ),
            )
            poses[i] = np.asarray(result.transformation)
            placed[i] = _moved(cloud, poses[i])
    return [PlacedView(x.view, pose) for x, pose in zip(views, poses, strict=True)]


def _moved(cloud: o3d.geometry.PointCloud, pose: NDArray[np.float64]) -> o3d.geometry.PointCloud:
    copy = o3d.geometry.PointCloud(cloud)
    copy.transform(pose)
    return copy
