"""Reference page of the nodes' parameters, generated from the parameter tables."""

from __future__ import annotations

import dataclasses
from typing import Any

from sdfpose_ros.cameras.parameters import CameraDriverParameters
from sdfpose_ros.evaluation.parameters import EvaluatorNodeParameters
from sdfpose_ros.graph.parameters import Change
from sdfpose_ros.masks.parameters import MaskNodeParameters
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters
from sdfpose_ros.playback.parameters import CameraNodeParameters, PlayerNodeParameters
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.recording.parameters import RecorderNodeParameters
from sdfpose_ros.viewer.parameters import ViewerNodeParameters

__all__ = ["parameters_page"]

_NODES = {
    "pose_node": PoseNodeParameters,
    "mask_node": MaskNodeParameters,
    "camera_driver_node": CameraDriverParameters,
    "camera_node": CameraNodeParameters,
    "player_node": PlayerNodeParameters,
    "evaluator_node": EvaluatorNodeParameters,
    "recorder_node": RecorderNodeParameters,
    "viewer_node": ViewerNodeParameters,
    "planning_scene_node": PlanningSceneNodeParameters,
}

_TYPES = {
    bool: "bool",
    int: "integer",
    float: "double",
    str: "string",
    tuple: "string array",
}

_CHANGES: dict[Change, str] = {"never": "", "unconfigured": "unconfigured", "always": "always"}

_HEAD = """\
# Parameters of the nodes

This page is generated from the parameter tables in the code. A node rejects a value of the wrong
type or out of range with a message that names the parameter. The column *may change* says when a
parameter can be set: *always*; *unconfigured*, while the lifecycle node is unconfigured (`ros2
lifecycle set /sdfpose cleanup`); if empty, only at startup.
"""


def parameters_page() -> str:
    """Return the page in Markdown: one table per node."""
    return "\n".join([_HEAD, *(_section(name, table) for name, table in _NODES.items())])


def _section(node: str, table: type) -> str:
    rows = [
        f"## `{node}`",
        "| parameter | type | default | values | may change | description |",
        "|---|---|---|---|---|---|",
        *(_row(x) for x in dataclasses.fields(table)),
    ]
    return "\n".join(rows) + "\n"


def _row(field: dataclasses.Field[Any]) -> str:
    description = field.metadata["description"].replace("|", "\\|")
    return (
        f"| `{field.name}` | {_TYPES[type(field.default)]} | {_default_text(field.default)} "
        f"| {_values(field)} | {_CHANGES[field.metadata['change']]} | {description} |"
    )


def _default_text(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(value) + "]`"
    return f"`{value}`" if value != "" else "empty"


def _values(field: dataclasses.Field[Any]) -> str:
    limits = field.metadata
    if limits["choices"]:
        return ", ".join(f"`{x}`" for x in limits["choices"])
    if limits["minimum"] is not None:
        low, high = (
            str(x) if isinstance(x, int) else f"{x:g}"
            for x in (limits["minimum"], limits["maximum"])
        )
        return f"{low} to {high}"
    return ""
