"""Frames of simulated motion with the true view of each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.instances import unoccluded_pixels
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.rendering import Rendering
from sdfpose_core.simulation.scene import CameraPose, Scene
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = ["START_NS", "SimulatedFrame", "View", "simulated_frame"]

START_NS = 1_000_000_000
"""Stamp of the first frame."""


@dataclass(frozen=True)
class View:
    """View of one object in a frame.

    Attributes:
        truth: true pose and size, camera frame; None if no pixel of the object is visible.
        visibility: visible fraction of the pixels that the object would have without occlusion and
            image borders.
        hidden: whether the object is missing in the frame's mask.
    """

    truth: GroundTruth | None
    visibility: float
    hidden: bool


@dataclass(frozen=True)
class SimulatedFrame:
    """A frame with its view of each object, in a fixed order of the objects."""

    frame: RgbdFrame
    views: list[View]


def simulated_frame(
    scene: Scene,
    camera: PinholeCamera,
    pose: CameraPose,
    rendering: Rendering,
    colour: NDArray[np.uint8],
    mask_ids: Sequence[int],
    time_s: float,
    rng: np.random.Generator,
) -> SimulatedFrame:
    """The frame of a rendering with realistic noise of depth and masks.

    Args:
        scene: at the time of the frame.
        camera: intrinsics.
        pose: of the camera.
        rendering: of the scene.
        colour: (H, W, 3), RGB.
        mask_ids: of the objects, in their order.
        time_s: seconds since the first frame.
        rng: source of the noise.
    """
    truths = {x.mask_id: x for x in ground_truth(scene, rendering, camera, pose)}
    frame = RgbdFrame(
        colour=colour,
        depth=SensorNoise.realistic().apply(rendering, camera, rng),
        mask=MaskNoise.realistic().apply(rendering.mask, camera, rng),
        camera=camera,
        labels={i: InstanceLabel(x.category) for i, x in truths.items()},
        stamp_ns=START_NS + round(1e9 * time_s),
        frame_id="camera_optical_frame",
    )
    visible = np.bincount(rendering.mask.ravel(), minlength=max(mask_ids) + 1)
    masked = np.bincount(frame.mask.ravel(), minlength=max(mask_ids) + 1)
    views = []
    for x in mask_ids:
        alone = unoccluded_pixels(scene, x, camera, pose) if visible[x] else 1
        share = min(float(visible[x]) / max(alone, 1), 1.0)
        views.append(View(truths.get(x), share, hidden=masked[x] == 0))
    return SimulatedFrame(frame, views)
