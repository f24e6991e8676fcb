"""True poses of the objects in a view, and visibility of mug handles."""

from __future__ import annotations

import numpy as np

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.shapes.body import HANDLE_PIXELS, BodyProfile
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.rendering import Rendering
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject

__all__ = ["ground_truth", "handle_visible"]


def ground_truth(
    scene: Scene,
    rendering: Rendering,
    camera: PinholeCamera,
    camera_pose: CameraPose,
    *,
    categories: Categories | None = None,
    min_pixels: int = 1,
    handle_pixels: int = HANDLE_PIXELS,
) -> list[GroundTruth]:
    """Compute the camera-frame poses of the visible objects.

    Args:
        scene: rendered scene.
        rendering: noise-free rendering; its mask determines visibility.
        camera: camera of the rendering.
        camera_pose: (R, t) of the rendering, x_w = R x_c + t.
        categories: source of the symmetries; the shipped categories by default.
        min_pixels: objects with fewer visible pixels are omitted.
        handle_pixels: a mug's handle with fewer visible pixels counts as hidden. The default is
            meant for images of about 640x480.

    Returns:
        Ground truth of the objects of a category, ordered by mask id. A mug is symmetric about y if
        its handle is hidden: fewer than `handle_pixels` pixels, or under 1 % of the instance's,
        show points outside the body in one place.
    """
    categories = categories or default_categories()
    counts = np.bincount(rendering.mask.ravel(), minlength=1)
    truths = []
    for item in sorted(scene.instances, key=lambda x: x.mask_id):
        if not item.category or item.mask_id >= len(counts) or counts[item.mask_id] < min_pixels:
            continue
        symmetry = categories[item.category].symmetry
        symmetric = symmetry == "y" or (
            symmetry == "y_without_handle"
            and not handle_visible(item, rendering, camera, camera_pose, handle_pixels)
        )
        truths.append(
            GroundTruth(
                mask_id=item.mask_id,
                category=item.category,
                instance=item.model.name,
                rotation=camera_pose.rotation.T @ item.rotation,
                translation=camera_pose.to_camera(item.translation),
                dimensions_m=item.dimensions_m,
                symmetric_about_y=symmetric,
            )
        )
    return truths


def handle_visible(
    item: SceneObject,
    rendering: Rendering,
    camera: PinholeCamera,
    camera_pose: CameraPose,
    handle_pixels: int = HANDLE_PIXELS,
) -> bool:
    """Check whether enough of a mug's handle, the part outside its body, is visible."""
    v, u = np.nonzero(rendering.mask == item.mask_id)
    points = camera.back_project(np.stack([u, v], axis=1), rendering.depth[v, u])
    world = points @ camera_pose.rotation.T + camera_pose.translation
    return _profile(item.model).handle_visible(item.to_object(world), handle_pixels)


_PROFILES: dict[int, tuple[CadModel, BodyProfile]] = {}
_MAX_PROFILES = 1024


def _profile(model: CadModel) -> BodyProfile:
    """Cached `BodyProfile.of`: training scenes show the same mugs repeatedly."""
    cached = _PROFILES.get(id(model))
    if cached is None:
        if len(_PROFILES) >= _MAX_PROFILES:
            _PROFILES.clear()
        # The entry keeps the model alive, so that its id is not reused.
        cached = _PROFILES[id(model)] = (model, BodyProfile.of(model.vertices, model.faces))
    return cached[1]
