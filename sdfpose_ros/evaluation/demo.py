"""The demo: simulated camera, pose node and evaluator as processes of one ROS 2 graph."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import SdfposeError
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.viewer.address import Address
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.middleware import free_domain, one_machine_environment
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.startup import STARTUP_S, check_ros
from sdfpose_ros.graph.topics import input_remaps, result_remaps

__all__ = ["DemoError", "DemoOptions", "run_demo"]

_WRITING_S = 30.0
"""Longest wait for the evaluator to write its outputs."""

_POLL_S = 0.2
_OVERLAY = "overlay.png"
_OUTPUTS = (_OVERLAY, "objects.json", "demo.mcap", "*.ply")


class DemoError(SdfposeError):
    """A process of the demo failed, or the demo did not end in time."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of the demo.

    Attributes:
        output_dir: output folder; the outputs of an earlier run are replaced.
        seconds: duration of the evaluation after the first result.
        rate_hz: frame rate of the camera.
        seed: seed of the simulated scene.
        device: device of the networks.
        domain_id: ROS domain id; None for one that no other process on this machine uses.
        viewer: address of the viewer, which stays open after the evaluation; None for none.
    """

    output_dir: Path
    seconds: float = 30.0
    rate_hz: float = 3.0
    seed: int = 0
    device: str = "auto"
    domain_id: int | None = None
    viewer: Address | None = None


def run_demo(options: DemoOptions, log: Callable[[str], None]) -> int:
    """Run the demo.

    Args:
        options: options of the demo.
        log: shows a line to the user. The evaluator itself writes to standard output.

    Returns:
        0 if every category was estimated, 1 if not.

    Raises:
        ConfigurationError: ROS 2 cannot be used in this environment.
        DemoError: a process failed. The message ends with its last words.
    """
    output = options.output_dir.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for pattern in _OUTPUTS:
        for path in output.glob(pattern):
            path.unlink()
    check_ros()
    domain = free_domain() if options.domain_id is None else options.domain_id
    environment = {**one_machine_environment(), "ROS_DOMAIN_ID": str(domain)}
    log(f"demo: ROS_DOMAIN_ID={domain}, logs in {output / 'log'}")
    with ProcessGroup(output / "log", ros_child_environment(environment)) as group:
        _start(group, options, output)
        for line in options.viewer.lines() if options.viewer is not None else ():
            log(line)
        status = _wait(group, time.monotonic() + STARTUP_S + options.seconds + _WRITING_S)
        for line in _results(options.output_dir):
            log(line)
        if options.viewer is not None:
            _watch(group, log)
        return status


def _start(group: ProcessGroup, options: DemoOptions, output: Path) -> None:
    names = [x for x in default_categories() if x in FAMILIES]  # the simulated objects
    inputs, results = input_remaps("/camera"), result_remaps("/sdfpose")
    group.start_node(
        "node",
        "sdfpose_ros.pose.pose_node",
        ["--ros-args", *inputs, *parameter_arguments(device=options.device)],
    )
    group.start_node(
        "evaluator",
        "sdfpose_ros.evaluation.evaluator_node",
        [
            "--ros-args", *inputs, *results,
            *parameter_arguments(
                duration_s=float(options.seconds),
                startup_s=STARTUP_S,
                output_dir=str(output),
                categories=names,
            ),
        ],
        show=True,
    )  # fmt: skip
    if options.viewer is not None:
        address = parameter_arguments(host=options.viewer.host, port=options.viewer.port)
        group.start_node(
            "viewer",
            "sdfpose_ros.viewer.viewer_node",
            ["--ros-args", *inputs, *results, *address],
        )
    group.start_node(
        "camera",
        "sdfpose_ros.playback.camera_node",
        [
            "--ros-args",
            *parameter_arguments(rate_hz=float(options.rate_hz), seed=options.seed),
        ],
    )  # fmt: skip


def _results(folder: Path) -> list[str]:
    """What the folder of results holds, and what to do with it; nothing if it is empty."""
    found = []
    for pattern in _OUTPUTS:
        names = sorted(x.name for x in folder.glob(pattern))
        found += names if len(names) < 2 else [f"{len(names)} meshes ({names[0]}, ...)"]
    if not found:
        return []
    return [
        f"demo: {folder} holds {', '.join(found)}",
        f"demo: look at {folder / _OVERLAY}, or browse all in a browser: sdfpose view {folder}",
    ]


def _watch(group: ProcessGroup, log: Callable[[str], None]) -> None:
    """Keep the viewer until the user interrupts the demo."""
    with contextlib.suppress(KeyboardInterrupt):
        log("viewer: Ctrl-C ends it")
        while "viewer" not in group.ended():
            time.sleep(_POLL_S)


def _wait(group: ProcessGroup, deadline: float) -> int:
    """Wait for the evaluator, which ends the demo, and return its exit status."""
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
    raise DemoError("the demo did not end in time: see the logs of its processes for the cause")


def _failed(group: ProcessGroup, name: str, status: int) -> DemoError:
    return DemoError(
        f"the process '{name}' ended with status {status} (log: {group.log_path(name)}): "
        f"{group.last_words(name)}"
    )
