"""The images beside the scene, and surfaces as glTF."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh
from simple_estimates import GREY, make_estimate, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.viewer.images import colour_picture, depth_picture
from sdfpose_core.viewer.scene import SceneMesh
from sdfpose_core.viewer.surfaces import surface_glb
from sdfpose_core.viewer.views import ObjectView

CATEGORIES = default_categories()


def test_boxes_are_drawn_and_surfaces_are_not():
    frame = make_frame()
    drawn = colour_picture(frame, [ObjectView(3, make_estimate(at=(0.0, 0.0, 0.8)))], CATEGORIES)
    assert drawn.shape == frame.colour.shape
    changed = (drawn != GREY).any(axis=-1)
    assert 0.002 < changed.mean() < 0.05  # lines and a label, but no area
    assert (drawn == CATEGORIES["mug"].colour).all(axis=-1).any()


def test_large_images_are_shrunk():
    assert colour_picture(make_frame(1280, 720), [], CATEGORIES).shape == (360, 640, 3)
    assert depth_picture(np.ones((720, 1280), np.float32)).shape == (360, 640, 3)


def test_near_is_red_far_is_blue_and_missing_is_grey():
    depth = np.linspace(0.5, 2.0, 100, dtype=np.float32)[None].repeat(10, axis=0)
    depth[0] = 0.0
    picture = depth_picture(depth)
    assert (picture[0] == picture[0, 0, 0]).all()
    assert picture[5, 1, 0] > picture[5, 1, 2]
    assert picture[5, 98, 2] > picture[5, 98, 0]


def test_depth_that_is_missing_everywhere_is_grey():
    picture = depth_picture(np.zeros((4, 4), np.float32))
    assert len(np.unique(picture)) == 1


def test_a_surface_keeps_its_shape_and_colours_as_gltf():
    estimate = make_estimate()
    count = len(estimate.vertices)
    colours = np.tile(np.array([[255, 128, 0]], np.uint8), (count, 1))
    data = surface_glb(SceneMesh(1, estimate.vertices, estimate.faces, estimate.normals, colours))
    (mesh,) = trimesh.load(io.BytesIO(data), file_type="glb", process=False).geometry.values()
    np.testing.assert_allclose(mesh.vertices, estimate.vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, estimate.faces)
    # glTF has linear colours: half of the brightness of a screen is a fifth of the light.
    stored = mesh.visual.vertex_attributes["color"][0]
    assert tuple(stored[[0, 2, 3]]) == (255, 0, 255)
    assert stored[1] == pytest.approx(255 * (128 / 255) ** 2.2, abs=1)
