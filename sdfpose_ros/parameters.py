"""Parameters of the nodes: one typed table each, declared, described and validated.

A table is a frozen dataclass whose fields are made by `parameter`; `declare` declares them on a
node and gives the validated table. `LiveParameters` lets those change that may.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from sdfpose_core.errors import ConfigurationError, SdfposeError

__all__ = [
    "CameraNodeParameters",
    "Change",
    "EvaluatorNodeParameters",
    "LiveParameters",
    "PlayerNodeParameters",
    "PoseNodeParameters",
    "declare",
    "default_frame_prefix",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Table = TypeVar("Table", bound="DataclassInstance")

Change = Literal["never", "unconfigured", "always"]
"""When a parameter may change: not once the node has begun, while it is unconfigured, or always."""


def parameter(
    default: bool | int | float | str | tuple[str, ...],
    description: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    change: Change = "never",
) -> Any:
    """A field of a table of parameters.

    Args:
        default: also gives the type.
        description: one sentence, with the unit.
        choices: the values that a string may have; empty for any.
        minimum: smallest value of a number.
        maximum: largest value of a number.
        change: when it may change.
    """
    metadata = {
        "description": description,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "change": change,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class PoseNodeParameters:
    """Parameters of the pose node."""

    autostart: bool = parameter(
        True,
        "Whether the node configures and activates itself; if not, a lifecycle manager or the user "
        "does.",
    )
    device: str = parameter(
        "auto", "Where networks run: auto, cpu, cuda or cuda:N.", change="unconfigured"
    )
    threads: int = parameter(
        0,
        "CPU threads of the networks; 0 for all cores but one, which the rest of the graph needs, "
        "and for all where a new object is detected.",
        minimum=0,
        maximum=1024,
        change="unconfigured",
    )
    encoder: Literal["fast", "ssc6d", "none"] = parameter(
        "fast",
        "Where first poses come from: a network, that of SSC-6D, or none for search.",
        choices=("fast", "ssc6d", "none"),
        change="unconfigured",
    )
    refine: Literal["sdf", "icp", "none"] = parameter(
        "sdf",
        "How poses are refined: against the signed distance function, by ICP, or not.",
        choices=("sdf", "icp", "none"),
        change="unconfigured",
    )
    weights_dir: str = parameter(
        "", "Folder of the weights; empty for those of the package.", change="unconfigured"
    )
    wait_for_trials: bool = parameter(
        False,
        "Whether an image waits for the test of a pose whose outcome is to be used in it, so that "
        "results do not depend on the machine's speed; for bags in lockstep.",
        change="unconfigured",
    )
    category: str = parameter(
        "",
        "Category of every mask id that mask_categories does not name; 'any' to find it out; "
        "empty for none.",
        change="always",
    )
    mask_categories: tuple[str, ...] = parameter(
        (), "Categories of mask ids, for example ['1:mug', '2:bowl'].", change="always"
    )
    colour_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "How colour images come; compressed ones on the topic's name with /compressed behind it.",
        choices=("raw", "compressed"),
        change="always",
    )
    depth_transport: Literal["raw", "compressed", "compressedDepth"] = parameter(
        "raw",
        "How depth images come; compressed ones on the topic's name with the transport's behind "
        "it.",
        choices=("raw", "compressed", "compressedDepth"),
        change="always",
    )
    mask_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "How masks come; compressed ones as PNG.",
        choices=("raw", "compressed"),
        change="always",
    )
    queue_size: int = parameter(
        20,
        "Messages kept for each input while the others are awaited; a mask that comes n images "
        "late needs n + 1.",
        minimum=1,
        maximum=1000,
        change="always",
    )
    slop_s: float = parameter(
        0.02,
        "Largest difference of stamps within a frame, seconds.",
        minimum=1e-6,
        maximum=10.0,
        change="always",
    )
    publish_meshes: bool = parameter(True, "Whether messages carry meshes.", change="always")
    publish_markers: bool = parameter(
        True, "Whether markers are published while somebody listens.", change="always"
    )
    publish_overlay: bool = parameter(
        True,
        "Whether the image with the results drawn in is published while somebody listens.",
        change="always",
    )
    frame_prefix: str = parameter(
        "",
        "First part of the objects' frame names; empty for sdfpose and the node's namespace.",
        change="unconfigured",
    )
    target_frame: str = parameter(
        "",
        "Frame in which /tf gives the poses; empty for the camera's. Needs tf2_ros.",
        change="unconfigured",
    )
    transform_timeout_s: float = parameter(
        0.1,
        "How long to wait for the transform to target_frame, seconds.",
        minimum=0.0,
        maximum=10.0,
        change="unconfigured",
    )
    mesh_dir: str = parameter("", "Folder into which ~/save_mesh writes; empty to refuse it.")


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
    categories: tuple[str, ...] = parameter(
        (), "Categories whose objects on the simulated table have masks; none for all."
    )
    prerender: int = parameter(
        0,
        "Frames that are made before the first is published, and then played forth and back; 0 to "
        "make each when its time has come.",
        minimum=0,
        maximum=10000,
    )
    wait_s: float = parameter(
        0.0,
        "How long to wait at the start for somebody who takes all images, seconds.",
        minimum=0.0,
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
    topics: tuple[str, ...] = parameter(
        (), "Topics that are played; none for all but those of a pose node that is waited for."
    )
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


class LiveParameters(Generic[Table]):
    """A node's parameters, those of which that may change while it runs.

    A change that is not possible is refused with its reason.

    Args:
        node: declares them.
        table: its parameters.
        check: raises an `SdfposeError` for values that do not go together.
        apply: told of the values before and now, when some changed.

    Attributes:
        values: at present.
        configured: whether the node is; then those that may change while it is not are held.

    Raises:
        ConfigurationError: a value has a wrong type, is out of range or does not pass the check.
    """

    def __init__(
        self,
        node: Node,
        table: type[Table],
        check: Callable[[Table], object],
        apply: Callable[[Table, Table], None],
    ) -> None:
        self._fields = {field.name: field for field in dataclasses.fields(table)}
        self._validate = check
        self._apply = apply
        self.configured = False
        self.values = declare(node, table)
        check(self.values)
        node.add_on_set_parameters_callback(self._judge)
        node.add_post_set_parameters_callback(self._take)

    def _judge(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._validate(self._with(parameters))
        except SdfposeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take(self, parameters: list[Parameter[Any]]) -> None:
        before, self.values = self.values, self._with(parameters)
        if self.values != before:
            self._apply(before, self.values)

    def _with(self, parameters: list[Parameter[Any]]) -> Table:
        """The table with other values.

        Raises:
            ConfigurationError: one of them is not possible now.
        """
        changed = {}
        for parameter in parameters:
            field = self._fields.get(parameter.name)
            if field is None:
                continue  # use_sim_time, qos_overrides: ROS' own
            if self.configured and field.metadata["change"] == "unconfigured":
                raise ConfigurationError(
                    f"parameter {field.name}: cannot change while the node is configured: take it "
                    "through 'cleanup' first (ros2 lifecycle set NODE cleanup), then set it, "
                    "'configure' and 'activate'"
                )
            value = parameter.value
            if isinstance(field.default, tuple):
                value = tuple(value or ())
            _check(field, value)
            changed[field.name] = value
        return dataclasses.replace(self.values, **changed)


def default_frame_prefix(namespace: str) -> str:
    """``sdfpose`` and a node's namespace, so that the frames of two cameras do not collide."""
    return "/".join(["sdfpose", *(part for part in namespace.split("/") if part)])


def _declare_one(node: Node, field: dataclasses.Field[Any]) -> Any:
    default: Any = field.default
    # An empty list has no type of its own, so that lists are declared by type, without a value.
    kind = Parameter.Type.from_parameter_value([""] if isinstance(default, tuple) else default)
    low, high = field.metadata["minimum"], field.metadata["maximum"]
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
    _check(field, value)
    return value


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    """What ROS does not check itself.

    Raises:
        ConfigurationError: the value is not one of the choices, or no finite number.
    """
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise ConfigurationError(
            f"parameter {field.name}: '{value}': expected one of {', '.join(choices)}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"parameter {field.name}: {value}: expected a finite number")


def _descriptor(field: dataclasses.Field[Any], kind: Parameter.Type) -> ParameterDescriptor:
    limits = field.metadata
    low, high = limits["minimum"], limits["maximum"]
    descriptor = ParameterDescriptor(
        description=limits["description"], read_only=limits["change"] == "never"
    )
    if limits["choices"]:
        descriptor.additional_constraints = f"one of {', '.join(limits['choices'])}"
    if kind is Parameter.Type.INTEGER:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    elif kind is Parameter.Type.DOUBLE:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
        ]
    return descriptor
