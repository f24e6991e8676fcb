"""The work of `sdfpose bench world`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import torch

from sdfpose_core.benchmark.extents import DURATION_S, RATE_HZ, RIG_DURATION_S, RIG_RATE_HZ
from sdfpose_core.benchmark.world import (
    WorldRun,
    against_one_camera,
    summarise_world,
    track_world,
)
from sdfpose_core.benchmark.world_sequences import ArmSequence, RigSequence
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.output import figure, wide_console, write_json
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.estimation.estimator import PoseEstimator

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the world benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    check_output_file("--json", args.json)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    estimator = PoseEstimator(estimator_config(args), given_packs(args))
    rig = args.cameras > 1
    duration_s = args.duration or (RIG_DURATION_S if rig else DURATION_S)
    rate_hz = args.hz or (RIG_RATE_HZ if rig else RATE_HZ)
    runs, alone = [], []
    with progress_bar() as bar:
        task = bar.add_task("tracking", total=args.count * (1 + args.cameras * rig))

        def advance(share: float) -> None:
            bar.advance(task, share)

        for number in range(args.seed, args.seed + args.count):
            if rig:
                both, each = _rig_runs(
                    estimator, number, args.cameras, duration_s, rate_hz, advance
                )
                runs.append(both)
                alone.append(each)
            else:
                arm = ArmSequence(number, duration_s=duration_s, rate_hz=rate_hz)
                runs.append(track_world(estimator, arm, progress=advance))
    document = {"cameras": args.cameras, "seed": args.seed, **summarise_world(runs)}
    if rig:
        document |= against_one_camera(runs, alone)
    if args.json is not None:
        write_json(args.json, document)
    _print(document)
    return 0


def _rig_runs(
    estimator: PoseEstimator,
    seed: int,
    cameras: int,
    duration_s: float,
    rate_hz: float,
    progress: Callable[[float], None],
) -> tuple[WorldRun, list[WorldRun]]:
    """A run with all cameras of a rig, and one with each camera alone."""

    def sequence(only: int | None) -> RigSequence:
        return RigSequence(seed, cameras, duration_s=duration_s, rate_hz=rate_hz, only=only)

    both = track_world(estimator, sequence(None), progress=progress)
    return both, [
        track_world(estimator, sequence(k), fronts=both.fronts, progress=progress)
        for k in range(cameras)
    ]


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    last = document["last"]
    if document["cameras"] == 1:
        other = f"of single images {_errors(document['single'])}"
    else:
        other = f"of one camera {_errors(document['one_camera'])}"
    for line in (
        f"{document['objects']} objects in {document['images']} images: "
        f"{document['id_switches']} id switches, {document['given_up']} given up; one id in "
        f"{figure(document['one_id'], 1)} % of the images",
        f"{figure(document['reidentified'], 1)} % of {document['returns']} returns under the "
        "former id within two images",
        f"median errors in the world: at the end {_errors(last)}, {other}; ratio "
        f"{figure(document['error_ratio'], 2)}",
    ):
        console.print(line, highlight=False)
    if document["cameras"] > 1:
        console.print(
            f"fronts found: {figure(document['front_found'], 1)} %, by one camera alone "
            f"{figure(document['front_found_alone'], 1)} %",
            highlight=False,
        )


def _errors(x: Mapping[str, float | None]) -> str:
    return f"{figure(x['degrees'], 2)} deg and {figure(x['centimetres'], 2)} cm"
