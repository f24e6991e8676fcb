"""`sdfpose eval frames`: evaluate the estimator on frame folders with ground truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    add_threads_argument,
    estimator_config,
)
from sdfpose_core.cli.output import (
    add_json_argument,
    new_table,
    precision_table,
    print_problems,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file, path_argument
from sdfpose_core.datasets import FolderFrame, read_frames
from sdfpose_core.device import set_threads
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.evaluation.frame_evaluation import (
    FrameEvaluation,
    ObjectEvaluation,
    ReportedObject,
)
from sdfpose_core.evaluation.frame_metrics import frame_metrics
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.visualisation.drawing import draw_error
from sdfpose_core.visualisation.pictures import ErrorImage, caption, worst_objects
from sdfpose_core.visualisation.report import report_page

__all__ = ["add_parser", "run"]


def add_parser(evaluations: Any) -> None:
    """Declare the evaluation's arguments."""
    parser = evaluations.add_parser(
        "frames",
        help="evaluate the estimator on frame folders with ground truth",
        description=(
            "Estimate the objects in frame folders, each image independently, and compare them "
            "with the ground truth. Print the errors of every instance, and averages with the "
            "number of instances behind them."
        ),
        epilog="Example: sdfpose eval frames frames/ --report report.html",
    )
    parser.add_argument(
        "frames",
        type=path_argument,
        nargs="+",
        metavar="DIR",
        help="frame folder, or folder of frame folders",
    )
    add_json_argument(parser)
    parser.add_argument("--report", type=path_argument, metavar="FILE", help="write an HTML report")
    add_threads_argument(parser)
    add_estimator_arguments(parser, device="auto")
    add_depth_unit_argument(parser)
    parser.set_defaults(evaluation=run)


def run(args: argparse.Namespace) -> int:
    """Estimate and evaluate the frames.

    Raises:
        SdfposeError: An argument is invalid, the weights cannot be used, or no frame has ground
            truth.
    """
    check_output_file("--json", args.json)
    check_output_file("--report", args.report)
    if args.threads:
        set_threads(args.threads)
    categories = default_categories()
    config = estimator_config(args)
    estimator = PoseEstimator(config, categories)
    problems: list[str] = []
    frames = [
        x for path in args.frames for x in read_frames(path, problems, depth_unit=args.depth_unit)
    ]
    if not any(x.ground_truth for x in frames):
        raise FrameError(
            f"{', '.join(map(str, args.frames))}: no frame has ground truth: expected meta.json "
            f"with 'gt'{'; ' + problems[-1] if problems else ''}"
        )
    evaluated, estimates = [], []
    warnings = WarningCounts()
    for frame in frames:
        result = estimator.run(frame.frame)
        problems += [f"{frame.name}: {x.reason}" for x in result.skipped]
        warnings.add(result.warnings)
        evaluated.append(_evaluate(frame, result.estimates, result.stage_ms))
        estimates.append(result.estimates)
    problems += warnings.sentences("unused")
    document = frame_metrics(evaluated)
    if args.json is not None:
        listed = [{"name": x.name, "objects": [y.as_json() for y in x.objects]} for x in evaluated]
        write_json(args.json, document | {"problems": problems, "frames": listed})
    if args.report is not None:
        pictures = [
            ErrorImage(
                caption(evaluated[x.frame].name, x.evaluation),
                draw_error(
                    frames[x.frame].frame,
                    estimates[x.frame][x.index],
                    x.evaluation.truth,
                    categories,
                    object_id=x.evaluation.reported.id,
                ),
            )
            for x in worst_objects(evaluated)
            if x.evaluation.truth is not None
        ]
        facts = {"frames": str(len(frames)), "estimates": str(sum(map(len, estimates)))}
        page = report_page(
            "Estimates on frames with ground truth",
            evaluated,
            categories,
            facts=facts,
            problems=problems,
            pictures=pictures,
            configuration=config,
        )
        write_file(args.report, page.encode(errors="replace"))
    print_problems(problems)
    console = wide_console()
    console.print(_instances(evaluated), highlight=False)
    if document["average_precision"] is not None:
        console.print(precision_table(document["average_precision"]))
    return 0


def _evaluate(
    frame: FolderFrame, estimates: Sequence[ObjectEstimate], stage_ms: dict[str, float]
) -> FrameEvaluation:
    """Compare estimates with the ground truth of the same mask id."""
    truths = {x.mask_id: x for x in frame.ground_truth}
    objects = []
    for x in estimates:
        reported = ReportedObject.of(x)
        truth = truths.get(x.mask_id)
        errors = None if truth is None else compare(reported, truth)
        objects.append(ObjectEvaluation(reported, truth, errors, is_unknown=truth is None))
    known = tuple(frame.ground_truth) or None
    return FrameEvaluation(frame.name, frame.frame.stamp_ns, tuple(objects), known, stage_ms)


def _instances(frames: Sequence[FrameEvaluation]) -> Table:
    table = new_table("Instances with ground truth")
    for name in ("frame", "instance", "category"):
        table.add_column(name, overflow="fold")
    for name in ("rot.\n(deg)", "trans.\n(cm)", "3D\nIoU", "size\nerr. (%)", "conf."):
        table.add_column(name, justify="right", no_wrap=True)
    for frame in frames:
        reported = {id(x.truth): x for x in frame.objects if x.truth is not None}
        for truth in frame.truths or ():
            x = reported.get(id(truth))
            names = [Text(y) for y in (frame.name, truth.instance, truth.category)]
            if x is None or x.errors is None:
                table.add_row(*names, "missed", "", "", "", "")
                continue
            table.add_row(
                *names,
                f"{x.errors.rot_err_deg:.1f}",
                f"{x.errors.trans_err_cm:.2f}",
                f"{x.errors.iou3d_oriented:.2f}",
                f"{100.0 * (x.reported.scale / truth.scale - 1.0):+.1f}",
                f"{x.reported.confidence:.2f}",
            )
    return table
