"""The work of `sdfpose bench masks`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from rich.text import Text

from sdfpose_core.benchmark.mask_cases import MaskCase
from sdfpose_core.benchmark.masks import run_masks, summarise_masks
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.mask_images import check_any_image, image_cases
from sdfpose_core.cli.output import (
    figure,
    new_table,
    note_few_objects,
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
from sdfpose_core.evaluation.mask_metrics import MaskComparison
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import MaskBackendConfig, make_mask_backend
from sdfpose_core.visualisation.masks import draw_mask_comparison, draw_masks

__all__ = ["run"]


_COLUMNS = {
    "n": ("n", 0),
    "iou50": ("IoU\n50 %", 1),
    "iou75": ("IoU\n75 %", 1),
    "missed": ("missed\n%", 1),
    "merged": ("merged\n%", 1),
    "split": ("split\n%", 1),
    "false_per_frame": ("false per\nframe", 2),
    "ms": ("time\nms", 0),
}
"""Heading and digits of each figure."""


def run(args: argparse.Namespace) -> int:
    """Run the mask benchmark.

    Raises:
        SdfposeError: An argument is invalid, or the source or the frames cannot be used.
    """
    check_output_file("--json", args.json)
    check_output_folder("--draw", args.draw)
    check_input_folder("--data", args.data, "frames/NAME")
    if args.threads:
        set_threads(args.threads)
    config = MaskBackendConfig(weights=args.weights, device=args.device)
    backend = make_mask_backend(args.source, default_categories(), config)
    problems: list[str] = []
    with progress_bar() as bar:
        task = bar.add_task("images", total=None if args.data else args.count)
        outcomes = run_masks(
            backend,
            image_cases(args, problems),
            problems,
            show=partial(_draw, args.draw),
            progress=partial(bar.advance, task),
        )
    check_any_image(args, outcomes, problems)
    document = summarise_masks(outcomes)
    if args.json is not None:
        write_json(args.json, document)
    print_problems(problems)
    _print(document, sum(x.comparison is None for x in outcomes))
    return 0


def _draw(
    folder: Path | None, case: MaskCase, found: InstanceMask, comparison: MaskComparison | None
) -> None:
    if folder is None:
        return
    if case.truth is None or comparison is None:
        image = draw_masks(case.frame.colour, found.ids)
    else:
        image = draw_mask_comparison(case.frame.colour, case.truth, found.ids, comparison)
    write_file(folder / f"{case.name}.png", cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _print(document: Mapping[str, Any], without_truth: int) -> None:
    table = new_table("sdfpose bench masks")
    table.add_column("category", overflow="fold")
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in [*document["per_category"].items(), ("mean", document["mean"])]:
        cells = (figure(row.get(key), digits) for key, (_, digits) in _COLUMNS.items())
        table.add_row(Text(name), *cells)
    note_few_objects(table, (x["n"] for x in document["per_category"].values()))
    console = wide_console()
    console.print(table)
    if without_truth:
        console.print(f"{without_truth} image(s) without true masks do not count", highlight=False)
