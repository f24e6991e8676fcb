"""The work of `sdfpose grasps`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdfpose_core.cli.arguments.frames import named_frames
from sdfpose_core.cli.arguments.grasps import gripper_of
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.output import (
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.datasets import frame_folders, read_frame
from sdfpose_core.device import set_threads
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.grasping.candidates import Grasp, grasp_candidates
from sdfpose_core.grasping.frames import PartFrame, parts_of
from sdfpose_core.grasping.gripper import Gripper
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.scene.distance_volume import DistanceVolumes
from sdfpose_core.scene.scene import Scene

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Find the candidates of all frames. Return 0 if there are any, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    folders = named_frames(args)
    check_output_file("--json", args.json)
    gripper = gripper_of(args)
    if args.threads:
        set_threads(args.threads)
    estimator = PoseEstimator(estimator_config(args), given_packs(args))
    volumes = DistanceVolumes()
    problems: list[str] = []
    found: dict[str, list[dict[str, Any]]] = {}
    for folder in (x for path in folders for x in frame_folders(path)):
        try:
            item = read_frame(folder, depth_unit=args.depth_unit)
        except FrameError as error:
            problems.append(f"{error}; frame skipped")
            continue
        found[_unused(item.name, folder, found)] = _grasps(
            estimator, volumes, item.frame, gripper, args.count
        )
    document = {"frames": found, "problems": problems}
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(found)
    if any(x["grasps"] for objects in found.values() for x in objects):
        return 0
    print("sdfpose: there is no grasp candidate", file=sys.stderr)
    return 1


def _unused(name: str, folder: Path, known: Mapping[str, object]) -> str:
    """The name of a frame, or its path if another frame has the same name."""
    return name if name not in known else str(folder)


def _grasps(
    estimator: PoseEstimator,
    volumes: DistanceVolumes,
    frame: RgbdFrame,
    gripper: Gripper,
    count: int,
) -> list[dict[str, Any]]:
    """The objects of a frame with their candidates, as JSON objects."""
    instances, _ = estimator.segment(frame)
    supports = {x.mask_id: x.support for x in instances}
    estimates = estimator.estimate(instances).estimates
    scene = Scene.of(estimates, estimator.decoder, volumes)
    return [
        _as_json(
            x,
            parts_of(x, estimator.categories[x.category].frames),
            grasp_candidates(
                x,
                scene,
                x.mask_id,
                gripper=gripper,
                support=supports[x.mask_id],
                eye=np.zeros(3),
                count=count,
            ),
        )
        for x in estimates
    ]


def _as_json(
    estimate: ObjectEstimate, parts: Sequence[PartFrame], grasps: Sequence[Grasp]
) -> dict[str, Any]:
    return {
        "mask_id": int(estimate.mask_id),
        "category": estimate.category,
        "confidence": float(estimate.confidence),
        "parts": {
            x.name: {
                "R": (estimate.rotation @ x.rotation).tolist(),
                "t": (estimate.rotation @ x.translation + estimate.translation).tolist(),
            }
            for x in parts
            if not (x.name == "handle" and estimate.symmetric_about_y)
        },
        "grasps": [
            {
                "R": x.rotation.tolist(),
                "t": x.translation.tolist(),
                "width_m": x.width_m,
                "opening_m": x.opening_m,
                "quality": x.quality,
                "clearance_m": x.clearance_m,
            }
            for x in grasps
        ],
    }


def _print(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    table = new_table("sdfpose grasps: the best of each object")
    table.add_column("frame", overflow="fold")
    for heading in ("object", "candidates", "quality", "width (mm)", "x, y, z (m)"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, objects in found.items():
        for x in objects:
            cells = [f"{x['category']} {x['mask_id']}", str(len(x["grasps"]))]
            if x["grasps"]:
                best = x["grasps"][0]
                place = ", ".join(f"{v:.3f}" for v in best["t"])
                cells += [f"{best['quality']:.2f}", f"{1e3 * best['width_m']:.0f}", place]
            table.add_row(name, *cells)
    wide_console().print(table)
