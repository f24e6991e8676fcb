#!/usr/bin/env python3
"""Train the decoder of one category from nothing (or from its checkpoint).

python training/train_decoder.py mug --out sdfpose_core/weights --work build/training
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.configuration import read_configuration
from sdfpose_core.device import resolve_device
from sdfpose_core.errors import SdfposeError
from sdfpose_core.sdf.training import (
    DecoderTraining,
    DecoderTrainingConfig,
    save_codes,
    validate_decoder,
)
from sdfpose_core.shapes.families import HELD_OUT_SEED, sample_model
from sdfpose_core.shapes.sdf_samples import SdfSamples, sample_sdf
from sdfpose_core.weights import weights_file

DEFAULT_CONFIG = Path(__file__).parent.parent / "config" / "training" / "decoder.yaml"


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; `training` is documented where it is used."""

    shapes: int = 240
    surface_samples: int = 16_000
    uniform_samples: int = 5_000
    validation_shapes: int = 24
    training: DecoderTrainingConfig = field(default_factory=DecoderTrainingConfig)


def sample_shapes(category: str, seeds: range, settings: Settings) -> list[SdfSamples]:
    """SDF samples of procedural shapes."""
    return [
        sample_sdf(
            sample_model(category, seed),
            np.random.default_rng(seed),
            settings.surface_samples,
            settings.uniform_samples,
        )
        for seed in seeds
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("category")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG)
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--work", type=Path, required=True, help="folder of checkpoints and logs")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all cores")
    args = parser.parse_args()
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    settings = read_configuration(args.config, Settings)
    start = time.monotonic()
    samples = sample_shapes(args.category, range(settings.shapes), settings)
    training = DecoderTraining(samples, settings.training, resolve_device(args.device))
    args.work.mkdir(parents=True, exist_ok=True)
    with (
        Progress() as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{args.category}.decoder")) as log,
    ):
        task = bar.add_task(f"{args.category} decoder", total=settings.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"decoder/{name}", value, step)

        decoder = training.run(args.work / f"{args.category}.decoder.ckpt", progress)
    minutes = (time.monotonic() - start) / 60.0
    held_out = range(HELD_OUT_SEED, HELD_OUT_SEED + settings.validation_shapes)
    reached = validate_decoder(decoder, sample_shapes(args.category, held_out, settings))
    decoder.save(weights_file(args.category, "decoder", args.out), args.category)
    save_codes(args.work / f"{args.category}.codes.safetensors", training.codes)
    print(json.dumps({"category": args.category, "minutes": round(minutes, 1), **reached}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SdfposeError as error:
        sys.exit(f"train_decoder: error: {error}")
