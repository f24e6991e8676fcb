"""The camera driver: topics, frames, health, and a camera that goes away and comes back."""

from __future__ import annotations

import importlib.util
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sdfpose_core.cameras.camera import CameraDescription, CameraSettings, Distortion, RgbdImages
from sdfpose_core.cameras.errors import CameraAbsentError, CameraLostError, UnsupportedProfileError
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import transform_arrays
from sdfpose_ros.cameras.camera_driver_node import CameraDriverNode
from sdfpose_ros.cameras.frames import static_transforms

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
DESCRIPTION = CameraDescription(
    "Test camera", "S7", "USB 3.2", 50.0, CAMERA, colour_translation=np.array([0.015, 0.0, 0.0])
)
COLOUR = "/camera/camera/color/image_raw"
DEPTH = "/camera/camera/aligned_depth_to_color/image_raw"
INFO = "/camera/camera/color/camera_info"
DEPTH_INFO = "/camera/camera/aligned_depth_to_color/camera_info"


class FakeCamera:
    """Sends frames at 50 Hz until it is unplugged."""

    def __init__(self, description=DESCRIPTION, unit_m=0.001):
        self.description, self.unit_m = description, unit_m
        self.number, self.unplugged, self.closed = 0, threading.Event(), False

    def read(self, timeout_s):
        if self.unplugged.wait(0.02):
            raise CameraLostError("Test camera was unplugged")
        self.number += 1
        size = (self.description.camera.height, self.description.camera.width)
        colour = np.full((*size, 3), (200, 100, 50), dtype=np.uint8)
        depth = np.full(size, round(0.8 / self.unit_m), dtype=np.uint16)
        return RgbdImages(colour, depth, self.unit_m, time.time_ns(), self.number)

    def close(self):
        self.closed = True


class Client:
    """Keeps what the driver publishes."""

    def __init__(self, graph):
        self.node = Node("client", context=graph.context)
        self.received = {}
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for topic, kind, qos in (
            (COLOUR, Image, 10),
            (DEPTH, Image, 10),
            (INFO, CameraInfo, 10),
            (DEPTH_INFO, CameraInfo, 10),
            ("/tf_static", TFMessage, latched),
            ("/diagnostics", DiagnosticArray, 10),
        ):
            self.received[topic] = []
            self.node.create_subscription(kind, topic, self.received[topic].append, qos)
        graph.spin(self.node)

    def pairs(self):
        """Messages of one stamp, by topic; None until there are such."""
        by_stamp = {
            topic: {stamp_ns(x.header): x for x in messages}
            for topic, messages in self.received.items()
            if topic not in ("/tf_static", "/diagnostics")
        }
        common = set.intersection(*(set(x) for x in by_stamp.values()))
        return {t: x[max(common)] for t, x in by_stamp.items()} if common else None

    def levels(self):
        return [x.status[0].level for x in self.received["/diagnostics"]]


@pytest.fixture
def start(graph):
    """Start a driver with a camera; gives the node and a client."""

    def run(open_kind, *arguments):
        graph.start(*arguments)
        client = Client(graph)
        node = CameraDriverNode(open_kind, context=graph.context)
        graph.spin(node)
        return node, client

    return run


def test_the_topics_are_those_of_realsense2_camera(start, wait_until):
    asked = []

    def opened(kind, settings):
        asked.append((kind, settings))
        return FakeCamera()

    _, client = start(
        opened,
        *("-p", "camera:=oak", "-p", "width:=64", "-p", "height:=48", "-p", "rate_hz:=50.0"),
        *("-p", "serial_number:=S7", "-p", "exposure_us:=8000", "-p", "laser_power:=0.5"),
        *("-p", "spatial_filter:=true"),
    )
    wait_until(client.pairs, "images with camera info")
    wait_until(lambda: client.received["/tf_static"], "frames")
    wanted = CameraSettings(64, 48, 50.0, "S7", 8000, 0.5, frozenset({"spatial"}))
    assert asked == [("oak", wanted)]
    found = client.pairs()
    colour, depth, info = found[COLOUR], found[DEPTH], found[INFO]
    frames = {x.header.frame_id for x in found.values()}
    assert frames == {"camera_color_optical_frame"}
    assert (colour.encoding, depth.encoding) == ("rgb8", "16UC1")
    assert tuple(colour.data[:3]) == (200, 100, 50)
    assert np.frombuffer(depth.data, np.uint16)[0] == 800
    assert list(info.d) == [0.0] * 5
    assert np.allclose(np.reshape(info.k, (3, 3)), CAMERA.matrix)
    assert found[DEPTH_INFO].k.tolist() == info.k.tolist()
    assert abs(stamp_ns(colour.header) - time.time_ns()) < 60e9
    wait_until(lambda: client.received["/diagnostics"], "diagnostics")
    status = client.received["/diagnostics"][0].status[0]
    assert status.name == "camera/camera: camera"
    assert status.hardware_id == "S7"
    values = {x.key: x.value for x in status.values}
    assert values["profile"] == "64x48 at 50 Hz"
    assert values["frames lost"] == "0"


def test_the_frames_place_the_colour_camera_to_the_right_of_depth():
    edges = {
        (x.header.frame_id, x.child_frame_id): transform_arrays(x.transform)
        for x in static_transforms("left", DESCRIPTION)
    }
    assert set(edges) == {
        ("left_link", "left_depth_frame"),
        ("left_depth_frame", "left_depth_optical_frame"),
        ("left_link", "left_color_frame"),
        ("left_color_frame", "left_color_optical_frame"),
    }
    # x right in the optical frame is -y in the frame of the body.
    assert np.allclose(edges["left_link", "left_color_frame"][1], (0.0, -0.015, 0.0))
    turn, _ = edges["left_color_frame", "left_color_optical_frame"]
    assert np.allclose(turn @ (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)), "z forward is x forward"
    assert np.allclose(turn @ (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)), "y down is z up"


def test_other_units_distortion_and_names(start, wait_until):
    bent = replace(DESCRIPTION, distortion=Distortion("plumb_bob", (-0.2, 0.1, 0.0, 0.0, 0.0)))
    _, client = start(
        lambda *_: FakeCamera(bent, unit_m=0.0001),
        *("-p", "rectify:=false", "-p", "depth_encoding:=32FC1", "-p", "camera_name:=left"),
    )
    wait_until(client.pairs, "images")
    found = client.pairs()
    assert found[COLOUR].header.frame_id == "left_color_optical_frame"
    assert np.frombuffer(found[DEPTH].data, np.float32)[0] == pytest.approx(0.8)
    assert np.allclose(found[INFO].d, (-0.2, 0.1, 0.0, 0.0, 0.0))


def test_by_default_images_are_rectified_and_in_millimetres(start, wait_until):
    bent = replace(DESCRIPTION, distortion=Distortion("plumb_bob", (0.4, 0.1, 0.0, 0.0, 0.0)))
    _, client = start(lambda *_: FakeCamera(bent, unit_m=0.0001))
    wait_until(client.pairs, "images")
    found = client.pairs()
    assert list(found[INFO].d) == [0.0] * 5
    depth = np.frombuffer(found[DEPTH].data, np.uint16)
    assert set(np.unique(depth)) == {0, 800}, "the corners come from outside the image"


def test_an_unplugged_camera_is_waited_for_and_the_node_goes_on(start, wait_until):
    cameras, tries = [FakeCamera()], []

    def opened(*_):
        tries.append(time.monotonic())
        if len(tries) == 2:
            raise CameraAbsentError("no camera")
        if len(tries) > 2:
            cameras.append(FakeCamera())
        return cameras[-1]

    _, client = start(opened)
    wait_until(client.pairs, "images")
    cameras[0].unplugged.set()
    wait_until(lambda: DiagnosticStatus.ERROR in client.levels(), "an error in the diagnostics")
    wait_until(lambda: len(cameras) == 2, "the camera to be opened again")
    assert cameras[0].closed
    count = len(client.received[COLOUR])
    wait_until(lambda: len(client.received[COLOUR]) > count, "images")
    wait_until(
        lambda: any(
            x.key == "reconnects" and x.value == "1"
            for message in client.received["/diagnostics"]
            for x in message.status[0].values
        ),
        "the number of reconnects",
    )


def test_without_a_camera_the_node_does_not_start_unless_it_waits(graph):
    def absent(*_):
        raise CameraAbsentError("no camera found")

    graph.start()
    with pytest.raises(CameraAbsentError):
        CameraDriverNode(absent, context=graph.context)
    node = CameraDriverNode(
        absent,
        context=graph.context,
        cli_args=["--ros-args", "-p", "wait_for_camera:=true"],
    )
    node.destroy_node()


def test_a_failure_while_it_reads_ends_the_node(graph, wait_until):
    camera = FakeCamera()
    outcomes = iter([camera])

    def opened(*_):
        for outcome in outcomes:
            return outcome
        raise UnsupportedProfileError("no such profile on this port")

    graph.start()
    node = CameraDriverNode(opened, context=graph.context)
    camera.unplugged.set()
    wait_until(lambda: node._failure, "the failure")
    with pytest.raises(UnsupportedProfileError):
        node._watch()
    node.destroy_node()


def test_unknown_kinds_are_refused(graph):
    graph.start("-p", "camera:=webcam")
    with pytest.raises(ConfigurationError, match="expected one of realsense, orbbec, oak, kinect"):
        CameraDriverNode(context=graph.context)


with_realsense = pytest.mark.skipif(
    importlib.util.find_spec("pyrealsense2") is None,
    reason="pyrealsense2 is not installed: pip install 'sdfpose[realsense]'",
)


@with_realsense
def test_a_recording_is_published_and_its_end_ends_the_node(graph, tmp_path, wait_until):
    import pyrealsense2 as rs
    from realsense_recordings import write_recording

    path = write_recording(rs, tmp_path, 30)
    graph.start("-p", f"bag:={path}")
    client = Client(graph)
    node = CameraDriverNode(context=graph.context)
    wait_until(client.pairs, "images")
    wait_until(lambda: node._failure, "the end")
    assert tuple(np.asarray(client.pairs()[COLOUR].data[-3:])) == (200, 100, 50)
    with pytest.raises(SystemExit) as end:
        node._watch()
    assert end.value.code == 0
    node.destroy_node()


@with_realsense
def test_a_realsense_of_software_reaches_the_topics_without_a_loss(start, wait_until):
    import pyrealsense2 as rs

    from sdfpose_core.cameras.realsense import RealSenseCamera
    from sdfpose_core.cameras.software_realsense import SoftwareRealSense

    source = SoftwareRealSense(rs, CAMERA, CAMERA, baseline_m=0.0, rates_hz=(15,))
    node, client = start(
        lambda _, settings: RealSenseCamera(rs, settings, source.device),
        *("-p", "width:=64", "-p", "height:=48", "-p", "rate_hz:=15.0"),
    )
    wait_until(lambda: node._images["colour"].get_subscription_count(), "the subscription")
    colour = np.full((48, 64, 3), (200, 100, 50), dtype=np.uint8)
    depth = np.full((48, 64), 0.8, dtype=np.float32)
    first = time.time_ns()
    for number in range(20):
        source.send(colour, depth, first + number * 66_666_667, number)
        time.sleep(0.066)
    wait_until(lambda: len(client.received[COLOUR]) >= 18, "the images")
    stamps = sorted(stamp_ns(x.header) for x in client.received[COLOUR])
    assert np.allclose(np.diff(stamps), 66_666_667, atol=1000)
    assert node._camera.counts.lost == 0
    found = client.pairs()
    assert np.median(np.frombuffer(found[DEPTH].data, np.uint16)) == 800
