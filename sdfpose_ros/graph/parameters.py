"""Parameters of the nodes: a typed, described and validated table per node.

A table is a frozen dataclass whose fields are created by `parameter`. `declare` declares them on a
node and returns the validated table. `LiveParameters` also handles changes at run time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import InvalidQosOverridesError

from sdfpose_core.errors import ConfigurationError, SdfposeError

__all__ = [
    "Change",
    "LiveParameters",
    "checked_qos_overrides",
    "declare",
    "default_frame_prefix",
    "parameter",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Table = TypeVar("Table", bound="DataclassInstance")

RCLError: type[Exception] = rclpy_implementation.RCLError

_YAML_HINTS = {
    Parameter.Type.DOUBLE: " (a double needs its decimal point)",
    Parameter.Type.STRING: " (on, off, yes and no are booleans in YAML: write \"'off'\")",
}

Change = Literal["never", "unconfigured", "always"]
"""When a parameter may change: never after startup, while the node is unconfigured, or always."""


def parameter(
    default: bool | int | float | str | tuple[str, ...],
    description: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    change: Change = "never",
    former_name: str = "",
) -> Any:
    """Create a field of a parameter table.

    Args:
        default: default value, which also gives the type.
        description: one sentence, with the unit.
        choices: allowed values of a string; empty for any.
        minimum: smallest allowed number.
        maximum: largest allowed number.
        change: when the parameter may change.
        former_name: name in the last release. It still sets the parameter, with a warning.
    """
    metadata = {
        "description": description,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "change": change,
        "former_name": former_name,
    }
    return dataclasses.field(default=default, metadata=metadata)


def declare(node: Node, table: type[Table]) -> Table:
    """Declare the parameters of a table on a node and read their values.

    Raises:
        ConfigurationError: a value has the wrong type or is out of range. The message names the
            parameter.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(table):
        values[field.name] = _declare_one(node, field)
    return table(**values)


class LiveParameters(Generic[Table]):
    """The parameters of a node, some of which may change while it runs.

    An invalid change is rejected with a reason.

    Args:
        node: node that declares the parameters.
        table: parameter table.
        check: raises an `SdfposeError` for values that are not valid together.
        apply: called with the old and the new values after a change.

    Attributes:
        values: current values.
        configured: whether the node is configured. If so, parameters with the change
            "unconfigured" cannot be set.

    Raises:
        ConfigurationError: a value has the wrong type, is out of range or fails the check.
    """

    def __init__(
        self,
        node: Node,
        table: type[Table],
        check: Callable[[Table], object],
        apply: Callable[[Table, Table], None],
    ) -> None:
        self._fields = {field.name: field for field in dataclasses.fields(table)}
        self._check_values = check
        self._apply = apply
        self.configured = False
        self.values = declare(node, table)
        check(self.values)
        node.add_on_set_parameters_callback(self._validate_change)
        node.add_post_set_parameters_callback(self._apply_change)

    def _validate_change(self, parameters: list[Parameter[Any]]) -> SetParametersResult:
        try:
            self._check_values(self._replace(parameters))
        except SdfposeError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_change(self, parameters: list[Parameter[Any]]) -> None:
        before, self.values = self.values, self._replace(parameters)
        if self.values != before:
            self._apply(before, self.values)

    def _replace(self, parameters: list[Parameter[Any]]) -> Table:
        """Return the table with changed values.

        Raises:
            ConfigurationError: a value is not allowed at present.
        """
        changed = {}
        for parameter in parameters:
            field = self._fields.get(parameter.name)
            if field is None:
                continue  # a parameter of ROS itself: use_sim_time, qos_overrides
            if self.configured and field.metadata["change"] == "unconfigured":
                raise ConfigurationError(
                    f"parameter {field.name}: cannot change while the node is configured: "
                    "deactivate and clean up the node first (ros2 lifecycle set NODE cleanup), "
                    "set the parameter, then configure and activate the node"
                )
            value = parameter.value
            if isinstance(field.default, tuple):
                value = tuple(value or ())
            _check(field, value)
            changed[field.name] = value
        return dataclasses.replace(self.values, **changed)


@contextmanager
def checked_qos_overrides(topic: str) -> Iterator[None]:
    """Turn a wrong QoS override of a subscription into a `ConfigurationError`.

    Args:
        topic: topic of the subscription, resolved.
    """
    try:
        yield
    except RCLError:
        raise
    except (InvalidQosOverridesError, ParameterException, RuntimeError) as error:
        raise ConfigurationError(
            f"parameters qos_overrides.{topic}.subscription: {error}: expected policies of ROS 2, "
            "for example reliability: reliable"
        ) from error


def default_frame_prefix(namespace: str) -> str:
    """Return ``sdfpose`` plus the namespace, so that the frames of two cameras do not collide."""
    return "/".join(["sdfpose", *(part for part in namespace.split("/") if part)])


def _declare_one(node: Node, field: dataclasses.Field[Any]) -> Any:
    default: Any = field.default
    kind = Parameter.Type.from_parameter_value([""] if isinstance(default, tuple) else default)
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    former_name = field.metadata["former_name"]
    try:
        if former_name:
            former: Any = node.declare_parameter(former_name, kind).value
            node.undeclare_parameter(former_name)
            if former is not None:
                node.get_logger().warning(
                    f"parameter {former_name} was renamed to {field.name}: use the new name, the "
                    "old one will be removed in the next release"
                )
                default = former
        if isinstance(default, tuple):
            return _declare_list(node, field, list(default), kind)
        value = node.declare_parameter(field.name, default, _descriptor(field, kind)).value
    except InvalidParameterTypeException as error:
        raise ConfigurationError(
            f"parameter {field.name}: {error}: expected type {kind.name.lower()}"
            f"{_YAML_HINTS.get(kind, '')}"
        ) from error
    except InvalidParameterValueException as error:
        raise ConfigurationError(
            f"parameter {field.name}: {error}: expected a value from {low} to {high}"
        ) from error
    _check(field, value)
    return value


def _declare_list(
    node: Node, field: dataclasses.Field[Any], default: list[str], kind: Parameter.Type
) -> tuple[str, ...]:
    """Declare a list of strings.

    An empty list shows no type, and in a parameter file it is no value at all. The parameter is
    therefore declared by its type, and a list without a value is set afterwards: one parameter
    without a value hides all of them from ``ros2 param dump``, rqt and Foxglove.
    """
    descriptor = _descriptor(field, kind)
    descriptor.read_only = False
    values: Any = node.declare_parameter(field.name, kind, descriptor).value
    if values is None:
        values = default
        node.set_parameters([Parameter(field.name, kind, values)])
    descriptor = _descriptor(field, kind)
    descriptor.type = kind.value
    node.set_descriptor(field.name, descriptor)
    return tuple(values)


def _check(field: dataclasses.Field[Any], value: Any) -> None:
    """Check what ROS does not check itself.

    Raises:
        ConfigurationError: the value is not one of the choices, or not a finite number.
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
