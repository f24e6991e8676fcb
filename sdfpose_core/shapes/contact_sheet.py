"""Contact sheets: shaded images of many models in a grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from sdfpose_core.shapes.captions import write_caption
from sdfpose_core.shapes.model import CadModel

__all__ = ["contact_sheet", "render_model", "six_sides"]

_VIEW_YAW_DEG = 55.0
_VIEW_PITCH_DEG = 25.0
_BACKGROUND = 255
_AMBIENT, _DIFFUSE = 60.0, 190.0
_GAP_PX = 4
_INK = (70, 70, 70)
_OVERSAMPLING = 3
"""Rays per pixel along each axis."""

_SIDES = (
    ("+x", 0.0, 0.0), ("+z", 90.0, 0.0), ("-x", 180.0, 0.0), ("-z", 270.0, 0.0),
    ("top", 90.0, 89.9), ("bottom", 90.0, -89.9),
)  # fmt: skip
"""Names, yaw and pitch of the camera, degrees, of the six sides of a model."""

_MARGIN = 1.04
"""Side of the image, in diagonals of the model's box."""


def render_model(
    model: CadModel,
    size: int = 200,
    yaw_deg: float = _VIEW_YAW_DEG,
    pitch_deg: float = _VIEW_PITCH_DEG,
    colour: tuple[int, int, int] = (225, 225, 225),
) -> NDArray[np.uint8]:
    """Render an orthographic view of one model, shaded by a light beside the camera.

    Args:
        model: model with a closed or open surface.
        size: side of the image, pixels.
        yaw_deg: direction of the camera about y, from +x towards +z.
        pitch_deg: elevation of the camera above the horizontal plane.
        colour: RGB of a surface that faces the light.

    Returns:
        (size, size, 3) uint8, RGB, with a white background.
    """
    yaw, pitch = np.deg2rad(yaw_deg), np.deg2rad(pitch_deg)
    back = np.array([np.cos(pitch) * np.cos(yaw), np.sin(pitch), np.cos(pitch) * np.sin(yaw)])
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    fine = _OVERSAMPLING * size
    at = _MARGIN * ((np.arange(fine) + 0.5) / fine - 0.5)
    u, v = np.meshgrid(at, -at)
    origin = back + u[..., None] * right + v[..., None] * up
    rays = np.concatenate([origin, np.broadcast_to(-back, origin.shape)], axis=-1)

    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(model.normalised_vertices.astype(np.float32)),
        o3d.core.Tensor.from_numpy(np.ascontiguousarray(model.faces, dtype=np.uint32)),
    )
    answer = scene.cast_rays(o3d.core.Tensor.from_numpy(rays.astype(np.float32)))
    normal = answer["primitive_normals"].numpy()
    # Open surfaces are visible from both sides.
    normal = normal * np.where(normal @ back < 0.0, -1.0, 1.0)[..., None]
    light = back + 0.7 * up - 0.5 * right
    shade = _AMBIENT + _DIFFUSE * np.clip(normal @ (light / np.linalg.norm(light)), 0.0, 1.0)
    tinted = shade[..., None] * np.asarray(colour, dtype=np.float64) / 255.0
    hit = np.isfinite(answer["t_hit"].numpy())[..., None]
    image = np.where(hit, tinted, _BACKGROUND).astype(np.uint8)
    smooth = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(smooth, dtype=np.uint8)


def contact_sheet(
    models: Sequence[CadModel],
    columns: int = 8,
    size: int = 200,
    captions: Sequence[str] | None = None,
    colours: Sequence[tuple[int, int, int]] = ((225, 225, 225),),
) -> NDArray[np.uint8]:
    """Render models in a grid, each with a caption.

    Args:
        models: at least one.
        columns: models per row.
        size: side of one image, pixels.
        captions: one per model; by default its name and its sides in millimetres.
        colours: RGB colours to cycle through.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: there are no models, or the number of captions differs from theirs.
    """
    if not models:
        raise ValueError("no models: expected at least one")
    if captions is None:
        captions = [_caption(model) for model in models]
    if len(captions) != len(models):
        raise ValueError(f"got {len(captions)} captions: expected {len(models)}, one per model")
    columns = min(columns, len(models))
    rows = -(-len(models) // columns)
    pitch = size + _GAP_PX
    sheet = np.full((rows * pitch, columns * pitch, 3), _BACKGROUND, dtype=np.uint8)
    for i, (model, caption) in enumerate(zip(models, captions, strict=True)):
        y, x = (i // columns) * pitch, (i % columns) * pitch
        sheet[y : y + size, x : x + size] = render_model(
            model, size, colour=colours[i % len(colours)]
        )
        write_caption(sheet, caption, (x + 3, y + 11), _INK)
    return sheet


def six_sides(model: CadModel, size: int = 300) -> NDArray[np.uint8]:
    """Render a model from all sides, y up, three views in a row.

    Args:
        model: the model.
        size: side of one view, pixels.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    views = []
    for name, yaw_deg, pitch_deg in _SIDES:
        image = np.ascontiguousarray(render_model(model, size, yaw_deg, pitch_deg))
        write_caption(image, f"from {name}", (3, size - 5), _INK)
        views.append(image)
    title = np.full((16, 3 * size, 3), _BACKGROUND, dtype=np.uint8)
    write_caption(title, _caption(model), (3, 11), _INK)
    rows = [np.concatenate(views[i : i + 3], axis=1) for i in (0, 3)]
    return np.concatenate([title, *rows])


def _caption(model: CadModel) -> str:
    sides = " x ".join(f"{1000.0 * side:.0f}" for side in model.dimensions_m)
    return f"{model.name}  {sides} mm"
