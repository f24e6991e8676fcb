"""The work of `sdfpose doctor`.

Other packages add checks as entry points of the group `sdfpose.diagnosis`: ``environment``, a
module with ``environment_findings() -> list[Finding]``, and ``camera``, a module with ``observe``
for live cameras.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import get_args

from rich.console import Console
from rich.text import Text

from sdfpose_core.categories import Categories
from sdfpose_core.cli.arguments.doctor import LIVE_S
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.output import wide_console, write_json
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.diagnosis.camera import diagnose_camera
from sdfpose_core.diagnosis.environment import environment_findings
from sdfpose_core.diagnosis.findings import Finding, Level, worst_level
from sdfpose_core.diagnosis.recordings import bag_sample, folder_sample
from sdfpose_core.errors import ConfigurationError, PackError

__all__ = ["run"]

_GROUP = "sdfpose.diagnosis"


_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def run(args: argparse.Namespace) -> int:
    """Run the checks. Return 0 without a fault, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the recording cannot be read.
    """
    check_output_file("--json", args.json)
    environment = [*environment_findings(args.weights), *_ros_findings(network=args.network)]
    camera = [] if args.camera is None else _camera_findings(args)
    worst = worst_level(x.level for x in (*environment, *camera))
    if args.json is not None:
        write_json(
            args.json,
            {
                "status": worst,
                "environment": [x.as_json() for x in environment],
                "camera": [x.as_json() for x in camera],
            },
        )
    console = wide_console()
    _print(console, "Environment", environment)
    if args.camera is not None:
        _print(console, f"Camera {':'.join(args.camera)}", camera)
    console.print(_summary([*environment, *camera]), highlight=False)
    return 1 if worst == "fault" else 0


def _extension(name: str) -> ModuleType | None:
    """Return a module of the package for ROS 2; None if it is not installed."""
    found = [x for x in metadata.entry_points(group=_GROUP) if x.name == name]
    return found[0].load() if found else None


def _ros_findings(*, network: bool) -> list[Finding]:
    checks = _extension("environment")
    if checks is None:
        return [
            Finding(
                "warning",
                "ROS 2",
                "the package sdfpose_ros is not installed",
                "install sdfpose as a whole to run nodes and observe live cameras",
            )
        ]
    found: list[Finding] = checks.environment_findings(network=network)
    return found


def _camera_findings(args: argparse.Namespace) -> list[Finding]:
    known = _known_categories(args)
    kind, place = args.camera
    topics = dict(args.topic)
    if kind != "topic" and args.network:
        raise ConfigurationError("--network has no effect on recordings: expected topic:NAMESPACE")
    if kind == "frames":
        if topics or args.seconds is not None:
            raise ConfigurationError(
                "--topic and --seconds have no effect on frame folders: expected them with "
                "topic:NAMESPACE or bag:FILE"
            )
        return diagnose_camera(folder_sample(Path(place), depth_unit=args.depth_unit), known)
    if kind == "bag":
        sample = bag_sample(place, topics=topics, seconds=args.seconds, depth_unit=args.depth_unit)
        return diagnose_camera(sample, known)
    observer = _extension("camera")
    if observer is None:
        raise ConfigurationError(
            "topic: needs ROS 2 and the package sdfpose_ros: install sdfpose as a whole, or check "
            "a recording (bag:FILE, frames:DIR)"
        )
    sample = observer.observe(
        place,
        topics=topics,
        seconds=args.seconds or LIVE_S,
        depth_unit=args.depth_unit,
        network=args.network,
    )
    return diagnose_camera(sample, known, live=True)


def _known_categories(args: argparse.Namespace) -> Categories | None:
    """The categories that labels may name; None if packs cannot be used, which is a finding."""
    try:
        return given_packs(args).categories
    except PackError:
        return None


def _print(console: Console, title: str, findings: Sequence[Finding]) -> None:
    width = max((len(x.name) for x in findings), default=0)
    margin = max(map(len, get_args(Level)))
    console.print(title)
    for x in findings:
        line = Text.assemble(
            "  ", (x.level.ljust(margin), _STYLES[x.level]), f"  {x.name.ljust(width)}  {x.text}"
        )
        console.print(line, highlight=False, soft_wrap=True)
        if x.remedy and x.level != "ok":
            indent = " " * (4 + margin + width)
            console.print(f"{indent}  -> {x.remedy}", highlight=False, soft_wrap=True)


def _summary(findings: Sequence[Finding]) -> str:
    counts = {level: sum(x.level == level for x in findings) for level in get_args(Level)}
    return (
        f"{counts['ok']} ok, {counts['warning']} "
        f"{'warning' if counts['warning'] == 1 else 'warnings'}, {counts['fault']} "
        f"{'fault' if counts['fault'] == 1 else 'faults'}"
    )
