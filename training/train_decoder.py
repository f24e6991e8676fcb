#!/usr/bin/env python3
r"""Train the decoder of one category from scratch, or resume from a checkpoint.

    python training/train_decoder.py mug --out sdfpose_core/weights --work build/training

To train DeepSDF's network, as SSC-6D does, on the models of NOCS without those that SSC-6D removes
(the codes of the models are stored in OUT/codes):

    python training/train_decoder.py mug --decoder deepsdf --out weights --work build/training \
        --left-handed --meshes DATA/obj_models/train/03797390 --exclude removed_models/03797390.txt

To train your own category, write its entry, the section `category` of a file like
sdfpose_core/weights/mug/category.yaml, and provide a folder of meshes, y up, front toward +x:

    python training/train_decoder.py kettle --entry kettle.yaml --meshes kettles/ \
        --out packs --work build/training

The result is the pack OUT/CATEGORY, without an encoder if it had none for the same decoder.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.progress import Progress
from torch.utils.tensorboard import SummaryWriter

from sdfpose_core.categories import Categories, Category, default_categories, read_category
from sdfpose_core.cli.choices import add_threads_argument
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import positive, real
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.errors import MeshError, WeightsError
from sdfpose_core.learning.distributed import first_process_first, is_main_process, process_group
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.auto_decoder import validate_decoder
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.deepsdf_training import DeepSdfTraining, DeepSdfTrainingConfig
from sdfpose_core.sdf.meshing import decode_mesh
from sdfpose_core.sdf.training import (
    DecoderTraining,
    DecoderTrainingConfig,
    codes_file,
    save_model_codes,
)
from sdfpose_core.sdf.training_shapes import (
    SampleCounts,
    TrainingShapes,
    folder_shapes,
    procedural_shapes,
    read_exclusions,
    size_prior,
)
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import weights_file, weights_kind

SHOWN = 4
"""Number of training shapes with surfaces in TensorBoard."""

CONFIGS = Path(__file__).parent.parent / "config" / "training"
DEFAULT_CONFIGS = {"sdf": CONFIGS / "decoder.yaml", "deepsdf": CONFIGS / "deepsdf.yaml"}
KINDS = {"sdf": SdfDecoder.KIND, "deepsdf": DeepSdf.KIND}


@dataclass(frozen=True)
class Settings:
    """Content of the configuration file of the decoder ``sdf``.

    Attributes:
        shapes: number of procedural training shapes; all shapes of a folder are used.
        validation_shapes: number of procedural validation shapes.
        samples: numbers of samples per shape.
        training: training settings.
    """

    shapes: int = 480
    validation_shapes: int = 24
    samples: SampleCounts = field(default_factory=SampleCounts)
    training: DecoderTrainingConfig = field(default_factory=DecoderTrainingConfig)


@dataclass(frozen=True)
class DeepSdfSettings:
    """Content of the configuration file of the decoder ``deepsdf``; see `Settings`."""

    shapes: int = 480
    validation_shapes: int = 24
    samples: SampleCounts = field(default_factory=lambda: SampleCounts(60_000, 20_000, 20_000))
    training: DeepSdfTrainingConfig = field(default_factory=DeepSdfTrainingConfig)


def shapes_of(
    args: argparse.Namespace,
    settings: Settings | DeepSdfSettings,
    category: Category,
    progress: Callable[[str], None],
) -> TrainingShapes:
    """Sample the shapes selected on the command line."""
    cache = args.work / "samples"
    if args.meshes is None:
        return procedural_shapes(
            args.category,
            settings.samples,
            cache,
            training=settings.shapes,
            validation=settings.validation_shapes,
            log=progress,
        )
    return folder_shapes(
        args.category,
        args.meshes,
        settings.samples,
        cache,
        exclude=read_exclusions(args.exclude, args.meshes) if args.exclude else (),
        unit_m=args.unit_m,
        yaw_deg=args.yaw_deg,
        left_handed=args.left_handed,
        expected=category,
        log=progress,
    )


def check_target(path: Path, decoder: str) -> None:
    """Refuse to overwrite the weights of another decoder.

    Raises:
        WeightsError: the file contains another decoder.
    """
    if path.exists() and weights_kind(path, "decoder") != KINDS[decoder]:
        raise WeightsError(
            f"{path}: contains another decoder than '{decoder}' and would be overwritten: choose "
            "another folder with --out"
        )


def entry_of(name: str, file: Path | None) -> Category:
    """The entry of a category: one of the shipped ones, or that of a file.

    Raises:
        CategoryError: there is none.
    """
    if file is None:
        return default_categories()[name]
    entry = read_category(file)
    return Categories({entry.name: entry})[name]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("category")
    parser.add_argument(
        "--decoder",
        choices=tuple(KINDS),
        default="sdf",
        help="network: ours, or that of DeepSDF and SSC-6D (default: %(default)s)",
    )
    parser.add_argument("--config", type=Path, help="default: the decoder's shipped configuration")
    parser.add_argument("--out", type=Path, required=True, help="folder of packs")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--device", default="auto")
    add_threads_argument(parser)
    parser.add_argument(
        "--entry", type=Path, metavar="YAML", help="entry of a category of your own"
    )
    parser.add_argument("--meshes", type=Path, metavar="DIR", help="train on these meshes")
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="names of meshes to exclude: YAML; or .txt with one name a line; or a folder of "
        "SYNSET.txt, as in SSC-6D",
    )
    parser.add_argument("--unit-m", type=positive, default=1.0, help="unit of the meshes in metres")
    parser.add_argument(
        "--yaw-deg",
        type=real(-360.0),
        default=0.0,
        help="rotation about y that turns fronts toward +x",
    )
    parser.add_argument(
        "--left-handed",
        action="store_true",
        help="the meshes have z the other way round, as those in obj_models/train of NOCS",
    )
    args = parser.parse_args()
    if args.exclude is not None and args.meshes is None:
        parser.error(f"--exclude {args.exclude}: names meshes: expected --meshes DIR as well")
    check_output_folder("--out", args.out)
    check_output_folder("--work", args.work)
    check_input_folder("--meshes", args.meshes, "meshes")
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    entry = entry_of(args.category, args.entry)
    category = entry.name
    target = weights_file(category, "decoder", args.out)
    check_target(target, args.decoder)
    config = args.config or DEFAULT_CONFIGS[args.decoder]
    settings: Settings | DeepSdfSettings
    if args.decoder == "deepsdf":
        settings = read_configuration(config, DeepSdfSettings)
    else:
        settings = read_configuration(config, Settings)
    name = "decoder" if args.decoder == "sdf" else args.decoder
    start = time.monotonic()
    with (
        process_group(args.device) as device,
        Progress(disable=not is_main_process()) as bar,
        SummaryWriter(str(args.work / "tensorboard" / f"{category}.{name}")) as log,
    ):
        sampling = bar.add_task(f"{category} samples", total=None)
        with first_process_first():
            shapes = shapes_of(
                args,
                settings,
                entry,
                lambda name: bar.update(sampling, advance=1),
            )
        bar.remove_task(sampling)
        if shapes.report and is_main_process():
            bar.console.print(shapes.report, highlight=False, markup=False, soft_wrap=True)
        training: DecoderTraining | DeepSdfTraining
        if isinstance(settings, DeepSdfSettings):
            training = DeepSdfTraining(shapes.training, settings.training, device)
        else:
            training = DecoderTraining(shapes.training, settings.training, device)
        task = bar.add_task(f"{category} decoder", total=training.steps)

        def progress(step: int, figures: dict[str, float]) -> None:
            bar.update(task, completed=step)
            for name, value in figures.items():
                log.add_scalar(f"decoder/{name}", value, step)

        decoder = training.run(args.work / f"{category}.{name}.ckpt", progress, shapes.validation)
        if not is_main_process():
            return 0
        for number, code in enumerate(training.codes.detach()[:SHOWN]):
            try:
                mesh = decode_mesh(decoder, code, 64)
            except MeshError as error:
                bar.console.print(f"no surface of training shape {number}: {error}", markup=False)
                continue
            log.add_mesh(
                f"reconstruction/{number}",
                torch.from_numpy(mesh.vertices)[None],
                faces=torch.from_numpy(mesh.faces)[None],
                global_step=training.steps,
            )
    minutes = (time.monotonic() - start) / 60.0
    errors = validate_decoder(decoder, shapes.validation)
    folder = args.out / category
    base = Pack.read(folder) if target.exists() else None
    write_pack(folder, entry, {"decoder": decoder}, base)
    if args.meshes is not None:
        path = codes_file(args.out / "codes", category, target)
        save_model_codes(path, training.codes, shapes.names)
    diagonal_m, diagonal_log_sd = size_prior(shapes.diagonals_m)
    print(
        json.dumps(
            {
                "category": category,
                "shapes": len(shapes.training),
                "minutes": round(minutes, 1),
                "diagonal_m": round(diagonal_m, 4),
                "diagonal_log_sd": round(diagonal_log_sd, 3),
                **errors,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(execute("train_decoder", main))
