"""CAD models."""

import numpy as np

from sdfpose_core.simulation import primitives


def test_corner_normals_are_smooth_on_a_sphere_and_sharp_on_a_box():
    ball = primitives.sphere(0.1, segments=64)
    outward = ball.vertices[ball.faces] / 0.1
    assert np.einsum("fij,fij->fi", ball.corner_normals, outward).min() > 0.995
    block = primitives.box(0.1, 0.1, 0.1)
    np.testing.assert_allclose(np.abs(block.corner_normals).max(axis=-1), 1.0, atol=1e-6)
