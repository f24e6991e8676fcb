"""Shift and scale between depth and colour, on boxes whose edges are known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.diagnosis.alignment import best_fit, check_alignment
from sdfpose_core.diagnosis.sample import CameraView


def boxes(seed: int, count: int = 9):
    """Boxes of random colours before a wall: colour (480, 640, 3) and depth (480, 640)."""
    rng = np.random.default_rng(seed)
    colour = np.full((480, 640, 3), 120, np.uint8)
    depth = np.full((480, 640), 2.0, np.float32)
    for _ in range(count):
        left, top = (int(x) for x in rng.integers((40, 40), (500, 350)))
        wide, tall = (int(x) for x in rng.integers(40, 110, 2))
        box = slice(top, top + tall), slice(left, left + wide)
        colour[box] = rng.integers(0, 255, 3)
        depth[box] = rng.uniform(0.6, 1.2)
    noise = rng.normal(0.0, 3.0, colour.shape)
    return np.clip(colour + noise, 0, 255).astype(np.uint8), depth


def warped(depth, scale: float = 1.0, right: int = 0, down: int = 0):
    centre = np.array([320.0, 240.0])
    offset = (1.0 - scale) * centre + (right, down)
    matrix = np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])
    return cv2.warpAffine(
        depth, matrix, (640, 480), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )


@settings(max_examples=15)
@given(st.integers(0, 50), st.integers(-40, 40), st.integers(-40, 40))
def test_the_shift_is_found(seed, right, down):
    colour, depth = boxes(seed)
    found = best_fit([(colour, warped(depth, 1.0, right, down))])
    assert found.scale == 1.0
    # Depth has to be moved back; edges are those of images of half the size.
    np.testing.assert_allclose(640.0 * np.array(found.shift), (-right, -down), atol=6.0)


@pytest.mark.parametrize("scale", [0.75, 0.85, 1.2, 1.4])
def test_the_ratio_of_the_fields_of_view_is_found(scale):
    views = [(c, warped(d, scale, 6, -4)) for c, d in map(boxes, range(3))]
    found = best_fit(views)
    assert found.scale == pytest.approx(1.0 / scale, rel=0.05)
    finding = check_alignment([CameraView(*x) for x in views])
    assert finding.level == "fault"
    assert "another field of view" in finding.text


def test_the_advice_names_the_direction():
    colour, depth = boxes(3)
    text = check_alignment([CameraView(colour, warped(depth, 1.0, 24, 0))]).text
    assert "to the right" in text
    right = float(text.split("(")[1].split()[0])
    assert 18 <= right <= 30


@pytest.mark.parametrize(
    ("colour", "depth"),
    [
        (np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640), np.float32)),
        (boxes(1)[0], np.full((480, 640), 1.0, np.float32)),
        (np.full((480, 640, 3), 90, np.uint8), boxes(1)[1]),
        (boxes(1)[0], boxes(2)[1]),  # another scene: edges that agree nowhere
    ],
    ids=["nothing", "no depth edges", "no colour edges", "unrelated"],
)
def test_without_evidence_nothing_is_wrong(colour, depth):
    finding = check_alignment([CameraView(colour, depth)])
    assert finding.level == "ok"
    assert "not judged" in finding.text


def test_without_both_images_nothing_is_said():
    colour, depth = boxes(1)
    assert check_alignment([]) is None
    assert check_alignment([CameraView(colour), CameraView(depth=depth)]) is None
