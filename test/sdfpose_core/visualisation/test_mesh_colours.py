from __future__ import annotations

import dataclasses

import numpy as np
from simple_estimates import make_estimate

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.visualisation.mesh_colours import sample_colours

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def plate(normal_z: float):
    """A square plate across the optical axis at 0.8 m, facing the camera or not."""
    grid = np.array([[x, y, 0.0] for x in (-0.03, 0.03) for y in (-0.03, 0.03)], np.float32)
    normals = np.tile(np.array([0.0, 0.0, normal_z], np.float32), (4, 1))
    estimate = make_estimate(rotation=np.eye(3))
    return dataclasses.replace(estimate, vertices=grid, normals=normals)


def split_frame():
    """Red left of the image's centre, blue right of it; everything belongs to mask id 1."""
    size = CAMERA.height, CAMERA.width
    colour = np.zeros((*size, 3), np.uint8)
    colour[:, :32, 0] = colour[:, 32:, 2] = 255
    return RgbdFrame(colour, np.full(size, 0.8, np.float32), np.ones(size, np.uint16), CAMERA)


def test_vertices_that_are_seen_have_the_colour_of_their_pixel():
    colours = sample_colours(plate(-1.0), split_frame(), (9, 9, 9))
    np.testing.assert_array_equal(colours[:2], [[255, 0, 0]] * 2)
    np.testing.assert_array_equal(colours[2:], [[0, 0, 255]] * 2)


def test_vertices_that_are_hidden_have_the_colour_of_the_nearest_one_seen():
    frame = split_frame()
    depth = frame.depth.copy()
    depth[:, 32:] = 0.5  # something stands before the right half
    colours = sample_colours(plate(-1.0), dataclasses.replace(frame, depth=depth), (9, 9, 9))
    np.testing.assert_array_equal(colours, [[255, 0, 0]] * 4)


def test_pixels_of_other_instances_give_no_colour():
    frame = split_frame()
    mask = frame.mask.copy()
    mask[:, :32] = 2
    colours = sample_colours(plate(-1.0), dataclasses.replace(frame, mask=mask), (9, 9, 9))
    np.testing.assert_array_equal(colours, [[0, 0, 255]] * 4)


def test_a_surface_that_is_not_seen_at_all_has_the_colour_of_the_category():
    for estimate in (
        plate(1.0),
        dataclasses.replace(plate(-1.0), translation=np.array([0.0, 0.0, -0.8])),
        dataclasses.replace(plate(-1.0), translation=np.array([5.0, 0.0, 0.8])),
    ):
        colours = sample_colours(estimate, split_frame(), (9, 8, 7))
        np.testing.assert_array_equal(colours, [[9, 8, 7]] * 4)
