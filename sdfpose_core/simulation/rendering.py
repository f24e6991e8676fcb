"""Render colour, noise-free depth, mask and normals of a scene by ray casting."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import MAX_DEPTH_M
from sdfpose_core.simulation.appearance import Illumination
from sdfpose_core.simulation.scene import CameraPose, RayHits, Scene, SceneObject

__all__ = ["Rendering", "render"]

_STUDIO = Illumination()

_SHADOW_OFFSET_M = 5e-4
"""Shadow rays start this far above the surface."""

_HIGHLIGHT_SQUARINGS = 5
"""Number n of squarings: the Blinn-Phong exponent of the highlight is 2^n."""

_WINDOW_COS = 0.93
"""Cosine of the angle from a window's middle to its edge..."""

_WINDOW_EDGE = np.float32(0.03)
"""...and the width of its soft edge, as a difference of cosines."""

_BOX_FACES = 12
"""Meshes with no more triangles than a box are shaded flat."""


@dataclass(frozen=True)
class Rendering:
    """Images of an ideal camera.

    Attributes:
        colour: (H, W, 3) uint8, RGB; black if colour was not requested.
        depth: (H, W) float32, metres, 0 where nothing is in range.
        mask: (H, W) uint16, mask ids of the objects.
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
    illumination: Illumination = _STUDIO,
) -> Rendering:
    """Render one view.

    Use `PinholeCamera.resize` and `PinholeCamera.crop` for cheap low-resolution and partial views.

    Args:
        scene: scene to render.
        camera: size and intrinsics of the view.
        camera_pose: (R, t) of the optical frame in the world, x_w = R x_c + t.
        colour: whether to render colour, which costs more than depth.
        shadows: whether the lamp casts shadows.
        antialias: whether to render colour at twice the resolution and average it.
        illumination: light and background.
    """
    camera_pose = CameraPose(*camera_pose)
    if colour and antialias:
        finer = camera.resize(2 * camera.width, 2 * camera.height)
        large = render(scene, finer, camera_pose, shadows=shadows, illumination=illumination).colour
        size = (camera.width, camera.height)
        image = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        return replace(render(scene, camera, camera_pose, colour=False), colour=image)
    rotation = camera_pose.rotation.astype(np.float32)
    rays = camera.rays(camera.pixel_grid()) @ rotation.T
    # The rays have z = 1 in the camera frame, so the hit distance is the depth.
    hits = scene.cast(camera_pose.translation, rays)
    seen = hits.distance <= MAX_DEPTH_M
    depth = np.where(seen, hits.distance, np.float32(0.0))
    ids = np.array([x.mask_id for x in scene.all_objects] + [0], dtype=np.uint16)
    normals = hits.normals @ rotation
    normals[~seen] = 0.0
    if colour:
        image = _shade(scene, camera_pose, rays, hits, seen, shadows, illumination)
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
    light: Illumination,
) -> NDArray[np.uint8]:
    """Shade the RGB image (H, W, 3): ambient and Lambert light, highlights, soft shadows."""
    directions, normals, owner = rays[seen], hits.normals[seen], hits.owner[seen]
    face, weights = hits.face[seen], hits.barycentric[seen]
    points = directions * hits.distance[seen][:, None]
    points += pose.translation.astype(np.float32)
    albedo = np.empty_like(points)
    gloss = np.empty(len(points), dtype=np.float32)
    for i in np.flatnonzero(np.bincount(owner)):
        item = scene.all_objects[i]
        own = np.flatnonzero(owner == i)
        if len(item.model.faces) > _BOX_FACES:
            normals[own] = _smooth(item, face[own], weights[own], normals[own])
        albedo[own] = item.paint.albedo(
            item.to_object(points[own]), normals[own] @ item.rotation, item.model.dimensions_m
        )
        gloss[own] = item.paint.gloss

    view = _unit(-directions)
    lamp_at = np.asarray(light.direction, dtype=np.float32)
    lamp_at /= np.linalg.norm(lamp_at)
    lamp = np.maximum(normals @ lamp_at, 0.0)
    highlight = np.maximum(np.einsum("ij,ij->i", normals, _unit(view + lamp_at)), 0.0)
    for _ in range(_HIGHLIGHT_SQUARINGS):
        highlight *= highlight
    highlight *= gloss
    if light.window > 0.0:
        reflected = np.float32(2.0) * np.einsum("ij,ij->i", normals, view)[:, None] * normals - view
        towards = reflected @ np.asarray(light.window_at, dtype=np.float32)
        bright = np.clip((towards - _WINDOW_COS) / _WINDOW_EDGE, 0.0, 1.0)
        highlight += np.float32(light.window) * gloss * bright
    if shadows:
        lit = _lit(scene, points + np.float32(_SHADOW_OFFSET_M) * normals, seen, lamp_at)
        lamp, highlight = lamp * lit, highlight * lit
    up = 0.5 + 0.5 * normals[:, 1]
    facing = np.einsum("ij,ij->i", normals, view)
    ambient = light.ground + (light.sky - light.ground) * up + light.fill * facing
    tint = np.asarray(light.tint, dtype=np.float32)

    height, width = seen.shape
    top, bottom = (np.asarray(x, dtype=np.float32) / 255.0 for x in (light.top, light.bottom))
    share = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(top + share * (bottom - top), (height, width, 3)).copy()
    brightness = ambient[:, None] + (light.lamp * lamp)[:, None] * tint
    image[seen] = albedo * brightness + highlight[:, None] * tint
    return np.asarray(np.minimum(image, 1.0) * 255.0 + 0.5, dtype=np.uint8)


def _smooth(
    item: SceneObject,
    face: NDArray[np.int32],
    weights: NDArray[np.float32],
    flat: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Interpolate normals (N, 3) within triangles, oriented like the flat normals."""
    corner = item.model.corner_normals[face]
    u, v = weights[:, :1], weights[:, 1:]
    normals = (1.0 - u - v) * corner[:, 0] + u * corner[:, 1] + v * corner[:, 2]
    normals = normals @ item.rotation.T.astype(np.float32)
    normals *= np.sign(np.einsum("ij,ij->i", normals, flat))[:, None]
    return _unit(normals)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise vectors (N, 3)."""
    square = np.einsum("ij,ij->i", vectors, vectors)
    return np.asarray(vectors / np.sqrt(np.maximum(square, 1e-12))[:, None], dtype=np.float32)


def _lit(
    scene: Scene,
    points: NDArray[np.float32],
    seen: NDArray[np.bool_],
    lamp_at: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Lamp visibility (N,) of the seen points: hard shadows, blurred in the image."""
    lit = np.ones(seen.shape, dtype=np.float32)
    lit[seen] = ~scene.occluded(points, np.broadcast_to(lamp_at, points.shape))
    width = 2 * round(seen.shape[1] / 320) + 1
    return np.asarray(cv2.GaussianBlur(lit, (width, width), 0)[seen], dtype=np.float32)
