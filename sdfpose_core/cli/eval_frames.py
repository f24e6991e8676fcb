"""The work of `sdfpose eval frames`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.frame_masks import (
    FrameMasks,
    MaskedFrame,
    folder_beside,
    given_masks,
    mask_source,
)
from sdfpose_core.cli.output import (
    new_table,
    precision_table,
    print_problems,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.datasets import read_frames
from sdfpose_core.device import set_threads
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation
from sdfpose_core.evaluation.frame_metrics import frame_metrics
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.visualisation.drawing import draw_error
from sdfpose_core.visualisation.pictures import ErrorImage, caption, worst_objects
from sdfpose_core.visualisation.report import report_page

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Estimate and evaluate the frames.

    Raises:
        SdfposeError: An argument is invalid, the weights or the masks' source cannot be used, or no
            frame has ground truth.
    """
    check_output_file("--json", args.json)
    check_output_file("--report", args.report)
    if args.threads:
        set_threads(args.threads)
    packs = given_packs(args)
    categories = packs.categories
    config = estimator_config(args)
    masks = mask_source(args, packs, folder_beside(args.json, args.report))
    estimator = PoseEstimator(config, packs)
    problems: list[str] = []
    frames = _frames(args, masks, problems)
    evaluated, estimates = [], []
    warnings = WarningCounts()
    for item in frames:
        result = estimator.run(item.frame)
        problems += [f"{item.given.name}: {x.reason}" for x in result.skipped]
        warnings.add(result.warnings)
        evaluated.append(_evaluate(item, result.estimates, result.stage_ms))
        estimates.append(result.estimates)
    problems += warnings.sentences("unused")
    document = frame_metrics(evaluated)
    if args.json is not None:
        listed = [{"name": x.name, "objects": [y.as_json() for y in x.objects]} for x in evaluated]
        found = {} if masks is None else {"masks": masks.as_json()}
        write_json(args.json, document | found | {"problems": problems, "frames": listed})
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
    if masks is not None:
        masks.print()
    return 0


def _frames(
    args: argparse.Namespace, masks: FrameMasks | None, problems: list[str]
) -> list[MaskedFrame]:
    """Read the frames, and take or make their masks.

    Raises:
        FrameError: No frame has ground truth.
    """
    read = [
        x
        for path in args.frames
        for x in read_frames(path, problems, depth_unit=args.depth_unit, needs_mask=masks is None)
    ]
    if not any(x.ground_truth or (masks is not None and x.has_mask) for x in read):
        expected = "meta.json with 'gt'" + ("" if masks is None else ", or mask.png")
        raise FrameError(
            f"{', '.join(map(str, args.frames))}: no frame has ground truth: expected {expected}"
            f"{'; ' + problems[-1] if problems else ''}"
        )
    if masks is None:
        return [given_masks(x) for x in read]
    frames = []
    for x in read:
        try:
            item, problem = masks.of_folder(x)
        except FrameError as error:
            problems.append(f"{x.name}: {error}; frame dropped")
            continue
        if problem:
            problems.append(f"{x.name}: {problem}")
        frames.append(item)
    return frames


def _evaluate(
    item: MaskedFrame, estimates: Sequence[ObjectEstimate], stage_ms: dict[str, float]
) -> FrameEvaluation:
    """Compare estimates with the ground truth."""
    known = tuple(item.given.ground_truth) or None
    name, stamp_ns = item.given.name, item.frame.stamp_ns
    return FrameEvaluation(name, stamp_ns, item.evaluate(estimates), known, stage_ms)


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
