#!/usr/bin/env python3
"""Prepare the NOCS data: check completeness, read poses and sizes, fit codes of the models.

    python training/prepare_nocs.py DATA --out PREPARED
    python training/prepare_nocs.py DATA --out PREPARED --parts Real/train Real/test
    python training/prepare_nocs.py DATA --check

An interrupted run continues where it stopped; other --detections or another --colour need another
--out. Use ``--shard i/n`` to divide the scenes among machines.
"""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.progress import Progress

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.category_choice import add_weights_argument, given_packs
from sdfpose_core.cli.choices import shard_of
from sdfpose_core.cli.execution import execute
from sdfpose_core.cli.numbers import integer
from sdfpose_core.cli.paths import check_input_folder, check_output_folder
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.datasets.nocs_layout import missing_parts, part_sizes
from sdfpose_core.datasets.nocs_models import model_folder
from sdfpose_core.datasets.nocs_preparation import (
    NOCS_IMAGE_PARTS,
    ScenePreparation,
    prepare_scene,
    scenes_of,
)
from sdfpose_core.datasets.nocs_shapes import ModelSurfaces, surfaces_file
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.processes import end_with_parent
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.training import codes_file, load_model_codes, save_model_codes
from sdfpose_core.sdf.training_shapes import model_codes
from sdfpose_core.shapes.imports import load_collection

MAX_PRINTED = 20
"""Maximum number of printed problems; the reports of the scenes contain all of them."""


def check(data: Path) -> None:
    """Print which parts of the data exist and which are missing.

    Raises:
        ConfigurationError: the folder does not exist.
    """
    if not data.is_dir():
        raise ConfigurationError(f"{data}: no such folder: expected the folder of the NOCS data")
    for folder, count in part_sizes(data).items():
        print(f"{folder}: {count}")
    for part in missing_parts(data):
        print(
            f"{part.folder} is missing ({part.purpose}"
            f"{', optional' if part.optional else ''}): {part.source}"
        )


def prepare_part(
    args: argparse.Namespace, part: str, pool: ProcessPoolExecutor
) -> ScenePreparation:
    """Prepare all scenes of a part in this machine's shard."""
    problems: list[str] = []
    truths = NocsTruths(args.data, part, default_categories())
    scenes = scenes_of(args.data, part)[args.shard[0] :: args.shard[1]]
    images, instances, sources = 0, Counter[str](), Counter[str]()
    with Progress() as bar:
        task = bar.add_task(part, total=len(scenes))
        jobs = {
            pool.submit(
                prepare_scene,
                args.data,
                part,
                scene,
                args.out,
                truths,
                args.detections,
                None if args.colour == "none" else args.colour,
            ): scene
            for scene in scenes
        }
        for job in as_completed(jobs):
            bar.advance(task)
            try:
                prepared = job.result()
            except ConfigurationError:
                for other in jobs:
                    other.cancel()
                raise
            except (SdfposeError, OSError) as error:
                problems.append(f"{part}/{jobs[job]}: {error}; scene skipped")
                continue
            images += prepared.images
            instances.update(prepared.instances)
            sources.update(prepared.truth)
            problems += prepared.problems
    return ScenePreparation(
        images, dict(sorted(instances.items())), problems, dict(sorted(sources.items()))
    )


def fit_models(data: Path, packs: Packs, out: Path, categories: Sequence[str]) -> None:
    """Write codes of the CAMERA CAD models, one file and one list of names per category.

    Models that the decoder was trained on have the codes of the training, if these are stored
    beside the decoder. The codes of the others are fitted.
    """
    for category in categories:
        decoder = packs[category].verified("decoder")
        path = codes_file(out / "codes", category, decoder)
        if path.is_file():
            continue
        folder = model_folder(data / "obj_models" / "train", category)
        if folder is None:
            print(f"obj_models/train: no models of '{category}'; no codes fitted", file=sys.stderr)
            continue
        collection = load_collection(folder, category, left_handed=True)
        trained = codes_file(packs[category].folder.parent / "codes", category, decoder)
        codes = load_model_codes(trained) if trained.is_file() else {}
        others = [x for x in collection.models if x.name not in codes]
        if codes:
            known = len(collection.models) - len(others)
            print(f"{category}: {known} models have codes of the decoder's training")
        if others:
            with Progress() as bar:
                models = bar.track(others, description=f"{category} codes")
                fitted = model_codes(models, load_decoder(decoder))
            codes |= dict(zip([x.name for x in others], fitted, strict=True))
        names = [x.name.split("/")[0] for x in collection.models]
        save_model_codes(path, torch.stack([codes[x.name] for x in collection.models]), names)
        if collection.report():
            print(collection.report())


def sample_models(data: Path, out: Path, categories: Sequence[str]) -> None:
    """Sample the surfaces of the CAMERA CAD models; write one file per category."""
    for category in categories:
        path = surfaces_file(out / "codes", category)
        found = (model_folder(data / "obj_models" / part, category) for part in ("train", "val"))
        folders = [x for x in found if x is not None]
        if path.is_file() or not folders:
            continue
        problems: list[str] = []
        surfaces = ModelSurfaces.sample(folders, category, problems)
        if surfaces.names:
            surfaces.save(path)
        for problem in problems:
            print(f"prepare_nocs: {problem}", file=sys.stderr)


def report(part: str, prepared: ScenePreparation) -> None:
    """Print the result for a part."""
    counts = ", ".join(f"{name} {count}" for name, count in prepared.instances.items())
    problems = prepared.problems
    truth = ", ".join(f"{name} {count}" for name, count in prepared.truth.items()) or "none"
    print(
        f"{part}: {prepared.images} images; true poses: {truth}; instances: {counts}; "
        f"problems: {len(problems)}"
    )
    for problem in problems[:MAX_PRINTED]:
        print(f"  {problem}")
    if len(problems) > MAX_PRINTED:
        print(f"  ... and {len(problems) - MAX_PRINTED} more (see report.json of each scene)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with CAMERA, Real and obj_models")
    parser.add_argument("--out", type=Path, help="folder of the prepared data")
    parser.add_argument("--check", action="store_true", help="only report what is missing")
    parser.add_argument(
        "--parts",
        nargs="*",
        choices=NOCS_IMAGE_PARTS,
        default=NOCS_IMAGE_PARTS,
        metavar="PART",
        help="parts to prepare (default: all); without a name: only the codes of the models",
    )
    parser.add_argument(
        "--category",
        nargs="+",
        metavar="NAME",
        help="fit codes of the models of these categories only (default: all)",
    )
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="DIR",
        help="use masks of a detector instead (results/mrcnn_results/real_test)",
    )
    parser.add_argument(
        "--colour",
        choices=("png", "jpeg", "none"),
        default="png",
        help="format of the colour crops, which the encoder ssc6d needs (default: png)",
    )
    add_weights_argument(parser)
    parser.add_argument(
        "--no-codes",
        action="store_true",
        help="do not fit codes of the models, which pretrain.py needs",
    )
    parser.add_argument("--shard", type=shard_of, default=(0, 1), metavar="i/n")
    parser.add_argument("--workers", type=integer(), default=2, help="processes (default: 2)")
    args = parser.parse_args(arguments)
    known = default_categories()
    chosen = {known[x].name for x in args.category or NOCS_CATEGORIES}
    categories = [x for x in NOCS_CATEGORIES if x in chosen]
    if args.parts or args.check:
        check(args.data)
    if args.check:
        return 0
    if args.out is None:
        raise ConfigurationError("--out DIR is missing: expected a folder for the prepared data")
    check_output_folder("--out", args.out)
    check_input_folder("--detections", args.detections, "results_*.pkl")
    with_codes = not args.no_codes and args.shard[0] == 0
    packs = given_packs(args)
    with ProcessPoolExecutor(args.workers, get_context("spawn"), end_with_parent) as pool:
        for part in args.parts:
            if not (args.data / part).is_dir():
                print(f"{part}: not found, skipped", file=sys.stderr)
                continue
            report(part, prepare_part(args, part, pool))
    if with_codes:
        sample_models(args.data, args.out, categories)
        fit_models(args.data, packs, args.out, categories)
    return 0


if __name__ == "__main__":
    sys.exit(execute("prepare_nocs", main))
