"""Parameters of the nodes: one typed table each, declared, described and validated.

A table is a frozen dataclass whose fields are made by `parameter`; `declare` declares them on a
node and gives the validated table.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from sdfpose_core.errors import ConfigurationError

__all__ = [
    "CameraNodeParameters",
    "EvaluatorNodeParameters",
    "PlayerNodeParameters",
    "PoseNodeParameters",
    "declare",
    "default_frame_prefix",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Table = TypeVar("Table", bound="DataclassInstance")


def parameter(
    default: bool | int | float | str | tuple[str, ...],
    description: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A field of a table of parameters.

    Args:
        default: also gives the type.
        description: one sentence, with the unit.
        choices: the values that a string may have; empty for any.
        minimum: smallest value of a number.
        maximum: largest value of a number.
    """
    metadata = {
        "description": description,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class PoseNodeParameters:
    """Parameters of the pose node."""

    device: str = parameter("auto", "Where networks run: auto, cpu, cuda or cuda:N.")
    threads: int = parameter(
        0,
        "CPU threads of the networks; 0 for all cores but one, which the rest of the graph needs.",
        minimum=0,
        maximum=1024,
    )
    encoder: Literal["fast", "ssc6d", "none"] = parameter(
        "fast",
        "Where first poses come from: a network, that of SSC-6D, or none for search.",
        choices=("fast", "ssc6d", "none"),
    )
    refine: Literal["sdf", "icp", "none"] = parameter(
        "sdf",
        "How poses are refined: against the signed distance function, by ICP, or not.",
        choices=("sdf", "icp", "none"),
    )
    weights_dir: str = parameter("", "Folder of the weights; empty for those of the package.")
    category: str = parameter(
        "",
        "Category of every mask id that mask_categories does not name; 'any' to find it out; "
        "empty for none.",
    )
    mask_categories: tuple[str, ...] = parameter(
        (), "Categories of mask ids, for example ['1:mug', '2:bowl']."
    )
    queue_size: int = parameter(
        10, "Messages kept for each input while the others are awaited.", minimum=1, maximum=1000
    )
    slop_s: float = parameter(
        0.02, "Largest difference of stamps within a frame, seconds.", minimum=1e-6, maximum=10.0
    )
    publish_meshes: bool = parameter(True, "Whether messages carry meshes.")
    publish_markers: bool = parameter(True, "Whether there is a topic of markers.")
    publish_overlay: bool = parameter(True, "Whether there is an image with the results drawn in.")
    frame_prefix: str = parameter(
        "", "First part of the objects' frame names; empty for sdfpose and the node's namespace."
    )
    target_frame: str = parameter(
        "", "Frame in which poses are published; empty for the camera's. Needs tf2_ros."
    )
    transform_timeout_s: float = parameter(
        0.1,
        "How long to wait for the transform to target_frame, seconds.",
        minimum=0.0,
        maximum=10.0,
    )


@dataclass(frozen=True)
class CameraNodeParameters:
    """Parameters of the camera node."""

    folders: tuple[str, ...] = parameter(
        (), "Frame folders, or folders of them, to play; none for the simulated camera."
    )
    rate_hz: float = parameter(10.0, "Frames per second.", minimum=0.01, maximum=1000.0)
    loop: bool = parameter(True, "Whether to start again after the last frame, or to end.")
    seed: int = parameter(0, "Of the simulated scene and noise.", minimum=0, maximum=2**31)
    width: int = parameter(
        640, "Width of simulated images, pixels; the height is 3/4 of it.", minimum=64, maximum=4096
    )
    turn_s: float = parameter(
        120.0,
        "Time in which the simulated camera goes round the table once, seconds.",
        minimum=0.1,
        maximum=1e6,
    )
    frame_id: str = parameter("camera_optical_frame", "Name of the optical frame.")
    depth_encoding: Literal["16UC1", "32FC1"] = parameter(
        "16UC1", "Encoding of the depth images.", choices=("16UC1", "32FC1")
    )


@dataclass(frozen=True)
class PlayerNodeParameters:
    """Parameters of the node that plays a bag."""

    bag: str = parameter("", "Folder of a rosbag2, or its mcap or db3 file.")
    topics: tuple[str, ...] = parameter((), "Topics that are played; none for all.")
    rate: float = parameter(1.0, "Speed, 1 for the bag's own.", minimum=0.001, maximum=1000.0)
    loop: bool = parameter(False, "Whether to start again after the last message, or to end.")
    clock: bool = parameter(False, "Whether /clock tells the time of the bag.")
    lockstep: bool = parameter(
        False,
        "Whether the next frame waits for the result of the last; then rate and loop mean nothing.",
    )
    wait_s: float = parameter(
        0.0,
        "How long to wait at the start for a pose node that takes the bag's topics, seconds.",
        minimum=0.0,
        maximum=1e6,
    )
    results: str = parameter("/sdfpose/objects", "Topic of the pose node's results.")
    result_timeout_s: float = parameter(
        60.0, "With lockstep, how long a result may take, seconds.", minimum=0.1, maximum=1e6
    )


@dataclass(frozen=True)
class EvaluatorNodeParameters:
    """Parameters of the evaluator node."""

    duration_s: float = parameter(
        0.0, "End so long after the first result, seconds; 0 for never.", minimum=0.0, maximum=1e6
    )
    startup_s: float = parameter(
        60.0,
        "How long to wait for the first result where duration_s is set, seconds.",
        minimum=1.0,
        maximum=1e6,
    )
    categories: tuple[str, ...] = parameter(
        (), "Categories that must have been estimated at the end; none for all in ground truth."
    )
    output_dir: str = parameter(
        "", "Folder for overlay.png, objects.json, meshes and demo.mcap; empty for none."
    )
    record: bool = parameter(True, "Whether demo.mcap is recorded in output_dir.")
    matching_window: int = parameter(
        200, "Frames of ground truth that are kept for results to come.", minimum=1, maximum=10000
    )


def declare(node: Node, table: type[Table]) -> Table:
    """Declare a table's parameters on a node and read them.

    Raises:
        ConfigurationError: a value has a wrong type or is out of range; the message names the
            parameter.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(table):
        values[field.name] = _declare_one(node, field)
    return table(**values)


def default_frame_prefix(namespace: str) -> str:
    """``sdfpose`` and a node's namespace, so that the frames of two cameras do not collide."""
    return "/".join(["sdfpose", *(part for part in namespace.split("/") if part)])


def _declare_one(node: Node, field: dataclasses.Field[Any]) -> Any:
    default: Any = field.default
    # An empty list has no type of its own, so that lists are declared by type, without a value.
    kind = Parameter.Type.from_parameter_value([""] if isinstance(default, tuple) else default)
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    choices = field.metadata["choices"]
    try:
        if isinstance(default, tuple):
            node.declare_parameter(field.name, kind, _descriptor(field, kind))
            return tuple(node.get_parameter_or(field.name, Parameter(field.name, kind, [])).value)
        value = node.declare_parameter(field.name, default, _descriptor(field, kind)).value
    except InvalidParameterTypeException as error:
        raise ConfigurationError(
            f"parameter {field.name}: {error}: expected type {kind.name.lower()} (a double needs "
            "its decimal point)"
        ) from error
    except InvalidParameterValueException as error:
        raise ConfigurationError(
            f"parameter {field.name}: {error}: expected a value from {low} to {high}"
        ) from error
    if choices and value not in choices:
        raise ConfigurationError(
            f"parameter {field.name}: '{value}': expected one of {', '.join(choices)}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"parameter {field.name}: {value}: expected a finite number")
    return value


def _descriptor(field: dataclasses.Field[Any], kind: Parameter.Type) -> ParameterDescriptor:
    limits = field.metadata
    low, high = limits["minimum"], limits["maximum"]
    descriptor = ParameterDescriptor(description=limits["description"], read_only=True)
    if limits["choices"]:
        descriptor.additional_constraints = f"one of {', '.join(limits['choices'])}"
    if kind is Parameter.Type.INTEGER:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    elif kind is Parameter.Type.DOUBLE:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
        ]
    return descriptor
