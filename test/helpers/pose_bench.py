"""The pose node in a real graph, with a stub in place of the estimator."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import InstanceLabels, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from sdfpose_core.messages.encoding import millimetres
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.image_messages import camera_info_message, image_message, labels_message
from sdfpose_ros.pose.pose_node import PoseNode

INPUTS = {
    "camera_info": CameraInfo,
    "colour": Image,
    "depth": Image,
    "mask": Image,
    "labels": InstanceLabels,
}
OUTPUTS = {"objects": SdfObjectArray, "meshes": SdfObjectArray, "markers": MarkerArray}
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Log:
    """What the node says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _add(self, message: str, **_: object) -> bool:
        self.lines.append(message)
        return True

    debug = info = warning = error = fatal = _add

    def get_child(self, _: str) -> Log:
        return self

    def has(self, *parts: str) -> bool:
        return any(all(part in line for part in parts) for line in self.lines)


class Bench:
    """The node under test, and a client that plays camera and robot."""

    def __init__(
        self,
        fakes,
        graph,
        wait_until,
        *arguments,
        outputs=(*OUTPUTS, "overlay"),
        tracker=None,
        factory=None,
        cameras=("",),
    ):
        self.fakes, self.graph, self.wait_until = fakes, graph, wait_until
        # A busy machine drops messages of best effort; what is tested here is what comes after.
        prefixes = {camera: "/".join(filter(None, ("/sdfpose", camera))) for camera in cameras}
        reliable = (
            part
            for prefix in prefixes.values()
            for name in INPUTS
            for part in ("-p", f"qos_overrides.{prefix}/{name}.subscription.reliability:=reliable")
        )
        graph.start(*arguments, *reliable)
        self.log, self.tracker = Log(), tracker or fakes.StubTracker()
        self.masks_made = any("masks:=" in argument for argument in arguments)
        self.labels_given = self.masks_made or any("categor" in x for x in arguments)

        class LoggedNode(PoseNode):
            get_logger = lambda _: self.log  # noqa: E731

        self.node = LoggedNode(factory or (lambda *_: self.tracker), context=graph.context)
        client = Node("client", context=graph.context)
        made = ("mask", "labels") if self.masks_made else ()
        self.publishers_by_camera = {
            camera: self.publishers_of(client, prefix, without=made)
            for camera, prefix in prefixes.items()
        }
        self.publishers = self.publishers_by_camera[cameras[0]]
        self.received: dict[str, list] = {"tf": []}
        client.create_subscription(TFMessage, "/tf", self.received["tf"].append, 10)
        for name in outputs:
            self.subscribe(client, name)
        self.reset = client.create_client(Trigger, "/sdfpose/reset")
        self.client = client
        graph.spin(self.node)
        graph.spin(client)
        self.now_ns = 1_700_000_000_000_000_000
        if self.node.node_state == "active":
            self.wait_connected()

    def wait_connected(self):
        self.wait_until(self._connected, "the client's connections")

    def call(self, kind, name, /, **fields):
        """The answer of one of the node's services."""
        client = self.client.create_client(kind, f"/sdfpose/{name}")
        assert client.wait_for_service(20.0), f"/sdfpose/{name} is not there"
        answer = client.call(kind.Request(**fields), timeout_sec=20.0)
        assert answer is not None
        self.client.destroy_client(client)
        return answer

    def subscribe(self, node, name, qos=None):
        kind = (OUTPUTS | INPUTS).get(name, Image)
        into = self.received.setdefault(name, [])
        qos = qos or (LATCHED if name == "meshes" else 10)
        return node.create_subscription(kind, f"/sdfpose/{name}", into.append, qos)

    def _connected(self) -> bool:
        awaited = [
            x
            for publishers in self.publishers_by_camera.values()
            for n, x in publishers.items()
            if n != "labels" or not self.labels_given
        ]
        publishers = all(x.get_subscription_count() for x in awaited)
        outputs = [n for n in self.received if n != "tf"]
        return publishers and all(
            self.node.count_subscribers(f"/sdfpose/{name}") for name in outputs
        )

    def send(
        self, frame, *, without=(), dt=0.1, frame_id="optical", camera=None, **messages
    ) -> int:
        """Publish a frame's messages, some of them replaced; gives its stamp."""
        publishers = self.publishers if camera is None else self.publishers_by_camera[camera]
        self.now_ns += round(dt * 1e9)
        everything = {**self.messages(frame, self.now_ns, frame_id), **messages}
        header = stamped_header(self.now_ns, frame_id)
        for message in everything.values():
            message.header = with_own_frame(message, header)
        sent = publishers.keys() - set(without)
        self.publish(publishers, {n: m for n, m in everything.items() if n in sent})
        return self.now_ns

    def send_late(self, stamp, frame, names, frame_id="optical"):
        """Publish some of the messages of an earlier stamp."""
        everything = self.messages(frame, stamp, frame_id)
        self.publish(self.publishers, {name: everything[name] for name in names})

    @staticmethod
    def publishers_of(node, prefix, without=()):
        return {
            n: node.create_publisher(k, f"{prefix}/{n}", 10)
            for n, k in INPUTS.items()
            if n not in without
        }

    @staticmethod
    def publish(publishers, messages):
        for name, message in messages.items():
            publishers[name].publish(message)

    @staticmethod
    def messages(frame, stamp, frame_id):
        header = stamped_header(stamp, frame_id)
        return {
            "camera_info": camera_info_message(frame.camera, header),
            "colour": image_message(frame.colour, "rgb8", header),
            "depth": image_message(millimetres(frame.depth), "16UC1", header),
            "mask": image_message(frame.mask, "16UC1", header),
            "labels": labels_message(frame.labels, header),
        }

    def result(self, stamp: int, name: str = "objects"):
        """The message of that stamp on an output."""

        def find():
            return next((m for m in self.received[name] if stamp_ns(header_of(m)) == stamp), None)

        self.wait_until(lambda: find() is not None, f"{name} of the frame")
        return find()

    def send_and_wait(self, frame, **options):
        return self.result(self.send(frame, **options))


def stamped_header(stamp, frame_id):
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, 1_000_000_000)
    return header


def header_of(message):
    if isinstance(message, MarkerArray):
        return message.markers[0].header
    return message.header


def with_own_frame(message, header):
    """Replaced messages keep a frame id of their own."""
    own = message.header.frame_id
    return header if own in ("", header.frame_id) else Header(stamp=header.stamp, frame_id=own)
