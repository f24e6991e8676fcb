"""The frames that a command works on: folders, or the sample of the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from sdfpose_core.cli.paths import path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.samples import sample_frame

__all__ = ["add_frames_arguments", "named_frames"]


def add_frames_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``FRAME_DIR`` and ``--sample``."""
    parser.add_argument(
        "frames",
        nargs="*",
        default=[],
        type=path_argument,
        metavar="FRAME_DIR",
        help="frame folder, or folder of frame folders",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="take the sample frame of the package: six simulated objects with ground truth",
    )


def named_frames(args: argparse.Namespace) -> list[Path]:
    """The folders that the arguments of `add_frames_arguments` name.

    Raises:
        ConfigurationError: there are none.
    """
    folders = [*args.frames, *([sample_frame()] if args.sample else [])]
    if not folders:
        raise ConfigurationError("no frame was named: expected FRAME_DIR... or --sample")
    return folders
