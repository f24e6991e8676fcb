#!/usr/bin/env python3
"""Train the encoder of one category on labelled simulated views.

    python training/pretrain.py mug --weights sdfpose_core/weights --work build/training
    python training/pretrain.py mug --weights paper --work build/training --encoder ssc6d

    python training/pretrain.py mug --weights W --work build/training --data PREPARED
    python training/pretrain.py mug --weights W --work WORK --encoder ssc6d --data PREPARED
    torchrun --nproc-per-node 2 training/pretrain.py mug --weights W --work build/training

The folder of packs must contain that of the category, with its decoder. The codes of the training
shapes are fitted to it (two minutes); the codes and surfaces of the NOCS models come from
training/prepare_nocs.py.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from glob import escape
from pathlib import Path

import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.categories import Category, default_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.datasets.nocs_preparation import prepared_files, prepared_instances
from sdfpose_core.datasets.nocs_shapes import ModelSurfaces, prepared_codes, surfaces_file
from sdfpose_core.encoder.colour_views import ColourViews, Rounds, SimulatedRounds, prefetched
from sdfpose_core.encoder.prepared_rounds import PreparedRounds, labelled_rounds
from sdfpose_core.encoder.pretraining import (
    EncoderTraining,
    EncoderTrainingConfig,
    validate_encoder,
)
from sdfpose_core.encoder.simulated_views import NoiseName, SimulatedViewFile
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_training import (
    Ssc6dTraining,
    Ssc6dTrainingConfig,
    validate_ssc6d,
)
from sdfpose_core.encoder.training_run import Progress as LogLine
from sdfpose_core.encoder.views import TrainingViews, Views
from sdfpose_core.errors import FrameError, WeightsError
from sdfpose_core.learning.distributed import (
    first_process_first,
    is_main_process,
    process_group,
)
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.training import codes_file, load_codes, save_codes
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import weights_file, weights_kind

CONFIGS = Path(__file__).parent.parent / "config" / "training"
DEFAULT_CONFIGS = {"fast": CONFIGS / "encoder.yaml", "ssc6d": CONFIGS / "ssc6d.yaml"}
KINDS = {"fast": "encoder", "ssc6d": Ssc6dEncoder.KIND}

VALIDATION_MODELS = 48
VALIDATION_PART = "CAMERA/val"
HELD_OUT = range(HELD_OUT_SEED, HELD_OUT_SEED + VALIDATION_MODELS)


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; see `EncoderTrainingConfig` for `training`.

    `noise` of depth and masks: ``random`` simulates cameras and detectors of all kinds.
    """

    shapes: int = 480
    views: int = 12_000
    validation_views: int = 800
    noise: NoiseName = "random"
    training: EncoderTrainingConfig = field(default_factory=EncoderTrainingConfig)


@dataclass(frozen=True)
class Ssc6dSettings:
    """Settings of the encoder ``ssc6d``, whose simulated views are not stored."""

    shapes: int = 480
    validation_views: int = 400
    training: Ssc6dTrainingConfig = field(default_factory=Ssc6dTrainingConfig)


def simulated_views(
    category: str, count: int, models: range, noise: NoiseName, cache: Path
) -> Views:
    """Simulate views of procedural models; cached in a file for resumed runs."""
    pool = partial(ModelPool.for_category, category, models)
    file = SimulatedViewFile(cache, category, models.start, count, pool, noise)
    file.make()
    return file.load()


def training_codes(category: str, count: int, args: argparse.Namespace) -> torch.Tensor:
    """Fit codes (count, D) of the training shapes; cached in a file for resumed runs."""
    weights = weights_file(category, "decoder", args.weights)
    path = codes_file(args.work, category, weights)
    if not path.exists():
        save_codes(path, procedural_codes(category, load_decoder(weights), count))
    return load_codes(path)


def prepared_views(
    data: Path, part: str, category: str, decoder: Path
) -> tuple[Views, torch.Tensor]:
    """Load views of prepared NOCS images with poses, and the codes of their models.

    Raises:
        SdfposeError: there are no views or no codes.
    """
    names, codes = prepared_codes(data, category, decoder)
    number = {name: i for i, name in enumerate(names)}
    problems: list[str] = []
    items = prepared_instances(data, part, category, problems, colour=False)
    usable = [
        (x.instance, x.truth, number[x.truth.instance])
        for x in items
        if x.truth is not None and x.truth.instance in number
    ]
    report(problems)
    if len(usable) < len(items):
        print(
            f"pretrain: skipped {len(items) - len(usable)} of {len(items)} instances, which lack a "
            "pose or a code of their model",
            file=sys.stderr,
        )
    if not usable:
        raise FrameError(f"{data / part}: no instance of '{category}' has a pose and a code")
    return Views.of_images(usable), codes


def train_fast(
    args: argparse.Namespace,
    settings: Settings,
    category: Category,
    progress: LogLine,
    device: torch.device,
) -> Callable[[], dict[str, float]]:
    """Train and save the encoder ``fast``; return a function that validates it."""
    decoder = load_decoder(weights_file(category.name, "decoder", args.weights))
    stem = args.work / category.name
    if args.data is not None:
        views, codes = prepared_views(
            args.data,
            args.part,
            category.name,
            weights_file(category.name, "decoder", args.weights),
        )
    else:
        with first_process_first():
            codes = training_codes(category.name, settings.shapes, args)
            views = simulated_views(
                category.name,
                settings.views,
                range(len(codes)),
                settings.noise,
                stem.with_suffix(".views.npz"),
            )
    training = EncoderTraining(
        [TrainingViews(views, codes, settings.training.batch)],
        decoder.code_mean,
        decoder.code_covariance,
        category.diagonal_m,
        settings.training,
        device,
    )
    encoder = training.run(stem.with_suffix(".encoder.ckpt"), progress)
    if is_main_process():
        pack = Pack.read(args.weights / category.name)
        write_pack(pack.folder, pack.category, {"encoder": encoder}, pack)

    def validate() -> dict[str, float]:
        held_out = simulated_views(
            category.name,
            settings.validation_views,
            HELD_OUT,
            settings.noise,
            stem.with_suffix(".validation.npz"),
        )
        return validate_encoder(encoder, held_out, settings.training.seed)

    return validate


def ssc6d_views(
    args: argparse.Namespace, settings: Ssc6dSettings, category: str
) -> tuple[Rounds, torch.Tensor]:
    """Training views of the encoder ``ssc6d``, and the codes (S, D) of their models."""
    config = settings.training
    if args.data is None:
        with first_process_first():
            codes = training_codes(category, settings.shapes, args)
        models = range(len(codes))
        return simulated_rounds(category, models, config.round_views, config), codes
    problems: list[str] = []
    rounds, codes = labelled_rounds(
        args.data,
        args.part,
        category,
        weights_file(category, "decoder", args.weights),
        config.round_views,
        config.encoder,
        config.model_points,
        config.seed,
        problems,
    )
    report(problems)
    return rounds, codes


def validation_views(
    args: argparse.Namespace, settings: Ssc6dSettings, category: str
) -> tuple[str, ColourViews]:
    """Name and views of other models: of CAMERA/val if it is prepared, else simulated."""
    config, count = settings.training, settings.validation_views
    if args.data is None or not any(
        (args.data / VALIDATION_PART).glob(f"*/{escape(category)}.npz")
    ):
        return "simulated", simulated_rounds(category, HELD_OUT, count, config)(0)
    problems: list[str] = []
    rounds = PreparedRounds(
        prepared_files(args.data, VALIDATION_PART, category),
        ModelSurfaces.load(surfaces_file(args.data / "codes", category)),
        count,
        config.encoder,
        config.model_points,
        config.seed,
        problems,
    )
    report(problems)
    return VALIDATION_PART, rounds(0)


def simulated_rounds(
    category: str, models: range, count: int, config: Ssc6dTrainingConfig
) -> SimulatedRounds:
    """Rounds of simulated views of procedural models."""
    return SimulatedRounds(
        category, models, count, config.encoder, config.model_points, config.seed
    )


def report(problems: Sequence[str]) -> None:
    """Print problems of the data."""
    for problem in problems if is_main_process() else ():
        print(f"pretrain: {problem}", file=sys.stderr)


def train_ssc6d(
    args: argparse.Namespace,
    settings: Ssc6dSettings,
    category: Category,
    progress: LogLine,
    device: torch.device,
) -> Callable[[], Mapping[str, object]]:
    """Train and save the encoder ``ssc6d``; return a function that validates it."""
    config, symmetric = settings.training, category.symmetry == "y"
    rounds, codes = ssc6d_views(args, settings, category.name)
    training = Ssc6dTraining(rounds, codes, symmetric, config, device, workers=args.workers)
    if args.profile:
        figures = profile(training, rounds, args.profile, args.workers)
        return lambda: figures
    encoder = training.run(args.work / f"{category.name}.ssc6d.ckpt", progress)
    if is_main_process():
        pack = Pack.read(args.weights / category.name)
        write_pack(pack.folder, pack.category, {"encoder": encoder}, pack)

    def validate() -> Mapping[str, object]:
        source, views = validation_views(args, settings, category.name)
        return {"validation": source, **validate_ssc6d(encoder, views, symmetric)}

    return validate


def profile(training: Ssc6dTraining, rounds: Rounds, count: int, workers: int) -> dict[str, float]:
    """Measure the loader alone during `count` rounds, then `count` steps of the training."""
    warm_up = 2 * workers + 1  # rounds that may be ready before the clock starts
    stream = prefetched(rounds, 0, warm_up + count, workers)
    for _ in range(warm_up):
        next(stream)
    start = time.perf_counter()
    loaded = sum(len(views) for views in stream)
    loader_s = time.perf_counter() - start
    steps_s, waited_s = training.profile(count)
    return {
        "workers": workers,
        "loader_views_per_s": round(loaded / loader_s, 1),
        "steps_per_s": round(count / steps_s, 3),
        "views_per_s": round(count * training.config.batch / steps_s, 1),
        "waiting_share": round(waited_s / steps_s, 3),
        "memory_mib": round(memory_mib(training.device)),
    }


def memory_mib(device: torch.device) -> float:
    """Peak memory: that of the GPU if one is used, otherwise that of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def check_target(path: Path, encoder: str) -> None:
    """Refuse to overwrite the weights of another encoder.

    Raises:
        WeightsError: the file contains another encoder.
    """
    if path.exists() and weights_kind(path, "encoder") != KINDS[encoder]:
        raise WeightsError(
            f"{path}: contains another encoder than '{encoder}' and would be overwritten: copy the "
            "pack to a separate folder and train there"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("category")
    parser.add_argument("--encoder", choices=tuple(KINDS), default="fast")
    parser.add_argument("--config", type=Path, help="default: the encoder's shipped configuration")
    parser.add_argument("--weights", type=Path, required=True, help="folder of packs")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument(
        "--data",
        type=Path,
        help="train on prepared NOCS data instead of simulated views",
    )
    parser.add_argument(
        "--part", default="CAMERA/train", help="part of these data (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=integer(0), default=0, help="CPU threads, 0 for all cores"
    )
    parser.add_argument(
        "--workers",
        type=integer(0),
        default=0,
        help="processes that simulate or load views ahead (ssc6d); results are the same",
    )
    parser.add_argument(
        "--profile",
        type=integer(0),
        default=0,
        metavar="N",
        help="only measure the speed of N rounds of loading and N steps (ssc6d)",
    )
    args = parser.parse_args(arguments)
    if args.profile and args.encoder != "ssc6d":
        parser.error("--profile: only for --encoder ssc6d")
    check_output_folder("--weights", args.weights)
    check_output_folder("--work", args.work)
    if args.data is not None:
        check_input_folder("--part", args.data / args.part, "prepared images")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    category = Pack.read(args.weights / default_categories()[args.category].name).category
    check_target(weights_file(category.name, "encoder", args.weights), args.encoder)
    config = args.config or DEFAULT_CONFIGS[args.encoder]
    start = time.monotonic()
    log_name = "encoder" if args.encoder == "fast" else args.encoder
    with (
        process_group(args.device) as device,
        Progress(disable=not is_main_process()) as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{category.name}.{log_name}")) as log,
    ):
        task = bar.add_task(f"{category.name} encoder", total=None)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"encoder/{name}", value, step)

        if args.encoder == "ssc6d":
            ssc6d = read_configuration(config, Ssc6dSettings)
            bar.update(task, total=ssc6d.training.steps)
            validate: Callable[[], Mapping[str, object]] = train_ssc6d(
                args, ssc6d, category, progress, device
            )
        else:
            fast = read_configuration(config, Settings)
            bar.update(task, total=fast.training.steps)
            validate = train_fast(args, fast, category, progress, device)
        if not is_main_process():
            return 0
    minutes = (time.monotonic() - start) / 60.0
    errors = validate()
    print(json.dumps({"category": category.name, "minutes": round(minutes, 1), **errors}))
    return 0


if __name__ == "__main__":
    sys.exit(execute("pretrain", main))
