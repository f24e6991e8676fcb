"""Run a node as a process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node

from sdfpose_core.errors import SdfposeError

__all__ = ["run_node"]


def run_node(make_node: Callable[[], Node], args: Sequence[str] | None = None) -> int:
    """Create a node and run it until it is interrupted or raises `SystemExit`.

    The shutdown of the node is not interrupted by further signals.

    Args:
        make_node: creates the node after ROS is initialised. An `SdfposeError` is logged as fatal.
        args: command line with ``--ros-args``; None for the command line of the process.

    Returns:
        The exit status: 0 after an interrupt, 1 if the node fails with an `SdfposeError`.
    """
    rclpy.init(args=None if args is None else list(args))
    node: Node | None = None
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
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
        if rclpy.ok():
            raise
        return 0
    finally:
        # A terminal and a launch file may both send an interrupt. Ignore the second one.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
