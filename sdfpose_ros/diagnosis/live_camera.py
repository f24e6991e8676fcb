"""Observation of a live camera. Imports nothing of ROS before the installation is checked."""

from __future__ import annotations

from collections.abc import Mapping

from sdfpose_core.diagnosis.sample import CameraSample
from sdfpose_ros.graph.middleware import prepare_middleware
from sdfpose_ros.graph.startup import check_ros

__all__ = ["observe"]


def observe(
    namespace: str,
    *,
    topics: Mapping[str, str],
    seconds: float,
    depth_unit: float | None,
    network: bool,
) -> CameraSample:
    """Observe the topics of a camera that is running.

    Args:
        namespace: namespace of its topics, e.g. ``/camera``.
        topics: topics by role that override the search by type and name.
        seconds: time from the first to the last message, seconds.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
        network: keep the middleware settings of the environment.

    Raises:
        ConfigurationError: ROS 2 cannot be used in this environment, or the namespace is no name.
    """
    prepare_middleware(network=network)
    check_ros()
    from sdfpose_ros.diagnosis.observer import observe_topics

    return observe_topics(namespace, topics, seconds, depth_unit)
