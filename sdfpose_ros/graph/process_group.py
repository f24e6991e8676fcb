"""A group of child processes that are stopped together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["ProcessGroup", "ros_child_environment"]

_INTERRUPT_S, _TERMINATE_S = 8.0, 3.0
"""Time for the children to end after SIGINT, and after SIGTERM."""

_TAIL_LINES = 20

_FATAL = re.compile(r"^\[FATAL\] \[[\d.]+\] \[[^\]]*\]: (.+)$", re.MULTILINE)
"""Why a node of `run_node` ended, in the format of rcl's log."""


def ros_child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a Python child process that imports rclpy.

    The ROS 2 wheels restart Python once to set LD_LIBRARY_PATH, and record that in an environment
    variable. A child that inherits the variable without the path cannot import rclpy.

    Args:
        extra: variables to add.
    """
    environment = {**os.environ, **extra}
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    return environment


def _restore_interrupts() -> None:
    """Restore SIGINT in the child: a shell makes its background jobs ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class ProcessGroup:
    """Context manager that stops all its child processes on exit.

    Args:
        log_dir: folder for the logs, one ``NAME.log`` per child.
        environment: environment of the children.
    """

    def __init__(self, log_dir: Path, environment: Mapping[str, str]) -> None:
        self._log_dir = log_dir
        self._environment = dict(environment)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        log_dir.mkdir(parents=True, exist_ok=True)

    def start_module(
        self, name: str, module: str, arguments: Sequence[str], *, show: bool = False
    ) -> subprocess.Popen[bytes]:
        """Run a Python module as a child process.

        Args:
            name: name of the child and its log.
            module: Python module, run with the current interpreter.
            arguments: command line of the module.
            show: let the child write to the standard output of this process, not to the log.
        """
        log = self.log_path(name).open("wb")
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=None if show else log,
            stderr=log,
            env=self._environment,
            preexec_fn=_restore_interrupts,
        )
        log.close()
        self._children[name] = child
        return child

    def start_node(
        self, name: str, module: str, arguments: Sequence[str], *, show: bool = False
    ) -> subprocess.Popen[bytes]:
        """Run the node of a module as a child process; arguments as of `start_module`."""
        return self.start_module(name, "sdfpose_ros.graph.startup", [module, *arguments], show=show)

    def ended(self) -> dict[str, int]:
        """Return the exit status of each child that has ended, by name."""
        states = {name: child.poll() for name, child in self._children.items()}
        return {name: state for name, state in states.items() if state is not None}

    def log_path(self, name: str) -> Path:
        """Return the log of a child."""
        return self._log_dir / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """Return the last lines of the log of a child."""
        return "\n".join(self._log(name).splitlines()[-_TAIL_LINES:])

    def last_words(self, name: str) -> str:
        """Return why a child ended, as far as it said so.

        This is its last fatal message, one sentence; without any, the last lines of its log, which
        begin in a new line.
        """
        fatal = _FATAL.findall(self._log(name))
        return str(fatal[-1]) if fatal else f"end of its log:\n{self.log_tail(name)}"

    def stop(self) -> None:
        """Stop all children: by SIGINT, then SIGTERM, then SIGKILL."""
        for number, patience_s in (
            (signal.SIGINT, _INTERRUPT_S),
            (signal.SIGTERM, _TERMINATE_S),
            (signal.SIGKILL, _TERMINATE_S),
        ):
            running = [c for c in self._children.values() if c.poll() is None]
            for child in running:
                child.send_signal(number)
            end = time.monotonic() + patience_s
            for child in running:
                try:
                    child.wait(max(0.0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _log(self, name: str) -> str:
        return self.log_path(name).read_text(encoding="utf-8", errors="replace")
