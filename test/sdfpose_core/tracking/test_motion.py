"""Motion of tracked objects: the pose filter and moved estimates."""

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from simple_estimates import make_alternative
from tracker_fakes import make_estimate

from sdfpose_core.tracking.motion import PoseFilter, moved, with_modes_of, with_yaw_of
from sdfpose_core.tracking.tracker import TrackerConfig

CONFIG = TrackerConfig()


def test_a_pose_of_low_confidence_hardly_moves_an_object():
    covariance = 1e-5 * np.eye(6)
    moved_by = {}
    for confidence in (0.9, 0.5, 0.01):
        motion = PoseFilter.start(make_estimate(category="mug", covariance=covariance), CONFIG)
        predicted, motion = motion.predict(make_estimate(category="mug"), 0.01, CONFIG)
        seen = make_estimate(
            category="mug", place=(0.02, 0.0, 1.0), confidence=confidence, covariance=covariance
        )
        fused, _ = motion.correct(predicted, seen)
        moved_by[confidence] = fused.translation[0]
        assert fused.confidence == confidence
        np.testing.assert_array_equal(fused.covariance, covariance)
    assert moved_by[0.9] == moved_by[0.5] > 0.01
    assert moved_by[0.01] < 0.1 * moved_by[0.9]


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 2.0), st.floats(0.001, 2.0))
def test_two_predictions_equal_one(first_s, second_s):
    config = TrackerConfig()
    estimate = make_estimate(category="mug")
    motion = dataclasses.replace(
        PoseFilter.start(estimate, config), velocity=np.array([0.1, -0.2, 0.3, 0.0, 0.5, 0.0])
    )
    whole, after_whole = motion.predict(estimate, first_s + second_s, config)
    halfway, motion = motion.predict(estimate, first_s, config)
    both, after_both = motion.predict(halfway, second_s, config)
    np.testing.assert_allclose(both.translation, whole.translation, atol=1e-12)
    np.testing.assert_allclose(both.rotation, whole.rotation, atol=1e-12)
    np.testing.assert_allclose(after_both.velocity, after_whole.velocity, atol=1e-12)
    np.testing.assert_allclose(after_both.covariance, after_whole.covariance, atol=1e-12)


def test_predicted_velocity_uncertainty_is_bounded():
    config = TrackerConfig(speed_sd_m_s=0.3, turn_sd_rad_s=2.0)
    estimate = make_estimate(category="mug")
    _, motion = PoseFilter.start(estimate, config).predict(estimate, 20.0, config)
    sd = np.sqrt(np.diag(motion.covariance)[6:])
    np.testing.assert_allclose(sd, [0.3] * 3 + [2.0] * 3, rtol=1e-6)


def test_rotations_stay_rotations():
    estimate = make_estimate(rotation=Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix() * 1.0001)
    turn = Rotation.from_rotvec([1e-3, 2e-3, 0.0]).as_matrix().astype(np.float32).astype(float)
    for _ in range(1000):
        estimate = moved(estimate, turn, np.zeros(3))
    np.testing.assert_allclose(estimate.rotation.T @ estimate.rotation, np.eye(3), atol=1e-12)


rotvecs = st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(np.array)
shifts = st.tuples(*[st.floats(-2.0, 2.0)] * 3).map(np.array)


@settings(max_examples=50, deadline=None)
@given(rotvecs, rotvecs, shifts)
def test_a_moved_estimate_moves_as_a_rigid_body(first, turn, shift):
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(6, 6))
    before = make_estimate(
        rotation=Rotation.from_rotvec(first).as_matrix(), covariance=factor @ factor.T
    )
    R = Rotation.from_rotvec(turn).as_matrix()
    after = moved(before, R, shift)
    mesh = before.vertices @ before.rotation.T + before.translation
    np.testing.assert_allclose(
        after.vertices @ after.rotation.T + after.translation, mesh @ R.T + shift, atol=1e-9
    )
    # The decoder's origin stays where it is in the object frame.
    for x in (before, after):
        offset = x.rotation.T @ (x.decoder_translation - x.translation)
        np.testing.assert_allclose(
            offset, before.rotation.T @ np.array([0.0, 0.002, 0.0]), atol=1e-9
        )
    direction = rng.normal(size=6)
    moved_direction = np.concatenate([R @ direction[:3], R @ direction[3:]])
    np.testing.assert_allclose(
        moved_direction @ after.covariance @ moved_direction,
        direction @ before.covariance @ direction,
        rtol=1e-9,
    )


def relative_pose(estimate):
    """Pose of the first alternative in the object's frame."""
    (rival,) = estimate.alternatives
    back = estimate.rotation.T
    return np.column_stack(
        [back @ rival.rotation, back @ (rival.translation - estimate.translation)]
    )


@settings(max_examples=50, deadline=None)
@given(rotvecs, rotvecs, shifts)
def test_alternatives_move_with_the_object(first, turn, shift):
    before = make_estimate(
        rotation=Rotation.from_rotvec(first).as_matrix(),
        probability=0.75,
        alternatives=(make_alternative(at=(0.0, 0.1, 1.0)),),
    )
    after = moved(before, Rotation.from_rotvec(turn).as_matrix(), shift)
    refined = make_estimate(rotation=after.rotation, place=after.translation)
    for x in (after, with_modes_of(refined, before)):
        np.testing.assert_allclose(relative_pose(x), relative_pose(before), atol=1e-9)
        assert x.probability == 0.75
        assert x.alternatives[0].probability == 0.25


def test_alternatives_stay_where_a_yaw_has_no_meaning():
    rival = make_alternative()
    estimate = make_estimate(alternatives=(rival,))
    turned = with_yaw_of(estimate, make_estimate(rotation=Rotation.from_euler("y", 1).as_matrix()))
    assert not np.allclose(turned.rotation, estimate.rotation)
    np.testing.assert_array_equal(turned.alternatives[0].rotation, rival.rotation)


@settings(max_examples=50, deadline=None)
@given(rotvecs, rotvecs)
def test_the_nearest_yaw_is_the_nearest_and_keeps_the_axis(first, second):
    estimate = make_estimate(rotation=Rotation.from_rotvec(first).as_matrix())
    reference = make_estimate(rotation=Rotation.from_rotvec(second).as_matrix())
    turned = with_yaw_of(estimate, reference)
    np.testing.assert_allclose(turned.rotation[:, 1], estimate.rotation[:, 1], atol=1e-9)
    np.testing.assert_allclose(turned.translation, estimate.translation, atol=1e-12)
    yaws = Rotation.from_euler("y", np.linspace(0.0, 2.0 * np.pi, 72)[:, None]).as_matrix()
    traces = np.trace(reference.rotation.T @ estimate.rotation @ yaws, axis1=1, axis2=2)
    assert np.trace(reference.rotation.T @ turned.rotation) >= traces.max() - 1e-9
