"""Joint refinement over keyframes from known cameras, with the real estimator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.arm import measured
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene
from sdfpose_core.tracking.world import in_camera, in_world

CATEGORY = "camera"
TF_SD_M, TF_SD_RAD = 0.002, np.radians(0.2)


@pytest.fixture(scope="module")
def estimator(few_threads):
    return PoseEstimator(EstimatorConfig(colour="none"))


@pytest.fixture(scope="module")
def views(estimator):
    """A camera on a table from four sides: instance with camera pose, and its detection."""
    rng, scene, found = np.random.default_rng(1), table_scene(1), []
    for seconds in (0.0, 6.0, 12.0, 18.0):
        pose = orbit(seconds)
        frame, _ = simulated_frame(scene, TABLE_CAMERA, pose, rng, colour=False)
        frame = replace(frame, camera_pose=measured(pose, rng, TF_SD_M, TF_SD_RAD))
        instances, _ = estimator.segment(frame)
        (instance,) = [x for x in instances if x.category == CATEGORY]
        found.append((instance, estimator.estimate([instance]).estimates[0]))
    (item,) = [x for x in scene.instances if x.category == CATEGORY]
    return item, found


def joined(estimator, found, *, known):
    """All keyframes and the last estimate, each view tracked from the world pose before."""
    first, estimate = found[0]
    placed = first if known else replace(first, camera_pose=None)
    keyframes = replace(Keyframes.of(first, estimate), instances=(placed,))
    world = in_world(estimate, first.camera_pose)
    for instance, detection in found[1:]:
        tracked = in_camera(world, instance.camera_pose)
        shown = instance if known else replace(instance, camera_pose=None)
        keyframes, estimate = estimator.add_keyframe(keyframes, shown, [tracked, detection])
        world = in_world(estimate, instance.camera_pose)
    return keyframes, world


def places(keyframes, found):
    """(K, 3) of the decoder's origin in the world, from each view."""
    translations = keyframes.state.similarity.translation.double().numpy()
    cameras = [x.camera_pose for x, _ in found]
    return np.array([c.to_world(t) for c, t in zip(cameras, translations, strict=True)])


def test_views_from_known_cameras_agree_on_one_place(estimator, views):
    item, found = views
    free, _ = joined(estimator, found, known=False)
    together, world = joined(estimator, found, known=True)
    spread = [places(x, found).std(axis=0).max() for x in (free, together)]
    assert spread[1] < spread[0]
    assert spread[1] < 0.008  # the errors of the camera poses
    assert np.linalg.norm(world.translation - item.translation) < 0.012


def test_one_camera_pose_changes_nothing(estimator, views):
    """A place in the world is none before a second view."""
    _, found = views
    (first, estimate), (second, detection) = found[:2]
    bare = replace(second, camera_pose=None)
    keyframes = Keyframes.of(first, estimate)
    assert keyframes.instances[0].camera_pose is None
    tracked = in_camera(in_world(estimate, first.camera_pose), second.camera_pose)
    one = estimator.add_keyframe(keyframes, second, [tracked, detection])[1]
    other = estimator.add_keyframe(keyframes, bare, [tracked, detection])[1]
    np.testing.assert_array_equal(one.translation, other.translation)
    np.testing.assert_array_equal(one.rotation, other.rotation)
    np.testing.assert_array_equal(one.code, other.code)
