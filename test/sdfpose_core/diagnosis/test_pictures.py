"""Blur of edges against its closed form, and exposure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.special import erf

from sdfpose_core.diagnosis.pictures import check_exposure, check_sharpness, edge_blur
from sdfpose_core.diagnosis.sample import CameraView


def steps(blur_px: float, angle_deg: float, size=(240, 320)):
    """Stripes 60 pixels wide, blurred by a Gaussian across them; the gradient has this angle."""
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    angle = np.deg2rad(angle_deg)
    across = u * np.cos(angle) + v * np.sin(angle)
    phase = (across + 30.0) % 120.0 - 60.0
    smooth = erf(phase / (np.sqrt(2.0) * blur_px)) - erf((phase - 60.0) / (np.sqrt(2.0) * blur_px))
    smooth -= erf((phase + 60.0) / (np.sqrt(2.0) * blur_px))
    grey = 128.0 + 40.0 * smooth
    return np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("blur_px", [1.0, 2.0, 4.0])
@pytest.mark.parametrize(("angle_deg", "direction"), [(0, 0), (45, 1), (90, 2), (135, 3)])
def test_the_blur_of_a_step_is_measured_in_its_direction(blur_px, angle_deg, direction):
    found = edge_blur(steps(blur_px, angle_deg))
    assert len(found[direction]) > 100
    assert float(np.median(found[direction])) == pytest.approx(blur_px, rel=0.15, abs=0.25)
    assert all(len(x) == 0 for i, x in enumerate(found) if i != direction)


def squares(blur=(0.0, 0.0), noise: float = 2.0):
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(20, 230, (12, 16)), np.ones((40, 40))).astype(np.float32)
    if any(blur):
        image = cv2.GaussianBlur(
            image, (0, 0), sigmaX=max(blur[0], 1e-3), sigmaY=max(blur[1], 1e-3)
        )
    image = image + rng.normal(0.0, noise, image.shape)
    return np.repeat(np.clip(image, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("blur", "level", "text"),
    [
        ((0.8, 0.8), "ok", "blurred by"),
        ((2.6, 0.7), "warning", "motion blur"),
        ((5.0, 0.7), "fault", "motion blur"),
        ((0.7, 5.0), "fault", "motion blur"),
        ((4.0, 4.0), "fault", "out of focus"),
    ],
)
def test_motion_and_focus_are_told_apart(blur, level, text):
    finding = check_sharpness([CameraView(squares(blur))])
    assert finding.level == level
    assert text in finding.text


def test_a_large_image_is_judged_at_the_size_of_others():
    large = cv2.resize(squares((0.8, 0.8)), (1920, 1440), interpolation=cv2.INTER_CUBIC)
    assert check_sharpness([CameraView(large)]).level == "ok"


def test_noise_is_no_edge():
    rng = np.random.default_rng(0)
    noise = np.clip(128 + rng.normal(0, 4, (480, 640, 3)), 0, 255).astype(np.uint8)
    assert "too few edges" in check_sharpness([CameraView(noise)]).text


@pytest.mark.parametrize(
    ("image", "level"),
    [
        (squares(), "ok"),
        ((0.2 * squares()).astype(np.uint8), "warning"),
        ((0.05 * squares()).astype(np.uint8), "fault"),
        (np.minimum(1.7 * squares(), 255.0).astype(np.uint8), "warning"),
        (np.minimum(6.0 * squares(), 255.0).astype(np.uint8), "fault"),
        (np.full((48, 64, 3), 255, np.uint8), "fault"),
    ],
    ids=["good", "dim", "dark", "bright", "overexposed", "white"],
)
def test_exposure(image, level):
    finding = check_exposure([CameraView(image)])
    assert (finding.level, finding.name) == (level, "exposure")
    assert bool(finding.remedy) == (level != "ok")


def test_one_bad_image_among_others_is_no_fault():
    views = [CameraView(squares())] * 3 + [CameraView(np.zeros((48, 64, 3), np.uint8))]
    assert check_exposure(views).level == "ok"
    assert check_exposure([]) is None
    assert check_sharpness([]) is None
