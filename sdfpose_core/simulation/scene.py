"""A scene: CAD models posed in the world, and the rays that are cast into it.

World frame: y up, metres; a table's top is the plane y = 0. An upright object therefore differs
from its object frame by a turn about y and a shift alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import open3d as o3d
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.paint import Paint

__all__ = ["CameraPose", "RayHits", "Scene", "SceneObject"]


_CREASE_DEG = 32.0
"""Triangles that meet at a larger angle meet at an edge."""


class CameraPose(NamedTuple):
    """Pose of an optical frame (z forward, x right, y down) in the world: x_w = R x_c + t.

    Attributes:
        rotation: R (3, 3), camera to world frame.
        translation: t (3,), metres, world frame: the camera's centre.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @classmethod
    def look_at(cls, eye: ArrayLike, target: ArrayLike, roll: float = 0.0) -> CameraPose:
        """Camera at `eye` (3,) with `target` (3,) in its centre, metres, world frame.

        Args:
            eye: must not be straight above or below the target.
            target: any point on the optical axis, in front of the camera.
            roll: turn about the optical axis, radians; 0 keeps the image's y axis downward.
        """
        eye = np.asarray(eye, dtype=np.float64)
        forward = np.asarray(target, dtype=np.float64) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        return cls(np.stack([c * right + s * down, c * down - s * right, forward], axis=1), eye)

    def to_camera(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """World points (..., 3), metres, in the camera frame."""
        return np.asarray((points - self.translation) @ self.rotation)


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One CAD model in the world: x_w = scale R x_obj + t.

    Attributes:
        mask_id: its value in the mask; 0 for tables, walls and occluders, which are background.
        category: name of its category; empty where `mask_id` is 0.
        model: metres, object frame.
        rotation: R (3, 3), object to world frame.
        translation: t (3,), metres, world frame: centre of the bounding box.
        colour: RGB, 0 to 255, or a `Paint` where one colour is not enough.
        scale: the world's metres per metre of the model.
    """

    mask_id: int
    category: str
    model: CadModel
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    colour: tuple[int, int, int] | Paint = (180, 180, 180)
    scale: float = 1.0

    @property
    def paint(self) -> Paint:
        """The colours of its surface."""
        return self.colour if isinstance(self.colour, Paint) else Paint(self.colour)

    @cached_property
    def vertices(self) -> NDArray[np.float64]:
        """Vertices (V, 3), metres, world frame."""
        return self.scale * (self.model.vertices @ self.rotation.T) + self.translation

    @cached_property
    def corner_normals(self) -> NDArray[np.float32]:
        """Unit normals (F, 3, 3), world frame, of the corners of every triangle, for shading.

        A corner's normal is the mean over the triangles at its vertex that differ from its own by
        less than `_CREASE_DEG`: curved surfaces look smooth, edges stay sharp.
        """
        v, faces = self.vertices, self.model.faces
        a, b, c = v[faces[:, 0]], v[faces[:, 1]], v[faces[:, 2]]
        weighted = np.cross(b - a, c - a)
        unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-20)
        corners = faces.size
        at = sparse.csr_array(
            (np.ones(corners), (np.arange(corners), faces.ravel())), shape=(corners, len(v))
        )
        pairs = (at @ at.T).tocoo()
        of, other = pairs.row // 3, pairs.col // 3
        near = np.einsum("ij,ij->i", unit[of], unit[other]) > np.cos(np.deg2rad(_CREASE_DEG))
        total = np.zeros((corners, 3))
        np.add.at(total, pairs.row[near], weighted[other[near]])
        total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
        return total.reshape(-1, 3, 3).astype(np.float32)

    @property
    def dimensions_m(self) -> NDArray[np.float64]:
        """Sides (3,) of the bounding box along the object's x, y, z."""
        return self.scale * self.model.dimensions_m

    def to_object(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """World points (..., 3), metres, in the object frame (metres of the model)."""
        dtype = points.dtype
        shifted = points - self.translation.astype(dtype)
        return np.asarray(shifted @ (self.rotation / self.scale).astype(dtype))


class RayHits(NamedTuple):
    """Where rays end.

    Attributes:
        distance: (...) float32 in lengths of the ray's direction; inf where nothing is hit.
        owner: (...) int32, index in `Scene.everything` of what is hit, -1 for none.
        normals: (..., 3) float32, unit, of the triangle, world frame, toward the ray's origin.
        face: (...) int32, index of the object's triangle, -1 for none.
        barycentric: (..., 2) float32, weights of the triangle's second and third vertex.
    """

    distance: NDArray[np.float32]
    owner: NDArray[np.int32]
    normals: NDArray[np.float32]
    face: NDArray[np.int32]
    barycentric: NDArray[np.float32]


class Scene:
    """Objects at rest, ready for many views.

    Attributes:
        objects: everything but the table; those with mask id 0 are background.
        table: the thing on which the objects stand, if any.

    Args:
        objects: mask ids other than 0 must differ.
        table: its top is the plane y = 0.

    Raises:
        ValueError: two objects share a mask id.
    """

    def __init__(self, objects: Sequence[SceneObject], table: SceneObject | None = None) -> None:
        ids = [x.mask_id for x in objects if x.mask_id != 0]
        if len(set(ids)) != len(ids):
            raise ValueError(f"mask ids {sorted(ids)} repeat: give every object its own")
        self.objects = tuple(objects)
        self.table = table
        self._everything = self.objects if table is None else (*self.objects, table)
        self._rays = o3d.t.geometry.RaycastingScene(nthreads=1)
        for item in self._everything:
            _add(self._rays, item)

    @property
    def everything(self) -> tuple[SceneObject, ...]:
        """Objects and table: `RayHits.owner` counts here."""
        return self._everything

    @property
    def instances(self) -> tuple[SceneObject, ...]:
        """The objects that have a mask id."""
        return tuple(x for x in self.objects if x.mask_id != 0)

    def cast(self, origins: NDArray[np.floating], directions: NDArray[np.floating]) -> RayHits:
        """First hits of rays.

        Args:
            origins: (..., 3), metres, world frame, or (3,) for all rays.
            directions: (..., 3), world frame, of any length.
        """
        hits = self._rays.cast_rays(_ray_tensor(origins, directions))
        geometry = hits["geometry_ids"].numpy()
        missed = geometry == o3d.t.geometry.RaycastingScene.INVALID_ID
        owner = geometry.astype(np.int32)
        owner[missed] = -1
        face = hits["primitive_ids"].numpy().astype(np.int32)
        face[missed] = -1
        # Open3D's normals follow the winding of the triangle: an open surface is seen from behind.
        normals = hits["primitive_normals"].numpy()
        away = np.einsum("...i,...i->...", normals, directions) > 0.0
        normals[away] *= -1.0
        normals[missed] = 0.0
        return RayHits(hits["t_hit"].numpy(), owner, normals, face, hits["primitive_uvs"].numpy())

    def occluded(
        self, origins: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Whether anything lies on the rays; the arguments are those of `cast`."""
        rays = _ray_tensor(origins, directions)
        return np.asarray(self._rays.test_occlusions(rays).numpy(), dtype=np.bool_)

    @cached_property
    def _alone(self) -> dict[int, o3d.t.geometry.RaycastingScene]:
        alone = {}
        for item in self.instances:
            alone[item.mask_id] = o3d.t.geometry.RaycastingScene(nthreads=1)
            _add(alone[item.mask_id], item)
        return alone

    def hits_alone(
        self, mask_id: int, origins: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Whether the rays hit one object if there were no other; see `cast`."""
        rays = _ray_tensor(origins, directions)
        return np.asarray(self._alone[mask_id].test_occlusions(rays).numpy(), dtype=np.bool_)


def _add(rays: o3d.t.geometry.RaycastingScene, item: SceneObject) -> None:
    rays.add_triangles(
        o3d.core.Tensor.from_numpy(item.vertices.astype(np.float32)),
        o3d.core.Tensor.from_numpy(item.model.faces.astype(np.uint32)),
    )


def _ray_tensor(origins: NDArray[np.floating], directions: NDArray[np.floating]) -> o3d.core.Tensor:
    rays = np.empty((*directions.shape[:-1], 6), dtype=np.float32)
    rays[..., :3] = origins
    rays[..., 3:] = directions
    return o3d.core.Tensor.from_numpy(rays)
