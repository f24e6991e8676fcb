"""The work of `sdfpose bench rejection`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from rich.text import Text

from sdfpose_core.benchmark.mask_cases import MaskCase
from sdfpose_core.benchmark.rejection import JudgedMask, run_rejection, true_masks
from sdfpose_core.benchmark.rejection_figures import confident_estimates, summarise_rejection
from sdfpose_core.categories import Categories
from sdfpose_core.cli.arguments.bench_rejection import TRUTH
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.frame_masks import mask_backend
from sdfpose_core.cli.mask_images import check_any_image, image_cases
from sdfpose_core.cli.output import (
    figure,
    new_table,
    print_problems,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import (
    check_input_folder,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.device import set_threads
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import segment_alone
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.packs.collection import Packs
from sdfpose_core.visualisation.masks import draw_estimated_masks

__all__ = ["run"]


_COLUMNS = {
    "n": "n",
    "kept": "confident\n%",
    "rejected": "rejected\n%",
    "right_category": "category\nright %",
    "right": "pose\nright %",
    "kept_of_right": "kept of\nright %",
}
"""Heading of each figure of the objects; the others have some of them."""


_COUNTED = {
    "with_invention": "with an invented object",
    "with_unmatched": "with an unmatched object",
}


def run(args: argparse.Namespace) -> int:
    """Run the rejection benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the weights, the source or the frames cannot be
            used.
    """
    check_output_file("--json", args.json)
    check_output_folder("--draw", args.draw)
    check_input_folder("--data", args.data, "frames/NAME")
    if args.threads:
        set_threads(args.threads)
    packs = given_packs(args)
    make_masks = _mask_maker(args, packs)
    estimator = PoseEstimator(estimator_config(args), packs)
    problems: list[str] = []
    with progress_bar() as bar:
        task = bar.add_task("images", total=None if args.data else args.count)
        outcomes = run_rejection(
            estimator,
            make_masks,
            image_cases(args, problems),
            problems,
            show=partial(_draw, args, packs.categories),
            progress=partial(bar.advance, task),
        )
    check_any_image(args, outcomes, problems)
    document = summarise_rejection(outcomes, args.confidence, complete=args.data is None)
    if args.data is not None:
        document["estimates"] = confident_estimates(outcomes, args.confidence)
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document)
    return 0


def _mask_maker(args: argparse.Namespace, packs: Packs) -> Callable[[MaskCase], InstanceMask]:
    if args.masks == TRUTH:
        return true_masks
    backend = mask_backend(args, packs)
    return lambda case: segment_alone(backend, case.frame)


def _draw(
    args: argparse.Namespace,
    categories: Categories,
    case: MaskCase,
    found: InstanceMask,
    estimates: Sequence[ObjectEstimate],
    masks: Sequence[JudgedMask],
) -> None:
    if args.draw is None:
        return
    folder: Path = args.draw
    confident = {x.mask_id: x for x in masks if x.is_confident(args.confidence)}
    notes = {
        i: "unmatched" if args.data else "invented"
        for i, x in confident.items()
        if x.shows == "background"
    }
    shown = [x for x in estimates if x.mask_id in confident]
    image = draw_estimated_masks(case.frame.colour, found.ids, shown, categories, notes)
    write_file(folder / f"{case.name}.png", cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _print(document: Mapping[str, Any]) -> None:
    table = new_table("sdfpose bench rejection")
    table.add_column("masks of", overflow="fold")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    other = "distractors" if "distractors" in document else "unmatched"
    background = document[other] | {"kept": document[other]["confident"]}
    for name, row in (("objects", document["objects"]), (other, background)):
        table.add_row(name, *(figure(row.get(key)) for key in _COLUMNS))
    console = wide_console()
    console.print(table)
    if background["by_category"]:
        shares = ", ".join(f"{k} {v:.1f} %" for k, v in background["by_category"].items())
        console.print(f"confident {other} by category: {shares}", highlight=False)
    if "estimates" in document:
        console.print(_estimates(document["estimates"]), highlight=False)
    console.print(_summary(document), highlight=False)


def _estimates(estimates: Sequence[Mapping[str, Any]]) -> Any:
    table = new_table("Confident estimates")
    table.add_column("frame", overflow="fold")
    for name in ("mask", "category", "conf."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("true masks", overflow="fold")
    for x in estimates:
        told = "unknown" if x["unmatched"] is None else "same category"
        if told != "unknown" and not x["same_category"]:
            told = "unmatched" if x["unmatched"] else "not this category"
        cells = (str(x["mask_id"]), x["category"], f"{x['confidence']:.2f}", told)
        table.add_row(Text(x["frame"]), *cells)
    return table


def _summary(document: Mapping[str, Any]) -> str:
    frames = document["frames"]
    parts = [f"{frames['n']} image(s)"]
    for key, text in _COUNTED.items():
        if frames.get(key) is not None:
            parts.append(f"{frames[key]:.1f} % {text}")
    if frames.get("without_truth"):
        parts.append(f"{frames['without_truth']} more without true masks")
    return f"{', '.join(parts)}; {document['ms']:.0f} ms"
