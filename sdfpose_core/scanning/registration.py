"""Registration of two views of an object that stands on a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.views import ScanView

__all__ = ["StandingCloud", "disagreement", "planar", "register", "turned", "yaw_of"]

_COARSE = (0.12, 0.05)
"""Largest distances of corresponding points in the first rounds, in sizes of the object..."""

_FINE = 2.0
"""...and in the last round, in tolerances of the depth."""

_ROUNDS = 25

_COLOUR_GAIN = 0.01
"""Coloured registration is kept if it lessens the disagreement by more than this."""

_CLOUD_VOXELS = 48.0
"""The cloud has voxels of this share of the object's size."""

_FACING = 0.35
"""Least cosine between normal and viewing direction of a surface that another view should see."""

_SHADE, _COLOUR_STEP = 0.1, 0.25
"""Colours that differ by less than the first value, as a share of white, may be of one place: light
and shade stand still before a turntable. From there, the cost grows up to the second value."""

_COLOUR_WEIGHT = 0.35
"""Share of colour in the disagreement; shape has the rest."""


@dataclass(frozen=True, eq=False)
class StandingCloud:
    """Points of one view in a frame of its camera that stands upright on the table.

    The frame's y is up, its origin is the point of the table below the camera, and its x is the
    image's. Two views of an object on the table then differ by a rotation about y and a shift
    along x and z.

    Attributes:
        view: the view.
        level: (4, 4), from the camera frame to this frame.
        cloud: points, normals and colours in this frame.
        size_m: size of the object.
    """

    view: ScanView
    level: NDArray[np.float64]
    cloud: o3d.geometry.PointCloud
    size_m: float

    @classmethod
    def of(cls, view: ScanView, size_m: float) -> StandingCloud:
        """Level the points of a view.

        Args:
            view: view whose table is known.
            size_m: size of the object.

        Raises:
            ScanError: the table is not known.
        """
        if view.plane is None:
            raise ScanError(
                f"{view.name}: no table is seen around the object: expected an object that stands "
                "on a table or a turntable, with some of it in the image"
            )
        up = view.plane.normal.astype(np.float64)
        x = np.array([1.0, 0.0, 0.0]) - up[0] * up
        x /= np.linalg.norm(x)
        level = np.eye(4)
        level[:3, :3] = [x, up, np.cross(x, up)]
        level[:3, 3] = -level[:3, :3] @ (view.plane.offset * up)
        cloud = view.cloud(size_m / _CLOUD_VOXELS)
        cloud.transform(level)
        return cls(view, level, cloud, size_m)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(N, 3), metres."""
        return np.asarray(self.cloud.points)

    @cached_property
    def normals(self) -> NDArray[np.float64]:
        """(N, 3), toward the camera."""
        return np.asarray(self.cloud.normals)

    @cached_property
    def colours(self) -> NDArray[np.float64]:
        """(N, 3), RGB, 0 to 1."""
        return np.asarray(self.cloud.colors)

    @cached_property
    def tree(self) -> cKDTree:
        """For the nearest point."""
        return cKDTree(self.points)

    @property
    def eye(self) -> NDArray[np.float64]:
        """(3,) centre of the camera."""
        return self.level[:3, 3]


def register(
    source: StandingCloud, target: StandingCloud, guess: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Register a view to another one, from coarse to fine.

    Point-to-plane ICP (Chen and Medioni, ICRA 1991), robust in the last round. Then coloured ICP
    (Park et al., "Colored Point Cloud Registration Revisited", ICCV 2017) is tried and kept if the
    views agree better: print tells how a round object turns, but before a turntable, light and
    shade stand still. The table takes three degrees of freedom: each round's result is projected to
    a rotation about y and a shift along the table.

    Args:
        source: view to register.
        target: view that it is registered to.
        guess: (4, 4), source to target.

    Returns:
        (4, 4), source to target.
    """
    registration = o3d.pipelines.registration
    middle = source.points.mean(axis=0)
    rounds = registration.ICPConvergenceCriteria(max_iteration=_ROUNDS)
    pose = guess
    fine = _FINE * source.view.tolerance_m
    robust = registration.TukeyLoss(source.view.tolerance_m)
    plain = registration.TransformationEstimationPointToPlane()
    for reach, estimation in (
        *((share * source.size_m, plain) for share in _COARSE),
        (fine, registration.TransformationEstimationPointToPlane(robust)),
    ):
        result = registration.registration_icp(
            source.cloud, target.cloud, reach, pose, estimation, rounds
        )
        pose = planar(result.transformation, middle)
    try:
        result = registration.registration_colored_icp(
            source.cloud,
            target.cloud,
            fine,
            pose,
            registration.TransformationEstimationForColoredICP(),
            rounds,
        )
    except RuntimeError:  # no point has a partner
        return pose
    coloured = planar(result.transformation, middle)
    better = disagreement(source, target, pose) - disagreement(source, target, coloured)
    return coloured if better > _COLOUR_GAIN else pose


def disagreement(source: StandingCloud, target: StandingCloud, pose: NDArray[np.float64]) -> float:
    """How badly two registered views agree in shape and colour, 0 to 1.

    Each view is compared where the other one should see it as well: where the surface faces the
    other camera.

    Args:
        source: one view.
        target: the other view.
        pose: (4, 4), source to target.
    """
    back = np.asarray(np.linalg.inv(pose), dtype=np.float64)
    return 0.5 * (_one_way(source, target, pose) + _one_way(target, source, back))


def _one_way(source: StandingCloud, target: StandingCloud, pose: NDArray[np.float64]) -> float:
    points = source.points @ pose[:3, :3].T + pose[:3, 3]
    normals = source.normals @ pose[:3, :3].T
    towards = target.eye - points
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    facing = np.einsum("ij,ij->i", normals, towards) > _FACING
    if not facing.any():
        return 1.0
    points, colours = points[facing], source.colours[facing]
    limit = source.view.tolerance_m
    far, index = target.tree.query(points)
    away = np.abs(np.einsum("ij,ij->i", points - target.points[index], target.normals[index]))
    shape = np.minimum(away / limit, 1.0)
    difference = np.abs(colours - target.colours[index]).max(axis=1)
    colour = np.clip((difference - _SHADE) / _COLOUR_STEP, 0.0, 1.0)
    cost = (1.0 - _COLOUR_WEIGHT) * shape + _COLOUR_WEIGHT * colour
    beyond = far > 2.0 * limit + 2.0 * source.size_m / _CLOUD_VOXELS
    return float(np.where(beyond, 1.0, cost).mean())


def planar(pose: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rotation about y with a shift along x and z.

    Args:
        pose: (4, 4) rigid.
        point: (3,), whose place along x and z stays the same.
    """
    result = turned(yaw_of(pose))
    place = pose[:3, :3] @ point + pose[:3, 3] - result[:3, :3] @ point
    result[[0, 2], 3] = place[[0, 2]]
    return result


def yaw_of(pose: NDArray[np.float64]) -> float:
    """Rotation about y of a pose (4, 4), radians."""
    return math.atan2(pose[0, 2] - pose[2, 0], pose[0, 0] + pose[2, 2])


def turned(yaw_rad: float, about: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Rotation (4, 4) about an axis along y.

    Args:
        yaw_rad: angle, radians.
        about: (3,) point on the axis; None for the origin.
    """
    pose = np.eye(4)
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    pose[:3, :3] = [[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]
    if about is not None:
        pose[:3, 3] = about - pose[:3, :3] @ about
    return pose
