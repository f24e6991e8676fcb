"""Recordings: which images and masks of them are used."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.datasets.folder import read_frame
from sdfpose_core.datasets.folder_writing import write_frame
from sdfpose_core.errors import FrameError, ScanError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.scanning import reading
from sdfpose_core.scanning.following import ObjectFollower
from sdfpose_core.scanning.reading import Recording, read_views

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)


def frame(*boxes, pose=None):
    """Boxes (id, column, row) of 20 pixels, half a metre away, before a wall."""
    depth = np.full((120, 160), 0.8, np.float32)
    mask = np.zeros((120, 160), np.uint16)
    for mask_id, u, v in boxes:
        depth[v - 10 : v + 10, u - 10 : u + 10] = 0.5
        mask[v - 10 : v + 10, u - 10 : u + 10] = mask_id
    colour = np.zeros((120, 160, 3), np.uint8)
    labels = {x[0]: InstanceLabel("thing") for x in boxes}
    return RgbdFrame(colour, depth, mask, CAMERA, labels, camera_pose=pose)


def write(folder, *frames):
    for i, x in enumerate(frames):
        write_frame(folder / f"{i:03d}", x)
    return folder


def test_the_object_is_in_the_middle_first_and_is_then_followed():
    follower = ObjectFollower()
    first, reason = follower.choose(frame((1, 30, 60), (2, 85, 60)))
    assert first[60, 85]
    assert not first[60, 30]
    assert not reason
    for u in (95, 105, 115):  # ids change, and the other one comes to the middle
        mask, _ = follower.choose(frame((2, u - 55, 60), (1, u, 60)))
        assert mask[60, u]
    assert not mask[60, 60]


def test_a_mask_elsewhere_is_another_object():
    follower = ObjectFollower()
    follower.choose(frame((1, 80, 60)))
    mask, reason = follower.choose(frame((1, 140, 60)))
    assert mask is None
    assert "away from where the object was" in reason


def test_a_mask_of_another_size_is_another_object():
    follower = ObjectFollower()
    follower.choose(frame((1, 80, 60)))
    large = frame((1, 80, 60))
    large.mask[10:110, 20:140] = 1
    large.depth[10:110, 20:140] = 0.5
    mask, reason = follower.choose(large)
    assert mask is None
    assert "large and the object" in reason


def test_in_the_world_the_object_stays_while_the_camera_moves():
    follower = ObjectFollower()
    follower.choose(frame((1, 80, 60), pose=MeasuredCameraPose(np.eye(3), np.zeros(3))))
    shift = np.array([0.2, 0.0, 0.0])
    item = frame((1, 20, 60), (2, 80, 60), pose=MeasuredCameraPose(np.eye(3), shift))
    mask, _ = follower.choose(item)
    assert mask[60, 20]
    assert not mask[60, 80]


def test_frame_folders_keep_the_pose_of_the_camera(tmp_path):
    turn = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    write(tmp_path, frame((1, 80, 60), pose=MeasuredCameraPose(turn, np.array([1.0, 2.0, 3.0]))))
    pose = read_frame(tmp_path / "000").frame.camera_pose
    np.testing.assert_array_equal(pose.rotation, turn)
    np.testing.assert_array_equal(pose.translation, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("entry", [{"R": [[1, 0], [0, 1]], "t": [0, 0, 0]}, {"t": 1}, 3, "x"])
def test_a_pose_that_is_none_is_refused(tmp_path, entry):
    meta = write(tmp_path, frame((1, 80, 60))) / "000" / "meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"camera_pose": entry}))
    with pytest.raises(FrameError, match=r"meta.json: camera_pose"):
        read_frame(tmp_path / "000")


def test_long_recordings_are_thinned_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_VIEWS", 3)
    frames = [frame((1, 80 + i % 2, 60)) for i in range(13)]
    views = read_views(Recording(write(tmp_path, *frames)), [])
    assert [x.name for x in views] == ["000", "004", "008", "012"]


def test_an_empty_folder_is_no_recording(tmp_path):
    with pytest.raises(ScanError, match="is no recording: expected a rosbag2, or a folder"):
        read_views(Recording(tmp_path), [])


def test_without_masks_their_source_is_named(tmp_path):
    write(tmp_path, frame(), frame())
    with pytest.raises(ScanError, match=r"no image has a mask.*--masks network"):
        read_views(Recording(tmp_path), [])


def test_masks_that_jump_are_named(tmp_path):
    write(tmp_path, frame((1, 80, 60)), frame((1, 140, 60)), frame((1, 20, 60)))
    with pytest.raises(ScanError, match=r"lost in 2 of 3 images.*masks that stay on one object"):
        read_views(Recording(tmp_path), [])


def test_one_jump_leaves_one_image_out(tmp_path):
    problems = []
    write(tmp_path, *[frame((1, 140 if i == 2 else 80, 60)) for i in range(5)])
    assert len(read_views(Recording(tmp_path), problems)) == 4
    assert "lost in 1 images" in problems[0]


def test_a_frame_of_transforms_needs_a_bag(tmp_path):
    write(tmp_path, frame((1, 80, 60)))
    with pytest.raises(ScanError, match="--world names a frame of a bag's transforms"):
        read_views(Recording(tmp_path, world="base"), [])


def placed(stamp_ns):
    return replace(frame((1, 80, 60)), stamp_ns=stamp_ns, frame_id="optical")


def test_poses_of_a_bag_come_from_its_transforms(tmp_path, bags):
    items = []
    for i in range(4):
        at = 1_000_000_000 * (i + 1)
        message = bags.transforms(
            at, ("base", "optical", np.eye(3), np.array([0.01 * i, 0.0, 0.0]))
        )
        items += [{"/tf": message}, placed(at)]
    path = bags.write(tmp_path / "bag", items, more={"/tf": "tf2_msgs/msg/TFMessage"})
    views = read_views(Recording(path, world="base"), [])
    shifts = [x.camera_pose.translation[0] for x in views]
    np.testing.assert_allclose(shifts, [0.0, 0.01, 0.02, 0.03], atol=1e-9)
    assert read_views(Recording(path), [])[0].camera_pose is None
    with pytest.raises(ScanError, match="no image has a pose of the camera in 'map'"):
        read_views(Recording(path, world="map"), [])
