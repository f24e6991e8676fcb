from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from std_msgs.msg import Header

from sdfpose_core.messages.objects import transform_arrays
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.object_messages import transform_message
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.target_frame import TargetFrame
from sdfpose_ros.pose.transforms import TransformBuffer, TransformMissingError, transform_buffer


class TransformException(Exception):  # noqa: N818
    pass


@pytest.fixture
def camera_in_map(fakes, monkeypatch):
    """A tf2_ros whose buffer knows the pose of the camera in the map, and no other."""
    rotation, translation, cleared = fakes.make_rotation(40), np.array([1.0, 2.0, 3.0]), []

    class Buffer:
        def clear(self):
            cleared.append(self)

        def lookup_transform(self, target, source, time, timeout):
            if (target, source) != ("map", "optical"):
                raise TransformException(f"no {target}")
            assert time.nanoseconds == 5_000_000_000
            return transform_message(rotation, translation, Header(frame_id=target), source)

    fake = SimpleNamespace(
        Buffer=Buffer, TransformListener=lambda *_: None, TransformException=TransformException
    )
    monkeypatch.setattr(stand_ins, "tf2_ros", fake)
    return SimpleNamespace(rotation=rotation, translation=translation, cleared=cleared)


@pytest.fixture
def transforms(fakes):
    header = Header(frame_id="optical")
    header.stamp.sec = 5
    return [
        transform_message(fakes.make_rotation(i), np.array([0.1 * i, 0.2, 0.3]), header, f"o{i}")
        for i in (1, 2)
    ]


def test_poses_are_moved_at_the_images_time(fakes, camera_in_map, transforms):
    camera_rotation, camera_translation = camera_in_map.rotation, camera_in_map.translation
    moved = TargetFrame(TransformBuffer(None, 0.1), "map")(transforms)
    for before, after in zip(transforms, moved, strict=True):
        assert after.header.frame_id == "map"
        assert after.header.stamp == before.header.stamp
        assert after.child_frame_id == before.child_frame_id
        rotation, translation = transform_arrays(after.transform)
        r, t = transform_arrays(before.transform)
        np.testing.assert_allclose(rotation, camera_rotation @ r, atol=1e-12)
        np.testing.assert_allclose(translation, camera_rotation @ t + camera_translation)


def test_transforms_of_a_time_that_comes_again_are_forgotten(camera_in_map):
    buffer = TransformBuffer(None, 0.1)
    buffer.forget()
    assert camera_in_map.cleared == [buffer._buffer]


def test_without_objects_nothing_is_looked_up(camera_in_map):
    assert TargetFrame(TransformBuffer(None, 0.1), "elsewhere")([]) == []


def test_a_missing_transform_names_both_frames(camera_in_map, transforms):
    with pytest.raises(TransformMissingError, match="from 'optical' to 'elsewhere'"):
        TargetFrame(TransformBuffer(None, 0.1), "elsewhere")(transforms)


@pytest.mark.parametrize(
    ("parameters", "listens"),
    [
        ({}, False),
        ({"gravity_frame": "map"}, True),
        ({"target_frame": "map"}, True),
        ({"world_frame": "map"}, True),
        ({"use_imu": True}, True),
    ],
)
def test_only_what_needs_transforms_listens_to_them(camera_in_map, parameters, listens):
    buffer = transform_buffer(None, PoseNodeParameters(**parameters))
    assert (buffer is not None) == listens
