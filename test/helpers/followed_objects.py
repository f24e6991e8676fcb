"""Simulated tables with objects that stand close together, and estimates at their true poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import InstanceLabel, ObjectEstimate, RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation import MaskNoise, Scene, SceneObject, simulated_frame
from sdfpose_core.simulation.primitives import box
from sdfpose_core.simulation.rotations import yaw
from sdfpose_core.simulation.scene import CameraPose
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

VIEW = CameraPose.look_at([0.0, 0.45, 0.75], [0.0, 0.05, 0.0])
ANY = InstanceLabel(ANY_CATEGORY, detected=True)
TABLE = SceneObject(0, "", box(1.2, 0.03, 0.9), np.eye(3), np.array([0.0, -0.015, 0.0]))


def standing(mask_id, category, x_m, z_m, *, turn=0.0, seed=5):
    """An object on the table."""
    model = sample_model(category, seed)
    place = np.array([x_m, 0.5 * model.dimensions_m[1], z_m])
    return SceneObject(mask_id, category, model, yaw(turn), place)


def block(mask_id, size, place):
    """A thing of no category."""
    return SceneObject(mask_id, "", box(*size), np.eye(3), np.array(place))


def touching(*, gap_m=0.0):
    """A mug (1) and a can (2) side by side."""
    mug, can = standing(1, "mug", 0.0, 0.0, turn=np.pi), standing(2, "can", 0.0, 0.0)
    width = 0.5 * (mug.model.dimensions_m[0] + can.model.dimensions_m[0]) + gap_m
    return [mug, moved(can, x_m=width)]


def moved(item, *, x_m=0.0, z_m=0.0):
    return replace(item, translation=item.translation + np.array([x_m, 0.0, z_m]))


def view(objects, seed=0, camera=TABLE_CAMERA) -> RgbdFrame:
    """A realistic depth image of objects on a table, with their true masks."""
    frame, _ = simulated_frame(
        Scene(objects, TABLE),
        camera,
        VIEW,
        np.random.default_rng(seed),
        mask_noise=MaskNoise.none(),
        colour=False,
    )
    return frame


def followed(item: SceneObject, **changes) -> ObjectEstimate:
    """What a tracker predicts of an object: where it is."""
    rotation = VIEW.rotation.T @ item.rotation
    translation = VIEW.to_camera(item.translation)
    dimensions = np.asarray(item.model.dimensions_m)
    vertices = np.asarray(item.model.vertices, np.float32)
    values = {
        "mask_id": item.mask_id,
        "category": item.category,
        "rotation": rotation,
        "translation": translation,
        "scale": float(np.linalg.norm(dimensions)),
        "dimensions_m": dimensions,
        "confidence": 0.9,
        "covariance": np.eye(6),
        "symmetric_about_y": False,
        "code": np.zeros(1, np.float32),
        "decoder_translation": translation,
        "decoder_scale": 1.0,
        "vertices": vertices,
        "faces": np.asarray(item.model.faces, np.int32),
        "normals": np.zeros_like(vertices),
    }
    return ObjectEstimate(**(values | changes))


def found(ids, label=ANY) -> InstanceMask:
    """Masks with the same label for all."""
    ids = ids.astype(np.uint16)
    return InstanceMask(ids, {int(i): label for i in np.unique(ids) if i})


def overlap(one, other) -> float:
    """IoU of two masks."""
    return float((one & other).sum() / max((one | other).sum(), 1))
