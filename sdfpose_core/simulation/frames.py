"""Simulate the RGB-D frame of a scene, with ground truth."""

from __future__ import annotations

import numpy as np

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose, Scene
from sdfpose_core.simulation.sensor import SensorNoise

__all__ = ["simulated_frame"]


def simulated_frame(
    scene: Scene,
    camera: PinholeCamera,
    camera_pose: CameraPose,
    rng: np.random.Generator,
    *,
    noise: SensorNoise | None = None,
    mask_noise: MaskNoise | None = None,
    colour: bool = True,
    stamp_ns: int = 0,
    frame_id: str = "camera_optical_frame",
) -> tuple[RgbdFrame, list[GroundTruth]]:
    """Simulate one RGB-D frame with instance masks and labels, and the true poses.

    Args:
        scene: scene to render.
        camera: intrinsics and size.
        camera_pose: (R, t) of the optical frame in the world, x_w = R x_c + t.
        rng: source of the noise.
        noise: noise of the depth sensor; `SensorNoise.realistic` by default.
        mask_noise: noise of the detector; `MaskNoise.mild` by default.
        colour: whether to render the colour image; it is black otherwise.
        stamp_ns: time of exposure, nanoseconds.
        frame_id: name of the optical frame.

    Returns:
        The frame, and the ground truth of every object with at least one visible pixel.
    """
    noise = SensorNoise.realistic() if noise is None else noise
    mask_noise = MaskNoise.mild() if mask_noise is None else mask_noise
    rendering = render(scene, camera, camera_pose, colour=colour)
    truths = ground_truth(scene, rendering, camera, camera_pose)
    frame = RgbdFrame(
        colour=rendering.colour,
        depth=noise.apply(rendering, camera, rng),
        mask=mask_noise.apply(rendering.mask, camera, rng),
        camera=camera,
        labels={x.mask_id: InstanceLabel(x.category) for x in truths},
        stamp_ns=stamp_ns,
        frame_id=frame_id,
    )
    return frame, truths
