#!/usr/bin/env python3
"""Train the recognition network on simulated clutter.

    python training/train_recognition.py --out sdfpose_core/weights --work build/training

Part of the masks are those of the mask network, so train that first. Views are made once and kept
in the work folder. An interrupted training goes on where it was. At the end, the accuracies on
views of models and scenes that were not used for training are printed.
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

from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import resolve_device, set_threads
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.recognition.network import RecognitionConfig
from sdfpose_core.recognition.training import RecognitionTraining, RecognitionTrainingConfig
from sdfpose_core.recognition.validation import validate_recognition
from sdfpose_core.recognition.views import RecognitionViewFile, RecognitionViews
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import MASKS_FILE, RECOGNITION_FILE, SHIPPED

CONFIG = Path(__file__).parent.parent / "config" / "training" / "recognition.yaml"
VALIDATION_MODELS = 24
VALIDATION_SEED = 100_000

KINDS = {
    "true_masks": (CLUTTER, False),
    "network_masks": (CLUTTER, True),
    "empty": (EMPTY, True),
}
"""Kinds of views: style of the scenes, and whether the mask network makes the masks."""


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; see `RecognitionTrainingConfig` for `training`.

    Attributes:
        true_masks: number of files of views with the true masks, with the errors of a detector.
        network_masks: number of files with the masks of the mask network.
        empty: number of files with the masks of the mask network in rooms without any object of a
            category.
        views_per_file: number of views in each.
        models_per_file: number of procedural models of each category in each; every file has its
            own.
        validation_views: number of held-out views of each kind.
        training: settings of the training.
    """

    true_masks: int = 5
    network_masks: int = 6
    empty: int = 3
    views_per_file: int = 1000
    models_per_file: int = 24
    validation_views: int = 500
    training: RecognitionTrainingConfig = field(default_factory=RecognitionTrainingConfig)


def training_files(settings: Settings, folder: Path, masks: Path) -> list[RecognitionViewFile]:
    """Files of training views."""
    files: list[RecognitionViewFile] = []
    for kind in KINDS:
        for _ in range(getattr(settings, kind)):
            i = len(files)
            models = range(i * settings.models_per_file, (i + 1) * settings.models_per_file)
            path = folder / f"{i:03d}.npz"
            files.append(_file(path, kind, i, settings.views_per_file, models, masks))
    return files


def validation_files(
    settings: Settings, folder: Path, masks: Path
) -> dict[str, RecognitionViewFile]:
    """Files of views of held-out models, by kind."""
    models = range(HELD_OUT_SEED, HELD_OUT_SEED + VALIDATION_MODELS)
    return {
        kind: _file(
            folder / f"held_out_{kind}.npz",
            kind,
            VALIDATION_SEED + i,
            settings.validation_views,
            models,
            masks,
        )
        for i, kind in enumerate(KINDS)
    }


def _file(
    path: Path, kind: str, seed: int, count: int, models: range, masks: Path
) -> RecognitionViewFile:
    style, network = KINDS[kind]
    return RecognitionViewFile(path, tuple(FAMILIES), seed, count, style, models, network, masks)


def made(
    files: Sequence[RecognitionViewFile], bar: Progress, workers: int, title: str
) -> list[RecognitionViews]:
    """Make the files that are missing, and read all."""
    task = bar.add_task(title, total=len(files))
    for _ in make_view_files(files, workers):
        bar.advance(task)
    return [RecognitionViews.load(x.path) for x in files]


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
    folder = args.work / "recognition"
    folder.mkdir(parents=True, exist_ok=True)
    own = args.out / MASKS_FILE
    masks = own if own.is_file() else SHIPPED / MASKS_FILE
    start = time.monotonic()
    with Progress() as bar, SummaryWriter(str(args.work / "tensorboard" / "recognition")) as log:
        held_out = validation_files(settings, folder, masks)
        judged = made(list(held_out.values()), bar, args.workers, "views for validation")
        files = training_files(settings, folder, masks)
        views = RecognitionViews.joined(made(files, bar, args.workers, "views for training"))
        views_minutes = (time.monotonic() - start) / 60.0
        network = RecognitionConfig(tuple(FAMILIES))
        training = RecognitionTraining(views, network, settings.training, device)
        task = bar.add_task("recognition network", total=settings.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"recognition/{name}", value, step)

        trained = training.run(args.work / "recognition.ckpt", progress)
    args.out.mkdir(parents=True, exist_ok=True)
    trained.save(args.out / RECOGNITION_FILE, "any")
    for kind, some in zip(held_out, judged, strict=True):
        figures = validate_recognition(trained, some)
        print(json.dumps({"validation": kind, **{k: round(v, 3) for k, v in figures.items()}}))
    minutes = (time.monotonic() - start) / 60.0
    print(json.dumps({"views_minutes": round(views_minutes, 1), "minutes": round(minutes, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_recognition", main))
