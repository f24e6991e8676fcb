import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.evaluation import rotation_error_deg, translation_error_m

vectors = st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(np.array)


def about(axis, degrees):
    return Rotation.from_euler(axis, degrees, degrees=True).as_matrix()


@pytest.mark.parametrize("degrees", [0.0, 1e-9, 1e-5, 0.1, 45.0, 179.9999999, 180.0])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_the_angle_is_exact_everywhere(degrees, axis):
    base = Rotation.random(random_state=0).as_matrix()
    error = rotation_error_deg(base @ about(axis, degrees), base)
    assert error == pytest.approx(degrees, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1e-9, 30.0, 90.0, 180.0])
def test_yaw_does_not_count_for_symmetric_objects(degrees):
    base = Rotation.random(random_state=1).as_matrix()
    turned = base @ about("x", degrees) @ about("y", 77.0)
    assert rotation_error_deg(turned, base, True) == pytest.approx(degrees, rel=1e-5, abs=1e-12)
    assert rotation_error_deg(base @ about("y", 77.0), base, False) == pytest.approx(77.0)


@given(vectors, vectors, st.booleans())
def test_symmetric_in_its_arguments_and_in_range(a, b, symmetric):
    ra, rb = Rotation.from_rotvec(a).as_matrix(), Rotation.from_rotvec(b).as_matrix()
    error = rotation_error_deg(ra, rb, symmetric)
    assert 0.0 <= error <= 180.0
    np.testing.assert_allclose(error, rotation_error_deg(rb, ra, symmetric), atol=1e-9)
    assert rotation_error_deg(ra, rb, True) <= rotation_error_deg(ra, rb, False) + 1e-6


@given(vectors, vectors)
def test_agrees_with_scipy(a, b):
    ra, rb = Rotation.from_rotvec(a), Rotation.from_rotvec(b)
    expected = np.degrees((ra.inv() * rb).magnitude())
    error = rotation_error_deg(ra.as_matrix(), rb.as_matrix())
    np.testing.assert_allclose(error, expected, atol=1e-6)


def test_batches_broadcast():
    turned = np.stack([about("x", d) for d in (0.0, 10.0, 20.0)])
    np.testing.assert_allclose(rotation_error_deg(turned, np.eye(3)), [0, 10, 20], atol=1e-9)
    mixed = np.stack([about("y", 50.0)] * 2)
    np.testing.assert_allclose(rotation_error_deg(mixed, np.eye(3), [True, False]), [0, 50])


def test_nan_stays_nan_and_passes_no_threshold():
    error = rotation_error_deg(np.full((3, 3), np.nan), np.eye(3))
    assert np.isnan(error)
    assert not error < 180.0


def test_translation():
    np.testing.assert_allclose(
        translation_error_m([[0.0, 0.0, 1.0], [0.3, 0.4, 1.0]], [0.0, 0.0, 1.0]), [0.0, 0.5]
    )
