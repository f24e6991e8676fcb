"""What the mask network sees of depth: independent of intrinsics, place and distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.depth_channels import CHANNELS, depth_channels

INNER = (slice(8, -8), slice(8, -8))
CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def channels(depth, focal=60.0):
    found, distance = depth_channels(
        torch.as_tensor(depth, dtype=torch.float32)[None, None], torch.tensor([focal])
    )
    assert found.shape == (1, CHANNELS, *depth.shape)
    assert distance.shape == (1, 1, *depth.shape)
    assert torch.isfinite(found).all()
    assert torch.isfinite(distance).all()
    return found[0].numpy(), distance[0, 0].numpy()


def plane(normal, offset, camera=CAMERA):
    return offset / (camera.rays(camera.pixel_grid()) @ np.asarray(normal, np.float32))


slopes = st.floats(-0.6, 0.6)


@settings(max_examples=30)
@given(slopes, slopes, st.floats(0.4, 3.0))
def test_a_plane_has_no_relief_and_the_normal_of_the_plane(x, y, offset):
    depth = plane((x, y, 1.0), offset)
    found, _ = channels(depth)
    np.testing.assert_allclose(found[3:5], 0.0, atol=2e-3)
    # Relative to the ray r: with p . n = offset, the slope of 1 / z is n_x / (n . r).
    ray = CAMERA.rays(CAMERA.pixel_grid())
    along = ray @ np.array([x, y, 1.0], np.float32)
    expected = np.stack([x / along, y / along, np.ones_like(along)])
    expected /= np.linalg.norm(expected, axis=0)
    np.testing.assert_allclose(found[:3][(slice(None), *INNER)],
                               expected[(slice(None), *INNER)], atol=0.02)  # fmt: skip


def step(z=1.0, height=0.05):
    depth = np.full((48, 64), z, dtype=np.float32)
    depth[18:30, 24:40] -= height
    return depth


def test_what_is_nearer_than_its_surroundings_has_positive_relief():
    found, _ = channels(step())
    assert found[4, 24, 32] > 0.2
    assert found[4, 32, 32] < 0.0
    assert (np.abs(found[3:5]) < 1.0).all()


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_lengths_are_relative_to_the_distance(factor):
    """The same picture in another size: only the footprint tells."""
    near, _ = channels(step())
    far, _ = channels(factor * step())
    same = [0, 1, 2, 3, 4, 6, 7]
    np.testing.assert_allclose(far[same], near[same], atol=1e-3)
    np.testing.assert_allclose(far[5] - near[5], np.log(factor), atol=1e-3)


def test_the_focal_length_cancels_where_the_geometry_is_the_same():
    """Twice the focal length and half the relief along the ray are the same shape in footprints."""
    wide, _ = channels(step(height=0.02), 60.0)
    narrow, _ = channels(step(height=0.01), 120.0)
    np.testing.assert_allclose(narrow[3:5], wide[3:5], atol=0.01)


def test_the_distance_is_that_of_points_in_footprints():
    _, distance = channels(step())
    np.testing.assert_allclose(distance, 60.0 * np.log(step()), atol=1e-3)


def test_missing_depth_is_filled_from_around_and_said_to_be_missing():
    depth = step()
    whole, distance = channels(depth)
    holed = depth.copy()
    holed[35:40, 10:20] = 0.0
    found, filled = channels(holed)
    assert not found[7, 35:40, 10:20].any()
    assert not found[3:5, 35:40, 10:20].any()
    np.testing.assert_allclose(filled[35:40, 10:20], distance[35:40, 10:20], atol=0.5)
    assert found[7].sum() == holed.size - 50
    np.testing.assert_allclose(found[:, :10], whole[:, :10], atol=0.1)


@pytest.mark.parametrize("shape", [(2, 2), (2, 64), (48, 6)])
@pytest.mark.parametrize("z", [0.0, 1e-3, 20.0])
def test_images_of_any_size_and_without_depth(shape, z):
    found, _ = channels(np.full(shape, z, dtype=np.float32))
    assert found[7].all() == (z > 0.0)
    np.testing.assert_allclose(found[:2], 0.0, atol=1e-4)


def test_everything_is_made_on_the_device_of_its_input(device, explicit_devices):
    depth = torch.as_tensor(step(), device=device)[None, None]
    focal = torch.full((1,), 60.0, device=device)
    with explicit_devices():
        found, _ = depth_channels(depth, focal)
    assert found.device.type == device.type
