"""`sdfpose learn`: learn a category from meshes, or from scans of objects."""

from __future__ import annotations

import argparse
import os
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sdfpose_core.categories import CATEGORY_FILE, Symmetry
from sdfpose_core.category_learning.alignment import Front
from sdfpose_core.category_learning.card import figures_table
from sdfpose_core.category_learning.learning import CategoryLearning, StageProgress
from sdfpose_core.category_learning.preparation import (
    ALIGNMENT_FILE,
    ALIGNMENT_SHEET,
    new_category,
    prepare_category,
)
from sdfpose_core.category_learning.remaining_time import RemainingTime
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.category_learning.sizes import SizeRange
from sdfpose_core.cli.choices import add_threads_argument
from sdfpose_core.cli.numbers import integer, positive
from sdfpose_core.cli.paths import check_input_folder, check_output_folder, path_argument
from sdfpose_core.cli.scans import SCANS, add_scan_arguments, scanned_meshes
from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.storage.configuration import read_configuration

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "learn",
        help="learn a category from a folder of meshes, or from scans of objects",
        description=(
            "Learn a category of your own from a folder of meshes, one object per file, or from "
            "recordings of single objects, and write its pack: decoder, encoder, card. A recording "
            f"becomes a mesh first, in WORK/{SCANS}, with a picture of its six sides. The command "
            f"writes the orientation of each model to WORK/{ALIGNMENT_FILE} and a picture of them "
            f"to WORK/{ALIGNMENT_SHEET}: look at it, edit the file if a model is turned wrongly, "
            "and run the command again. An interrupted run goes on when it is repeated."
        ),
        epilog="Example: sdfpose learn kettle --meshes kettles/ --out packs/kettle",
    )
    parser.add_argument("name", help="name: lower-case letters, digits and underscores")
    parser.add_argument("--meshes", type=path_argument, metavar="DIR", help="folder of the meshes")
    add_scan_arguments(parser)
    parser.add_argument(
        "--out", type=path_argument, required=True, metavar="PACK", help="folder of the new pack"
    )
    parser.add_argument(
        "--work",
        type=path_argument,
        metavar="DIR",
        help="folder for orientations and intermediate files (default: PACK with .work at its end)",
    )
    parser.add_argument(
        "--front",
        choices=get_args(Front),
        default="auto",
        help=(
            "where files have the front: at x or at z of all of them; auto turns the models about "
            "y until they agree; none for objects without a front (default: auto)"
        ),
    )
    parser.add_argument(
        "--symmetry",
        choices=("auto", *get_args(Symmetry)),
        default="auto",
        help=(
            "symmetry of the category: y is rotationally symmetric about y; auto finds it from "
            "the shapes (default: auto)"
        ),
    )
    parser.add_argument(
        "--size",
        type=_size_range,
        metavar="LOW..HIGH",
        help=(
            "plausible diagonals of the objects' bounding boxes in metres, such as 0.2..0.4; "
            "models without a size, or of another one, are rescaled"
        ),
    )
    parser.add_argument(
        "--unit-m", type=positive, help="unit of the meshes in metres (default: guessed)"
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="further names under which detectors report the category",
    )
    parser.add_argument(
        "--vessel",
        action="store_true",
        help="both sides of the walls are the surface, as of bowls and mugs",
    )
    parser.add_argument(
        "--align-only",
        action="store_true",
        help="only import meshes and scans, and write their orientations and the pictures",
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--quick", action="store_true", help="fewer shapes, views and steps, for a look"
    )
    extent.add_argument(
        "--config", type=path_argument, metavar="YAML", help="settings, see LearningSettings"
    )
    parser.add_argument(
        "--workers",
        type=integer(),
        default=os.cpu_count() or 1,
        help="processes that simulate views (default: number of cores)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda[:N] (default: auto)")
    add_threads_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Learn a category.

    Raises:
        SdfposeError: an argument is invalid, the meshes cannot be used, or a stage failed.
    """
    category = new_category(args.name, args.labels, vessel=args.vessel)
    settings = _settings(args)
    device = resolve_device(args.device)
    if args.meshes is None and not args.scan:
        raise ConfigurationError("there is nothing to learn from: give --meshes, --scan, or both")
    check_input_folder("--meshes", args.meshes, "meshes")
    check_output_folder("--out", args.out)
    _check_new(args.out)
    work = args.work or _beside(args.out)
    check_output_folder("--work", work)
    _check_apart(work, args.out)
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    scans = scanned_meshes(args, work)
    prepared = prepare_category(
        category,
        args.meshes,
        work,
        scans=scans,
        front=args.front,
        symmetry=args.symmetry,
        size=args.size,
        unit_m=args.unit_m,
    )
    print(prepared.report)
    print(f"look at {prepared.sheet_file}: up is y (green), the front is x (red)")
    if args.align_only:
        return 0
    learning = CategoryLearning(prepared, settings, work, device, workers=args.workers)
    with _progress_bar(learning.costs()) as learning.progress:
        learned = learning.run(args.out)
    print(figures_table(learned.figures))
    print(f"wrote {args.out}: use it with --weights {args.out}; its card is {args.out}/card.md")
    return 0


def _settings(args: argparse.Namespace) -> LearningSettings:
    if args.config is not None:
        return read_configuration(args.config, LearningSettings)
    return LearningSettings.quick() if args.quick else LearningSettings()


def _size_range(text: str) -> SizeRange:
    try:
        return SizeRange.parse(text)
    except ConfigurationError as error:
        raise ArgumentTypeError(str(error)) from error


def _check_new(folder: Path) -> None:
    """Check that a pack can be written to a folder, before hours of work.

    Raises:
        ConfigurationError: it holds something already, or cannot be replaced as a whole.
    """
    check_output_folder("--out", folder.resolve().parent)
    if Path.cwd().is_relative_to(folder.resolve()):
        raise ConfigurationError(
            f"--out {folder}: the present folder is in it, and it would be replaced: expected the "
            "name of a new folder"
        )
    if folder.is_mount():
        raise ConfigurationError(
            f"--out {folder}: is where a file system is mounted: choose a folder inside it"
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    if (folder / CATEGORY_FILE).is_file():
        raise ConfigurationError(
            f"--out {folder}: holds a pack already: choose another folder, or remove the pack"
        )
    raise ConfigurationError(f"--out {folder}: is not empty: choose another folder")


def _beside(out: Path) -> Path:
    """The default work folder of a pack."""
    out = out.resolve() if out.name in ("", "..") else out
    return out.with_name(f"{out.name}.work")


def _check_apart(work: Path, out: Path) -> None:
    """Check that a pack's folder stays empty until the pack is written.

    Raises:
        ConfigurationError: the work folder is this folder, or inside it.
    """
    if work.resolve().is_relative_to(out.resolve()):
        raise ConfigurationError(
            f"--work {work}: is in the folder of the pack: choose one outside of --out"
        )


@contextmanager
def _progress_bar(costs: dict[str, float]) -> Iterator[StageProgress]:
    """One bar for all stages, with the remaining time."""
    remaining = RemainingTime(costs)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}")
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("begin", total=1.0, left="")

        def progress(stage: str, share: float) -> None:
            remaining.update(stage, share)
            left = f"{remaining.seconds / 60.0:.0f} min left"
            bar.update(task, description=stage, completed=remaining.share, left=left)

        yield progress
