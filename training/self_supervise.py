#!/usr/bin/env python3
"""Train the encoder of one category on unlabelled real images.

    python training/self_supervise.py mug --data PREPARED --part Real/train --out OUT --work WORK
    python training/self_supervise.py mug --data FRAMES_OR_BAG --out OUT --work WORK
    python training/self_supervise.py mug --data PREPARED --part Real/train --out OUT --work WORK
        --encoder ssc6d --weights W --synthetic CAMERA/train

The data are NOCS images prepared by training/prepare_nocs.py, whose labels are ignored, or frame
folders or a rosbag2 with masks. Labelled views are mixed in: simulated ones or, for the encoder
`ssc6d`, those of another part of the prepared data (--synthetic). To divide the images of a step
among several processes, use ``torchrun --nproc-per-node 2 training/self_supervise.py ...``.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.cli.category_choice import add_weights_argument, given_packs
from sdfpose_core.cli.choices import add_recording_arguments, add_threads_argument
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer, seed
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.datasets.nocs_preparation import prepared_instances
from sdfpose_core.encoder.colour_views import Rounds, SimulatedRounds
from sdfpose_core.encoder.prepared_rounds import labelled_rounds
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.encoder.views import Views
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.learning.distributed import first_process_first, is_main_process, process_group
from sdfpose_core.observation.frame import Instance
from sdfpose_core.packs.writing import copy_shared, write_pack
from sdfpose_core.sdf.training import codes_file, load_codes, save_codes
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.selfsup.recordings import recorded_instances
from sdfpose_core.selfsup.ssc6d_training import (
    CertifiedSsc6dTraining,
    Ssc6dSelfSupervision,
    Ssc6dSelfTraining,
    ssc6d_self_training,
)
from sdfpose_core.selfsup.teacher import teacher
from sdfpose_core.selfsup.training import (
    CertifiedTraining,
    PaperTraining,
    SelfSupervision,
    self_supervised_training,
)
from sdfpose_core.simulation.instances import simulated_instances
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.visualisation.drawing import draw_instance

SHOWN = 4
"""Number of instances with images in TensorBoard."""

CONFIGS = Path(__file__).parent.parent / "config" / "training"
DEFAULT_CONFIGS = {
    "fast": CONFIGS / "self_supervision.yaml",
    "ssc6d": CONFIGS / "ssc6d_self_supervision.yaml",
}

Training: TypeAlias = CertifiedTraining | PaperTraining | Ssc6dSelfTraining


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; see `SelfSupervision` for `learning`.

    `synthetic_views` labelled views of `synthetic_shapes` procedural shapes are mixed in.
    """

    synthetic_views: int = 2000
    synthetic_shapes: int = 96
    learning: SelfSupervision = field(default_factory=SelfSupervision)


@dataclass(frozen=True)
class Ssc6dSettings:
    """The same for the encoder ``ssc6d``; see `Ssc6dSelfSupervision`.

    Simulated views of `synthetic_shapes` procedural shapes are mixed in if no prepared ones are.
    """

    synthetic_shapes: int = 480
    learning: Ssc6dSelfSupervision = field(default_factory=Ssc6dSelfSupervision)


AnySettings = TypeVar("AnySettings", Settings, Ssc6dSettings)


def real_instances(args: argparse.Namespace, problems: list[str]) -> list[Instance]:
    """Load the category's instances in the data, without labels."""
    if args.part is None:
        return recorded_instances(
            args.data,
            args.category,
            problems,
            categories=given_packs(args).categories,
            topics=dict(args.topic),
            every=args.every,
            depth_unit=args.depth_unit,
        )
    colour = args.encoder == "ssc6d"
    stored = prepared_instances(args.data, args.part, args.category, problems, colour=colour)
    found = [x.instance for x in stored if not colour or x.instance.colour is not None]
    if len(found) < len(stored):
        problems.append(
            f"{args.data / args.part}: {len(stored) - len(found)} of {len(stored)} instances have "
            "no colour, which the encoder 'ssc6d' needs; skipped"
        )
    if not found:
        raise FrameError(
            f"{args.data / args.part}: no instance of '{args.category}' has colour: expected data "
            "prepared with colour; prepare them again with training/prepare_nocs.py"
        )
    return found


def synthetic_views(
    model: CategoryModel, settings: Settings, args: argparse.Namespace
) -> tuple[Views, torch.Tensor]:
    """Labelled simulated views, cached in a file for resumed runs, and codes of their shapes."""
    category, shapes = model.category.name, settings.synthetic_shapes
    cache = args.work / f"{category}.synthetic.{settings.synthetic_views}.{shapes}.npz"
    if not cache.exists():
        stream = simulated_instances(
            category, 1, settings.synthetic_views, model_seeds=range(shapes)
        )
        Views.collect(stream).save(cache)
    return Views.load(cache), shape_codes(model, shapes, args)


def synthetic_rounds(
    model: CategoryModel, settings: Ssc6dSettings, args: argparse.Namespace, problems: list[str]
) -> tuple[Rounds, torch.Tensor]:
    """Labelled colour views, prepared or simulated, and codes of their models."""
    training, category = settings.learning.training, model.category.name
    assert isinstance(model.encoder, Ssc6dEncoder)
    network = model.encoder.config
    views = training.round_views, network, training.model_points, training.seed
    if args.synthetic is not None:
        decoder = args.pack.file("decoder")
        return labelled_rounds(args.data, args.synthetic, category, decoder, *views, problems)
    shapes = settings.synthetic_shapes
    with first_process_first():
        codes = shape_codes(model, shapes, args)
    return SimulatedRounds(category, range(shapes), *views), codes


def shape_codes(model: CategoryModel, shapes: int, args: argparse.Namespace) -> torch.Tensor:
    """Codes (S, D) of procedural shapes, cached in a file for resumed runs."""
    category = model.category.name
    path = codes_file(args.work, f"{category}.{shapes}", args.pack.file("decoder"))
    if not path.exists():
        save_codes(path, procedural_codes(category, model.decoder, shapes).cpu())
    return load_codes(path)


def show(log: SummaryWriter, model: CategoryModel, real: Sequence[Instance], step: int) -> None:
    """Log images and surfaces of unrefined network predictions for some real instances."""
    estimator = teacher(model, refine="none", drawn=True)
    for number, instance in enumerate(real[:: max(len(real) // SHOWN, 1)][:SHOWN]):
        estimates = estimator.estimate([instance]).estimates
        picture = draw_instance(instance, estimates, estimator.categories)
        log.add_image(f"overlay/{number}", picture, step, dataformats="HWC")
        for estimate in estimates:
            vertices = torch.from_numpy(estimate.vertices)
            faces = torch.from_numpy(estimate.faces)
            log.add_mesh(
                f"reconstruction/{number}", vertices[None], faces=faces[None], global_step=step
            )


def training_of(
    args: argparse.Namespace,
    settings: Settings | Ssc6dSettings,
    model: CategoryModel,
    real: Sequence[Instance],
    problems: list[str],
    labelled: Callable[[], None],
) -> Training:
    """Set up the training of the encoder."""
    if isinstance(settings, Ssc6dSettings):
        return ssc6d_self_training(
            model,
            synthetic_rounds(model, settings, args, problems),
            real,
            settings.learning,
            workers=args.workers,
            progress=labelled,
        )
    with first_process_first():
        synthetic = synthetic_views(model, settings, args)
    return self_supervised_training(model, synthetic, real, settings.learning, progress=labelled)


def train(
    args: argparse.Namespace, settings: Settings | Ssc6dSettings, device: torch.device
) -> None:
    """Train and save the encoder."""
    category, learning = args.pack.name, settings.learning
    model = CategoryModel.load(args.pack, args.encoder, device)
    problems: list[str] = []
    real = real_instances(args, problems)
    start = time.monotonic()
    name = learning.losses if args.encoder == "fast" else f"{args.encoder}.{learning.losses}"
    with (
        Progress(disable=not is_main_process()) as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{category}.{name}")) as log,
    ):
        certified = learning.losses == "certified"
        labelling = bar.add_task(
            f"{category} labels", total=learning.labelling.rounds * len(real), visible=certified
        )
        task = bar.add_task(f"{category} {learning.losses}", total=learning.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"self_supervision/{name}", value, step)

        training = training_of(
            args, settings, model, real, problems, lambda: bar.advance(labelling)
        )
        for problem in problems if is_main_process() else ():
            print(f"self_supervise: {problem}", file=sys.stderr)
        if is_main_process():
            show(log, model, real, 0)
        encoder = training.run(args.work / f"{category}.{name}.ckpt", progress)
        if is_main_process():
            show(log, replace(model, encoder=encoder), real, learning.training.steps)
    if not is_main_process():
        return
    write_pack(args.out / category, args.pack.category, {"encoder": encoder}, args.pack)
    copy_shared(given_packs(args), args.out)
    report: dict[str, Any] = {
        "category": category,
        "encoder": args.encoder,
        "losses": learning.losses,
        "instances": len(real),
        "left_out": len(problems),
        "minutes": round((time.monotonic() - start) / 60.0, 1),
    }
    if isinstance(learning, Ssc6dSelfSupervision):
        report["ablation"] = learning.ablation
    if isinstance(training, CertifiedTraining | CertifiedSsc6dTraining):
        assert training.labels is not None
        report["certified"] = len(training.labels.chosen)
    print(json.dumps(report))


def read_settings(args: argparse.Namespace, kind: type[AnySettings]) -> AnySettings:
    """Read the configuration file and apply the options that override it."""
    settings = read_configuration(args.config or DEFAULT_CONFIGS[args.encoder], kind)
    learning = settings.learning
    changes = {
        name: getattr(args, name)
        for name in ("losses", "ablation")
        if getattr(args, name) is not None
    }
    if args.seed is not None:
        changes["training"] = replace(learning.training, seed=args.seed)
    return replace(settings, learning=replace(learning, **changes))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("category")
    parser.add_argument(
        "--encoder", choices=tuple(DEFAULT_CONFIGS), default="fast", help="default: %(default)s"
    )
    parser.add_argument("--data", type=Path, required=True, help="prepared data, or a recording")
    add_recording_arguments(parser)
    parser.add_argument("--part", help="part of prepared NOCS data, e.g. Real/train")
    parser.add_argument(
        "--synthetic",
        help="labelled part of the same data, e.g. CAMERA/train (ssc6d; default: simulated views)",
    )
    add_weights_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of packs; the new encoder is in OUT/CATEGORY",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--config", type=Path, help="default: the encoder's shipped configuration")
    parser.add_argument(
        "--losses", choices=("certified", "paper"), help="overrides the configuration"
    )
    parser.add_argument(
        "--ablation",
        choices=("none", "b", "c", "d", "real"),
        help="ablation of the losses of SSC-6D (ssc6d); overrides the configuration",
    )
    parser.add_argument("--seed", type=seed, help="overrides the configuration")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--workers",
        type=integer(0),
        default=0,
        help="processes that make labelled views ahead (ssc6d); results are the same",
    )
    add_threads_argument(parser)
    args = parser.parse_args(arguments)
    if args.encoder != "ssc6d" and (args.synthetic is not None or args.ablation is not None):
        parser.error("--synthetic and --ablation are only for --encoder ssc6d")
    if args.synthetic is not None and args.part is None:
        parser.error("--synthetic is a part of prepared data: expected --part as well")
    check_output_folder("--out", args.out)
    check_output_folder("--work", args.work)
    if args.part is not None:
        check_input_folder("--part", args.data / args.part, "prepared images")
        if args.synthetic is not None:
            check_input_folder("--synthetic", args.data / args.synthetic, "prepared images")
    elif not args.data.exists():
        raise FrameError(f"--data {args.data}: no such path: expected frame folders or a bag")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    args.pack = given_packs(args)[args.category]
    args.pack.verified("encoder")
    settings: Settings | Ssc6dSettings
    if args.encoder == "ssc6d":
        settings = read_settings(args, Ssc6dSettings)
    else:
        settings = read_settings(args, Settings)
    with process_group(args.device) as device:
        train(args, settings, device)
    return 0


if __name__ == "__main__":
    sys.exit(execute("self_supervise", main))
