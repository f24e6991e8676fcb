"""The options of `sdfpose learn` for recordings of single objects, and their reconstruction."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from sdfpose_core.cli.choices import add_depth_unit_argument
from sdfpose_core.cli.output import print_problems
from sdfpose_core.cli.paths import path_argument
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.masks.sources import FILE, MASK_SOURCES, MaskBackendConfig, make_mask_backend
from sdfpose_core.packs.collection import Packs

__all__ = ["SCANS", "add_scan_arguments", "scanned_meshes"]

SCANS = "scans"
"""Name of the folder of the meshes, in the work folder."""

_BAG_FILE = re.compile(r"\.(mcap|db3)(\.zstd)?$")

_CHECKS = """\
check in the picture: it is one object and whole; handle, spout and the like are there once; the
side above the table is up; the sides in millimetres are right. If not, record it anew, more slowly
and from all sides, or look at the masks."""


def add_scan_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--scan`` and the options that tell how recordings are read."""
    parser.add_argument(
        "--scan",
        type=path_argument,
        nargs="+",
        action="extend",
        default=[],
        metavar="BAG|DIR",
        help=(
            "recordings that each show one object on a table or turntable from all sides: a "
            "rosbag2, or a folder of frame folders; each becomes a mesh in metres"
        ),
    )
    parser.add_argument(
        "--masks",
        choices=MASK_SOURCES,
        default=FILE,
        help=(
            f"masks of the recordings: {FILE} takes those of the recording, the others make them; "
            "the object is in the middle of the first image (default: %(default)s)"
        ),
    )
    parser.add_argument(
        "--world",
        metavar="FRAME",
        help=(
            "frame of the bags' /tf in which the object stands still while the camera moves; frame "
            "folders have the pose of the camera in meta.json (default: images are registered to "
            "each other)"
        ),
    )
    add_depth_unit_argument(parser)


def scanned_meshes(args: argparse.Namespace, work: Path) -> list[Path]:
    """Reconstruct the objects of ``--scan``, print what was found, and return their meshes.

    Args:
        args: arguments of `add_scan_arguments`, and ``device``.
        work: the work folder. What an earlier run has made there is used again.

    Raises:
        SdfposeError: a recording cannot become a mesh.
        OSError: a file cannot be written.
    """
    # Open3D and the mask network load for seconds, and few runs need them.
    from sdfpose_core.scanning.reading import Recording
    from sdfpose_core.scanning.stored import stored_scan

    _check(args)
    named = _named(args.scan)
    masks = None
    if named and args.masks != FILE:
        categories = Packs.beside_shipped([]).categories
        masks = make_mask_backend(args.masks, categories, MaskBackendConfig(device=args.device))
    meshes = []
    for name, path in named.items():
        if masks is not None:
            masks.reset()
        recording = Recording(path, masks, args.world or "", args.depth_unit)
        settings = {"masks": args.masks, "world": args.world, "depth_unit": args.depth_unit}
        scan = stored_scan(recording, work / SCANS, name, settings)
        print_problems(scan.problems)
        print(scan.report)
        print(f"look at {scan.picture}: the mesh from six sides")
        meshes.append(scan.mesh)
    if meshes and sys.stdout.isatty():
        print(_CHECKS)
    return meshes


def _check(args: argparse.Namespace) -> None:
    """Check that options for recordings have some.

    Raises:
        ConfigurationError: there are none.
    """
    if args.scan:
        return
    given = {
        "--masks": args.masks != FILE,
        "--world": args.world is not None,
        "--depth-unit": args.depth_unit is not None,
    }
    for option, is_given in given.items():
        if is_given:
            raise ConfigurationError(f"{option} has no effect without recordings: add --scan")


def _named(recordings: list[Path]) -> dict[str, Path]:
    """Recordings by the names of their objects.

    Raises:
        ConfigurationError: two have the same name.
    """
    named: dict[str, Path] = {}
    for path in recordings:
        name = re.sub(r"[^\w.-]+", "_", _BAG_FILE.sub("", path.resolve().name))
        if name in named:
            raise ConfigurationError(
                f"--scan {path}: has the same name as {named[name]}: expected recordings with "
                "names of their own, which become those of the models"
            )
        named[name] = path
    return named
