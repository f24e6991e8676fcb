"""The tree of coordinate frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.messages.transform_tree import TransformError, TransformTree

SECOND = 1_000_000_000
TURN = Rotation.from_euler("xyz", [0.2, -0.4, 1.0]).as_matrix()


def at(x):
    return np.array([x, 0.0, 0.0])


@pytest.fixture
def arm(bags):
    """base -> hand (moves) -> camera (fixed), and a thing in another tree."""
    tree = TransformTree()
    tree.take_static(bags.transforms(0, ("hand", "camera", TURN, at(0.1))))
    for stamp, x in ((SECOND, 1.0), (SECOND + 100_000_000, 2.0)):
        tree.take(bags.transforms(stamp, ("base", "hand", np.eye(3), at(x))))
    tree.take(bags.transforms(SECOND, ("elsewhere", "thing", np.eye(3), at(0.0))))
    return tree


def test_transforms_are_followed_up_and_down(arm):
    pose = arm.lookup("base", "camera", SECOND)
    np.testing.assert_allclose(pose[:3, :3], TURN, atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], [1.1, 0.0, 0.0])
    back = arm.lookup("camera", "base", SECOND)
    np.testing.assert_allclose(back @ pose, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(arm.lookup("/hand", "hand", 7), np.eye(4))
    assert arm.frames == ["camera", "hand", "thing"]


def test_between_two_times_it_interpolates(arm):
    assert arm.lookup("base", "hand", SECOND + 25_000_000)[0, 3] == pytest.approx(1.25)


def test_what_lies_above_both_frames_need_not_be_known(bags, arm):
    """A localisation that has said nothing yet does not matter below odom."""
    arm.take(bags.transforms(9 * SECOND, ("map", "base", np.eye(3), at(5.0))))
    assert arm.lookup("base", "camera", SECOND)[0, 3] == pytest.approx(1.1)
    with pytest.raises(TransformError, match="the pose of 'base' in 'map' is not known"):
        arm.lookup("map", "camera", SECOND)


@pytest.mark.parametrize(
    ("target", "source", "stamp", "message"),
    [
        ("nowhere", "camera", SECOND, "there is no frame 'nowhere'"),
        ("base", "nowhere", SECOND, "there is no frame 'nowhere'"),
        ("base", "thing", SECOND, "'thing' and 'base' are in two trees"),
        ("base", "camera", 2 * SECOND, "not known at 2.000 s, but from 1.000 to 1.100 s"),
        ("base", "camera", 0, "not known at 0.000 s, but from 1.000 to 1.100 s"),
    ],
)
def test_what_is_not_known_says_why(arm, target, source, stamp, message):
    with pytest.raises(TransformError, match=message):
        arm.lookup(target, source, stamp)


def test_a_loop_is_an_error(bags, arm):
    arm.take(bags.transforms(SECOND, ("camera", "base", np.eye(3), at(0.0))))
    with pytest.raises(TransformError, match="form a loop"):
        arm.lookup("world", "camera", SECOND)


def test_old_transforms_are_forgotten(bags):
    tree = TransformTree(keep_ns=SECOND)
    for stamp in range(0, 3 * SECOND, 100_000_000):
        tree.take(bags.transforms(stamp, ("base", "hand", np.eye(3), at(0.0))))
    tree.lookup("base", "hand", 2 * SECOND)
    with pytest.raises(TransformError):
        tree.lookup("base", "hand", SECOND)


def test_after_a_jump_of_time_only_static_transforms_are_known(arm):
    arm.forget()
    assert arm.lookup("hand", "camera", 0)[0, 3] == pytest.approx(0.1)
    with pytest.raises(TransformError):
        arm.lookup("base", "hand", SECOND)
