"""What every adapter of a camera has to do, for tests on fakes of the makers' interfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np

from sdfpose_core.cameras.camera import CameraDescription, RgbdCamera, RgbdImages

HEIGHT, WIDTH = 480, 640


def colour_pixels(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """An image whose channels differ, so that a wrong order is seen."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 200, 100, 50
    return pixels


def depth_pixels(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """0.8 m in millimetres, with a hole."""
    pixels = np.full((height, width), 800, dtype=np.uint16)
    pixels[:10] = 0
    return pixels


def check_camera(camera: RgbdCamera, serial_number: str) -> CameraDescription:
    """Check description and images, and return the description."""
    found = camera.description
    assert {x.name for x in fields(CameraDescription)} <= vars(found).keys()
    assert found.serial_number == serial_number
    size = (found.camera.height, found.camera.width)
    assert np.allclose(found.colour_rotation @ found.colour_rotation.T, np.eye(3), atol=1e-6)
    assert 0.0 < np.linalg.norm(found.colour_translation) < 0.2, "metres"
    first, second = camera.read(1.0), camera.read(1.0)
    for images in (first, second):
        assert isinstance(images, RgbdImages)
        assert images.colour.shape == (*size, 3)
        assert images.colour.dtype == np.uint8
        assert tuple(images.colour[size[0] // 2, size[1] // 2]) == (200, 100, 50), "RGB"
        assert images.depth.shape == size
        assert images.depth.dtype == np.uint16
        assert np.isclose(images.depth[-1, -1] * images.depth_unit_m, 0.8)
        assert images.depth[0, 0] == 0
    assert second.number == first.number + 1
    assert second.stamp_ns > first.stamp_ns
    return found


def namespace(**values: Any) -> SimpleNamespace:
    """An object whose methods return these values."""

    def constant(value: Any) -> Callable[..., Any]:
        return lambda *_, **__: value

    return SimpleNamespace(**{name: constant(x) for name, x in values.items()})
