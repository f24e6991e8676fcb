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

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdfpose_core.benchmark.mesh_folder import measurable_models, mesh_files
from sdfpose_core.categories import default_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.network_training import NetworkTraining, print_figures, training_parser
from sdfpose_core.cli.output import print_problems
from sdfpose_core.cli.paths import check_input_folder
from sdfpose_core.cues.efficientnet import read_pretrained
from sdfpose_core.cues.network import ColourCues, ColourCuesConfig
from sdfpose_core.cues.training import ColourTraining, ColourTrainingConfig
from sdfpose_core.cues.validation import calibrate_colour, validate_colour
from sdfpose_core.cues.views import ClutterViewFile, CueViews, ViewFile, simulated_cue_views
from sdfpose_core.device import resolve_device
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


def loaded(files: Sequence[ViewFile | ClutterViewFile]) -> CueViews:
    """Load all views of some files."""
    return CueViews.joined([CueViews.load(x.path) for x in files])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = training_parser(__doc__.splitlines()[0], CONFIG)
    parser.add_argument("--meshes", type=Path, help="train on these models as well")
    parser.add_argument("--validate", type=Path, help="also measure on these models")
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="FILE",
        help="weights of EfficientNet-Lite0 to start from (.pth)",
    )
    args = parser.parse_args(arguments)
    for option in ("meshes", "validate"):
        if (folder := getattr(args, option)) is not None:
            check_input_folder(f"--{option}", folder, "meshes")
    settings = read_configuration(args.config, Settings)
    pretrained = None if args.pretrained is None else read_pretrained(args.pretrained)
    meshes = models_of(args.meshes) if args.meshes is not None else {}
    table = default_categories()
    symmetric = tuple(x for x in FAMILIES if table[x].symmetry == "y")
    with NetworkTraining("colour", args) as run:
        folder = run.folder("colour")
        held_out_files = validation_files(settings, folder)
        files = training_files(settings, folder, meshes)
        run.make(held_out_files, "views for validation")
        run.make(files, "views for training")
        training = ColourTraining(
            loaded(files),
            ColourCuesConfig(tuple(FAMILIES), symmetric),
            settings.training,
            resolve_device(args.device),
            pretrained,
        )
        (progress,) = run.steps(settings.training.steps)
        network = training.run(args.work / "colour.ckpt", progress)
    held_out = loaded(held_out_files)
    calibrate_colour(network, held_out)
    args.out.mkdir(parents=True, exist_ok=True)
    network.save(args.out / COLOUR_FILE, "all")
    report(ColourCues.load(args.out / COLOUR_FILE), "held-out procedural models", held_out)
    if args.validate is not None:
        report(network, str(args.validate), mesh_views(settings, folder, args.validate))
    run.print_time()
    return 0


def report(network: ColourCues, source: str, views: CueViews) -> None:
    """Print the accuracies of each category."""
    for name, figures in validate_colour(network, views).items():
        print_figures(source, figures, category=name)


if __name__ == "__main__":
    sys.exit(execute("train_colour", main))
