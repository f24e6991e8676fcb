"""Simulated data in the layout of the NOCS data, with object coordinate maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from sdfpose_core.datasets.nocs import (
    NOCS_CATEGORIES,
    NocsSource,
    nocs_camera,
    write_nocs_image,
)
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.rendering import Rendering, render
from sdfpose_core.simulation.scenes import SceneStyle, cluttered_table
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.views import random_view
from sdfpose_core.storage.files import write_atomically

__all__ = ["object_coordinates", "write_miniature"]

_PARTS: dict[str, tuple[NocsSource, str, str]] = {
    "CAMERA/train": ("CAMERA", "train", "00000"),
    "CAMERA/val": ("CAMERA", "val", "00001"),
    "Real/train": ("Real", "real_train", "scene_1"),
    "Real/test": ("Real", "real_test", "scene_2"),
}
"""Source, model folder and scene name of each part."""

_MODELS_PER_CATEGORY = 3
"""Models per category in each part."""

_STYLE = replace(SceneStyle.upright(), occluders=1)


def object_coordinates(
    rendering: Rendering, camera: PinholeCamera, truths: Sequence[GroundTruth]
) -> NDArray[np.float32]:
    """Compute the object coordinate map (H, W, 3), normalised object units, 0 elsewhere.

    Args:
        rendering: noise-free depth and mask.
        camera: camera of the rendering.
        truths: poses of the mask's ids.
    """
    coordinates = np.zeros((*rendering.depth.shape, 3), dtype=np.float32)
    for truth in truths:
        v, u = np.nonzero(rendering.mask == truth.mask_id)
        points = camera.back_project(np.stack([u, v], axis=-1), rendering.depth[v, u])
        coordinates[v, u] = (points - truth.translation) @ truth.rotation / truth.scale
    return coordinates


def write_miniature(root: Path | str, *, images: int = 4, width: int = 320, seed: int = 0) -> None:
    """Write a small data set in the published layout: simulated images of all six categories.

    Args:
        root: folder of the data; created if missing.
        images: images in each of the four parts, one scene each.
        width: image width, pixels; the published images have 640.
        seed: seed of models, scenes, views and noise.
    """
    root = Path(root)
    for number, (part, (source, folder, scene_name)) in enumerate(_PARTS.items()):
        first = HELD_OUT_SEED + 10_000 * seed + 100 * number
        models = {
            category: [sample_model(category, first + i) for i in range(_MODELS_PER_CATEGORY)]
            for category in NOCS_CATEGORIES
        }
        for class_id, category in enumerate(NOCS_CATEGORIES, start=1):
            for model in models[category]:
                path = root / "obj_models" / folder
                path = (
                    path / f"{class_id:08d}" / model.name / "model.obj"
                    if source == "CAMERA"
                    else path / f"{model.name}.obj"
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                vertices, faces = model.vertices / model.diagonal_m, model.faces
                if source == "CAMERA":  # published left-handed
                    vertices, faces = vertices * (1.0, 1.0, -1.0), faces[:, ::-1]
                mesh = trimesh.Trimesh(vertices, faces)
                write_atomically(path, str(mesh.export(file_type="obj")).encode())
        camera = nocs_camera(source).resize(width, width * 3 // 4)
        rng = np.random.default_rng([seed, number])
        for image in range(images):
            chosen = [models[x][int(rng.integers(_MODELS_PER_CATEGORY))] for x in NOCS_CATEGORIES]
            scene = cluttered_table(rng, NOCS_CATEGORIES, chosen, _STYLE)
            _, pose = random_view(rng, scene, camera=camera)
            rendering = render(scene, camera, pose)
            truths = ground_truth(scene, rendering, camera, pose)
            noise = SensorNoise.none() if source == "CAMERA" else SensorNoise.realistic()
            frame = RgbdFrame(
                colour=rendering.colour,
                depth=noise.apply(rendering, camera, rng),
                mask=rendering.mask,
                camera=camera,
                labels={x.mask_id: InstanceLabel(x.category) for x in truths},
            )
            write_nocs_image(
                root / part / scene_name / f"{image:04d}",
                source,
                frame,
                object_coordinates(rendering, camera, truths),
                {x.mask_id: x.instance for x in truths},
                root=root,
            )
