"""A group of child processes that live and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["ProcessGroup", "ros_child_environment"]

_INTERRUPT_S, _TERMINATE_S = 8.0, 3.0
"""How long children have to end after an interrupt, and after a termination signal."""

_TAIL_LINES = 20


def ros_child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a Python child that imports rclpy.

    ROS 2 from Python wheels starts Python anew once to set LD_LIBRARY_PATH, and marks that in the
    environment. A child that inherits the mark without the path cannot import rclpy.
    """
    environment = {**os.environ, **extra}
    environment.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    return environment


def _heed_interrupts() -> None:
    """In a child: undo that a shell lets its background jobs ignore interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class ProcessGroup:
    """Children that are all ended when the group is left, in whatever way.

    Args:
        log_dir: folder of their logs, one ``NAME.log`` each.
        environment: of the children.
    """

    def __init__(self, log_dir: Path, environment: Mapping[str, str]) -> None:
        self._log_dir = log_dir
        self._environment = dict(environment)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        log_dir.mkdir(parents=True, exist_ok=True)

    def start_module(
        self, name: str, module: str, arguments: Sequence[str], *, show: bool = False
    ) -> subprocess.Popen[bytes]:
        """Run a Python module as a child.

        Args:
            name: of its log.
            module: run with this Python.
            arguments: its command line.
            show: leave its standard output on this process's instead of the log.
        """
        log = self._log_path(name).open("wb")
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=None if show else log,
            stderr=log,
            env=self._environment,
            preexec_fn=_heed_interrupts,
        )
        log.close()
        self._children[name] = child
        return child

    def ended(self) -> dict[str, int]:
        """Exit status of the children that have ended, by name."""
        states = {name: child.poll() for name, child in self._children.items()}
        return {name: state for name, state in states.items() if state is not None}

    def log_tail(self, name: str) -> str:
        """The last lines that a child wrote."""
        lines = self._log_path(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def stop(self) -> None:
        """End all children: first by an interrupt, as in a terminal, then less kindly."""
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

    def _log_path(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"
