"""The mask node in a real graph, with depth of a simulated table."""

from __future__ import annotations

import argparse
import importlib
import sys

import numpy as np
import pytest
import torch
from own_pack import own_pack
from pose_bench import Log
from rclpy.node import Node
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import FrameError, WeightsError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks.errors import MaskBackendError
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.messages.decoding import decode_mask, labels_from_message
from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_ros.cli import mask
from sdfpose_ros.graph.image_messages import camera_info_message, image_message
from sdfpose_ros.masks.backends import MaskSource, make_source
from sdfpose_ros.masks.mask_node import MaskNode
from sdfpose_ros.masks.matched_images import MatchedImages
from sdfpose_ros.masks.parameters import MaskNodeParameters

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
TABLE_M = 0.8
BLOCK = (slice(40, 80), slice(50, 90))
KINDS = {
    "colour": Image,
    "depth": Image,
    "label_image": Image,
    "instance_image": Image,
    "camera_info": CameraInfo,
    "label_info": InstanceLabels,
}


def table_with_block():
    """Depth (H, W), metres, of a block on a table seen from above."""
    depth = np.full((CAMERA.height, CAMERA.width), TABLE_M, dtype=np.float32)
    depth[BLOCK] = 0.7
    return depth


class Bench:
    """The node under test, and a client that plays camera and pose node."""

    def __init__(self, graph, wait_until, *arguments, source=make_source):
        self.wait_until, self.log = wait_until, Log()
        graph.start(*arguments)

        class LoggedNode(MaskNode):
            get_logger = lambda _: self.log  # noqa: E731

        self.node = LoggedNode(source, context=graph.context)
        client = Node("client", context=graph.context)
        self.publishers = {
            name: client.create_publisher(kind, f"/sdfpose_mask/{name}", 10)
            for name, kind in reversed(KINDS.items())
            if name in self.node.inputs.topics
        }
        self.masks: list[Image] = []
        self.labels: list[InstanceLabels] = []
        client.create_subscription(Image, "/sdfpose_mask/mask", self.masks.append, 10)
        client.create_subscription(InstanceLabels, "/sdfpose_mask/labels", self.labels.append, 10)
        graph.spin(self.node)
        graph.spin(client)
        self.now_ns = 1_700_000_000_000_000_000
        wait_until(
            lambda: (
                all(x.get_subscription_count() for x in self.publishers.values())
                and self.node.count_subscribers("/sdfpose_mask/labels")
                and self.node.count_subscribers("/sdfpose_mask/mask")
            ),
            "the client's connections",
        )

    def send(self, *, dt=0.1, without=(), depth_frame="optical", **images) -> int:
        """Publish the messages of one moment; gives its stamp."""
        self.now_ns += round(dt * 1e9)
        sec, nanosec = divmod(self.now_ns, 1_000_000_000)
        header, depth_header = Header(frame_id="optical"), Header(frame_id=depth_frame)
        for x in (header, depth_header):
            x.stamp.sec, x.stamp.nanosec = sec, nanosec
        depth = images.get("depth", table_with_block())
        classes = images.get("label_image", np.zeros(depth.shape, np.uint8))
        colour = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        messages = {
            "camera_info": camera_info_message(images.get("camera", CAMERA), header),
            "depth": image_message(millimetres(depth), "16UC1", depth_header),
            "label_image": image_message(classes, "mono8", header),
            "instance_image": image_message(
                images.get("instance_image", np.zeros(depth.shape, np.int32)), "32SC1", header
            ),
            "label_info": InstanceLabels(header=header),
            "colour": image_message(colour, "rgb8", header),
        }
        for name, publisher in self.publishers.items():
            if name not in without:
                before = dict(self.node.inputs.received)
                publisher.publish(messages[name])
                # One after the other, as they come on topics of their own.
                self.wait_until(lambda: self.node.inputs.received != before, f"{name}")  # noqa: B023
        return self.now_ns

    def result(self, stamp):
        """Mask (H, W) and labels of that stamp."""

        def find(messages):
            return next((x for x in messages if stamp_ns(x.header) == stamp), None)

        self.wait_until(lambda: find(self.masks) and find(self.labels), "mask and labels")
        image = find(self.masks)
        assert image.encoding == "16UC1"
        assert image.header == find(self.labels).header
        assert image.header.frame_id == "optical"
        return decode_mask(image, ""), labels_from_message(find(self.labels), "")


@pytest.fixture
def make_bench(graph, wait_until):
    return lambda *arguments, **options: Bench(graph, wait_until, *arguments, **options)


def test_what_stands_on_the_table_has_a_mask_and_a_label(make_bench):
    bench = make_bench()
    ids, labels = bench.result(bench.send())
    ((mask_id, label),) = labels.items()
    assert label == InstanceLabel("any", 1.0, detected=True)
    expected = np.zeros(ids.shape, np.uint16)
    expected[BLOCK] = mask_id
    np.testing.assert_array_equal(ids, expected)
    assert bench.result(bench.send())[1].keys() == labels.keys()


def test_without_a_table_the_mask_is_empty_and_the_reason_is_told(make_bench):
    bench = make_bench()
    ids, labels = bench.result(bench.send(depth=np.zeros((120, 160), np.float32)))
    assert not ids.any()
    assert not labels
    assert bench.log.has("/sdfpose_mask/depth", "no table in the depth image")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"camera": CAMERA.resize(320, 240)}, ("camera_info", "320x240", "160x120")),
        ({"depth": np.ones((60, 80), np.float32)}, ("depth", "80x60", "register it")),
        ({"depth_frame": "depth_optical"}, ("depth", "'depth_optical'", "'optical'")),
    ],
    ids=["size of info", "size of depth", "frame of depth"],
)
def test_what_is_wrong_with_messages_is_told(make_bench, wait_until, options, told):
    bench = make_bench()
    bench.send(**options)
    wait_until(lambda: bench.log.has(*told), "the warning")
    bench.result(bench.send())
    assert len(bench.masks) == 1


def test_the_newest_images_wait_for_the_first_camera_info(make_bench, wait_until):
    bench = make_bench()
    bench.send(without=("camera_info",))
    bench.send(without=("camera_info",))
    bench.node.inputs.check()
    assert bench.log.has("camera_info: no message")
    stamp = bench.send(without=("colour", "depth"), dt=0.0)
    bench.result(stamp)
    assert len(bench.masks) == 1


def test_images_that_come_too_fast_are_passed_over(make_bench, wait_until):
    bench = make_bench("-p", "max_rate_hz:=5.0")
    for count in range(1, 6):
        stamp = bench.send(dt=0.101)
        wait_until(lambda count=count: bench.node.inputs.matched == count, "the image")
    bench.result(stamp)
    assert bench.node.skipped == 2


class StubSource:
    """Gives one instance, counts resets, and can fail."""

    def __init__(self):
        self.resets, self.failures = 0, []

    def reset(self):
        self.resets += 1

    def segment(self, matched):
        if self.failures:
            raise self.failures.pop()
        shape = matched.colour().shape[:2]
        return InstanceMask(
            np.full(shape, 300, np.uint16), {300: InstanceLabel("mug", 0.5, detected=True)}
        )


def test_a_backend_of_colour_alone_needs_nothing_else(make_bench):
    stub = StubSource()
    bench = make_bench(source=lambda *_: MaskSource({}, stub.segment, stub))
    assert set(bench.publishers) == {"colour"}
    ids, labels = bench.result(bench.send())
    assert (ids == 300).all()
    assert labels == {300: InstanceLabel("mug", 0.5, detected=True)}


@pytest.mark.parametrize("fault", [FrameError("no good"), ZeroDivisionError("no good")])
def test_the_node_outlives_a_fault(make_bench, wait_until, fault):
    stub = StubSource()
    stub.failures = [fault]
    bench = make_bench(source=lambda *_: MaskSource({}, stub.segment, stub))
    bench.send()
    wait_until(lambda: bench.log.has("no good"), "the error")
    bench.result(bench.send())


def test_when_time_jumps_back_everything_begins_anew(make_bench, wait_until):
    stub = StubSource()
    bench = make_bench(
        "-p", "max_rate_hz:=1.0", "-p", "queue_size:=2",
        source=lambda *_: MaskSource({"depth": Image}, stub.segment, stub),
    )  # fmt: skip
    for _ in range(3):  # wait in vain for their depth
        bench.send(dt=1.0, without=("depth",))
    bench.result(bench.send(dt=1.0))
    bench.result(bench.send(dt=-100.0))
    assert stub.resets == 1
    assert bench.log.has("time jumped back")


def test_silent_topics_are_named(make_bench):
    bench = make_bench()
    bench.node._check_inputs()
    (line,) = [x for x in bench.log.lines if "no message for" in x]
    assert "/sdfpose_mask/colour, /sdfpose_mask/depth: no message for 5 s from 1 publisher" in line
    assert "/sdfpose_mask/camera_info: no message for 5 s from 1 publisher(s)" in line
    bench.send(without=("colour",))
    bench.wait_until(lambda: all(
        n for x, n in bench.node.inputs.received.items() if "colour" not in x), "messages"
    )  # fmt: skip
    bench.log.lines.clear()
    bench.node.worker._busy = True  # a player in lockstep waits for the result
    bench.node._check_inputs()
    assert not bench.log.lines
    bench.node.worker._busy = False
    bench.node._check_inputs()
    assert not bench.log.has("depth: no message")


def test_label_images_become_instances(make_bench):
    bench = make_bench(
        "-p", "backend:=label_image", "-p", "classes:=['41:mug']", "-p", "min_pixels:=20"
    )
    assert set(bench.publishers) == {"colour", "label_image"}
    image = np.full((120, 160), 7, np.uint8)
    image[10:30, 10:30] = image[50:70, 10:30] = 41
    ids, labels = bench.result(bench.send(label_image=image))
    np.testing.assert_array_equal(ids > 0, image == 41)
    assert [x.category for x in labels.values()] == ["mug", "mug"]


def test_classes_may_be_categories_of_packs(make_bench, tmp_path):
    bench = make_bench(
        "-p", "backend:=label_image", "-p", "classes:=['41:kettle']", "-p", "min_pixels:=20",
        "-p", f"weights_dirs:=['{own_pack(tmp_path)}']",
    )  # fmt: skip
    _, labels = bench.result(bench.send(label_image=np.full((120, 160), 41, np.uint8)))
    assert [x.category for x in labels.values()] == ["kettle"]


def test_instance_images_become_instances_and_stamps_have_to_match(make_bench):
    bench = make_bench("-p", "backend:=instance_image", "-p", "min_pixels:=20")
    assert set(bench.publishers) == {"colour", "instance_image"}
    image = np.zeros((120, 160), np.int32)
    image[10:30, 10:30], image[50:70, 10:30] = 7, 2_000_000_000
    ids, labels = bench.result(bench.send(instance_image=image))
    np.testing.assert_array_equal(ids > 0, image > 0)
    assert [x.category for x in labels.values()] == ["any", "any"]
    bench.node._check_inputs()
    bench.send(without=("colour",))
    bench.send(without=("instance_image",))
    bench.node._check_inputs()
    assert bench.log.has("no stamps have agreed", "/sdfpose_mask/instance_image")


def test_images_wait_for_the_first_message_of_a_constant_input(make_bench, wait_until):
    stub, taken = StubSource(), []

    def segment(matched):
        taken.append(matched.messages["label_info"])
        return stub.segment(matched)

    bench = make_bench(
        source=lambda *_: MaskSource({}, segment, stub, {"label_info": InstanceLabels})
    )
    bench.send(without=("label_info",))
    bench.send(without=("label_info",))
    assert not taken
    bench.node.inputs.check()
    assert bench.log.has("/sdfpose_mask/label_info: no message")
    bench.log.lines.clear()
    stamp = bench.now_ns
    bench.send(without=("colour",))
    bench.result(stamp)
    bench.result(bench.send(without=("label_info",)))
    assert len(taken) == 2
    assert taken[0] is taken[1]
    bench.node.inputs.check()
    bench.node.inputs.check()
    assert not bench.log.has("/sdfpose_mask/label_info: no message")


def test_torchvision_is_asked_for_when_it_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(MaskBackendError, match="torchvision"):
        make_source(MaskNodeParameters(backend="torchvision"), default_categories())


def test_the_mask_network_sees_colour_and_depth(tmp_path):
    """An untrained network, for which everything is an object."""
    network = MaskNetwork(MaskNetworkConfig(widths=(4, 6), blocks=(1, 1), free=1))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias[:8] = 4.0
    network.save(tmp_path / "own.safetensors", "any")
    parameters = MaskNodeParameters(
        backend="network", weights=str(tmp_path / "own.safetensors"), device="cpu"
    )
    source = make_source(parameters, default_categories())
    assert set(source.inputs) == {"depth"}
    assert source.needs_camera
    header = Header(frame_id="optical")
    found = source.segment(
        MatchedImages(
            {
                "colour": image_message(np.zeros((120, 160, 3), np.uint8), "rgb8", header),
                "depth": image_message(millimetres(table_with_block()), "16UC1", header),
            },
            camera_info_message(CAMERA, header),
            {"colour": "/c", "depth": "/d", "camera_info": "/i"},
        )
    )
    assert found.ids.shape == (120, 160)
    assert found.labels
    assert set(np.unique(found.ids)) - {0} == set(found.labels)
    assert {x.category for x in found.labels.values()} == {"any"}


def test_weights_of_the_mask_network_that_are_missing_are_named():
    parameters = MaskNodeParameters(backend="network", weights="/nowhere/masks.safetensors")
    with pytest.raises(WeightsError, match=r"/nowhere/masks\.safetensors: no such weights file"):
        make_source(parameters, default_categories())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "-r ~/colour:=/camera/colour"),
        (("--backend", "label_image"), '-p backend:="label_image" -r ~/colour:=/camera/colour'),
        (
            ("--camera", "/left/", "--ros-args", "-r", "~/mask:=/m"),
            "-r ~/mask:=/m -r ~/colour:=/left/colour",
        ),
    ],
)
def test_the_command_takes_and_gives_the_topics_of_a_camera(monkeypatch, arguments, expected):
    given = []
    module = importlib.import_module("sdfpose_ros.masks.mask_node")
    monkeypatch.setattr(module, "main", lambda args: given.extend(args) or 7)
    parser = argparse.ArgumentParser()
    mask.add_parser(parser.add_subparsers())
    assert mask.run(parser.parse_args(["mask", *arguments])) == 7
    text = " ".join(given)
    assert text.startswith(f"--ros-args {expected}")
    camera = "/left" if "/left/" in arguments else "/camera"
    assert f"-r ~/mask:={camera}/mask" in text
    assert f"-r ~/labels:={camera}/labels" in text
