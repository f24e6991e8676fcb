"""The work of `sdfpose view`."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.cli.paths import check_output_file
from sdfpose_core.cli.viewing import keep_open, viewer_address
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.viewer.opening import open_recording
from sdfpose_core.viewer.packages import require_rerun
from sdfpose_core.viewer.rerun_export import export_rerun
from sdfpose_core.viewer.viewer import Viewer

__all__ = ["run"]

_RRD = ".rrd"


def run(args: argparse.Namespace) -> int:
    """Show the recording until the user interrupts the process, or write it for Rerun.

    Raises:
        SdfposeError: Viser or Rerun is not installed, the address is in use, or there is nothing to
            show.
    """
    categories = default_categories()
    if args.rrd is not None:
        return _write(args, args.rrd, categories)
    address = viewer_address(args)
    recording = open_recording(args.path, categories, args.frames, args.depth_unit)
    with Viewer(address, categories, f"sdfpose: {args.path.name}") as viewer:
        for line in address.lines():
            print(line, flush=True)
        keep_open(viewer, recording, playing=args.play)
    return 0


def _write(args: argparse.Namespace, path: Path, categories: Categories) -> int:
    """Write the recording for Rerun."""
    if args.play or args.host is not None or args.port is not None:
        raise ConfigurationError("--play, --host and --port have no effect with --rrd")
    if path.suffix != _RRD:
        raise ConfigurationError(f"--rrd {path}: expected a name that ends in {_RRD}")
    check_output_file("--rrd", path)
    require_rerun()
    with closing(open_recording(args.path, categories, args.frames, args.depth_unit)) as recording:
        count = export_rerun(recording, path, categories)
    images = "1 image" if count == 1 else f"{count} images"
    print(f"view: wrote {path}: {images}; show it with 'rerun {path}'")
    return 0
