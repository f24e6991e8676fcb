"""What the recognition network sees: channels against windows of known geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.recognition.crop import CHANNELS, SIDE, recognition_crop

CELLS = 96
FOCAL, CENTRE = 120.0, 47.5
V, U = np.mgrid[:CELLS, :CELLS]
RAYS = np.stack([(U - CENTRE) / FOCAL, (V - CENTRE) / FOCAL, np.ones_like(U)], axis=-1)
SEEN = slice(None, None, CELLS // SIDE)
OWN = (abs(U - CENTRE) < 16) & (abs(V - CENTRE) < 16)


def instance(depth, support=None, own=OWN):
    """An object on some cells of a window of depth (96, 96)."""
    depth = np.broadcast_to(depth, own.shape).astype(np.float32)
    camera = PinholeCamera(CELLS, CELLS, FOCAL, FOCAL, CENTRE, CENTRE)
    window = FreeSpace(depth, np.where(own, 0.0, 3.0).astype(np.float32), camera, 0.0)
    points = (RAYS * depth[..., None])[own & (depth > 0.0)].astype(np.float32)
    pixels = np.zeros((len(points), 2), np.int32)
    return Instance(1, "can", 1.0, points, pixels, window, len(points), support=support)


def test_places_are_relative_to_the_middle_in_tenths_of_a_metre():
    seen = instance(0.5 + 0.001 * U)
    places = RAYS * (0.5 + 0.001 * U)[..., None]
    expected = ((places - np.median(places[OWN], axis=0)) / 0.1)[SEEN, SEEN]
    crop = recognition_crop(seen)
    assert crop.shape == (CHANNELS, SIDE, SIDE)
    assert crop.dtype == np.float32
    # The median of an even number of points is one of the two in the middle.
    np.testing.assert_allclose(crop[:3].transpose(1, 2, 0), expected, atol=0.06)
    step = np.diff(crop[0], axis=1)
    np.testing.assert_allclose(step, np.diff(expected[..., 0], axis=1), atol=1e-5)
    assert (crop[3] == 1.0).all()
    np.testing.assert_array_equal(crop[4], OWN[SEEN, SEEN])


def test_what_is_far_away_is_limited():
    crop = recognition_crop(instance(np.where(OWN, 0.5, 5.0)))
    assert np.abs(crop[:3]).max() == 3.0
    assert (crop[2][~OWN[SEEN, SEEN]] == 3.0).all()


slopes = st.floats(-0.8, 0.8)


@given(slopes, slopes)
def test_the_normals_of_a_tilted_plane_are_its_own(x, y):
    normal = np.array([x, y, -1.0]) / np.linalg.norm([x, y, 1.0])
    # The plane through (0, 0, 0.6): normal . p = -0.6 normal_z.
    depth = 0.6 * normal[2] / (RAYS @ normal)
    found = recognition_crop(instance(depth))[5:8]
    np.testing.assert_allclose(found[:, 1:-1, 1:-1].transpose(1, 2, 0), normal[None, None].repeat(
        SIDE - 2, axis=0).repeat(SIDE - 2, axis=1), atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(np.linalg.norm(found[:, 1:-1, 1:-1], axis=0), 1.0, atol=1e-5)
    assert not found[:, [0, -1]].any()
    assert not found[..., [0, -1]].any()


def test_heights_are_those_above_the_support_plane():
    """A wall 0.5 m away, on a floor 0.1 m below the camera's axis."""
    floor = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -0.1)
    crop = recognition_crop(instance(0.5, floor))
    expected = (0.1 - 0.5 * RAYS[..., 1])[SEEN, SEEN] / 0.1
    np.testing.assert_allclose(crop[8], expected, atol=1e-5)
    assert (crop[9] == 1.0).all()
    without = recognition_crop(instance(0.5))
    assert not without[8:10].any()
    np.testing.assert_array_equal(without[:8], crop[:8])


def test_unknown_cells_show_only_whose_they_are_and_that_there_is_support():
    unknown = np.zeros(OWN.shape, np.bool_)
    unknown[40:60, 30:50] = True
    table = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -0.1)
    whole, crop = (
        recognition_crop(instance(depth, table)) for depth in (0.5, np.where(unknown, 0.0, 0.5))
    )
    lost = unknown[SEEN, SEEN]
    others = [i for i in range(CHANNELS) if i not in (4, 9)]
    assert not crop[others][:, lost].any()
    np.testing.assert_array_equal(crop[[4, 9]], whole[[4, 9]])
    np.testing.assert_array_equal(crop[3], ~lost)
    # A cell beside the hole lacks a neighbour.
    assert not crop[5:8, 19, 15:25].any()
    assert crop[5:8, 18, 15:25].any(axis=0).all()


@pytest.mark.parametrize("supported", [False, True])
def test_an_instance_without_a_known_window(supported):
    support = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -0.1) if supported else None
    crop = recognition_crop(replace(instance(0.5, support), free=FreeSpace.unknown()))
    assert np.isfinite(crop).all()
    assert (crop[4] == 1.0).all()
    assert (crop[9] == float(supported)).all()
    assert not crop[[0, 1, 2, 3, 5, 6, 7, 8]].any()
