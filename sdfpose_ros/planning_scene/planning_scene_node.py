"""The planning scene node: objects of a pose node in, collision objects of MoveIt out.

Callbacks only keep messages. A worker thread waits for transforms and simplifies meshes.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdfpose.msg import SdfObjectArray
from std_msgs.msg import Header

from sdfpose_core.errors import MeshError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.graph.message_factory import ros_message
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.planning_scene.moveit_messages import MoveItMessages
from sdfpose_ros.planning_scene.object_meshes import ObjectMeshes
from sdfpose_ros.planning_scene.object_reader import ObjectReader
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters
from sdfpose_ros.planning_scene.scene_topics import SceneTopics, required_messages
from sdfpose_ros.planning_scene.scene_updates import Change, Operation, SceneObject, SceneUpdates
from sdfpose_ros.planning_scene.shapes import CollisionShape, ShapeMaker
from sdfpose_ros.pose.transforms import TransformBuffer

__all__ = ["PlanningSceneNode", "main"]

_RESULT_QOS = QoSProfile(depth=10)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

_END_S = 3.0
"""Longest wait for the last message when the node ends."""


class PlanningSceneNode(Node):
    """Keeps MoveIt's planning scene in step with ``~/objects`` and ``~/meshes`` of a pose node.

    Args:
        topics: creates the topics of MoveIt.
        name: node name.
        new: message factory.
        options: further arguments of `rclpy.node.Node`.

    Raises:
        ConfigurationError: the messages of MoveIt are not installed, or a parameter is invalid.
        PackError: a pack of ``weights_dirs`` is unusable.
    """

    def __init__(
        self,
        topics: Callable[[Node, Callable[[Any], None]], SceneTopics] = SceneTopics,
        *,
        name: str = "sdfpose_planning_scene",
        new: Callable[..., Any] = ros_message,
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        parameters = declare(self, PlanningSceneNodeParameters)
        self._messages = MoveItMessages(required_messages(), new)
        self._log = ThrottledLog(self.get_logger())
        categories = Packs.beside_shipped(parameters.weights_dirs).categories
        self._shapes = ShapeMaker(parameters, categories)
        self._meshes = ObjectMeshes()
        self._lock = threading.Lock()  # of the updates, which two threads change
        self._updates = SceneUpdates(parameters.rules())
        self._header, self._newest_ns = Header(), 0
        self._listeners = 0
        self._transforms: TransformBuffer | None = None
        if parameters.planning_frame:
            self._transforms = TransformBuffer(self, parameters.transform_timeout_s)
        self._reader = ObjectReader(
            parameters, self._meshes, self._transforms, self.resolve_topic_name, self._log
        )
        self.topics = topics(self, self._take_scene)
        self.worker = NewestWorker(self._process, self._log_error, "planning scene")
        self.create_subscription(SdfObjectArray, "~/objects", self._take_objects, _RESULT_QOS)
        self.create_subscription(SdfObjectArray, "~/meshes", self._take_meshes, _LATCHED_QOS)
        self.get_logger().info(
            f"ready: waiting for messages on {self.resolve_topic_name('~/objects')}, publishing on "
            f"{self.topics.name}"
        )

    def destroy_node(self) -> None:
        """Remove the objects from the planning scene, then destroy the node."""
        worker = getattr(self, "worker", None)  # a wrong parameter may come before it
        if worker is not None:
            worker.stop(_END_S)
            changes = self._updates.clear()
            if changes:
                self.topics.publish_last(self._difference(changes, self._header))
        super().destroy_node()

    def _take_objects(self, message: SdfObjectArray) -> None:
        now_ns = stamp_ns(message.header)
        if now_ns < self._newest_ns:
            self._restart()
        self._newest_ns = now_ns
        self._take_meshes(message)
        self._meshes.keep({int(x.id) for x in message.objects})
        self.worker.submit(message)

    def _take_meshes(self, message: SdfObjectArray) -> None:
        for x in message.objects:
            try:
                self._meshes.take(x)
            except MeshError as error:
                self._log.failure(error)

    def _take_scene(self, scene: Any) -> None:
        with self._lock:
            changes = self._updates.take(self._messages.report(scene))
        if changes:
            self.topics.publish(self._difference(changes, self._header))

    def _restart(self) -> None:
        """Forget what has stamps that come again: a bag is played anew."""
        self._meshes.keep(set())
        if self._transforms is not None:
            self._transforms.forget()

    def _process(self, message: SdfObjectArray) -> None:
        """Bring the scene in step with one message, in the worker's thread."""
        listeners = self.topics.subscribers()
        if not listeners:
            self._log.warning(
                "listeners",
                f"{self.topics.name}: nobody listens: expected MoveIt's move_group; the objects "
                "are added when it is there",
            )
        with self._lock:
            known = self._updates.known
        header, objects = self._reader(message, known)
        with self._lock:
            if listeners > self._listeners:
                self._updates.add_all_again()
            self._listeners = listeners
            if not listeners:
                return
            changes = self._updates.update(objects, header.frame_id, 1e-9 * stamp_ns(header))
        self._header = header
        if changes:
            self.topics.publish(self._difference(changes, header))

    def _difference(self, changes: Sequence[Change], header: Header) -> Any:
        """The message of some changes."""
        return self._messages.difference([self._collision_object(x, header) for x in changes])

    def _collision_object(self, change: Change, header: Header) -> Any:
        x = change.object
        if x is None:
            return self._messages.removed(change.id, header)
        if change.operation is Operation.MOVE:
            return self._messages.moved(change.id, x.rotation, x.translation, header)
        return self._messages.added(change.id, x.rotation, x.translation, self._shape(x), header)

    def _shape(self, x: SceneObject) -> CollisionShape:
        known = self._meshes.get(x.number)
        symmetric = x.symmetric_about_y
        mesh = None if known is None else known.mesh
        try:
            return self._shapes(x.category, x.dimensions_m, mesh, symmetric_about_y=symmetric)
        except MeshError as error:
            self._log.warning(("shape", x.id), f"{x.id}: {error}; it is added as a primitive")
            return self._shapes(x.category, x.dimensions_m, None, symmetric_about_y=symmetric)

    def _log_error(self, error: Exception) -> None:
        if self.context.ok():  # otherwise the node was shut down in the middle of a message
            self._log.failure(error)


def main(args: Sequence[str] | None = None) -> int:
    """Run the planning scene node."""
    return run_node(PlanningSceneNode, args)


if __name__ == "__main__":
    sys.exit(main())
