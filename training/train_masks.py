#!/usr/bin/env python3
"""Train the mask network on simulated images.

    python training/train_masks.py --out sdfpose_core/weights --work build/training

Views are made once and kept in the work folder. An interrupted training goes on where it was. At
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

from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_output_folder
from sdfpose_core.device import resolve_device, set_threads
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.mask_training.losses import MaskLossConfig
from sdfpose_core.mask_training.training import MaskTraining, MaskTrainingConfig
from sdfpose_core.mask_training.validation import validate_masks
from sdfpose_core.mask_training.view_settings import ClutterViews
from sdfpose_core.mask_training.views import MASK_VIEW, MaskViewFile
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.storage.record_files import Records
from sdfpose_core.weights import MASKS_FILE

CONFIG = Path(__file__).parent.parent / "config" / "training" / "masks.yaml"


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file.

    Attributes:
        views: the views.
        network: architecture; see `MaskNetworkConfig`.
        stages: settings of the trainings, each of which goes on with the network of the one before.
    """

    views: ClutterViews = field(default_factory=ClutterViews)
    network: MaskNetworkConfig = field(default_factory=MaskNetworkConfig)
    stages: tuple[MaskTrainingConfig, ...] = (
        MaskTrainingConfig(),
        MaskTrainingConfig(
            steps=10_000,
            batch=4,
            learning_rate=1.4e-3,
            checkpoint_every=500,
            seed=1,
            losses=MaskLossConfig(pixels=3072, background=2048),
        ),
    )

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigurationError("stages is empty: expected at least one training")


def loaded(files: Sequence[MaskViewFile], bar: Progress, workers: int, title: str) -> Records:
    """Make the files that are missing, and open all."""
    task = bar.add_task(title, total=len(files))
    for _ in make_view_files(files, workers):
        bar.advance(task)
    return Records.load([x.path for x in files], MASK_VIEW)


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
    folder = args.work / "masks"
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with Progress() as bar, SummaryWriter(str(args.work / "tensorboard" / "masks")) as log:
        held_out = loaded([settings.views.held_out_file(folder)], bar, 1, "views for validation")
        views = loaded(
            settings.views.training_files(folder), bar, args.workers, "views for training"
        )
        views_minutes = (time.monotonic() - start) / 60.0
        task = bar.add_task("mask network", total=sum(x.steps for x in settings.stages))
        network, before = None, 0

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=before + step)
            for name, value in losses.items():
                log.add_scalar(f"masks/{name}", value, before + step)

        for i, stage in enumerate(settings.stages, start=1):
            training = MaskTraining(views, settings.network, stage, device, network)
            network = training.run(args.work / f"masks.{i}.ckpt", progress)
            before += stage.steps
    args.out.mkdir(parents=True, exist_ok=True)
    assert network is not None
    network.save(args.out / MASKS_FILE, "any")
    minutes = (time.monotonic() - start) / 60.0
    figures = validate_masks(MaskNetwork.load(args.out / MASKS_FILE, device), held_out)
    print(
        json.dumps(
            {"validation": "held-out models", **{k: round(v, 3) for k, v in figures.items()}}
        )
    )
    print(json.dumps({"views_minutes": round(views_minutes, 1), "minutes": round(minutes, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_masks", main))
