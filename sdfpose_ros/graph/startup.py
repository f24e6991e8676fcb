"""Start of a node: check of the ROS 2 environment, middleware settings, quiet interrupts.

Imports nothing of ROS, so that a missing or foreign ROS 2 is one sentence and an interrupt during
the imports is no traceback. ``python -m sdfpose_ros.graph.startup MODULE ...`` runs the node of a
module.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_ros.graph.interfaces import differing_interfaces
from sdfpose_ros.graph.middleware import LAST_DOMAIN_ID, prepare_middleware
from sdfpose_ros.graph.ros_distribution import sourced_distributions, wheel_distributions

__all__ = ["STARTUP_S", "Interrupts", "check_ros", "end_process", "run_executable", "start_node"]

STARTUP_S = 90.0
"""Longest wait for the first result of a pose node, which loads torch and the weights first."""

_ERROR = 2
"""Exit status if the environment cannot run a node, as for wrong arguments."""

_SOURCED = ("PYTHONPATH", "AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "RMW_IMPLEMENTATION")
"""Variables that a sourced ROS 2 installation sets and that affect another one."""


_BUILD_MESSAGES = (
    "with ROS 2 from wheels, run 'pip install --no-build-isolation --no-deps "
    "./packaging/interfaces' in the source folder; with a ROS 2 installation, build the workspace "
    "with colcon and source its install/setup.bash"
)


class Interrupts:
    """Handler of SIGINT: ends the process while a node starts, and does nothing afterwards.

    rclpy calls it in addition to its own handler, which ends the spinning. A `KeyboardInterrupt`
    could instead surface in any callback or import, with a traceback.

    Attributes:
        starting: whether an interrupt ends the process. There is nothing to write yet.
    """

    def __init__(self) -> None:
        self.starting = True
        self._before: Any = None

    def install(self) -> None:
        """Install the handler, unless this is not the main thread. Call this before `rclpy.init`.

        A process that ignores SIGINT, such as a background job of a shell, keeps ignoring it.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._take)

    def uninstall(self) -> None:
        """Install the earlier handler again, unless another one was installed since."""
        if self._before is not None and signal.getsignal(signal.SIGINT) == self._take:
            signal.signal(signal.SIGINT, self._before)

    def ignore(self) -> None:
        """Ignore further interrupts: a terminal and a launch file may both send one."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.starting:
            end_process(0)


def end_process(status: int) -> NoReturn:
    """End the process at once, without waiting for threads that are in native code.

    Python's own end would take the interpreter away from under them, which aborts the process.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and "multiprocessing.util" in sys.modules:
        for child in multiprocessing.active_children():
            child.kill()
        multiprocessing.util._run_finalizers(0)  # otherwise a warning tells of leaked semaphores
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError, RuntimeError):
            continue  # closed, a pipe that nobody reads, or interrupted while it is flushed
    os._exit(status)


def start_node(module: str, arguments: Sequence[str]) -> int:
    """Import the module of a node and run its ``main``.

    Args:
        module: module with ``main(args) -> int``.
        arguments: command line, e.g. ``--ros-args -p device:=cpu``.

    Returns:
        The exit status.

    Raises:
        ConfigurationError: ROS 2 or a message package cannot be used in this environment.
    """
    interrupts = Interrupts()
    interrupts.install()
    try:
        check_ros()
        try:
            main = importlib.import_module(module).main
        except ImportError as error:
            raise ConfigurationError(
                f"{module} cannot be loaded: {error}: install the package that is missing"
            ) from error
        return int(main(list(arguments)))
    finally:
        interrupts.uninstall()


def run_executable(module: str, arguments: Sequence[str] | None = None) -> int:
    """Run a node as an executable of its own: `start_node`, with an error as one line.

    Args:
        module: module with ``main(args) -> int``.
        arguments: command line; None for that of the process.
    """
    Interrupts().install()
    prepare_middleware()
    try:
        return start_node(module, sys.argv[1:] if arguments is None else arguments)
    except SdfposeError as error:
        sys.stderr.write(f"sdfpose: error: {error}\n")
        return _ERROR


def check_ros() -> None:
    """Check that rclpy and the messages of sdfpose can be used.

    Raises:
        ConfigurationError: they cannot; says why and what to do.
    """
    _check_python("rclpy")
    if _location("rclpy") is None:
        raise ConfigurationError(
            f"ROS 2 is not installed for {sys.executable}: source a ROS 2 installation "
            "('. /opt/ros/DISTRO/setup.bash') or install it from wheels (see packaging/README.md)"
        )
    _check_distribution()
    _check_middleware()
    _check_domain()
    try:
        importlib.import_module("rclpy.node")
    except Exception as error:  # a broken installation may raise anything
        raise ConfigurationError(
            f"rclpy of {_location('rclpy')} cannot be loaded: {_one_line(error)}: "
            f"{_clean_terminal()}"
        ) from error
    _check_python("sdfpose")
    try:
        message = importlib.import_module("sdfpose.msg").SdfObjectArray
        importlib.import_module("sdfpose.srv")
        importlib.import_module("rclpy.type_support").check_for_type_support(message)
    except Exception as error:
        raise ConfigurationError(
            f"the ROS 2 messages of sdfpose are not usable with {sys.executable}: "
            f"{_one_line(error)}: {_BUILD_MESSAGES}"
        ) from error
    _check_interfaces()


def _check_interfaces() -> None:
    """Check that the messages that are imported are those of this release.

    Raises:
        ConfigurationError: they are older or newer ones.
    """
    folder = _location("sdfpose")
    others = [] if folder is None else differing_interfaces(folder / "sdfpose")
    if others:
        raise ConfigurationError(
            f"the ROS 2 messages of sdfpose in {folder} are not those of this release "
            f"({', '.join(others)} differ): {_BUILD_MESSAGES}; source no workspace with older ones "
            "after it"
        )


def _check_distribution() -> None:
    """Check that all of ROS 2 is of one distribution: libraries of two do not fit together.

    Raises:
        ConfigurationError: it is not.
    """
    wheels, sourced = wheel_distributions(), sourced_distributions()
    if len(wheels) > 1:
        raise ConfigurationError(
            f"{sys.prefix} has the ROS 2 wheels of {' and '.join(wheels)}, which overwrite each "
            "other's files: make a new environment with those of one (make setup, or make setup "
            "DISTRO=kilted; see packaging/README.md)"
        )
    if len(sourced) > 1:
        raise ConfigurationError(
            f"ROS 2 {' and '.join(sourced)} are sourced together: source one of them, in a new "
            "terminal"
        )
    if wheels and sourced and wheels != sourced:
        raise ConfigurationError(
            f"ROS 2 {sourced[0]} is sourced, but {sys.prefix} has the wheels of ROS 2 {wheels[0]}: "
            f"{_without_sourced()}"
        )


def _check_python(package: str) -> None:
    """Check that a package is not one of another Python version.

    Raises:
        ConfigurationError: it is.
    """
    folder = _location(package)
    found = re.search(r"/python(\d+\.\d+)/", f"{folder}/")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if found is not None and found[1] != own:
        raise ConfigurationError(
            f"{package} of {folder} is for Python {found[1]}, but {sys.executable} is Python "
            f"{own}: {_clean_terminal()}"
        )


def _check_middleware() -> None:
    """Check that wheels have the selected middleware: rcl would end the process.

    Raises:
        ConfigurationError: they do not.
    """
    wanted = os.environ.get("RMW_IMPLEMENTATION", "")
    prefix = Path(sys.prefix)
    known = prefix / "share/ament_index/resource_index/rmw_typesupport"
    folder = _location("rclpy")
    if not wanted or folder is None or not folder.is_relative_to(prefix) or not known.is_dir():
        return
    names = sorted(x.name for x in known.iterdir())
    if wanted not in names:
        raise ConfigurationError(
            f"RMW_IMPLEMENTATION is '{wanted}', which {prefix} does not have: expected "
            f"{' or '.join(names)}; set it to that, or run 'unset RMW_IMPLEMENTATION'"
        )


def _check_domain() -> None:
    """Check the domain id of the environment: the middleware ends the process for a wrong one.

    Raises:
        ConfigurationError: it is not valid.
    """
    domain = os.environ.get("ROS_DOMAIN_ID", "").strip()
    if domain and not (domain.isdecimal() and int(domain) <= LAST_DOMAIN_ID):
        raise ConfigurationError(
            f"ROS_DOMAIN_ID is '{domain}': expected an integer from 0 to {LAST_DOMAIN_ID}"
        )


def _location(package: str) -> Path | None:
    """Return the folder that a package would be imported from; None if it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return Path(folders[0]).parent if folders else None


def _clean_terminal() -> str:
    if not _sourced_variables():
        return "install ROS 2 again for this Python (see packaging/README.md)"
    return f"another ROS 2 seems to be sourced: {_without_sourced()}"


def _without_sourced() -> str:
    command = " ".join(["env", *(f"-u {name}" for name in _sourced_variables())])
    return f"use a terminal in which none is, or put '{command}' before the command"


def _sourced_variables() -> list[str]:
    return [name for name in _SOURCED if os.environ.get(name)]


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


if __name__ == "__main__":
    sys.exit(run_executable(sys.argv[1], sys.argv[2:]))
