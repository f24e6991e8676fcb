"""`sdfpose eval`: judge predictions by what is true."""

from __future__ import annotations

import argparse
from typing import Any

from sdfpose_core.cli import eval_frames, eval_nocs

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Declare the command's evaluations."""
    parser = subparsers.add_parser(
        "eval",
        help="judge predictions by what is true",
        description="Judge predictions by what is true.",
    )
    evaluations = parser.add_subparsers(title="evaluations", metavar="EVALUATION", required=True)
    eval_frames.add_parser(evaluations)
    eval_nocs.add_parser(evaluations)


def run(args: argparse.Namespace) -> int:
    """Run the evaluation that was asked for.

    Raises:
        SdfposeError: an argument is wrong, or data cannot be used.
    """
    return int(args.evaluation(args))
