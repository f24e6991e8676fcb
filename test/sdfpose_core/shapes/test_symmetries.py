"""Discrete symmetries of solids whose symmetries are known."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.symmetries import discrete_symmetries, up_to_yaw

TURNS = {name: Rotation.from_euler(name, np.pi).as_matrix() for name in "xyz"}
TO_Y_UP = trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))
SIDES = arrays(float, 3, elements=st.floats(0.03, 0.4))
PLACES = arrays(float, 3, elements=st.floats(-1.0, 1.0))


def axes_of(mesh: trimesh.Trimesh) -> str:
    """Names of the axes about which a half turn leaves the mesh as it is."""
    return "".join(
        name
        for found in discrete_symmetries(mesh.vertices, mesh.faces)
        for name, turn in TURNS.items()
        if np.allclose(found, turn)
    )


def round_solid(kind: str) -> trimesh.Trimesh:
    make = getattr(trimesh.creation, kind)
    return make(radius=0.03, height=0.12, sections=48).apply_transform(TO_Y_UP)


def mug(handle_side: float = 0.03) -> trimesh.Trimesh:
    """A cup, open at the top, with a handle toward +x."""
    outline = np.array([(0, -5), (4, -5), (4, 5), (3.7, 5), (3.7, -4.7), (0, -4.7)]) / 100.0
    cup = trimesh.creation.revolve(outline, sections=48).apply_transform(TO_Y_UP)
    handle = trimesh.creation.box((handle_side, 0.06, 0.012))
    return trimesh.util.concatenate([cup, handle.apply_translation((0.04 + handle_side / 2, 0, 0))])


@settings(max_examples=25, deadline=None)
@given(sides=SIDES, place=PLACES)
def test_a_box_has_three_half_turns_wherever_its_centre_is(sides, place):
    assert axes_of(trimesh.creation.box(sides).apply_translation(place)) == "xyz"


def test_a_cylinder_has_three_half_turns_which_are_one_up_to_yaw():
    mesh = round_solid("cylinder")
    assert axes_of(mesh) == "xyz"
    left = up_to_yaw(discrete_symmetries(mesh.vertices, mesh.faces))
    assert left.shape == (1, 3, 3)
    np.testing.assert_allclose(left[0] @ [0, 1, 0], [0, -1, 0], atol=1e-12)


def test_the_ends_of_a_cone_differ():
    mesh = round_solid("cone")
    assert axes_of(mesh) == "y"
    assert up_to_yaw(discrete_symmetries(mesh.vertices, mesh.faces)).shape == (0, 3, 3)


def test_a_prism_has_the_half_turn_of_its_cross_section():
    corners = np.array([(-1, -1), (1, -1), (0, 1)]) * [0.04, 0.06]
    prism = trimesh.creation.extrude_triangulation(corners, [(0, 1, 2)], height=0.1)
    assert axes_of(prism) == "y"


def test_a_mug_has_none():
    assert axes_of(mug()) == ""


def can_with_lid(height: float) -> trimesh.Trimesh:
    """A cylinder of 12 cm with a narrower lid on one end, closed."""
    outline = np.array([(0, -0.06), (0.03, -0.06), (0.03, 0.06), (0.02, 0.06)])
    top = [(0.02, 0.06 + height), (0, 0.06 + height)]
    return trimesh.creation.revolve([*outline, *top], sections=48).apply_transform(TO_Y_UP)


def test_what_no_camera_sees_does_not_break_a_symmetry():
    assert axes_of(can_with_lid(0.001)) == "xyz"
    assert axes_of(can_with_lid(0.02)) == "y"


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_the_unit_of_length_does_not_matter(factor):
    assert axes_of(mug().apply_scale(factor)) == ""
    assert axes_of(round_solid("cone").apply_scale(factor)) == "y"


def test_a_mesh_without_area_is_an_error():
    with pytest.raises(MeshError, match="no area"):
        discrete_symmetries(np.eye(3), np.array([[0, 0, 1]]))


def test_thousands_of_vertices_take_milliseconds():
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=0.1)
    times = []
    for _ in range(5):
        start = time.process_time()
        discrete_symmetries(mesh.vertices, mesh.faces)
        times.append(time.process_time() - start)
    assert len(mesh.vertices) > 4000
    assert min(times) < 0.015
