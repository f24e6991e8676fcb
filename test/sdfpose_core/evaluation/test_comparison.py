import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.evaluation import compare
from sdfpose_core.observation.frame import GroundTruth, ObjectEstimate


def make_pair(turn, shift=(0.0, 0.0, 0.0), symmetric=False):
    base = Rotation.random(random_state=3).as_matrix()
    centre, dimensions = np.array([0.1, 0.2, 0.8]), np.array([0.08, 0.2, 0.06])
    truth = GroundTruth(1, "bottle", "b", base, centre, dimensions, symmetric)
    nothing = np.zeros((0, 3), np.float32)
    estimate = ObjectEstimate(
        mask_id=1,
        category="bottle",
        rotation=base @ Rotation.from_euler("y", turn, degrees=True).as_matrix(),
        translation=centre + base @ np.array(shift),
        scale=float(np.linalg.norm(dimensions)),
        dimensions_m=dimensions,
        confidence=1.0,
        covariance=np.eye(6),
        symmetric_about_y=not symmetric,  # what the estimate thinks of it does not count
        code=np.zeros(1, np.float32),
        decoder_translation=centre,
        decoder_scale=1.0,
        vertices=nothing,
        faces=np.zeros((0, 3), np.int32),
        normals=nothing,
    )
    return estimate, truth


def test_a_perfect_estimate():
    errors = compare(*make_pair(0.0))
    assert errors.rot_err_deg == pytest.approx(0.0, abs=1e-6)
    assert errors.trans_err_cm == 0.0
    assert errors.iou3d_oriented == pytest.approx(1.0)


def test_half_a_height_off():
    errors = compare(*make_pair(0.0, shift=(0.0, 0.1, 0.0)))
    assert errors.trans_err_cm == pytest.approx(10.0)
    assert errors.iou3d_oriented == pytest.approx(1 / 3)


def test_yaw_counts_by_the_ground_truths_symmetry():
    errors = compare(*make_pair(90.0, symmetric=False))
    assert errors.rot_err_deg == pytest.approx(90.0)
    assert errors.iou3d_oriented == pytest.approx(0.06 / (0.16 - 0.06))
    errors = compare(*make_pair(90.0, symmetric=True))
    assert errors.rot_err_deg == pytest.approx(0.0, abs=1e-6)
    assert errors.iou3d_oriented == pytest.approx(1.0)
