"""Actions that the launch files share.

A launch file builds its nodes from these in place of including another one: the arguments of an
included file would appear in ``--show-args``, although the file that includes it sets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.condition import Condition
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from sdfpose_ros.graph.middleware import ONE_MACHINE, one_machine_environment

__all__ = [
    "PACKAGE",
    "argument",
    "declared",
    "middleware",
    "node",
    "required_package",
    "rviz",
    "shared_file",
]

PACKAGE = "sdfpose"


def declared(
    arguments: Mapping[str, tuple[Any, str]], choices: Mapping[str, Sequence[str]] | None = None
) -> list[DeclareLaunchArgument]:
    """Declare launch arguments.

    Args:
        arguments: default value and description of each argument.
        choices: allowed values of some arguments.
    """
    allowed = choices or {}
    return [
        DeclareLaunchArgument(
            name, default_value=default, description=description, choices=allowed.get(name)
        )
        for name, (default, description) in arguments.items()
    ]


def argument(name: str, kind: type = str) -> ParameterValue:
    """Return the value of a launch argument for a parameter of a node."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def shared_file(*parts: str) -> PathJoinSubstitution:
    """Return the path of a file that the package installs, e.g. ``config``, ``sdfpose.yaml``."""
    return PathJoinSubstitution([FindPackageShare(PACKAGE), *parts])


def middleware() -> list[SetEnvironmentVariable]:
    """Set the middleware of all processes from the argument ``one_machine``."""
    wish = LaunchConfiguration("one_machine")
    return [
        SetEnvironmentVariable(ONE_MACHINE, wish),
        *(
            SetEnvironmentVariable(name, value, condition=IfCondition(wish))
            for name, value in one_machine_environment().items()
        ),
    ]


def node(
    executable: str,
    *,
    name: Any,
    parameters: Sequence[Any],
    topics: Mapping[str, Any],
    ends_all: str = "",
    arguments: Sequence[Any] = (),
    condition: Condition | None = None,
) -> Node:
    """Start a node of this package in the namespace of the argument ``namespace``.

    Args:
        executable: name of the executable.
        name: name of the node.
        parameters: parameter files and tables.
        topics: topic of each private name.
        ends_all: reason to end the launch when the node ends; empty to go on.
        arguments: further arguments of the command line.
        condition: when to start it; None for always.
    """
    return Node(
        package=PACKAGE,
        executable=executable,
        name=name,
        namespace=LaunchConfiguration("namespace"),
        parameters=list(parameters),
        remappings=[(f"~/{private}", topic) for private, topic in topics.items()],
        arguments=list(arguments),
        output="screen",
        on_exit=[Shutdown(reason=ends_all)] if ends_all else None,
        condition=condition,
    )


def rviz(pose_node: Any, *, topics: Mapping[str, Any], frame: Any = None) -> Node:
    """Start RViz if the argument ``rviz`` is set.

    Args:
        pose_node: name of the pose node.
        topics: topics in place of those of the configuration.
        frame: fixed frame; None for that of the configuration.
    """
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=[
            *("-d", shared_file("rviz", "sdfpose.rviz")),
            *(() if frame is None else ("-f", frame)),
        ],
        remappings=[
            *topics.items(),
            *((f"/{PACKAGE}/{name}", [pose_node, f"/{name}"]) for name in ("markers", "overlay")),
        ],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )


def required_package(package: str, argument: str, condition: Condition) -> OpaqueFunction:
    """Stop the launch if a package is not installed.

    Put this before all nodes: the failure to start a process leaves earlier ones running.

    Args:
        package: ROS package.
        argument: launch argument that makes it unnecessary, e.g. ``rviz:=false``.
        condition: when the package is needed.
    """
    return OpaqueFunction(function=_require, args=[package, argument], condition=condition)


def _require(_: Any, package: str, argument: str) -> None:
    try:
        get_package_prefix(package)
    except PackageNotFoundError as error:
        name = package.replace("_", "-")
        raise RuntimeError(
            f"the package {package} is not installed: install it (apt-get install "
            f"ros-$ROS_DISTRO-{name}) or launch with {argument}; nothing was started"
        ) from error
