"""Grey frames and balls as estimates, for tests of drawing."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import Alternative, ObjectEstimate, RgbdFrame

GREY = 90

UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])


def make_frame(width=640, height=480):
    return RgbdFrame(
        colour=np.full((height, width, 3), GREY, np.uint8),
        depth=np.zeros((height, width), np.float32),
        mask=np.zeros((height, width), np.uint16),
        camera=PinholeCamera(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2),
    )


def make_estimate(category="mug", at=(0.0, 0.0, 0.8), rotation=None, side=0.1, mask_id=1):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=side / 2)
    dimensions = np.full(3, side)
    return ObjectEstimate(
        mask_id=mask_id,
        category=category,
        rotation=Rotation.from_euler("xy", [200, 30], degrees=True).as_matrix()
        if rotation is None
        else rotation,
        translation=np.array(at),
        scale=float(np.linalg.norm(dimensions)),
        dimensions_m=dimensions,
        confidence=0.87,
        covariance=np.eye(6),
        symmetric_about_y=False,
        code=np.zeros(1, np.float32),
        decoder_translation=np.array(at),
        decoder_scale=1.0,
        vertices=np.asarray(ball.vertices, np.float32),
        faces=np.asarray(ball.faces, np.int32),
        normals=np.asarray(ball.vertex_normals, np.float32),
    )


def make_alternative(category="bowl", at=(0.0, 0.0, 0.8), rotation=UPSIDE_DOWN, probability=0.25):
    dimensions = np.array([0.1, 0.2, 0.3])
    return Alternative(
        category=category,
        rotation=rotation,
        translation=np.array(at),
        scale=float(np.linalg.norm(dimensions)),
        dimensions_m=dimensions,
        probability=probability,
    )
