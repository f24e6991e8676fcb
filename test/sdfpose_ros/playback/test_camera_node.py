from __future__ import annotations

import dataclasses
import itertools
import json
import time

import cv2
import numpy as np
import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sdfpose_core.datasets import write_frame
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.messages.decoding import InputTopics, camera_from_info, rgbd_frame
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays, transform_arrays, truth_from_message
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_ros.playback.camera_node import CameraNode, make_source
from sdfpose_ros.playback.parameters import CameraNodeParameters
from sdfpose_ros.playback.sources import (
    back_and_forth,
    folder_frames,
    only_categories,
    simulated_frames,
)

KINDS = {
    "colour": Image,
    "depth": Image,
    "mask": Image,
    "camera_info": CameraInfo,
    "labels": InstanceLabels,
    "ground_truth": SdfObjectArray,
}
TOPICS = InputTopics(*(f"/camera/{name}" for name in list(KINDS)[:5]))


def receive(graph, wait_until, *arguments, source=make_source):
    """All messages of one frame of a camera node, by topic."""
    graph.start(*arguments)
    client = Node("client", context=graph.context)
    received: dict[str, list] = {name: [] for name in KINDS}
    for name, kind in KINDS.items():
        client.create_subscription(kind, f"/camera/{name}", received[name].append, 10)
    graph.spin(client)
    graph.spin(CameraNode(source, context=graph.context))

    def complete():
        for message in received["colour"]:
            stamp = stamp_ns(message.header)
            same = {
                name: next((m for m in messages if stamp_ns(m.header) == stamp), None)
                for name, messages in received.items()
            }
            if all(same.values()):
                return same
        return None

    wait_until(complete, "a complete frame")
    return complete()


@pytest.mark.parametrize(
    ("largest_id", "depth_encoding", "mask_encoding"),
    [(2, "16UC1", "mono8"), (300, "32FC1", "16UC1")],
)
def test_a_published_frame_is_the_frame_of_the_source(
    fakes, graph, wait_until, largest_id, depth_encoding, mask_encoding
):
    sent = fakes.make_frame((1, largest_id))
    truth = [fakes.make_truth(1)]
    frames = iter(lambda: (sent, truth), None)
    messages = receive(
        graph, wait_until, "-p", f"depth_encoding:={depth_encoding}", "-p", "rate_hz:=20.0",
        source=lambda *_: frames,
    )  # fmt: skip
    assert messages["depth"].encoding == depth_encoding
    assert messages["mask"].encoding == mask_encoding
    camera = camera_from_info(messages["camera_info"], "")
    names = ("colour", "depth", "mask")
    got = rgbd_frame(*(messages[n] for n in names), camera, messages["labels"], TOPICS)
    for name in names:
        np.testing.assert_allclose(getattr(got, name), getattr(sent, name), rtol=1e-6)
    assert got.camera == sent.camera
    assert got.labels == sent.labels
    assert got.frame_id == "camera_optical_frame"
    true, other = messages["ground_truth"].objects
    assert (other.id, truth_from_message(other).has_pose) == (largest_id, False)
    rotation, translation = pose_arrays(true.pose.pose)
    np.testing.assert_allclose(rotation, truth[0].rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, truth[0].translation)


def test_masks_made_offline_lie_beside_the_images_as_png_files(fakes, tmp_path):
    write_frame(tmp_path / "frame", fakes.make_frame((1,)))
    mask = np.zeros((48, 64), np.uint8)
    mask[20:30, 30:50] = 200
    cv2.imwrite(str(tmp_path / "frame/mask.png"), mask)
    meta = json.loads((tmp_path / "frame/meta.json").read_text())
    meta["objects"] = [{"mask_id": 200, "category": "any"}]
    (tmp_path / "frame/meta.json").write_text(json.dumps(meta))
    told: list[str] = []
    frame, truth = next(folder_frames([str(tmp_path)], loop=False, warn=told.append))
    np.testing.assert_array_equal(frame.mask, mask)
    assert frame.labels == {200: InstanceLabel("any")}
    assert not truth
    assert not told


def test_the_simulated_camera_goes_round_six_categories():
    frames = list(simulated_frames(seed=3, width=160, rate_hz=1.0, turn_s=3.0, loop=False))
    assert len(frames) == 3
    seen = [{x.category for x in truth} for _, truth in frames]
    assert seen[0] == {"bottle", "bowl", "camera", "can", "laptop", "mug"}
    first, second = frames[0], frames[1]
    assert first[0].colour.shape == (120, 160, 3)
    assert np.linalg.norm(first[1][0].translation - second[1][0].translation) > 0.05


def test_the_simulated_frames_are_always_the_same():
    def first():
        return next(simulated_frames(seed=1, width=160, rate_hz=5.0, turn_s=60.0, loop=True))

    (a, _), (b, _) = first(), first()
    np.testing.assert_array_equal(a.depth, b.depth)
    np.testing.assert_array_equal(a.mask, b.mask)


@pytest.fixture
def folders(fakes, tmp_path):
    for name in ("a", "b"):
        write_frame(tmp_path / name, fakes.make_frame(), [fakes.make_truth(1)])
    return tmp_path


def test_folders_are_played_in_order_and_again(folders):
    warnings: list[str] = []
    once = list(folder_frames([str(folders)], loop=False, warn=warnings.append))
    assert len(once) == 2
    again = folder_frames([str(folders)], loop=True, warn=warnings.append)
    assert len([next(again) for _ in range(5)]) == 5
    assert warnings == []


def test_folders_that_cannot_be_read_are_told_and_left_out(folders):
    (folders / "a" / "depth.png").write_bytes(b"no image")
    warnings: list[str] = []
    assert len(list(folder_frames([str(folders)], loop=False, warn=warnings.append))) == 1
    assert len(warnings) == 1
    assert "depth.png" in warnings[0]


def test_no_frame_at_all_is_an_error(tmp_path):
    with pytest.raises(FrameError, match="no frame can be read"):
        next(folder_frames([str(tmp_path)], loop=False, warn=lambda _: None))


def test_an_error_names_a_folder_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FrameError, match="the name of a frame folder is empty"):
        next(folder_frames([""], loop=False, warn=lambda _: None))
    with pytest.raises(FrameError, match=f"^{tmp_path}: no frame can be read"):
        next(folder_frames(["."], loop=False, warn=lambda _: None))


def test_parameters_choose_the_source(folders):
    parameters = CameraNodeParameters(folders=(str(folders),), loop=False)
    assert len(list(make_source(parameters, lambda _: None))) == 2
    simulated = make_source(
        dataclasses.replace(parameters, folders=(), width=64, rate_hz=1.0, turn_s=1.0),
        lambda _: None,
    )
    assert len(list(simulated)) == 1


def test_frames_are_made_once_and_played_forth_and_back(fakes):
    made = []

    def frames():
        for number in itertools.count():
            made.append(number)
            yield fakes.make_frame((1,), stamp_ns=number), [fakes.make_truth(1)]

    played = back_and_forth(frames(), 4)
    assert made == [0, 1, 2, 3]
    stamps = [frame.stamp_ns for frame, _ in itertools.islice(played, 9)]
    assert stamps == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert made == [0, 1, 2, 3]
    assert [f.stamp_ns for f, _ in itertools.islice(back_and_forth(frames(), 1), 3)] == [0, 0, 0]


def test_objects_of_other_categories_have_no_mask(fakes):
    labels = {1: InstanceLabel("mug"), 2: InstanceLabel("can")}
    frame = fakes.make_frame((1, 2), labels=labels)
    truths = [fakes.make_truth(1, "mug"), fakes.make_truth(2, "can")]
    ((found, kept),) = only_categories([(frame, truths)], ["can"])
    assert [x.mask_id for x in kept] == [2]
    assert found.labels == {2: labels[2]}
    np.testing.assert_array_equal(found.mask, np.where(frame.mask == 2, 2, 0))
    np.testing.assert_array_equal(found.depth, frame.depth)


def test_an_unknown_category_is_named():
    with pytest.raises(ConfigurationError, match="parameter categories: spoon: expected some of"):
        make_source(CameraNodeParameters(categories=("spoon",)), print)


def test_the_camera_waits_for_somebody_who_takes_all_images(fakes, graph, wait_until):
    graph.start("-p", "wait_s:=60.0", "-p", "rate_hz:=50.0")
    client = Node("client", context=graph.context)
    received: list[CameraInfo] = []
    client.create_subscription(CameraInfo, "/camera/camera_info", received.append, 10)
    client.create_subscription(Image, "/camera/colour", lambda _: None, 10)
    client.create_subscription(Image, "/camera/depth", lambda _: None, 10)
    graph.spin(client)
    frames = iter(lambda: (fakes.make_frame(), []), None)
    camera = graph.spin(CameraNode(lambda *_: frames, context=graph.context))
    wait_until(lambda: camera.count_subscribers("/camera/depth"), "the client")
    time.sleep(0.3)
    assert not received
    client.create_subscription(Image, "/camera/mask", lambda _: None, 10)
    wait_until(lambda: received, "images")


def test_a_rig_publishes_all_cameras_at_one_time_and_their_poses(graph, wait_until):
    graph.start("-p", "cameras:=2", "-p", "width:=160", "-p", "rate_hz:=5.0")
    client = Node("client", context=graph.context)
    received: dict[str, list] = {"view_0": [], "view_1": [], "tf": []}
    for name in ("view_0", "view_1"):
        client.create_subscription(
            SdfObjectArray, f"/camera/{name}/ground_truth", received[name].append, 10
        )
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.create_subscription(TFMessage, "/tf_static", received["tf"].append, latched)
    graph.spin(client)
    graph.spin(CameraNode(context=graph.context))
    wait_until(lambda: all(received.values()), "the cameras")

    def places(name):
        message = received[name][-1]
        transforms = {x.child_frame_id: x for x in received["tf"][0].transforms}
        rotation, translation = transform_arrays(transforms[message.header.frame_id].transform)
        return {
            x.category: rotation @ pose_arrays(x.pose.pose)[1] + translation
            for x in message.objects
        }

    wait_until(lambda: len(received["view_1"]) > 1, "the second image")
    stamps = [{stamp_ns(x.header) for x in received[name]} for name in ("view_0", "view_1")]
    assert stamps[0] & stamps[1]
    left, right = places("view_0"), places("view_1")
    for category in left.keys() & right.keys():
        np.testing.assert_allclose(left[category], right[category], atol=1e-5)


def test_several_cameras_are_simulated_only(fakes):
    with pytest.raises(ConfigurationError, match="simulated without end"):
        make_source(CameraNodeParameters(cameras=2, folders=("x",)), print)
