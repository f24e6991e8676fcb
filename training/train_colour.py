#!/usr/bin/env python3
"""Train the colour network of all categories on simulated views.

    python training/train_colour.py --out sdfpose_core/weights --work build/training
    python training/train_colour.py --out W --work build/training --meshes FOLDER
    python training/train_colour.py --out W --work build/training --validate MESHES

The shipped network started from the weights of EfficientNet-Lite0 in --pretrained FILE
(docs/pose.md says where they are); without it, everything is learned from nothing. Views are made
once and kept in the work folder. An interrupted training goes on where it was. At the end, the
accuracies on views of models that were not used for training are printed.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.benchmark.mesh_folder import measurable_models, mesh_files
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.output import print_problems
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.cues.efficientnet import read_pretrained
from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.cues.training import ColourTraining, ColourTrainingConfig
from sdfpose_core.cues.validation import calibrate_colour, validate_colour
from sdfpose_core.cues.views import ClutterViewFile, CueViews, ViewFile, simulated_cue_views
from sdfpose_core.device import resolve_device, set_threads
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import COLOUR_FILE

CONFIG = Path(__file__).parent.parent / "config" / "training" / "colour.yaml"
VALIDATION_MODELS = 48
VALIDATION_SEED = 1000


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file; see `ColourTrainingConfig` for `training`.

    Attributes:
        files: number of files of views per category.
        views_per_file: number of views in each.
        models_per_file: number of procedural models in each; every file has its own.
        clutter_files: number of files of views of cluttered scenes, with things of no category.
        clutter_views: number of views in each.
        validation_views: number of held-out views per category; twice as many of clutter.
        training: settings of the training.
    """

    files: int = 4
    views_per_file: int = 850
    models_per_file: int = 60
    clutter_files: int = 4
    clutter_views: int = 2500
    validation_views: int = 500
    training: ColourTrainingConfig = field(default_factory=ColourTrainingConfig)


def training_files(
    settings: Settings, folder: Path, meshes: Mapping[str, Sequence[CadModel]]
) -> list[ViewFile | ClutterViewFile]:
    """Files of training views, category by category in turn."""
    per_file = settings.models_per_file
    clutter = [
        ClutterViewFile(
            folder / f"clutter.{i:02d}.npz",
            tuple(FAMILIES),
            seed=i,
            count=settings.clutter_views,
            model_seeds=range(i * per_file, (i + 1) * per_file),
        )
        for i in range(settings.clutter_files)
    ]
    return clutter + [
        ViewFile(
            folder / f"{name}.{i:02d}.npz",
            name,
            number,
            seed=i,
            count=settings.views_per_file,
            model_seeds=range(i * per_file, (i + 1) * per_file),
            models=tuple(meshes.get(name, ())),
        )
        for i in range(settings.files)
        for number, name in enumerate(FAMILIES)
    ]


def validation_files(settings: Settings, folder: Path) -> list[ViewFile | ClutterViewFile]:
    """Files of views of held-out procedural models."""
    seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + VALIDATION_MODELS)
    clutter = ClutterViewFile(
        folder / "clutter.held_out.npz",
        tuple(FAMILIES),
        seed=VALIDATION_SEED,
        count=2 * settings.validation_views,
        model_seeds=seeds,
    )
    return [clutter] + [
        ViewFile(
            folder / f"{name}.held_out.npz",
            name,
            number,
            seed=VALIDATION_SEED,
            count=settings.validation_views,
            model_seeds=seeds,
        )
        for number, name in enumerate(FAMILIES)
    ]


def mesh_views(settings: Settings, folder: Path, data: Path) -> CueViews:
    """Views of the models in a folder of meshes, among procedural distractors."""
    parts = []
    for number, (name, models) in enumerate(models_of(data).items()):
        path = folder / f"{name}.meshes.npz"
        if models and not path.exists():
            pool = ModelPool.with_models(name, models, HELD_OUT_SEED, distractors=8)
            count = settings.validation_views
            simulated_cue_views(name, number, VALIDATION_SEED, count, pool=pool).save(path)
        if models:
            parts.append(CueViews.load(path))
    return CueViews.joined(parts)


def models_of(data: Path) -> dict[str, list[CadModel]]:
    """Usable models of each category in a folder of meshes; problems are printed."""
    problems: list[str] = []
    files = mesh_files(data, list(FAMILIES), problems)
    models = {
        name: [x for _, x in measurable_models(paths, name, problems)]
        for name, paths in files.items()
    }
    print_problems(problems, "train_colour")
    return models


def loaded(
    files: Sequence[ViewFile | ClutterViewFile], bar: Progress, workers: int, title: str
) -> CueViews:
    """Make the files that are missing, and load all views."""
    task = bar.add_task(title, total=len(files))
    for _ in make_view_files(files, workers):
        bar.advance(task)
    return CueViews.joined([CueViews.load(x.path) for x in files])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--work", type=Path, required=True, help="folder for views and checkpoints")
    parser.add_argument("--config", type=Path, default=CONFIG, help="default: the shipped one")
    parser.add_argument("--meshes", type=Path, help="train on these models as well")
    parser.add_argument("--validate", type=Path, help="also measure on these models")
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="weights of EfficientNet-Lite0 to start from (.pth)",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=integer(1), default=1, help="processes that make views")
    parser.add_argument("--threads", type=integer(0), default=0, help="CPU threads, 0: all cores")
    args = parser.parse_args(arguments)
    check_output_folder("--out", args.out)
    check_output_folder("--work", args.work)
    for option in ("meshes", "validate"):
        if (folder := getattr(args, option)) is not None:
            check_input_folder(f"--{option}", folder, "meshes")
    if args.threads > 0:
        set_threads(args.threads)
    settings = read_configuration(args.config, Settings)
    pretrained = None if args.pretrained is None else read_pretrained(args.pretrained)
    folder = args.work / "colour"
    folder.mkdir(parents=True, exist_ok=True)
    meshes = models_of(args.meshes) if args.meshes is not None else {}
    table = default_categories()
    symmetric = tuple(x for x in FAMILIES if table[x].symmetry == "y")
    start = time.monotonic()
    with Progress() as bar, SummaryWriter(str(args.work / "tensorboard" / "colour")) as log:
        held_out = loaded(
            validation_files(settings, folder), bar, args.workers, "views for validation"
        )
        views = loaded(
            training_files(settings, folder, meshes), bar, args.workers, "views for training"
        )
        views_minutes = (time.monotonic() - start) / 60.0
        training = ColourTraining(
            views,
            ColourCuesConfig(tuple(FAMILIES), symmetric),
            settings.training,
            resolve_device(args.device),
            pretrained,
        )
        task = bar.add_task("colour network", total=settings.training.steps)

        def progress(step: int, losses: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in losses.items():
                log.add_scalar(f"colour/{name}", value, step)

        network = training.run(args.work / "colour.ckpt", progress)
    calibrate_colour(network, held_out)
    args.out.mkdir(parents=True, exist_ok=True)
    network.save(args.out / COLOUR_FILE, "all")
    minutes = (time.monotonic() - start) / 60.0
    report(ColourCues.load(args.out / COLOUR_FILE), "held-out procedural models", held_out)
    if args.validate is not None:
        report(network, str(args.validate), mesh_views(settings, folder, args.validate))
    print(json.dumps({"views_minutes": round(views_minutes, 1), "minutes": round(minutes, 1)}))
    return 0


def report(network: ColourCues, source: str, views: CueViews) -> None:
    """Print the accuracies of each category."""
    for name, figures in validate_colour(network, views).items():
        rounded = {key: round(value, 3) for key, value in figures.items()}
        print(json.dumps({"validation": source, "category": name, **rounded}))


if __name__ == "__main__":
    sys.exit(execute("train_colour", main))
