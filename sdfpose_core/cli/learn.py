"""The work of `sdfpose learn`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sdfpose_core.categories import CATEGORY_FILE, Resting
from sdfpose_core.category_learning.card import figures_table
from sdfpose_core.category_learning.learning import CategoryLearning, StageProgress
from sdfpose_core.category_learning.preparation import (
    new_category,
    prepare_category,
)
from sdfpose_core.category_learning.remaining_time import RemainingTime
from sdfpose_core.category_learning.settings import LearningSettings
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.cli.scans import scanned_meshes
from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.storage.configuration import read_configuration

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Learn a category.

    Raises:
        SdfposeError: an argument is invalid, the meshes cannot be used, or a stage failed.
    """
    category = new_category(
        args.name, args.labels, vessel=args.vessel, resting=Resting(*args.resting)
    )
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
