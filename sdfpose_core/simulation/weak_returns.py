"""Pixels whose surface may return no depth, and what a depth camera measures there instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import MAX_DEPTH_M
from sdfpose_core.simulation.materials import Material, Seen, Surface
from sdfpose_core.simulation.scene import CameraPose, RayHits, Scene, SceneObject

__all__ = ["WeakReturns", "weak_returns"]

_OFFSET_M = 5e-4
"""Mirrored rays start this far above the surface, and others behind it this far below."""

_LAYERS = 4
"""Walls of one object that a ray is followed through."""


@dataclass(frozen=True)
class WeakReturns:
    """Pixels on parts with a `Material`.

    Attributes:
        pixels: (N,) flat indices.
        loss: (N,) float32, probability of no depth of the surface, 0 to 1.
        instead: (N,) float32, metres: depth of what is mirrored or behind, 0 for nothing.
    """

    pixels: NDArray[np.intp]
    loss: NDArray[np.float32]
    instead: NDArray[np.float32]


def weak_returns(
    scene: Scene, pose: CameraPose, rays: NDArray[np.float32], hits: RayHits
) -> WeakReturns | None:
    """Find the pixels on parts of objects that a depth camera measures badly.

    Args:
        scene: rendered scene.
        pose: (R, t) of the optical frame in the world, x_w = R x_c + t.
        rays: (H, W, 3), world frame, of unit depth.
        hits: their first hits.

    Returns:
        The pixels with a loss above 0, None if no object has a material.
    """
    owner = np.where(hits.distance <= MAX_DEPTH_M, hits.owner, -1).ravel()
    found = [
        _on_object(scene, i, item, item.material, pose, rays, hits, np.flatnonzero(owner == i))
        for i, item in enumerate(scene.all_objects)
        if item.material is not None
    ]
    if not found:
        return None
    return WeakReturns(*(np.concatenate(x) for x in zip(*found, strict=True)))


def _on_object(
    scene: Scene,
    index: int,
    item: SceneObject,
    material: Material,
    pose: CameraPose,
    rays: NDArray[np.float32],
    hits: RayHits,
    pixels: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """Weak pixels of one object, their losses, and the depth measured instead."""
    rays, normals = rays.reshape(-1, 3)[pixels], hits.normals.reshape(-1, 3)[pixels]
    points = rays * hits.distance.flat[pixels][:, None] + pose.translation.astype(np.float32)
    views = -rays / np.linalg.norm(rays, axis=1, keepdims=True)
    rotation = item.rotation.astype(np.float32)
    surface = Surface(
        item.to_object(points),
        normals @ rotation,
        views @ rotation,
        item.model.dimensions_m.astype(np.float32),
    )
    loss, part = material.losses(surface)
    weak = loss > 0.0
    pixels, loss, part, points = pixels[weak], loss[weak], part[weak], points[weak]
    rays, normals = rays[weak], normals[weak]
    distance = hits.distance.flat[pixels]
    instead = np.zeros_like(loss)
    seen: dict[Seen, NDArray[np.intp]] = {
        kind: np.flatnonzero([x.seen == kind for x in material.parts])
        for kind in ("mirrored", "behind")
    }
    at = np.flatnonzero(np.isin(part, seen["mirrored"]))
    if len(at):
        instead[at] = distance[at] + _mirrored(scene, points[at], rays[at], normals[at])
    at = np.flatnonzero(np.isin(part, seen["behind"]))
    if len(at):
        instead[at] = _behind(scene, index, pose, rays[at], distance[at])
    instead[instead > MAX_DEPTH_M] = 0.0
    return pixels, loss, instead


def _mirrored(
    scene: Scene,
    points: NDArray[np.float32],
    rays: NDArray[np.float32],
    normals: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Distance (N,) of what is mirrored from the surface, in lengths of the rays."""
    towards = np.einsum("ij,ij->i", rays, normals)[:, None]
    reflected = rays - 2.0 * towards * normals
    return scene.cast(points + np.float32(_OFFSET_M) * normals, reflected).distance


def _behind(
    scene: Scene,
    index: int,
    pose: CameraPose,
    rays: NDArray[np.float32],
    distance: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Depth (N,) of what is behind an object, seen through it without refraction."""
    origin = pose.translation.astype(np.float32)
    depth = distance.copy()
    inside = np.arange(len(rays))
    for _ in range(_LAYERS):
        depth[inside] += np.float32(_OFFSET_M)
        hits = scene.cast(origin + depth[inside, None] * rays[inside], rays[inside])
        depth[inside] += hits.distance
        inside = inside[hits.owner == index]
        if len(inside) == 0:
            break
    depth[inside] = 0.0
    return depth
