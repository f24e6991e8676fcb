"""`sdfpose eval`: evaluate predictions against ground truth."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli.arguments import eval_benchmark, eval_frames, eval_nocs

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add the parsers of all evaluations."""
    parser = subparsers.add_parser(
        "eval",
        help="evaluate predictions against ground truth",
        description="Evaluate predictions against ground truth.",
        epilog="Run 'sdfpose eval EVALUATION --help' for the options of an evaluation.",
    )
    evaluations = parser.add_subparsers(title="evaluations", metavar="EVALUATION", required=True)
    eval_frames.add_parser(evaluations)
    eval_nocs.add_parser(evaluations)
    eval_benchmark.add_parsers(evaluations)


def run(args: argparse.Namespace) -> int:
    """Run the chosen evaluation.

    Raises:
        SdfposeError: An argument is invalid, or the data cannot be used.
    """
    return int(args.evaluation(args))
