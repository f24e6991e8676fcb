from __future__ import annotations

import dataclasses

import numpy as np

from sdfpose_ros.pose.mesh_colours import sample_colours


def plate(fakes, normal_z: float):
    """A square plate across the optical axis at 0.8 m, facing the camera or not."""
    grid = np.array([[x, y, 0.0] for x in (-0.03, 0.03) for y in (-0.03, 0.03)], np.float32)
    normals = np.tile(np.array([0.0, 0.0, normal_z], np.float32), (4, 1))
    return fakes.make_estimate(
        rotation=np.eye(3), translation=np.array([0.0, 0.0, 0.8]), vertices=grid, normals=normals
    )


def split_frame(fakes):
    """Red left of the image's centre, blue right of it; everything belongs to mask id 1."""
    frame = fakes.make_frame()
    colour = np.zeros_like(frame.colour)
    colour[:, :32, 0] = colour[:, 32:, 2] = 255
    return dataclasses.replace(frame, colour=colour, mask=np.ones_like(frame.mask))


def test_vertices_that_are_seen_have_the_colour_of_their_pixel(fakes):
    colours = sample_colours(plate(fakes, -1.0), split_frame(fakes), (9, 9, 9))
    np.testing.assert_array_equal(colours[:2], [[255, 0, 0]] * 2)
    np.testing.assert_array_equal(colours[2:], [[0, 0, 255]] * 2)


def test_vertices_that_are_hidden_have_the_colour_of_the_nearest_one_seen(fakes):
    frame = split_frame(fakes)
    depth = frame.depth.copy()
    depth[:, 32:] = 0.5  # something stands before the right half
    colours = sample_colours(plate(fakes, -1.0), dataclasses.replace(frame, depth=depth), (9, 9, 9))
    np.testing.assert_array_equal(colours, [[255, 0, 0]] * 4)


def test_pixels_of_other_instances_give_no_colour(fakes):
    frame = split_frame(fakes)
    mask = frame.mask.copy()
    mask[:, :32] = 2
    colours = sample_colours(plate(fakes, -1.0), dataclasses.replace(frame, mask=mask), (9, 9, 9))
    np.testing.assert_array_equal(colours, [[0, 0, 255]] * 4)


def test_a_surface_that_is_not_seen_at_all_has_the_colour_of_the_category(fakes):
    for estimate in (
        plate(fakes, 1.0),
        dataclasses.replace(plate(fakes, -1.0), translation=np.array([0.0, 0.0, -0.8])),
        dataclasses.replace(plate(fakes, -1.0), translation=np.array([5.0, 0.0, 0.8])),
    ):
        colours = sample_colours(estimate, split_frame(fakes), (9, 8, 7))
        np.testing.assert_array_equal(colours, [[9, 8, 7]] * 4)
