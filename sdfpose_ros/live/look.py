"""A client of the action ~/detect_objects, with a pose node of its own if none is named."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Point
from rclpy.action.client import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sdfpose.action import DetectObjects

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import pose_arrays
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.mesh_files import write_mesh
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps, topic_of
from sdfpose_ros.live.session import LiveError

__all__ = ["LookOptions", "look", "region_of"]

_FIND_S, _START_S = 5.0, 60.0
"""Longest wait for the action of a running node, and of one that loads its weights."""

_ANSWER_S = 5.0
"""The result is due within the time of the goal and this."""

_OWN_NODE = "/sdfpose_detect"


@dataclass(frozen=True)
class LookOptions:
    """What to look for.

    Attributes:
        node: name of a running pose node; None to start one.
        camera: namespace of the camera for a node that is started.
        masks: source of its masks; None for the topic of the camera.
        categories: wanted ones; none for all.
        min_confidence: least confidence.
        region: frame and two corners (3,), metres, of the box in which the centres are.
        views: number of images.
        timeout_s: longest time for them, seconds.
        meshes: folder for the surfaces; None for none.
    """

    node: str | None
    camera: str
    masks: str | None
    categories: tuple[str, ...]
    min_confidence: float
    region: tuple[str, Sequence[float], Sequence[float]] | None
    views: int
    timeout_s: float
    meshes: Path | None


def region_of(words: Sequence[str]) -> tuple[str, list[float], list[float]]:
    """The region of a command line: its frame and two corners.

    Raises:
        ConfigurationError: a coordinate is no number.
    """
    try:
        numbers = [float(x) for x in words[1:]]
    except ValueError as error:
        raise ConfigurationError(
            f"--region {' '.join(words)}: expected a frame and six coordinates in metres"
        ) from error
    return words[0], numbers[:3], numbers[3:]


def look(options: LookOptions, log_dir: Path) -> dict[str, Any]:
    """Look once and return the result as a JSON object.

    Args:
        options: what to look for.
        log_dir: folder for the log of a node that is started.

    Raises:
        LiveError: the node is not there, ends, or refuses the goal; or the look fails.
        ConfigurationError: a name is invalid, or options contradict one another.
        MeshError: a surface cannot be written.
    """
    if options.node is not None and options.masks is not None:
        raise ConfigurationError("--masks has no effect on a running node: leave it out")
    if options.meshes is not None:
        options.meshes.mkdir(parents=True, exist_ok=True)
    context = Context()
    rclpy.init(args=[], context=context)
    try:
        with ProcessGroup(log_dir, ros_child_environment({})) as group:
            node = Node("sdfpose_look", context=context, use_global_arguments=False)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(node)
            try:
                result = _ask(options, node, executor, group)
            finally:
                executor.shutdown()
                node.destroy_node()
    finally:
        context.try_shutdown()
    return _document(result, options.meshes)


def _ask(
    options: LookOptions, node: Node, executor: SingleThreadedExecutor, group: ProcessGroup
) -> Any:
    """The result of the goal.

    Raises:
        LiveError: see `look`.
    """
    name = options.node or _OWN_NODE
    if options.node is None:
        masks = parameter_arguments(masks=options.masks) if options.masks else []
        renamed = ["-r", f"__node:={_OWN_NODE.lstrip('/')}"]
        group.start_node(
            "node",
            "sdfpose_ros.pose.pose_node",
            ["--ros-args", *renamed, *masks, *input_remaps(options.camera)],
        )

    def wait(done: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            executor.spin_once(timeout_sec=0.05)
            if group.ended():
                raise LiveError(f"the pose node ended: {group.last_words('node')}")
            if time.monotonic() > end:
                raise LiveError(what)

    client: Any = ActionClient(node, DetectObjects, topic_of(name, "detect_objects"))
    wait(
        client.server_is_ready,
        _FIND_S if options.node else _START_S,
        f"there is no pose node {name}: expected one that runs (is it in the same ROS_DOMAIN_ID, "
        f"{os.environ.get('ROS_DOMAIN_ID', '0')}, and has the same middleware settings?)",
    )
    sent = client.send_goal_async(_goal(options))
    wait(sent.done, _ANSWER_S, f"{name} does not answer")
    handle = sent.result()
    if not handle.accepted:
        raise LiveError(f"{name} refuses to look: it is at work for another goal; wait and retry")
    coming = handle.get_result_async()
    wait(
        coming.done,
        options.timeout_s + _START_S,
        f"{name} gives no result within {options.timeout_s + _START_S:.0f} s",
    )
    result = coming.result().result
    if not result.success and not result.objects and result.views == 0:
        raise LiveError(f"{name}: {result.message}")
    return result


def _goal(options: LookOptions) -> DetectObjects.Goal:
    goal = DetectObjects.Goal(
        categories=list(options.categories),
        min_confidence=options.min_confidence,
        views=options.views,
        timeout_s=options.timeout_s,
        with_meshes=options.meshes is not None,
    )
    if options.region is not None:
        frame, low, high = options.region
        goal.region_frame = frame
        goal.region_min, goal.region_max = (Point(x=a, y=b, z=c) for a, b, c in (low, high))
    return goal


def _document(result: Any, meshes: Path | None) -> dict[str, Any]:
    """The result as a JSON object, see docs/json_files.md."""
    objects = []
    for x in result.objects:
        rotation, translation = pose_arrays(x.pose.pose)
        path = None
        if meshes is not None and len(x.mesh_vertices):
            path = meshes / f"{x.category}_{x.id}.ply"
            write_mesh(path, x)
        objects.append(
            {
                "id": int(x.id),
                "category": x.category,
                "R": rotation.tolist(),
                "t": translation.tolist(),
                "dimensions_m": [x.dimensions.x, x.dimensions.y, x.dimensions.z],
                "confidence": float(x.confidence),
                "probability": float(x.probability),
                "symmetric_about_y": bool(x.symmetric_about_y),
                "covariance": np.reshape(x.pose.covariance, (6, 6)).tolist(),
                "mesh": None if path is None else str(path),
            }
        )
    header = result.objects[0].header if result.objects else None
    return {
        "message": result.message,
        "views": int(result.views),
        "frame_id": None if header is None else header.frame_id,
        "stamp_ns": None if header is None else stamp_ns(header),
        "objects": objects,
        "left_out": list(result.left_out),
    }
