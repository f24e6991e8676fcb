"""Simulated RGB-D cameras: scenes of CAD models, ray casting, sensor and mask noise."""

from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.paint import Paint
from sdfpose_core.simulation.rendering import Rendering, render
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.scenes import SceneStyle, random_scene
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.tabletop import (
    TABLE_CAMERA,
    orbit,
    table_frames,
    table_scene,
)
from sdfpose_core.simulation.views import random_view

__all__ = [
    "TABLE_CAMERA",
    "CameraPose",
    "MaskNoise",
    "Paint",
    "Rendering",
    "Scene",
    "SceneObject",
    "SceneStyle",
    "SensorNoise",
    "ground_truth",
    "orbit",
    "random_scene",
    "random_view",
    "render",
    "simulated_frame",
    "table_frames",
    "table_scene",
]
