"""Views of a scene: colour, clean depth, mask and normals by ray casting."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import MAX_DEPTH_M
from sdfpose_core.simulation.scene import CameraPose, RayHits, Scene, SceneObject

__all__ = ["Rendering", "render"]

_BACKDROP = ((206, 214, 224), (150, 160, 174))
"""RGB at the top and at the bottom of the image where a ray hits nothing."""

_LIGHT = np.array([0.45, 0.8, 0.35], dtype=np.float32) / np.float32(np.sqrt(0.965))
"""Direction to the lamp, world frame."""

_LAMP, _SKY, _GROUND, _FILL = 0.62, 0.46, 0.24, 0.12
"""Brightness of the lamp, of ambient light from above and from below, of a lamp at the camera."""

_SHADOW_OFFSET_M = 5e-4
"""Shadow rays start this far above the surface."""

_HIGHLIGHT_SQUARINGS = 5
"""The highlight falls off with this power of two of the cosine (Blinn-Phong)."""

_BOX_FACES = 12
"""A mesh with no more triangles has no curved surface to smooth."""


@dataclass(frozen=True)
class Rendering:
    """What an ideal camera sees.

    Attributes:
        colour: (H, W, 3) uint8, RGB; black where no colour was asked for.
        depth: (H, W) float32, metres, 0 where nothing is in reach.
        mask: (H, W) uint16, the objects' mask ids.
        normals: (H, W, 3) float32, unit, camera frame, toward the camera; 0 without depth.
    """

    colour: NDArray[np.uint8]
    depth: NDArray[np.float32]
    mask: NDArray[np.uint16]
    normals: NDArray[np.float32]


def render(
    scene: Scene,
    camera: PinholeCamera,
    camera_pose: CameraPose,
    *,
    colour: bool = True,
    shadows: bool = True,
    antialias: bool = False,
) -> Rendering:
    """Render one view.

    `PinholeCamera.resize` and `PinholeCamera.crop` give cheap low-resolution and partial views.

    Args:
        scene: what is there.
        camera: size and intrinsics of the view.
        camera_pose: (R, t) of the optical frame in the world, x_w = R x_c + t.
        colour: shading costs more than the depth; training does without.
        shadows: whether the lamp casts shadows.
        antialias: whether colour is rendered at twice the resolution and averaged.
    """
    camera_pose = CameraPose(*camera_pose)
    if colour and antialias:
        finer = camera.resize(2 * camera.width, 2 * camera.height)
        large = render(scene, finer, camera_pose, shadows=shadows).colour
        size = (camera.width, camera.height)
        image = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return replace(render(scene, camera, camera_pose, colour=False), colour=image)
    rotation = camera_pose.rotation.astype(np.float32)
    rays = camera.rays(camera.pixel_grid()) @ rotation.T
    # The rays have z = 1 in the camera frame, so that a hit's distance is its depth.
    hits = scene.cast(camera_pose.translation, rays)
    seen = hits.distance <= MAX_DEPTH_M
    depth = np.where(seen, hits.distance, np.float32(0.0))
    ids = np.array([x.mask_id for x in scene.everything] + [0], dtype=np.uint16)
    normals = hits.normals @ rotation
    normals[~seen] = 0.0
    if colour:
        image = _shade(scene, camera_pose, rays, hits, seen, shadows)
    else:
        image = np.zeros((*depth.shape, 3), dtype=np.uint8)
    return Rendering(image, depth, np.where(seen, ids[hits.owner], np.uint16(0)), normals)


def _shade(
    scene: Scene,
    pose: CameraPose,
    rays: NDArray[np.float32],
    hits: RayHits,
    seen: NDArray[np.bool_],
    shadows: bool,
) -> NDArray[np.uint8]:
    """RGB image (H, W, 3): ambient and Lambert shading, a highlight, soft shadows."""
    directions, normals, owner = rays[seen], hits.normals[seen], hits.owner[seen]
    face, weights = hits.face[seen], hits.barycentric[seen]
    points = directions * hits.distance[seen][:, None]
    points += pose.translation.astype(np.float32)
    albedo = np.empty_like(points)
    gloss = np.empty(len(points), dtype=np.float32)
    for i in np.flatnonzero(np.bincount(owner)):
        item = scene.everything[i]
        mine = np.flatnonzero(owner == i)
        if len(item.model.faces) > _BOX_FACES:
            normals[mine] = _smooth(item, face[mine], weights[mine], normals[mine])
        albedo[mine] = item.paint.albedo(
            item.to_object(points[mine]), normals[mine] @ item.rotation, item.model.dimensions_m
        )
        gloss[mine] = item.paint.gloss

    view = _unit(-directions)
    lamp = np.maximum(normals @ _LIGHT, 0.0)
    highlight = np.maximum(np.einsum("ij,ij->i", normals, _unit(view + _LIGHT)), 0.0)
    for _ in range(_HIGHLIGHT_SQUARINGS):
        highlight *= highlight
    highlight *= gloss
    if shadows:
        lit = _lit(scene, points + np.float32(_SHADOW_OFFSET_M) * normals, seen)
        lamp, highlight = lamp * lit, highlight * lit
    up = 0.5 + 0.5 * normals[:, 1]
    facing = np.einsum("ij,ij->i", normals, view)
    light = _GROUND + (_SKY - _GROUND) * up + _LAMP * lamp + _FILL * facing

    height, width = seen.shape
    top, bottom = (np.asarray(x, dtype=np.float32) / 255.0 for x in _BACKDROP)
    share = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(top + share * (bottom - top), (height, width, 3)).copy()
    image[seen] = albedo * light[:, None] + highlight[:, None]
    return np.asarray(np.minimum(image, 1.0) * 255.0 + 0.5, dtype=np.uint8)


def _smooth(
    item: SceneObject,
    face: NDArray[np.int32],
    weights: NDArray[np.float32],
    flat: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Normals (N, 3) interpolated in their triangles, on the side of the flat ones."""
    corner = item.corner_normals[face]
    u, v = weights[:, :1], weights[:, 1:]
    normals = (1.0 - u - v) * corner[:, 0] + u * corner[:, 1] + v * corner[:, 2]
    normals *= np.sign(np.einsum("ij,ij->i", normals, flat))[:, None]
    return _unit(normals)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (N, 3) scaled to length 1."""
    square = np.einsum("ij,ij->i", vectors, vectors)
    return np.asarray(vectors / np.sqrt(np.maximum(square, 1e-12))[:, None], dtype=np.float32)


def _lit(scene: Scene, points: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much of the lamp (N,) the seen points see: hard shadows, softened in the image."""
    lit = np.ones(seen.shape, dtype=np.float32)
    lit[seen] = ~scene.occluded(points, np.broadcast_to(_LIGHT, points.shape))
    width = 2 * round(seen.shape[1] / 320) + 1
    return np.asarray(cv2.GaussianBlur(lit, (width, width), 0)[seen], dtype=np.float32)
