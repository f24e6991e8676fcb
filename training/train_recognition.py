#!/usr/bin/env python3
"""Train the recognition network on simulated clutter.

    python training/train_recognition.py --out sdfpose_core/weights --work build/training

Part of the masks are those of the mask network, so train that first. The views are cut from those
of its training, which are kept in the work folder. An interrupted training goes on where it was. At
the end, the accuracies on views of models and scenes that were not used for training are printed.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import resolve_device, set_threads
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.mask_training.view_settings import ClutterViews
from sdfpose_core.mask_training.views import MaskViewFile
from sdfpose_core.recognition.network import RecognitionConfig
from sdfpose_core.recognition.training import RecognitionTraining, RecognitionTrainingConfig
from sdfpose_core.recognition.validation import validate_recognition
from sdfpose_core.recognition.views import RECOGNITION_VIEW, RecognitionViewFile
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.storage.record_files import Records
from sdfpose_core.weights import MASKS_FILE, RECOGNITION_FILE, own_or_shipped

CONFIG = Path(__file__).parent.parent / "config" / "training" / "recognition.yaml"


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file.

    Attributes:
        views: the views of clutter, those that the mask network is trained on.
        widths: see `RecognitionConfig`.
        training: settings of the training.
    """

    views: ClutterViews = field(default_factory=ClutterViews)
    widths: tuple[int, ...] = (32, 64, 128)
    training: RecognitionTrainingConfig = field(default_factory=RecognitionTrainingConfig)


def made(
    sources: Sequence[MaskViewFile], folder: Path, masks: Path, bar: Progress, workers: int
) -> Records:
    """Make the files of views that are missing, from files of views of clutter, and open all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        RecognitionViewFile(folder / x.path.name, x.path, tuple(FAMILIES), x.seed, masks)
        for x in sources
    ]
    for title, some in (("views of clutter", sources), ("crops", files)):
        task = bar.add_task(title, total=len(some))
        for _ in make_view_files(some, workers):
            bar.advance(task)
    return Records.load([x.path for x in files], RECOGNITION_VIEW)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--work", type=Path, required=True, help="folder for views and checkpoints")
    parser.add_argument("--config", type=Path, default=CONFIG, help="default: the shipped one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=integer(1), default=1, help="processes that make views")
    parser.add_argument("--threads", type=integer(0), default=0, help="CPU threads, 0: all cores")
    args = parser.parse_args(arguments)
    check_output_folder("--out", args.out)
    check_output_folder("--work", args.work)
    if args.threads > 0:
        set_threads(args.threads)
    settings = read_configuration(args.config, Settings)
    device = resolve_device(args.device)
    clutter, folder = args.work / "masks", args.work / "recognition"
    clutter.mkdir(parents=True, exist_ok=True)
    masks = own_or_shipped(MASKS_FILE, args.out)
    start = time.monotonic()
    with Progress() as bar, SummaryWriter(str(args.work / "tensorboard" / "recognition")) as log:
        held_out = [settings.views.held_out_file(clutter)]
        judged = made(held_out, folder, masks, bar, args.workers)
        training_files = settings.views.training_files(clutter)
        views = made(training_files, folder, masks, bar, args.workers)
        views_minutes = (time.monotonic() - start) / 60.0
        network = RecognitionConfig(tuple(FAMILIES), settings.widths)
        training = RecognitionTraining(views, network, settings.training, device)
        task = bar.add_task("recognition network", total=settings.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"recognition/{name}", value, step)

        trained = training.run(args.work / "recognition.ckpt", progress)
    args.out.mkdir(parents=True, exist_ok=True)
    trained.save(args.out / RECOGNITION_FILE, "any")
    for kind in (False, True):
        records = judged[np.flatnonzero(judged.field("network") == kind)]
        if len(records) == 0:
            continue
        figures = validate_recognition(trained, Records([records]))
        name = "masks of the mask network" if kind else "true masks with errors"
        print(json.dumps({"validation": name, **{k: round(v, 3) for k, v in figures.items()}}))
    minutes = (time.monotonic() - start) / 60.0
    print(json.dumps({"views_minutes": round(views_minutes, 1), "minutes": round(minutes, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_recognition", main))
