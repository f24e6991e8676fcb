"""Scenes of CAD models posed in the world, with ray casting.

World frame: y up, metres; the table top is the plane y = 0. The pose of an upright object is
therefore only a rotation about y and a translation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import open3d as o3d
from numpy.typing import ArrayLike, NDArray

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.materials import Material
from sdfpose_core.simulation.paint import Paint, Surface

__all__ = ["CameraPose", "RayHits", "Scene", "SceneObject"]


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
        """Create the pose of a camera that looks at a point.

        Args:
            eye: (3,), metres, world frame: camera centre, not straight above or below the target.
            target: (3,), metres, world frame: a point on the optical axis.
            roll: rotation about the optical axis, radians; 0 keeps the image's y axis downward.
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
        """Transform world points (..., 3), metres, to the camera frame."""
        return np.asarray((points - self.translation) @ self.rotation)


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One CAD model in the world: x_w = scale R x_obj + t.

    Attributes:
        mask_id: value in the mask; 0 for background such as tables, walls and occluders.
        category: name of the category; empty for things of no category, such as the background.
        model: CAD model, metres, object frame.
        rotation: R (3, 3), object to world frame.
        translation: t (3,), metres, world frame: centre of the bounding box.
        colour: RGB, 0 to 255, or a surface of several colours, e.g. a `Paint`.
        scale: world metres per model metre.
        material: parts that depth cameras measure badly; None for a surface without any.
    """

    mask_id: int
    category: str
    model: CadModel
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    colour: tuple[int, int, int] | Surface = (180, 180, 180)
    scale: float = 1.0
    material: Material | None = None

    @property
    def paint(self) -> Surface:
        """Colours of the surface."""
        return Paint(self.colour) if isinstance(self.colour, tuple) else self.colour

    @cached_property
    def vertices(self) -> NDArray[np.float64]:
        """Vertices (V, 3), metres, world frame."""
        return self.scale * (self.model.vertices @ self.rotation.T) + self.translation

    @property
    def dimensions_m(self) -> NDArray[np.float64]:
        """Sides (3,) of the bounding box along the object's x, y, z."""
        return self.scale * self.model.dimensions_m

    def to_object(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Transform world points (..., 3), metres, to the object frame (model metres)."""
        dtype = points.dtype
        shifted = points - self.translation.astype(dtype)
        return np.asarray(shifted @ (self.rotation / self.scale).astype(dtype))


class RayHits(NamedTuple):
    """First hits of rays.

    Attributes:
        distance: (...) float32, in lengths of the ray's direction; inf for no hit.
        owner: (...) int32, index of the hit object in `Scene.all_objects`, -1 for no hit.
        normals: (..., 3) float32, unit triangle normals, world frame, toward the ray's origin.
        face: (...) int32, index of the hit triangle, -1 for no hit.
        barycentric: (..., 2) float32, weights of the triangle's second and third vertex.
    """

    distance: NDArray[np.float32]
    owner: NDArray[np.int32]
    normals: NDArray[np.float32]
    face: NDArray[np.int32]
    barycentric: NDArray[np.float32]


class Scene:
    """Static objects, prepared for rendering many views.

    Attributes:
        objects: all objects except the table; those with mask id 0 are background.
        table: the table that the objects stand on, if any.

    Args:
        objects: objects with unique mask ids, except for 0.
        table: table with its top in the plane y = 0.

    Raises:
        ValueError: two objects share a mask id.
    """

    def __init__(self, objects: Sequence[SceneObject], table: SceneObject | None = None) -> None:
        ids = [x.mask_id for x in objects if x.mask_id != 0]
        if len(set(ids)) != len(ids):
            raise ValueError(f"mask ids {sorted(ids)} are not unique: give every object its own")
        self.objects = tuple(objects)
        self.table = table
        self._everything = self.objects if table is None else (*self.objects, table)
        self._rays = o3d.t.geometry.RaycastingScene(nthreads=1)
        for item in self._everything:
            _add(self._rays, item)

    @property
    def all_objects(self) -> tuple[SceneObject, ...]:
        """Objects and table, indexed by `RayHits.owner`."""
        return self._everything

    @property
    def instances(self) -> tuple[SceneObject, ...]:
        """Objects with a mask id."""
        return tuple(x for x in self.objects if x.mask_id != 0)

    def cast(self, origins: NDArray[np.floating], directions: NDArray[np.floating]) -> RayHits:
        """Find the first hits of rays.

        Args:
            origins: (..., 3), metres, world frame, or (3,) for all rays.
            directions: (..., 3), world frame, any length.
        """
        hits = self._rays.cast_rays(_ray_tensor(origins, directions))
        geometry = hits["geometry_ids"].numpy()
        missed = geometry == o3d.t.geometry.RaycastingScene.INVALID_ID
        owner = geometry.astype(np.int32)
        owner[missed] = -1
        face = hits["primitive_ids"].numpy().astype(np.int32)
        face[missed] = -1
        # Open3D's normals follow the triangle winding, but open surfaces may be hit from behind.
        normals = hits["primitive_normals"].numpy()
        along = np.einsum("...i,...i->...", normals, directions)
        normals *= np.where(along > 0.0, np.float32(-1.0), np.float32(1.0))[..., None]
        normals[missed] = 0.0
        return RayHits(hits["t_hit"].numpy(), owner, normals, face, hits["primitive_uvs"].numpy())

    def occluded(
        self, origins: NDArray[np.floating], directions: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Check whether rays hit anything; arguments as in `cast`."""
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
        """Check whether rays would hit an object if it were alone; rays as in `cast`."""
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
