"""Replay in the world: poses of the camera from a bag's transforms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.transform_tree import TransformError
from sdfpose_core.replay.run import replay
from sdfpose_core.replay.transforms import RecordedWorld
from sdfpose_core.tracking.tracker import TrackerResult

TURN = Rotation.from_euler("xyz", [0.2, -0.4, 1.0]).as_matrix()
TF = "tf2_msgs/msg/TFMessage"


class Looking:
    """A tracker that keeps the frames."""

    def __init__(self):
        self.frames = []

    def step(self, frame):
        self.frames.append(frame)
        return TrackerResult([], [], [], [], {})


def pose_at(stamp_ns):
    return np.array([1e-9 * stamp_ns, 0.0, 0.5])


@pytest.fixture(scope="module")
def frames(table_frames):
    return [x for x, _ in table_frames]


@pytest.fixture(scope="module")
def bag(bags, frames, tmp_path_factory):
    """The transforms come after all frames; that of the last frame is missing."""
    moving = [
        {"/tf": bags.transforms(x.stamp_ns, ("base", "hand", TURN, pose_at(x.stamp_ns)))}
        for x in frames[:-1]
    ]
    fixed = {"/tf_static": bags.transforms(0, ("hand", "optical", np.eye(3), np.zeros(3)))}
    path = tmp_path_factory.mktemp("world") / "bag"
    return bags.write(path, [*frames, *moving, fixed], more={"/tf": TF, "/tf_static": TF})


def test_frames_have_the_pose_of_the_camera_whatever_the_order_of_the_messages(bag, frames):
    tracker, problems = Looking(), []
    world = RecordedWorld(bag, "base", covariance=4.0 * np.eye(6))
    done = replay(bag, tracker, LabelRules({}), problems, world=world)
    assert len(done.frames) == len(frames) - 1
    for frame in tracker.frames:
        np.testing.assert_allclose(frame.camera_pose.rotation, TURN, atol=1e-9)
        np.testing.assert_allclose(frame.camera_pose.translation, pose_at(frame.stamp_ns))
        np.testing.assert_array_equal(frame.camera_pose.covariance, 4.0 * np.eye(6))
    assert any("1 frames cannot be processed: the pose of 'hand' in 'base'" in x for x in problems)


def test_by_default_camera_poses_are_as_certain_as_those_of_an_arm(bag, frames):
    frame = replace(frames[0], frame_id="optical")
    placed = RecordedWorld(bag, "base").placed(frame)
    assert 0.0 < placed.camera_pose.covariance[0, 0] < 1e-4
    with pytest.raises(TransformError, match="there is no frame 'map'"):
        RecordedWorld(bag, "map").placed(frame)


def test_a_bag_without_transforms_is_refused(bags, frames, tmp_path):
    path = bags.write(tmp_path / "bag", frames[:1])
    with pytest.raises(BagError, match="has no topic /tf, needed for the poses of the camera in"):
        RecordedWorld(path, "base")
