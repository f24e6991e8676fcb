"""Run a node as a process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence

import rclpy
from rclpy.exceptions import NameValidationException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node

from sdfpose_core.errors import SdfposeError
from sdfpose_ros.graph.startup import Interrupts, end_process

__all__ = ["SETTINGS_ERRORS", "error_line", "run_node"]

SETTINGS_ERRORS = (
    NameValidationException,
    ParameterException,
    SdfposeError,
    rclpy_implementation.RCLError,
    rclpy_implementation.UnknownROSArgsError,
)
"""Errors at the start whose cause is a setting: a parameter, an argument, the environment."""


def run_node(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Create a node and run it until it is interrupted or raises `SystemExit`.

    The shutdown of the node is not interrupted by further signals. If a thread is still at work
    after it, the process ends here.

    Args:
        make_node: creates the node after ROS is initialised. An error in its settings is logged as
            fatal.
        args: command line with ``--ros-args``; None for the command line of the process.

    Returns:
        The exit status: 0 after an interrupt, 1 if the node does not start or fails with an
        `SdfposeError`.
    """
    interrupts = Interrupts()
    interrupts.install()
    status = _run(make_node, args, interrupts)
    if any(x is not threading.current_thread() for x in threading.enumerate()):
        end_process(status)
    return status


def error_line(error: Exception) -> str:
    """Return the message of an error without its place in the source code of rcl."""
    if isinstance(error, rclpy_implementation.UnknownROSArgsError):
        return f"unknown arguments {error}: expected those of ROS 2 after --ros-args"
    return " ".join(re.sub(r", at /?[\w./-]+:\d+", "", str(error)).split())


def _run(make_node: Callable[[], Node], args: Sequence[str] | None, interrupts: Interrupts) -> int:
    node: Node | None = None
    initialised = False
    try:
        try:
            rclpy.init(args=None if args is None else list(args))
            initialised = True
            node = make_node()
        except SETTINGS_ERRORS as error:
            if initialised and not rclpy.ok():
                return 0  # shut down by SIGTERM in the meantime
            get_logger("sdfpose").fatal(error_line(error))
            return 1
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        interrupts.starting = False
        executor.spin()
    except SdfposeError as error:
        get_logger("sdfpose").fatal(str(error))
        return 1
    except SystemExit as end:
        return int(end.code or 0)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except RuntimeError:
        # An interrupt during a callback invalidates the context, so that publishing fails.
        if not initialised or rclpy.ok():
            raise
        return 0
    finally:
        interrupts.starting = False
        interrupts.ignore()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
