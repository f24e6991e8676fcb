"""The demo: a simulated camera, the pose node and an evaluator as processes of one ROS 2 graph."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import SdfposeError
from sdfpose_ros.graph.middleware import one_machine_environment
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps, result_remaps

__all__ = ["DemoError", "DemoOptions", "run_demo"]

_STARTUP_S = 90.0
"""How long the first result may take: torch and the weights are loaded before."""

_WRITING_S = 30.0
"""How long the evaluator may take to write its outputs."""

_POLL_S = 0.2
_LAST_DOMAIN = 101
"""Domains above it have ports that the system gives away itself."""

_OUTPUTS = ("overlay.png", "objects.json", "demo.mcap", "*.ply")


class DemoError(SdfposeError):
    """A process of the demo failed, or the demo did not end in time."""


@dataclass(frozen=True)
class DemoOptions:
    """What can be chosen of the demo.

    Attributes:
        output_dir: folder for its outputs; those of an earlier run are replaced.
        seconds: time for which results are collected.
        rate_hz: the camera's frames per second.
        seed: of the simulated scene.
        device: where networks run.
        domain_id: ROS domain; None for a random one, so that demos do not see each other.
    """

    output_dir: Path
    seconds: float = 30.0
    rate_hz: float = 3.0
    seed: int = 0
    device: str = "auto"
    domain_id: int | None = None


def run_demo(options: DemoOptions, tell: Callable[[str], None]) -> int:
    """Run the demo.

    Args:
        options: see there.
        tell: shows a line to the user; the evaluator writes to standard output itself.

    Returns:
        0 if every category was estimated, 1 if not.

    Raises:
        DemoError: a process failed; the message ends with the last lines that it wrote.
    """
    output = options.output_dir.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for pattern in _OUTPUTS:
        for path in output.glob(pattern):
            path.unlink()
    domain = options.domain_id
    if domain is None:
        domain = random.SystemRandom().randint(1, _LAST_DOMAIN)
    environment = {**one_machine_environment(), "ROS_DOMAIN_ID": str(domain)}
    tell(f"demo: ROS_DOMAIN_ID={domain}, logs in {output / 'log'}")
    with ProcessGroup(output / "log", ros_child_environment(environment)) as group:
        _start(group, options, output)
        return _wait(group, time.monotonic() + _STARTUP_S + options.seconds + _WRITING_S)


def _start(group: ProcessGroup, options: DemoOptions, output: Path) -> None:
    names = list(default_categories())
    inputs, results = input_remaps("/camera"), result_remaps("/sdfpose")
    group.start_module(
        "node",
        "sdfpose_ros.pose.pose_node",
        ["--ros-args", *inputs, "-p", f"device:={options.device}"],
    )
    group.start_module(
        "evaluator",
        "sdfpose_ros.evaluation.evaluator_node",
        [
            "--ros-args", *inputs, *results,
            "-p", f"duration_s:={options.seconds:.1f}",
            "-p", f"startup_s:={_STARTUP_S:.1f}",
            "-p", f"output_dir:='{output}'",
            "-p", f"categories:=[{', '.join(names)}]",
        ],
        show=True,
    )  # fmt: skip
    group.start_module(
        "camera",
        "sdfpose_ros.playback.camera_node",
        [
            "--ros-args",
            "-p", f"rate_hz:={options.rate_hz:.3f}",
            "-p", f"seed:={options.seed}",
        ],
    )  # fmt: skip


def _wait(group: ProcessGroup, deadline: float) -> int:
    """The evaluator's exit status; it is the one that ends the demo."""
    while time.monotonic() < deadline:
        ended = group.ended()
        if "evaluator" in ended:
            status = ended["evaluator"]
            if status not in (0, 1):
                raise _failed(group, "evaluator", status)
            return status
        for name, status in ended.items():
            raise _failed(group, name, status)
        time.sleep(_POLL_S)
    raise DemoError("the demo did not end in time: see the logs of its processes")


def _failed(group: ProcessGroup, name: str, status: int) -> DemoError:
    return DemoError(
        f"the process '{name}' ended with status {status}: expected it to run until the end of "
        f"the demo; its last words:\n{group.log_tail(name)}"
    )
