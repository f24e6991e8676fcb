"""The topics on which MoveIt hears of objects, and on which it tells its planning scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.last_message import publish_last

__all__ = ["SceneTopics", "required_messages"]

_CHANGES, _MONITORED = "/planning_scene", "/monitored_planning_scene"
"""Names of MoveIt's own topics."""

_CHANGES_QOS = QoSProfile(depth=10)
_MONITORED_QOS = QoSProfile(depth=100)


def required_messages() -> Any:
    """Return the messages of MoveIt.

    Raises:
        ConfigurationError: they are not installed.
    """
    if stand_ins.moveit_msgs is None:
        raise ConfigurationError(
            "the planning scene node needs the package moveit_msgs, which is not installed: "
            "install it (apt install ros-$ROS_DISTRO-moveit-msgs)"
        )
    return stand_ins.moveit_msgs


class SceneTopics:
    """Publishes changes of the planning scene, and listens to it.

    Args:
        node: publishes and subscribes.
        on_scene: takes each ``moveit_msgs/PlanningScene`` that MoveIt publishes.

    Raises:
        ConfigurationError: the messages of MoveIt are not installed.
    """

    def __init__(self, node: Node, on_scene: Callable[[Any], None]) -> None:
        kind = required_messages().PlanningScene
        self._context = node.context
        self._domain_id = node.context.get_domain_id()
        self._publisher = node.create_publisher(kind, _CHANGES, _CHANGES_QOS)
        self._topic = self._publisher.topic_name
        node.create_subscription(kind, _MONITORED, on_scene, _MONITORED_QOS)

    @property
    def name(self) -> str:
        """Topic of the changes."""
        return self._topic

    def subscribers(self) -> int:
        """Number of those that hear the changes."""
        return int(self._publisher.get_subscription_count())

    def publish(self, scene: Any) -> None:
        """Publish a change."""
        self._publisher.publish(scene)

    def publish_last(self, scene: Any) -> None:
        """Publish a change when the node ends, even if its context was shut down."""
        if self._context.ok():
            self._publisher.publish(scene)
        else:
            publish_last(scene, self._topic, self._domain_id)
