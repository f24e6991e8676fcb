"""The work of `sdfpose eval real275`."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sdfpose_core.benchmark.nocs_figures import (
    benchmark_figures,
    image_evaluation,
    truth_warning,
    worst_images,
)
from sdfpose_core.benchmark.nocs_images import ImageRecord, NocsBenchmark, NocsResults, run_images
from sdfpose_core.benchmark.nocs_parts import BENCHMARKS
from sdfpose_core.categories import Categories
from sdfpose_core.cli.arguments.eval_benchmark import OWN_MASKS
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.output import (
    precision_table,
    print_problems,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import (
    check_input_folder,
    check_output_file,
    check_output_folder,
)
from sdfpose_core.cli.progress import progress_bar
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.datasets.nocs_truth import NocsTruths
from sdfpose_core.device import set_threads
from sdfpose_core.errors import CategoryError, FrameError
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.packs.collection import Packs
from sdfpose_core.packs.pack import Kind
from sdfpose_core.visualisation.report import report_page
from sdfpose_core.weights import CONFIDENCE_FILE

__all__ = ["detections_folder", "run"]


_DIGITS = 16
"""Length of a digest in the settings."""


def run(args: argparse.Namespace) -> int:
    """Estimate the images and, once all of them are done, compute the figures.

    Raises:
        SdfposeError: An argument is invalid, the weights or the data cannot be used, or the folder
            of results has those of another run.
    """
    part = BENCHMARKS[args.benchmark].part
    check_output_file("--json", args.json)
    check_output_file("--report", args.report)
    check_output_folder("--results", args.results)
    check_input_folder("DATA", args.data / part, "the images of the benchmark")
    detections = detections_folder(args.benchmark, args.data, args.detections)
    if args.threads:
        set_threads(args.threads)
    packs = given_packs(args)
    categories = packs.categories
    names = _names(args.category, categories)
    config = estimator_config(args)
    estimator = PoseEstimator(config, packs)
    for name in names:
        estimator.load(name)
    truths = NocsTruths(args.data, part, categories, args.truth)
    benchmark = NocsBenchmark(
        root=args.data,
        part=part,
        detections=detections,
        truths=truths,
        estimator=estimator,
        categories=categories,
        names=names,
        scores=args.scores,
    )
    stems = benchmark.images()
    settings = _settings(args, part, detections, truths, names, config, packs)
    results = NocsResults(args.results or _default_folder(args.benchmark, settings))
    results.begin(settings)
    share = stems[args.shard[0] :: args.shard[1]]
    print(f"sdfpose: results of the images in {results.folder}", file=sys.stderr)
    with _bar() as bar:
        task = bar.add_task(part, total=len(share))
        run_images(benchmark, results, share, lambda: bar.advance(task))
    records = [x for x in map(results.read, stems) if x is not None]
    if len(records) < len(stems):
        print(
            f"sdfpose: shard {args.shard[0] + 1}/{args.shard[1]} is done; "
            f"{len(stems) - len(records)} of {len(stems)} images have no result yet: the last "
            "shard computes the figures",
            file=sys.stderr,
        )
        return 0
    _publish(args, records, settings, results.folder, config, categories)
    return 0


def _publish(
    args: argparse.Namespace,
    records: Sequence[ImageRecord],
    settings: Mapping[str, Any],
    folder: Path,
    config: EstimatorConfig,
    categories: Categories,
) -> None:
    """Compute and write the figures."""
    found = [*truth_warning(records), *(y for x in records for y in x.problems)]
    problems = list(dict.fromkeys(found))  # each process reports what concerns all images
    if not any(x.counts for x in records):
        raise FrameError(
            f"{args.data}: no image can be used{': ' + problems[0] if problems else ''}"
        )
    document = benchmark_figures(records, iou=args.iou, misses=args.misses)
    document["detections"] = {"folder": settings["detections"], **document["detections"]}
    if args.json is not None:
        more = {"benchmark": args.benchmark, "scores": args.scores, "results": str(folder)}
        write_json(args.json, more | document | {"settings": settings, "problems": problems})
    facts = _facts(document, args.scores)
    if args.report is not None:
        used = [x for x in records if x.counts]
        frames = [image_evaluation(x) for x in used]
        page = report_page(
            f"{BENCHMARKS[args.benchmark].title} benchmark",
            frames,
            categories,
            facts=facts,
            problems=problems,
            pictures=worst_images(args.data, frames, categories),
            configuration=config,
            iou=args.iou,
            misses=args.misses,
            results=[x.result for x in used],
        )
        write_file(args.report, page.encode(errors="replace"))
    print_problems(problems)
    console = wide_console()
    console.print(precision_table(document))
    for name, value in facts.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)


def detections_folder(benchmark: str, data: Path, option: str | None) -> Path | None:
    """Folder of the detections; None for the masks of the data.

    Args:
        benchmark: name of the benchmark.
        data: folder of the NOCS data.
        option: value of ``--detections``.

    Raises:
        ConfigurationError: the folder cannot be read.
    """
    if option == OWN_MASKS:
        return None
    folder = data / BENCHMARKS[benchmark].detections if option is None else Path(option)
    expected = f"results_*.pkl, or --detections {OWN_MASKS} for the masks of the data"
    check_input_folder("--detections", folder, expected)
    return folder


def _names(requested: Sequence[str] | None, categories: Categories) -> list[str]:
    """Names of the categories to evaluate, in the order of the benchmark."""
    chosen = {categories[x].name for x in requested or NOCS_CATEGORIES}
    if unknown := sorted(chosen - set(NOCS_CATEGORIES)):
        raise CategoryError(
            f"--category {', '.join(unknown)}: not in the benchmark: expected some of "
            f"{', '.join(NOCS_CATEGORIES)}"
        )
    return [x for x in NOCS_CATEGORIES if x in chosen]


def _settings(
    args: argparse.Namespace,
    part: str,
    detections: Path | None,
    truths: NocsTruths,
    names: Sequence[str],
    config: EstimatorConfig,
    packs: Packs,
) -> dict[str, Any]:
    """What the results of the images depend on, apart from the device and the version."""
    kinds: list[Kind] = ["decoder"] if config.encoder == "none" else ["decoder", "encoder"]
    weights = {
        f"{x}/{kind}": (packs[x].digest(kind) or "")[:_DIGITS] for x in names for kind in kinds
    }
    weights[CONFIDENCE_FILE] = _digest(packs.shared(CONFIDENCE_FILE).read_bytes())
    estimator = dataclasses.asdict(config)
    del estimator["device"]
    return {
        "data": str(args.data.resolve()),
        "part": part,
        "detections": OWN_MASKS if detections is None else str(detections.resolve()),
        "truth": args.truth,
        "truth_sources": list(truths.sources),
        "scores": args.scores,
        "categories": list(names),
        "weights": weights,
        "estimator": json.loads(json.dumps(estimator, default=str)),
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _default_folder(benchmark: str, settings: Mapping[str, Any]) -> Path:
    digest = _digest(json.dumps(settings, sort_keys=True).encode())[: _DIGITS // 2]
    return Path("out") / f"{benchmark}-{digest}"


def _facts(document: Mapping[str, Any], scores: str) -> dict[str, str]:
    """What a reader has to know of the figures, to set them beside others."""
    detections, images = document["detections"], str(document["images"])
    if document["left_out_images"]:
        images += f", {document['left_out_images']} left out as in the published evaluation"
    if document["skipped_images"]:
        images += f", {document['skipped_images']} skipped"
    sources = ", ".join(f"{name} ({count})" for name, count in document["truth_images"].items())
    if "coordinate_maps" in document["truth_images"]:
        sources += "; the figures are not those of the benchmark"
    return {
        "images": images,
        "truth": sources,
        "detections": (
            f"{detections['count']} of {detections['folder']}, {detections['without_estimate']} "
            f"without an estimate; {detections['images_without']} images without detections"
        ),
        "scores": scores,
    }


def _bar() -> Progress:
    return progress_bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        transient=False,
    )
