from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from rclpy.node import Node
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image

from sdfpose_core.datasets.folder import write_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.messages.decoding import InputTopics, camera_from_info, rgbd_frame
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays
from sdfpose_ros.camera_node import CameraNode, make_source
from sdfpose_ros.parameters import CameraNodeParameters
from sdfpose_ros.sources import folder_frames, simulated_frames

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
    (true,) = messages["ground_truth"].objects
    rotation, translation = pose_arrays(true.pose.pose)
    np.testing.assert_allclose(rotation, truth[0].rotation, atol=1e-12)
    np.testing.assert_array_equal(translation, truth[0].translation)


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


def test_parameters_choose_the_source(folders):
    parameters = CameraNodeParameters(folders=(str(folders),), loop=False)
    assert len(list(make_source(parameters, lambda _: None))) == 2
    simulated = make_source(
        dataclasses.replace(parameters, folders=(), width=64, rate_hz=1.0, turn_s=1.0),
        lambda _: None,
    )
    assert len(list(simulated)) == 1
