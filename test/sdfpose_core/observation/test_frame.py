import numpy as np
import pytest

from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import MAX_DEPTH_M, GroundTruth, RgbdFrame, clean_depth

CAMERA = PinholeCamera(width=4, height=3, fx=5.0, fy=5.0, cx=2.0, cy=1.0)


def arrays(**changes):
    return {
        "colour": np.zeros((3, 4, 3), np.uint8),
        "depth": np.ones((3, 4), np.float32),
        "mask": np.zeros((3, 4), np.uint16),
        "camera": CAMERA,
        **changes,
    }


def test_depth_that_is_no_measurement_becomes_missing():
    wild = [1.5, 0.0, np.nan, np.inf, -np.inf, -0.2, MAX_DEPTH_M, MAX_DEPTH_M + 0.1, 1e30]
    cleaned = clean_depth(np.array(wild))
    assert cleaned.dtype == np.float32
    assert cleaned.tolist() == [1.5, 0, 0, 0, 0, 0, MAX_DEPTH_M, 0, 0]


def test_a_frame_cleans_its_depth_and_leaves_the_input_alone():
    depth = np.full((3, 4), np.nan)
    depth[1, 2] = 0.7
    frame = RgbdFrame(**arrays(depth=depth))
    assert frame.depth.dtype == np.float32
    assert np.count_nonzero(frame.depth) == 1
    assert np.isnan(depth[0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"colour": np.zeros((3, 4), np.uint8)},
            r"colour is uint8 \(3, 4\): expected uint8 \(3, 4, 3\), RGB with .* 4x3 pixels",
        ),
        ({"colour": np.zeros((3, 4, 3))}, r"colour is float64 \(3, 4, 3\): expected uint8"),
        (
            {"depth": np.ones((6, 8), np.float32)},
            r"depth has shape \(6, 8\): expected \(3, 4\), .*\(register depth and mask to",
        ),
        ({"mask": np.zeros((4, 3), np.uint16)}, r"mask has shape \(4, 3\): expected \(3, 4\)"),
        ({"depth": np.ones((3, 4), np.uint16)}, "depth is uint16: expected float32 metres"),
        ({"mask": np.zeros((3, 4))}, "mask is float64: expected integer instance ids"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(FrameError, match=message):
        RgbdFrame(**arrays(**changes))


@pytest.mark.parametrize(
    "up",
    [
        np.array([0.0, -1.1, 0.0]),
        np.array([0.0, -0.998, 0.0]),
        np.zeros(3),
        np.array([0.0, np.nan, -1.0]),
        np.array([np.inf, 0.0, 0.0]),
        np.array([0.0, 0.0, 0.0, 1.0]),
        np.array([[0.0, -1.0, 0.0]]),
    ],
)
def test_a_direction_of_gravity_that_is_no_unit_vector_is_refused(up):
    with pytest.raises(FrameError, match=r"up is .*: expected a unit vector \(3,\) against"):
        RgbdFrame(**arrays(up=up))


def test_a_direction_of_gravity_is_normalised():
    up = RgbdFrame(**arrays(up=np.array([0.0, -0.8005, 0.6], np.float32))).up
    assert np.linalg.norm(up) == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(up, [0.0, -0.8, 0.6], atol=1e-3)
    assert RgbdFrame(**arrays()).up is None


def test_the_scale_of_a_ground_truth_is_its_diagonal():
    truth = GroundTruth(1, "mug", "m", np.eye(3), np.zeros(3), np.array([0.03, 0.04, 0.12]), False)
    assert truth.scale == pytest.approx(0.13)
