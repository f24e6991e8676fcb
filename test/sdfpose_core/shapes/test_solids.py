"""Solids: volumes and boxes against closed forms, orientation, refusal."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.solids import bar, from_mesh, lathe, lathe_along_x, slab, triangles

CYLINDER = np.array([[0.0, 0.0], [0.03, 0.0], [0.03, 0.1], [0.0, 0.1]])


def test_lathed_cylinder() -> None:
    solid = lathe(CYLINDER, segments=256)
    assert solid.volume() == pytest.approx(np.pi * 0.03**2 * 0.1, rel=1e-3)
    np.testing.assert_allclose(
        solid.bounding_box(), [-0.03, 0.0, -0.03, 0.03, 0.1, 0.03], atol=1e-9
    )


def test_lathed_cone() -> None:
    cone = np.array([[0.0, 0.0], [0.03, 0.0], [0.0, 0.1]])
    assert lathe(cone, segments=256).volume() == pytest.approx(np.pi * 0.03**2 * 0.1 / 3, rel=1e-3)


def test_depth_and_exponent_shape_the_section() -> None:
    flat = lathe(CYLINDER, depth=0.5, segments=256)
    assert flat.volume() == pytest.approx(0.5 * np.pi * 0.03**2 * 0.1, rel=1e-3)
    square = lathe(CYLINDER, exponent=40.0, segments=256)
    assert square.volume() == pytest.approx(0.06**2 * 0.1, rel=0.02)


def test_lathe_along_x_points_toward_x() -> None:
    cone = np.array([[0.0, 0.0], [0.03, 0.0], [0.0, 0.1]])
    vertices, _ = triangles(lathe_along_x(cone))
    np.testing.assert_allclose(vertices[np.argmax(vertices[:, 0])], [0.1, 0.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("edge", [0.0, 0.002, 0.5])
def test_slab_has_the_size_that_was_asked_for(edge: float) -> None:
    solid = slab((0.2, 0.02, 0.3), corner_radius=0.03, edge_radius=edge)
    np.testing.assert_allclose(
        solid.bounding_box(), [-0.1, -0.01, -0.15, 0.1, 0.01, 0.15], atol=1e-9
    )
    assert 0.85 * 0.2 * 0.02 * 0.3 < solid.volume() <= 0.2 * 0.02 * 0.3


def test_slab_without_rounding_is_a_box() -> None:
    assert slab((0.2, 0.02, 0.3), 0.0, 0.0).volume() == pytest.approx(0.2 * 0.02 * 0.3, rel=1e-3)


def test_straight_bar() -> None:
    path = np.stack([np.linspace(0.0, 0.1, 11), np.zeros(11)], axis=1)
    solid = bar(path, thickness=0.01, width=0.02, segments=128)
    assert solid.volume() == pytest.approx(np.pi * 0.005 * 0.01 * 0.1, rel=2e-3)


@pytest.mark.parametrize("direction", [1, -1])
def test_half_ring_bar_obeys_pappus(direction: int) -> None:
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 65)[::direction]
    path = 0.03 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    solid = bar(path, thickness=0.01, width=0.01, segments=64)
    assert solid.volume() == pytest.approx(np.pi * 0.005**2 * np.pi * 0.03, rel=5e-3)


def test_bar_with_a_sharp_bend_does_not_fold() -> None:
    path = np.array([[0.0, 0.0], [0.05, 0.0], [0.05, 0.002], [0.05, 0.05]])
    solid = bar(path, thickness=0.012, width=0.012)
    assert len(solid.decompose()) == 1
    assert solid.genus() == 0
    assert solid.volume() > 0.9 * np.pi * 0.006**2 * 0.09


def test_open_mesh_is_refused() -> None:
    vertices, faces = triangles(slab((1, 1, 1), 0.1, 0.1))
    with pytest.raises(MeshError, match=r"does not bound a solid.*expected a closed surface"):
        from_mesh(vertices, faces[:-1])


def test_inverted_mesh_is_refused() -> None:
    vertices, faces = triangles(slab((1, 1, 1), 0.1, 0.1))
    with pytest.raises(MeshError, match="inside out"):
        from_mesh(vertices, faces[:, ::-1])
