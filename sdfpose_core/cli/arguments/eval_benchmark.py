"""`sdfpose eval real275` and `camera25`: the NOCS benchmarks, from the images to the figures."""

from __future__ import annotations

from typing import Any, get_args

from sdfpose_core.benchmark.nocs_parts import BENCHMARKS, ScoreName
from sdfpose_core.cli.arguments.work import run_of
from sdfpose_core.cli.choices import (
    add_estimator_arguments,
    add_protocol_arguments,
    add_threads_argument,
    shard_of,
)
from sdfpose_core.cli.output import add_json_argument
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.datasets.nocs_truth import TruthChoice

__all__ = ["OWN_MASKS", "add_parsers"]

OWN_MASKS = "masks"
"""Value of ``--detections`` for the masks of the data."""


def add_parsers(evaluations: Any) -> None:
    """Declare the arguments of both benchmarks."""
    for name, benchmark in BENCHMARKS.items():
        parser = evaluations.add_parser(
            name,
            help=f"run the {benchmark.title} benchmark on the NOCS data ({benchmark.part})",
            description=(
                f"Estimate every detection of a detector in the images of {benchmark.part} and "
                "compute the average precision by the protocol of the NOCS benchmark. One pickle "
                "per image is written to the folder of results, and an interrupted run continues "
                "there. Processes with different shards of the images share the folder; the last "
                "one prints the figures."
            ),
            epilog=(
                f"Example: sdfpose eval {name} DATA --detections DATA/{benchmark.detections} "
                f"--iou repaired --results out/{name} --json {name}.json"
            ),
        )
        parser.add_argument(
            "data",
            type=path_argument,
            metavar="DATA",
            help=f"folder of the NOCS data, with {benchmark.part}",
        )
        parser.add_argument(
            "--detections",
            metavar="DIR",
            help=(
                "folder of the detector's pickles, results_PART_SCENE_NUMBER.pkl; "
                f"'{OWN_MASKS}' takes the masks of the data, each with score 1 (default: "
                f"DATA/{benchmark.detections})"
            ),
        )
        parser.add_argument(
            "--truth",
            choices=get_args(TruthChoice),
            default="auto",
            help=(
                "source of the true poses; auto takes the first that an image has; poses from "
                "coordinate_maps are not those of the benchmark (default: %(default)s)"
            ),
        )
        parser.add_argument(
            "--scores",
            choices=get_args(ScoreName),
            default="detector",
            help=(
                "scores of the predictions: of the detector, as published, the confidence of the "
                "estimate, or their product (default: %(default)s)"
            ),
        )
        add_protocol_arguments(parser)
        parser.add_argument("--category", nargs="+", metavar="NAME", help="only these categories")
        parser.add_argument(
            "--results",
            type=path_argument,
            metavar="DIR",
            help=(
                "folder of the results, one pickle per image in the format of 'eval nocs' "
                f"(default: a folder out/{name}-DIGEST for each set of settings)"
            ),
        )
        parser.add_argument(
            "--shard",
            type=shard_of,
            default=(0, 1),
            metavar="i/n",
            help="estimate only the i-th of n shares of the images, i from 1 (default: all images)",
        )
        add_json_argument(parser)
        parser.add_argument(
            "--report", type=path_argument, metavar="FILE", help="write an HTML report"
        )
        add_threads_argument(parser)
        add_estimator_arguments(parser, device="auto")
        parser.set_defaults(evaluation=run_of("sdfpose_core.cli.eval_benchmark"), benchmark=name)
