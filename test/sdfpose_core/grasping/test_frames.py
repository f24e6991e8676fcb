"""Frames of the parts of solids whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.categories import GRASP_FRAMES, default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.grasping.frames import part_frames
from sdfpose_core.shapes.families import sample_model

TO_Y_UP = trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))


def frames(mesh, *names):
    centred = mesh.copy().apply_translation(-mesh.bounds.mean(axis=0))
    return {x.name: x for x in part_frames(centred.vertices, centred.faces, names)}


def cylinder(radius, height):
    solid = trimesh.creation.cylinder(radius=radius, height=height, sections=64)
    return solid.apply_transform(TO_Y_UP)


def mug(radius, height, reach):
    """A cylinder with a bar in front of it, joined at both ends: a handle toward +x."""
    bar = trimesh.creation.box((0.01, 0.6 * height, 0.012))
    bar.apply_translation((radius + reach, 0.0, 0.0))
    ends = [
        trimesh.creation.box((reach, 0.01, 0.012)).apply_translation((radius + 0.5 * reach, y, 0.0))
        for y in (-0.28 * height, 0.28 * height)
    ]
    return trimesh.util.concatenate([cylinder(radius, height), bar, *ends])


@pytest.mark.parametrize("name", sorted(default_categories()))
def test_frames_are_rotations_inside_the_box(name):
    model = sample_model(name, 3)
    category = default_categories()[name]
    found = part_frames(model.vertices, model.faces, category.frames)
    assert [x.name for x in found] == list(category.frames)
    for x in found:
        np.testing.assert_allclose(x.rotation.T @ x.rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(x.rotation) == pytest.approx(1.0)
        assert (np.abs(x.translation) <= 0.5 * model.dimensions_m + 1e-3).all()


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 0.06), st.floats(0.06, 0.3))
def test_a_cylinder_has_axis_opening_and_rim(radius, height):
    found = frames(cylinder(radius, height), "body_axis", "opening", "rim")
    np.testing.assert_allclose(found["body_axis"].translation, 0.0, atol=1e-9)
    np.testing.assert_allclose(found["body_axis"].rotation[:, 1], (0, 1, 0), atol=1e-9)
    np.testing.assert_allclose(found["opening"].translation, (0, height / 2, 0), atol=1e-9)
    np.testing.assert_allclose(found["opening"].rotation[:, 2], (0, 1, 0), atol=1e-9)
    rim = found["rim"]
    assert rim.translation[1] == pytest.approx(height / 2)
    assert rim.translation[2] == pytest.approx(0.0)
    assert -radius <= rim.translation[0] < -0.5 * radius
    np.testing.assert_allclose(np.abs(rim.rotation[:, 1]), (0, 0, 1), atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.03, 0.05), st.floats(0.07, 0.12), st.floats(0.025, 0.04))
def test_the_handle_is_at_its_bar_and_moves_the_axis(radius, height, reach):
    mesh = mug(radius, height, reach)
    found = frames(mesh, "handle", "body_axis", "opening")
    shift = mesh.bounds.mean(axis=0)
    handle = found["handle"]
    np.testing.assert_allclose(handle.translation + shift, (radius + reach, 0, 0), atol=6e-3)
    np.testing.assert_allclose(handle.rotation[:, 2], (1, 0, 0), atol=0.05)
    np.testing.assert_allclose(handle.rotation[:, 1], (0, 1, 0), atol=0.1)
    np.testing.assert_allclose(found["body_axis"].translation + shift, 0.0, atol=2e-3)
    np.testing.assert_allclose(found["opening"].translation + shift, (0, height / 2, 0), atol=2e-3)


def test_a_cup_without_a_handle_has_no_frame_of_it():
    assert frames(cylinder(0.04, 0.1), "handle") == {}


@pytest.mark.parametrize("angle", [60.0, 90.0, 110.0, 130.0])
def test_the_edge_of_a_lid_points_out_of_it(angle):
    base = trimesh.creation.box((0.24, 0.01, 0.34))
    lid = trimesh.creation.box((0.24, 0.006, 0.34)).apply_translation((0.12, 0.003, 0.0))
    lid.apply_transform(
        trimesh.transformations.rotation_matrix(np.deg2rad(angle), (0, 0, 1))
    ).apply_translation((-0.12, 0.005, 0.0))
    mesh = trimesh.util.concatenate([base, lid])
    (edge,) = frames(mesh, "lid_edge").values()
    out = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle)), 0.0])
    np.testing.assert_allclose(edge.rotation[:, 2], out, atol=0.03)
    np.testing.assert_allclose(np.abs(edge.rotation[:, 1]), (0, 0, 1), atol=1e-9)
    expected = np.array([-0.12, 0.005, 0.0]) + 0.24 * out - mesh.bounds.mean(axis=0)
    np.testing.assert_allclose(edge.translation, expected, atol=6e-3)


def test_a_closed_lid_has_no_edge():
    assert frames(trimesh.creation.box((0.24, 0.02, 0.34)), "lid_edge") == {}


@pytest.mark.parametrize(("sides", "axis"), [((0.05, 0.07, 0.12), 2), ((0.12, 0.07, 0.05), 0)])
def test_the_long_axis_is_that_of_the_longest_side(sides, axis):
    (found,) = frames(trimesh.creation.box(sides), "long_axis").values()
    np.testing.assert_allclose(found.rotation[:, 1], np.eye(3)[axis], atol=1e-9)
    np.testing.assert_allclose(found.rotation[:, 2], (0, 1, 0), atol=1e-9)


def test_unknown_names_are_an_error():
    with pytest.raises(ConfigurationError, match="unknown frame 'lid': expected body_axis"):
        frames(cylinder(0.04, 0.1), "lid")
    assert part_frames(np.zeros((0, 3)), np.zeros((0, 3), int), ()) == []
    assert len(set(GRASP_FRAMES)) == len(GRASP_FRAMES)


def test_a_flat_surface_has_no_handle():
    flat = trimesh.Trimesh([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]], [[0, 1, 2]], process=False)
    assert frames(flat, "handle") == {}
