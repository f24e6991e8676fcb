#!/usr/bin/env python3
"""Train the encoder of one category on simulated views with labels.

    python training/pretrain.py mug --weights sdfpose_core/weights --work build/training

Needs the decoder in the weights' folder and the training shapes' codes in the working folder:
training/train_decoder.py writes both.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.categories import default_categories
from sdfpose_core.configuration import read_configuration
from sdfpose_core.device import resolve_device
from sdfpose_core.encoder.pretraining import (
    EncoderTraining,
    EncoderTrainingConfig,
    Views,
    validate_encoder,
)
from sdfpose_core.errors import SdfposeError
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.training import load_codes
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.instances import simulated_instances
from sdfpose_core.weights import weights_file

DEFAULT_CONFIG = Path(__file__).parent.parent / "config" / "training" / "encoder.yaml"

VALIDATION_MODELS = 48


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; `training` is documented where it is used."""

    views: int = 16_000
    validation_views: int = 800
    training: EncoderTrainingConfig = field(default_factory=EncoderTrainingConfig)


def simulated_views(category: str, count: int, models: range, cache: Path) -> Views:
    """Simulated views of procedural models, kept in a file for a resumed run."""
    if not cache.exists():
        stream = simulated_instances(category, seed=models.start, count=count, model_seeds=models)
        Views.collect(stream).save(cache)
    return Views.load(cache)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("category")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints and logs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all cores")
    args = parser.parse_args()
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    category = default_categories()[args.category]
    settings = read_configuration(args.config, Settings)
    device = resolve_device(args.device)
    start = time.monotonic()
    decoder = SdfDecoder.load(weights_file(category.name, "decoder", args.weights))
    codes = load_codes(args.work / f"{category.name}.codes.safetensors")
    stem = args.work / category.name
    views = simulated_views(
        category.name, settings.views, range(len(codes)), stem.with_suffix(".views.npz")
    )
    training = EncoderTraining(
        views, codes, decoder.code_covariance, category.diagonal_m, settings.training, device
    )
    with (
        Progress() as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{category.name}.encoder")) as log,
    ):
        task = bar.add_task(f"{category.name} encoder", total=settings.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"encoder/{name}", value, step)

        encoder = training.run(stem.with_suffix(".encoder.ckpt"), progress)
    encoder.save(weights_file(category.name, "encoder", args.weights), category.name)
    minutes = (time.monotonic() - start) / 60.0
    held_out = simulated_views(
        category.name,
        settings.validation_views,
        range(HELD_OUT_SEED, HELD_OUT_SEED + VALIDATION_MODELS),
        stem.with_suffix(".validation.npz"),
    )
    reached = validate_encoder(encoder, held_out, settings.training.seed)
    print(json.dumps({"category": category.name, "minutes": round(minutes, 1), **reached}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SdfposeError as error:
        sys.exit(f"pretrain: error: {error}")
