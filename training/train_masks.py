#!/usr/bin/env python3
"""Train the mask network on simulated images.

    python training/train_masks.py --out sdfpose_core/weights --work build/training

Views are made once and kept in the work folder. An interrupted training goes on where it was. At
the end, the accuracies on views of models and scenes that were not used for training are printed.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.network_training import NetworkTraining, print_figures, training_parser
from sdfpose_core.device import resolve_device
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.mask_training.losses import MaskLossConfig
from sdfpose_core.mask_training.training import MaskTraining, MaskTrainingConfig
from sdfpose_core.mask_training.validation import validate_masks
from sdfpose_core.mask_training.view_settings import ClutterViews
from sdfpose_core.mask_training.views import MASK_VIEW
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
        MaskTrainingConfig(
            steps=10_000,
            batch=4,
            learning_rate=1.4e-3,
            checkpoint_every=500,
            seed=2,
            losses=MaskLossConfig(pixels=3072, background=2048),
        ),
    )

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigurationError("stages is empty: expected at least one training")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = training_parser(__doc__.splitlines()[0], CONFIG).parse_args(arguments)
    settings = read_configuration(args.config, Settings)
    device = resolve_device(args.device)
    with NetworkTraining("masks", args) as run:
        folder = run.folder("masks")
        held_out_file = settings.views.held_out_file(folder)
        files = settings.views.training_files(folder)
        run.make([held_out_file], "views for validation")
        run.make(files, "views for training")
        views = Records.load([x.path for x in files], MASK_VIEW)
        network = None
        progress = run.steps(*(x.steps for x in settings.stages))
        for i, stage in enumerate(settings.stages):
            training = MaskTraining(views, settings.network, stage, device, network)
            network = training.run(args.work / f"masks.{i + 1}.ckpt", progress[i])
    args.out.mkdir(parents=True, exist_ok=True)
    assert network is not None
    network.save(args.out / MASKS_FILE, "any")
    held_out = Records.load([held_out_file.path], MASK_VIEW)
    trained = MaskNetwork.load(args.out / MASKS_FILE, device)
    print_figures("held-out models", validate_masks(trained, held_out))
    run.print_time()
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_masks", main))
