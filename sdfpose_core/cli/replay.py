"""The work of `sdfpose replay`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from functools import partial
from typing import Any

from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from sdfpose_core.categories import Categories
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
    label_rules,
)
from sdfpose_core.cli.frame_masks import (
    FrameMasks,
    folder_beside,
    mask_source,
)
from sdfpose_core.cli.output import (
    precision_table,
    print_problems,
    problems_of_failure,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import check_new_bag, check_output_file
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.cli.viewing import keep_open, open_viewer
from sdfpose_core.datasets.bags import Pairing, find_topics, open_bag
from sdfpose_core.device import set_threads
from sdfpose_core.errors import BagError, ConfigurationError, WeightsError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation
from sdfpose_core.evaluation.frame_metrics import frame_metrics
from sdfpose_core.masks.sources import FILE
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.label_rules import nameable_categories
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.packs.collection import Packs
from sdfpose_core.replay.masks import MaskPairs
from sdfpose_core.replay.results import ResultBag
from sdfpose_core.replay.run import Replay, replay
from sdfpose_core.replay.schedule import Schedule
from sdfpose_core.replay.transforms import RecordedWorld
from sdfpose_core.replay.truth import TruthSource, truth_source
from sdfpose_core.replay.view import ResultView
from sdfpose_core.replay.worst_estimates import worst_images
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.visualisation.report import report_page

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Replay the bag. Return 0 if an object was estimated, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the bag, the ground truth, the weights or the
            masks' source cannot be used.
    """
    check_output_file("--json", args.json)
    check_output_file("--report", args.report)
    check_new_bag("--out", args.out)
    packs = given_packs(args)
    with open_viewer(args, packs.categories) as viewer:
        status = _replay(args, packs, viewer)
        if viewer is not None:
            keep_open(viewer)
    return status


def _replay(args: argparse.Namespace, packs: Packs, viewer: Viewer | None) -> int:
    categories = packs.categories
    schedule = _schedule(args)
    problems: list[str] = []
    rules = label_rules(args, categories)
    with problems_of_failure(problems):
        truth, mask_topic, count = _prepare(args, rules, categories, problems)
    set_threads(args.threads)
    world = None if args.world is None else RecordedWorld(args.bag, args.world)
    masks = mask_source(args, packs, folder_beside(args.json, args.report, args.out))
    mask_pairs = MaskPairs(mask_topic)
    config = estimator_config(args)
    estimator = PoseEstimator(config, packs)
    for category in nameable_categories(rules, categories):
        with suppress(WeightsError):  # reported when an instance of the category appears
            estimator.load(category)
    tracking = TrackerConfig(verify_in_process=estimator.device.type == "cpu")
    pairing = Pairing(
        dict(args.topic),
        args.slop,
        args.queue_size,
        with_masks=masks is None,
        with_labels=rules is None,
        depth_unit=args.depth_unit,
    )
    rules = rules or LabelRules({})
    with (
        problems_of_failure(problems),
        closing(Tracker(estimator, tracking)) as tracker,
        _bar() as bar,
        ResultBag(args.out) if args.out else nullcontext() as bag,
    ):
        view = None if viewer is None else ResultView(viewer, categories)
        tracker.prepare()
        task = bar.add_task("frames", total=count or None)
        done = replay(
            args.bag,
            tracker,
            rules,
            problems,
            pairing=pairing,
            truth=truth,
            schedule=schedule,
            results=[x for x in (bag, view) if x is not None],
            masks=None if masks is None else partial(_make_masks, masks, mask_pairs, tracker),
            listeners=None if masks is None else mask_pairs.listeners,
            world=world,
            progress=lambda: bar.advance(task),
        )
        if not done.frames:  # raised inside the context, so that no result bag is kept
            raise BagError(f"{args.bag}: no frame could be used")
    problems += done.truth_problems(truth)
    if masks is not None:
        problems += _compare_masks(args, masks, mask_pairs)
    evaluated = done.evaluate(truth)
    document = {
        "bag": str(args.bag),
        "processed": len(done.frames),
        "dropped": done.dropped,
        "elapsed_s": done.elapsed_s,
        "rate_hz": done.rate_hz,
        "problems": problems,
        **frame_metrics(evaluated),
        **({} if masks is None else {"masks": masks.as_json()}),
    }
    if args.json is not None:
        write_json(args.json, document | {"frames": _frames(done, evaluated)})
    if args.report is not None:
        page = report_page(
            f"Replay of {args.bag.name}",
            evaluated,
            categories,
            facts=_facts(document),
            problems=problems,
            pictures=worst_images(args.bag, rules, pairing, done, evaluated, categories),
            configuration=config,
        )
        write_file(args.report, page.encode(errors="replace"))
    print_problems(problems)
    _print(document)
    if masks is not None:
        masks.print(with_objects=False)
    return 0 if any(x.tracks for x in done.frames) else 1


def _schedule(args: argparse.Namespace) -> Schedule | None:
    if args.busy_ms is None:
        if args.hz is not None:
            raise ConfigurationError("--hz has no effect alone: expected --busy-ms as well")
        return None
    return Schedule(args.busy_ms, args.hz)


def _prepare(
    args: argparse.Namespace,
    rules: LabelRules | None,
    categories: Categories,
    problems: list[str],
) -> tuple[TruthSource | None, str, int]:
    """Find the ground truth, the mask topic and the number of depth images.

    This checks the topics before the long work begins.
    """
    given = args.masks == FILE
    if args.mask_categories and not given:
        raise ConfigurationError(
            "--mask-categories has no effect with --masks, whose ids are those of the source: "
            "expected --category, or masks of the bag"
        )
    with open_bag(args.bag, problems) as bag:
        topics = find_topics(bag.connections, args.bag, dict(args.topic), needs_mask=given)
        if given and not topics.labels and rules is None:
            raise BagError(
                f"{args.bag}: has no label topic: give the categories of the mask ids with "
                "--category NAME (or any), or --mask-categories ID:NAME"
            )
        truth = truth_source(args.gt, bag.connections, args.bag, categories)
        count = sum(x.msgcount for x in bag.connections if x.topic == topics.depth)
    problems.clear()  # the same problems are reported when the bag is read
    return truth, topics.mask, count


def _make_masks(
    masks: FrameMasks, pairs: MaskPairs, tracker: Tracker, number: int, frame: RgbdFrame
) -> RgbdFrame:
    """Make the masks of a frame, and keep them for the comparison."""
    name = _name(number)
    made = masks.of_stream(name, frame, tracker.followed(frame))
    pairs.add(frame.stamp_ns, name, made.mask)
    return made


def _compare_masks(args: argparse.Namespace, masks: FrameMasks, pairs: MaskPairs) -> list[str]:
    """Compare the masks with those of the bag; return the problems of both."""
    for name, given, found in pairs.pairs():
        masks.compare(name, given, found)
    refused = WarningCounts()
    refused.add(InputWarning("refused", x) for x in pairs.refused)
    return [*masks.warnings.sentences(str(args.bag)), *refused.sentences(str(args.bag))]


def _name(number: int) -> str:
    return f"{number:06d}"


def _frames(done: Replay, evaluated: Sequence[FrameEvaluation]) -> list[dict[str, Any]]:
    return [
        {
            "number": x.number,
            "stamp_ns": x.stamp_ns,
            "objects": [
                {**item.as_json(), "state": track.state.name}
                for item, track in zip(frame.objects, x.shown, strict=True)
            ],
            "skipped": list(x.skipped),
        }
        for x, frame in zip(done.frames, evaluated, strict=True)
    ]


def _facts(document: Mapping[str, Any]) -> dict[str, str]:
    return {
        "frames": f"{document['processed']} processed, {document['dropped']} dropped",
        "frames with ground truth": str(document["frames_with_truth"]),
        "speed": f"{document['rate_hz']:.1f} frames/s",
    }


def _bar() -> Progress:
    return progress_bar(SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn())


def _print(document: Mapping[str, Any]) -> None:
    console = wide_console()
    if document["average_precision"] is not None:
        console.print(precision_table(document["average_precision"]))
    stages = ", ".join(f"{k} {v['p50']:.1f}" for k, v in document["stage_ms"].items())
    console.print(
        f"{document['processed']} frames processed, {document['dropped']} dropped, "
        f"{document['objects']} objects; {document['rate_hz']:.1f} frames/s; "
        f"median times, ms: {stages}",
        highlight=False,
    )
