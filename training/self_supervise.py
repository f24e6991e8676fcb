#!/usr/bin/env python3
"""Train the encoder of one category on unlabelled real images.

    python training/self_supervise.py mug --data PREPARED --part Real/train --out OUT --work WORK
    python training/self_supervise.py mug --data FRAMES_OR_BAG --out OUT --work WORK

The data are NOCS images prepared by training/prepare_nocs.py, whose labels are ignored, or frame
folders or a rosbag2 with masks. To divide the images of a step among several processes, use
``torchrun --nproc-per-node 2 training/self_supervise.py ...``.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.choices import add_recording_arguments, add_threads_argument
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import seed
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.datasets.nocs_preparation import prepared_instances
from sdfpose_core.encoder.views import Views
from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.learning.distributed import first_process_first, is_main_process, process_group
from sdfpose_core.observation.frame import Instance
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.selfsup.recordings import recorded_instances
from sdfpose_core.selfsup.teacher import teacher
from sdfpose_core.selfsup.training import (
    CertifiedTraining,
    SelfSupervision,
    self_supervised_training,
)
from sdfpose_core.simulation.instances import simulated_instances
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.visualisation.drawing import draw_instance
from sdfpose_core.weights import complete_weights, weights_file

SHOWN = 4
"""Number of instances with images in TensorBoard."""

CONFIG = Path(__file__).parent.parent / "config" / "training" / "self_supervision.yaml"


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; see `SelfSupervision` for `learning`.

    `synthetic_views` labelled views of `synthetic_shapes` procedural shapes are mixed in.
    """

    synthetic_views: int = 2000
    synthetic_shapes: int = 96
    learning: SelfSupervision = field(default_factory=SelfSupervision)


def real_instances(args: argparse.Namespace, problems: list[str]) -> list[Instance]:
    """Load the category's instances in the data, without labels."""
    if args.part is not None:
        items = prepared_instances(args.data, args.part, args.category, problems)
        return [x.instance for x in items]
    return recorded_instances(
        args.data,
        args.category,
        problems,
        topics=dict(args.topic),
        every=args.every,
        depth_unit=args.depth_unit,
    )


def synthetic_views(
    model: CategoryModel, settings: Settings, work: Path
) -> tuple[Views, torch.Tensor]:
    """Labelled simulated views, cached in a file for resumed runs, and codes of their shapes."""
    category, shapes = model.category.name, settings.synthetic_shapes
    cache = work / f"{category}.synthetic.{settings.synthetic_views}.{shapes}.npz"
    if not cache.exists():
        stream = simulated_instances(
            category, 1, settings.synthetic_views, model_seeds=range(shapes)
        )
        Views.collect(stream).save(cache)
    return Views.load(cache), procedural_codes(category, model.decoder, shapes).cpu()


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


def train(args: argparse.Namespace, settings: Settings, device: torch.device) -> None:
    """Train and save the encoder."""
    model = CategoryModel.load(default_categories()[args.category], "fast", args.weights, device)
    category = model.category.name
    problems: list[str] = []
    real = real_instances(args, problems)
    for problem in problems:
        print(f"self_supervise: {problem}", file=sys.stderr)
    start = time.monotonic()
    learning = settings.learning
    with (
        Progress(disable=not is_main_process()) as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{category}.{learning.losses}")) as log,
    ):
        labelling = bar.add_task(f"{category} labels", total=learning.rounds * len(real))
        task = bar.add_task(f"{category} {learning.losses}", total=learning.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"self_supervision/{name}", value, step)

        with first_process_first():
            synthetic = synthetic_views(model, settings, args.work)
        if is_main_process():
            show(log, model, real, 0)
        training = self_supervised_training(
            model,
            synthetic,
            real,
            learning,
            progress=lambda: bar.advance(labelling),
        )
        encoder = training.run(args.work / f"{category}.{learning.losses}.ckpt", progress)
        if is_main_process():
            show(log, replace(model, encoder=encoder), real, learning.training.steps)
    if not is_main_process():
        return
    complete_weights(args.out, args.weights)
    encoder.save(weights_file(category, "encoder", args.out), category)
    report = {
        "category": category,
        "losses": learning.losses,
        "instances": len(real),
        "left_out": len(problems),
        "minutes": round((time.monotonic() - start) / 60.0, 1),
    }
    if isinstance(training, CertifiedTraining) and training.labels is not None:
        report["certified"] = len(training.labels.chosen)
    print(json.dumps(report))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("category")
    parser.add_argument("--data", type=Path, required=True, help="prepared data, or a recording")
    add_recording_arguments(parser)
    parser.add_argument("--part", help="part of prepared NOCS data, e.g. Real/train")
    parser.add_argument(
        "--weights", type=Path, help="folder of the initial weights (default: shipped)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the new encoder; missing weights are copied to it",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument(
        "--losses", choices=("certified", "paper"), help="overrides the configuration"
    )
    parser.add_argument("--seed", type=seed, help="overrides the configuration")
    parser.add_argument("--device", default="auto")
    add_threads_argument(parser)
    args = parser.parse_args(arguments)
    check_output_folder("--out", args.out)
    check_output_folder("--work", args.work)
    check_input_folder("--weights", args.weights, "CATEGORY.encoder.safetensors")
    if args.part is not None:
        check_input_folder("--part", args.data / args.part, "prepared images")
    elif not args.data.exists():
        raise FrameError(f"--data {args.data}: no such path: expected frame folders or a bag")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    args.category = default_categories()[args.category].name
    settings = read_configuration(args.config, Settings)
    learning = settings.learning
    if args.losses is not None:
        learning = replace(learning, losses=args.losses)
    if args.seed is not None:
        learning = replace(learning, training=replace(learning.training, seed=args.seed))
    with process_group(args.device) as device:
        train(args, replace(settings, learning=learning), device)
    return 0


if __name__ == "__main__":
    sys.exit(execute("self_supervise", main))
