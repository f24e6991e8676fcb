import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.errors import ShapeError
from sdfpose_core.geometry.alignment import align, align_robustly


def pairs(seed, count=200, noise=0.0):
    rng = np.random.default_rng(seed)
    source = rng.uniform(-0.5, 0.5, (count, 3))
    rotation = Rotation.random(random_state=seed).as_matrix()
    scale, translation = float(np.exp(rng.normal())), rng.normal(size=3)
    target = scale * source @ rotation.T + translation + noise * rng.normal(size=source.shape)
    return source, target, (scale, rotation, translation)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 60))
def test_a_similarity_is_recovered(seed, count):
    source, target, (scale, rotation, translation) = pairs(seed, count)
    found = align(source, target)
    assert found.scale == pytest.approx(scale, rel=1e-9)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-8)
    np.testing.assert_allclose(found.translation, translation, atol=1e-8)
    assert found.residual(source, target).max() < 1e-8


def test_points_in_a_plane_give_a_rotation_and_no_mirror():
    source, target, (_, rotation, _) = pairs(3)
    flat = source * [1.0, 0.0, 1.0]
    found = align(flat, 2.0 * flat @ rotation.T)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-8)
    assert np.linalg.det(align(source, target * [1.0, 1.0, -1.0]).rotation) == pytest.approx(1.0)


def test_least_squares_is_the_best():
    source, target, _ = pairs(1, noise=0.05)
    found = align(source, target)
    least = (found.residual(source, target) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(50):
        turn = Rotation.from_rotvec(0.01 * rng.normal(size=3)).as_matrix()
        moved = found.scale * (1.0 + 0.01 * rng.normal()) * source @ (turn @ found.rotation).T
        moved += found.translation + 0.002 * rng.normal(size=3)
        assert ((moved - target) ** 2).sum() > least


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), share=st.floats(0.0, 0.5))
def test_outliers_do_not_count(seed, share):
    source, target, (scale, rotation, translation) = pairs(seed, noise=0.001)
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(source)) < share
    target[wrong] += rng.uniform(0.3, 2.0, (wrong.sum(), 3)) * rng.choice([-1, 1], (wrong.sum(), 3))
    found = align_robustly(source, target, 0.01, rng)
    assert found.scale == pytest.approx(scale, rel=0.01)
    np.testing.assert_allclose(found.rotation, rotation, atol=0.01)
    np.testing.assert_allclose(found.translation, translation, atol=0.005)
    assert found.inliers[~wrong].mean() > 0.95
    assert not found.inliers[wrong].any()


@pytest.mark.parametrize(
    "function", [align, lambda a, b: align_robustly(a, b, 0.1, np.random.default_rng(0))]
)
def test_points_that_say_too_little(function):
    line = np.linspace(0.0, 1.0, 20)[:, None] * [1.0, 2.0, 3.0]
    with pytest.raises(ShapeError, match="not collinear"):
        function(line, line)
    with pytest.raises(ShapeError, match="at least 3"):
        function(line[:2], line[:2])
    with pytest.raises(ShapeError, match=r"expected \(N, 3\) for both"):
        function(line, line[:5])


def test_pairs_that_do_not_correspond():
    rng = np.random.default_rng(0)
    with pytest.raises(ShapeError, match="no similarity has 4 inliers among 500"):
        align_robustly(rng.normal(size=(500, 3)), 100.0 * rng.normal(size=(500, 3)), 1e-6, rng)
