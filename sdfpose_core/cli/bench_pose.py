"""`sdfpose bench pose`: measure accuracy, calibration and speed of pose estimation."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from sdfpose_core.benchmark.mesh_folder import mesh_files
from sdfpose_core.benchmark.poses import (
    MEASURES,
    PoseOutcome,
    mesh_cases,
    real_cases,
    real_folders,
    run_cases,
    summarise,
    synthetic_cases,
)
from sdfpose_core.benchmark.sequences import SEQUENCES, summarise_sequences, track_sequence
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.category_choice import usable_categories
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
    estimator_config,
)
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.output import (
    add_json_argument,
    measure_heading,
    new_table,
    print_problems,
    wide_console,
    write_json,
)
from sdfpose_core.cli.paths import check_input_folder, check_output_file, path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator

__all__ = ["add_parser", "run"]

_INSTANCES = 300
"""Default number of instances per category."""

_NEEDS_DATA = ("meshes", "real")

_PARTS: dict[str, Callable[[EstimatorConfig], EstimatorConfig]] = {
    "support": lambda x: replace(
        x, solver=replace(x.solver, support_weight=0.0, contact_weight=0.0)
    ),
    "free-space": lambda x: replace(x, solver=replace(x.solver, free_space_weight=0.0)),
    "rotation-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, rotation_weight=0.0)
    ),
    "shape-prior": lambda x: replace(
        x, network_prior=replace(x.network_prior, shape_sd_factor=math.inf)
    ),
    "yaw-starts": lambda x: replace(x, yaw_starts=0),
}
"""Parts of the estimator that can be switched off."""

_FORMER_PARTS = {"belief": "rotation-prior", "shape-belief": "shape-prior", "turns": "yaw-starts"}
"""Former names of parts, still accepted."""


def add_parser(benchmarks: Any) -> None:
    """Declare the benchmark's arguments."""
    parser = benchmarks.add_parser(
        "pose",
        help="measure accuracy, calibration and speed of pose estimation",
        description=(
            "Estimate instances with known poses, each from a single image and its mask. Average "
            "precisions are in per cent and follow the NOCS benchmark with oriented boxes: "
            "detections are ordered by confidence, and a missed object lowers the recall."
        ),
        epilog="Example: sdfpose bench pose --suite synthetic --category mug can --count 50",
    )
    parser.add_argument(
        "--suite",
        required=True,
        choices=("synthetic", "meshes", "real", "sequence"),
        help=(
            "synthetic: unseen procedural objects on simulated tables; meshes: the meshes of "
            "--data on simulated tables; real: the labelled frames of --data; sequence: tracking "
            "of moving simulated objects"
        ),
    )
    parser.add_argument(
        "--data",
        type=path_argument,
        metavar="DIR",
        help="folder with meshes/CATEGORY/NAME.obj (suite meshes) or frames/NAME/ (suite real)",
    )
    parser.add_argument("--category", nargs="+", metavar="NAME", help="categories (default: all)")
    parser.add_argument(
        "--count",
        type=integer(),
        help=(
            f"simulated instances per category (default: {_INSTANCES}), or number of sequences "
            f"for the suite sequence (default: {SEQUENCES})"
        ),
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="random seed of the test set (default: 0)"
    )
    add_estimator_arguments(parser, device="cpu")
    add_depth_unit_argument(parser)
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        type=_part,
        choices=tuple(_PARTS),
        metavar="PART",
        help=f"switch off parts of the estimator, for an ablation: {', '.join(_PARTS)}",
    )
    add_json_argument(parser)
    add_threads_argument(parser)
    parser.set_defaults(benchmark=run)


def run(args: argparse.Namespace) -> int:
    """Run one suite.

    Raises:
        SdfposeError: An argument is invalid, or the weights or data cannot be used.
    """
    if args.count is None:
        args.count = SEQUENCES if args.suite == "sequence" else _INSTANCES
    check_output_file("--json", args.json)
    if args.suite in _NEEDS_DATA:
        if args.data is None:
            raise ConfigurationError(f"--suite {args.suite} needs --data DIR")
        layout = "frames/NAME" if args.suite == "real" else "meshes/CATEGORY/NAME.obj"
        check_input_folder("--data", args.data, layout)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    config = estimator_config(args)
    for part in args.without:
        config = _PARTS[part](config)
    problems: list[str] = []
    names = usable_categories(
        default_categories(),
        args.category,
        problems,
        family=args.suite not in _NEEDS_DATA,
        networks=("decoder",) if args.encoder == "none" else ("decoder", "encoder"),
        weights=args.weights,
    )
    estimator = PoseEstimator(config, default_categories())
    for name in names:
        estimator.load(name)
    if args.suite == "sequence":
        document = {"suite": args.suite} | _track_sequences(args, estimator, names)
    else:
        outcomes = _outcomes(args, estimator, names, problems)
        if not any(outcomes.values()):
            reasons = "; ".join(["no usable instance", *problems[:1]])
            raise ConfigurationError(f"--suite {args.suite}: {args.data or ''}: {reasons}")
        document = {"suite": args.suite} | summarise(outcomes)
        if args.suite == "real":
            document["instances"] = [_instance(x) for some in outcomes.values() for x in some]
    document["problems"] = problems
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    if args.suite == "real":
        _print_instances(document["instances"])
    _print(document)
    if args.suite == "sequence":
        _print_tracking(document)
    return 0


def _outcomes(
    args: argparse.Namespace, estimator: PoseEstimator, names: Sequence[str], problems: list[str]
) -> dict[str, list[PoseOutcome]]:
    """Estimate the instances of a suite one by one; only the outcomes are kept in memory."""
    colour = args.encoder == "ssc6d"  # the other encoders do not use colour
    outcomes: dict[str, list[PoseOutcome]] = {name: [] for name in names}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        if args.suite == "real":
            folders = real_folders(args.data)
            task = bar.add_task("frames", total=len(folders))
            cases = real_cases(
                folders,
                estimator.categories,
                names,
                problems,
                colour=colour,
                depth_unit=args.depth_unit,
                progress=partial(bar.advance, task),
            )
            for outcome in run_cases(estimator, cases):
                outcomes[outcome.truth.category].append(outcome)
                estimator.shapes.forget()
            return outcomes
        files = mesh_files(args.data, names, problems) if args.suite == "meshes" else {}
        for name in names:
            if args.suite == "synthetic":
                cases = synthetic_cases(name, args.count, args.seed, colour=colour)
            elif files[name]:
                cases = mesh_cases(
                    files[name], name, args.count, args.seed, problems, colour=colour
                )
            else:
                continue
            task = bar.add_task(name, total=args.count)
            for outcome in run_cases(estimator, cases, progress=partial(bar.advance, task)):
                outcomes[name].append(outcome)
                estimator.shapes.forget()
            bar.update(task, total=len(outcomes[name]))
    return outcomes


def _part(name: str) -> str:
    """Return the current name of a part; former names are accepted."""
    return _FORMER_PARTS.get(name, name)


def _track_sequences(
    args: argparse.Namespace, estimator: PoseEstimator, names: Sequence[str]
) -> dict[str, Any]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sequences", total=args.count)
        progress = partial(bar.advance, task)
        return summarise_sequences(
            [
                track_sequence(estimator, names, number, args.seed, progress=progress)
                for number in range(args.count)
            ]
        )


def _instance(outcome: PoseOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "category": outcome.truth.category,
        "rot_err_deg": outcome.degrees,
        "trans_err_cm": outcome.centimetres,
        "iou": outcome.iou,
        "confidence": outcome.confidence,
    }


def _print_instances(instances: Sequence[Mapping[str, Any]]) -> None:
    table = new_table("instances")
    for name in ("instance", "category"):
        table.add_column(name, overflow="fold")
    for name in ("rot. deg", "trans. cm", "3D IoU", "confidence"):
        table.add_column(name, justify="right", no_wrap=True)
    for x in instances:
        table.add_row(
            Text(x["name"]),
            Text(x["category"]),
            f"{x['rot_err_deg']:.1f}",
            f"{x['trans_err_cm']:.2f}",
            f"{x['iou']:.2f}",
            f"{x['confidence']:.2f}",
        )
    wide_console().print(table)


def _print(document: Mapping[str, Any]) -> None:
    table = new_table(f"sdfpose bench pose --suite {document['suite']}")
    table.add_column("category", overflow="fold")
    for heading in (
        "n",
        *map(measure_heading, MEASURES),
        "rot.\ndeg",
        "trans.\ncm",
        "Chamfer\nmm",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, x in [*document["per_category"].items(), ("mean", document["mean"])]:
        table.add_row(
            Text(name),
            str(x["n"]),
            *(f"{x[measure]:.1f}" for measure in MEASURES),
            _number(x["rot_median_deg"], 2),
            _number(x["trans_median_cm"], 2),
            _number(x["chamfer_median_mm"], 2),
        )
    console = wide_console()
    console.print(table)
    mean, ms = document["mean"], document["time_ms"]
    lines = [
        f"confidence: calibration error {mean['ece']:.3f}, AUROC {_number(mean['auroc'], 3)}",
        "median time: " + ", ".join(f"{stage} {value:.0f} ms" for stage, value in ms.items()),
    ]
    for title, bins in (
        ("visible fraction", document["by_visibility"]),
        ("distance (m)", document["by_distance_m"]),
    ):
        if bins:
            shares = ", ".join(
                f"{k}: {v['right_percent']:.0f} % of {v['n']}" for k, v in bins.items()
            )
            lines.append(f"within 10 deg and 5 cm by {title}: {shares}")
    for line in lines:
        console.print(line, highlight=False)


def _print_tracking(document: Mapping[str, Any]) -> None:
    lines = [
        f"tracking: {document['id_switches']} id switches, {document['flips']} flips "
        f"({document['flips_that_mend']} of them corrective), {document['recoveries']} of "
        f"{document['gaps']} gaps recovered, drift {_number(document['drift_deg'], 2)} deg and "
        f"{_number(document['drift_cm'], 2)} cm over {document['drift_tracks']} tracks"
    ]
    for title, key in (("detected from scratch", "detection"), ("tracked", "tracking_there")):
        if (x := document[key]) is not None:
            lines.append(
                f"{x['n']} objects {title}: rot. {_number(x['rot_median_deg'], 2)} deg, trans. "
                f"{_number(x['trans_median_cm'], 2)} cm, IoU50 {x['iou50']:.1f}, 5 deg 2 cm "
                f"{x['deg5_cm2']:.1f}, 10 deg 5 cm {x['deg10_cm5']:.1f}"
            )
    console = wide_console()
    for line in lines:
        console.print(line, highlight=False)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
