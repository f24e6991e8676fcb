#!/usr/bin/env python3
"""Train the recognition network on simulated clutter.

    python training/train_recognition.py --out sdfpose_core/weights --work build/training

Part of the masks are those of the mask network, so train that first. The views are cut from those
of its training, which are kept in the work folder. An interrupted training goes on where it was. At
the end, the accuracies on views of models and scenes that were not used for training are printed.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.network_training import NetworkTraining, print_figures, training_parser
from sdfpose_core.device import resolve_device
from sdfpose_core.mask_training.view_settings import ClutterViews
from sdfpose_core.recognition.network import RecognitionConfig
from sdfpose_core.recognition.training import RecognitionTraining, RecognitionTrainingConfig
from sdfpose_core.recognition.validation import validate_recognition
from sdfpose_core.recognition.views import RECOGNITION_VIEW, RecognitionViewFile
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.storage.record_files import Records
from sdfpose_core.weights import MASKS_FILE, RECOGNITION_FILE, SHIPPED

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


def digest(path: Path) -> str:
    """Checksum of a file; crops of the masks of other weights must not be used."""
    return f"{zlib.crc32(path.read_bytes()):08x}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = training_parser(__doc__.splitlines()[0], CONFIG).parse_args(arguments)
    settings = read_configuration(args.config, Settings)
    device = resolve_device(args.device)
    own = args.out / MASKS_FILE
    masks = own if own.is_file() else SHIPPED / MASKS_FILE
    with NetworkTraining("recognition", args) as run:
        clutter = run.folder("masks")
        folder = run.folder(f"recognition.{digest(masks)}")
        sources = [
            settings.views.held_out_file(clutter),
            *settings.views.training_files(clutter),
        ]
        files = [
            RecognitionViewFile(folder / x.path.name, x.path, tuple(FAMILIES), x.seed, masks)
            for x in sources
        ]
        run.make(sources, "views of clutter")
        run.make(files, "crops")
        training = RecognitionTraining(
            Records.load([x.path for x in files[1:]], RECOGNITION_VIEW),
            RecognitionConfig(tuple(FAMILIES), settings.widths),
            settings.training,
            device,
        )
        (progress,) = run.steps(settings.training.steps)
        trained = training.run(args.work / "recognition.ckpt", progress)
    args.out.mkdir(parents=True, exist_ok=True)
    trained.save(args.out / RECOGNITION_FILE, "any")
    judged = Records.load([files[0].path], RECOGNITION_VIEW)
    for network, kind in ((False, "true masks with errors"), (True, "masks of the mask network")):
        records = judged[np.flatnonzero(judged.field("network") == network)]
        if len(records):
            print_figures(kind, validate_recognition(trained, Records([records])))
    run.print_time()
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_recognition", main))
