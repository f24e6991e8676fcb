"""Which process and topics a camera has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from simple_estimates import make_frame

from sdfpose_core.cameras.makers import MAKERS
from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.datasets.folder_writing import write_frame
from sdfpose_core.errors import BagError, ConfigurationError
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_ros.live import cameras
from sdfpose_ros.live.cameras import CameraOptions, camera_topics, live_camera
from sdfpose_ros.playback.sources import folder_frames

OWN = InputTopics(
    "/camera/colour", "/camera/depth", "/camera/mask", "/camera/camera_info", "/camera/labels"
)


def test_the_simulated_camera_has_masks_and_waits_for_the_nodes():
    camera = live_camera("simulated", CameraOptions(seed=3, rate_hz=4.0, wait_s=9.0))
    assert camera.topics == OWN
    assert camera.process is not None
    assert " ".join(camera.process.arguments) == ("-p rate_hz:=4.0 -p seed:=3 -p wait_s:=9.0")
    assert camera.process.waits
    assert not camera.process.ends


def test_frame_folders_are_played_by_the_camera_node(tmp_path):
    write_frame(tmp_path / "0", make_frame(64, 48), [])
    camera = live_camera(f"frames:{tmp_path}", CameraOptions(repeat=False))
    assert camera.topics == OWN
    assert camera.process is not None
    assert camera.process.ends
    assert f'folders:=["{tmp_path}"]' in camera.process.arguments
    assert "loop:=false" in camera.process.arguments
    assert "masks:=true" in camera.process.arguments


def test_frame_folders_without_masks_leave_them_to_others(tmp_path):
    write_frame(tmp_path / "0", make_frame(64, 48), [])
    (tmp_path / "0/mask.png").unlink()
    camera = live_camera(f"frames:{tmp_path}", CameraOptions())
    assert (camera.topics.mask, camera.topics.labels) == ("", "")
    assert camera.process is not None
    assert "masks:=false" in camera.process.arguments
    frame, _ = next(folder_frames([str(tmp_path)], loop=False, warn=print, masks=False))
    assert not frame.mask.any()


def test_a_bag_is_played_on_its_own_topics_with_its_clock(tmp_path):
    path = tmp_path / "bag"
    write_frames(path, [(replace(make_frame(64, 48), stamp_ns=10**9), [])], "/left")
    camera = live_camera(f"bag:{path}", CameraOptions())
    assert camera.topics == InputTopics(
        *(x.replace("/camera/", "/left/", 1) for x in vars(OWN).values())
    )
    assert camera.sim_time
    assert camera.process is not None
    assert not camera.process.waits
    assert "clock:=true" in camera.process.arguments
    assert "loop:=true" in camera.process.arguments


def test_the_topics_of_a_driver_are_found_by_type_and_name():
    camera = live_camera("topic:/cam", CameraOptions())
    assert camera.process is None
    image, info = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
    found = {
        "/cam/color/image_raw": image,
        "/cam/color/camera_info": info,
        "/cam/depth/image_rect_raw": image,
        "/cam/depth/camera_info": info,
        "/cam/aligned_depth_to_color/image_raw": image,
        "/camera/color/image_raw": image,
        "/rosout": "rcl_interfaces/msg/Log",
    }
    assert camera_topics(found, camera) == InputTopics(
        "/cam/color/image_raw",
        "/cam/aligned_depth_to_color/image_raw",
        "",
        "/cam/color/camera_info",
        "",
    )
    with pytest.raises(BagError, match="has no topic for colour"):
        camera_topics({}, camera)


@pytest.mark.parametrize("name", MAKERS)
def test_a_camera_on_a_port_is_published_by_the_driver(name, monkeypatch):
    monkeypatch.setattr(cameras, "require_package", lambda _: None)
    camera = live_camera(f"{name}:0123", CameraOptions(rate_hz=15.0))
    assert camera.topics == InputTopics(
        "/camera/camera/color/image_raw",
        "/camera/camera/aligned_depth_to_color/image_raw",
        "",
        "/camera/camera/color/camera_info",
        "",
    )
    assert camera.process is not None
    assert camera.process.module == "sdfpose_ros.cameras.camera_driver_node"
    assert " ".join(camera.process.arguments) == (
        f'-p camera:="{name}" -p serial_number:="0123" -p rate_hz:=15.0'
    )
    assert not camera.process.ends


@pytest.mark.parametrize("repeat", [True, False])
def test_a_recording_of_a_realsense_is_played_by_the_driver(tmp_path, monkeypatch, repeat):
    monkeypatch.setattr(cameras, "require_package", lambda _: None)
    path = tmp_path / "run.bag"
    path.touch()
    camera = live_camera(f"realsense:{path}", CameraOptions(repeat=repeat))
    assert camera.topics == live_camera("realsense", CameraOptions()).topics
    assert camera.process is not None
    assert " ".join(camera.process.arguments) == (
        f'-p camera:="realsense" -p bag:="{path}" -p loop:={str(repeat).lower()}'
    )
    assert not camera.process.waits, "its first images would be lost"
    assert camera.process.ends is not repeat
    assert not camera.sim_time
    with pytest.raises(ConfigurationError, match="--rate has no effect"):
        live_camera(f"realsense:{path}", CameraOptions(rate_hz=5.0))
    with pytest.raises(ConfigurationError, match="no such file"):
        live_camera(f"realsense:{tmp_path}/none.db3", CameraOptions())


def test_a_camera_whose_package_is_not_installed_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="need pyrealsense2, which is not installed: run"):
        live_camera("realsense", CameraOptions())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("webcam", "no such camera: expected simulated, topic, bag, frames"),
        ("simulated:fast", "has no argument"),
        ("bag:", "expected a rosbag2"),
        ("bag:nowhere", "expected a rosbag2"),
        ("frames:nowhere", "expected a frame folder"),
        ("topic:/a b", "is no name of a node or namespace"),
    ],
)
def test_other_cameras_are_refused(text, message):
    with pytest.raises(ConfigurationError, match=message):
        live_camera(text, CameraOptions())
