"""`sdfpose estimate`: estimate pose, size and shape of objects in frame folders."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from rich.table import Table
from rich.text import Text

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.cli.choices import (
    add_depth_unit_argument,
    add_estimator_arguments,
    estimator_config,
)
from sdfpose_core.cli.output import wide_console, write_file, write_json
from sdfpose_core.datasets import FolderFrame, frame_folders, read_frame
from sdfpose_core.errors import ConfigurationError, FrameError
from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
from sdfpose_core.evaluation import PoseErrors, compare
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_core.samples import sample_frame
from sdfpose_core.visualisation.drawing import draw_overlay

__all__ = ["add_parser", "run"]

_PIPE_WIDTH = 180
"""Table width in columns when the output is not a terminal."""

_FULL_WIDTH = 120
"""Terminal columns from which the table has all columns. Narrower ones get a compact table."""


@dataclass(frozen=True)
class _Row:
    """One estimate of a frame, with its errors if there is ground truth."""

    instance: str
    estimate: ObjectEstimate
    errors: PoseErrors | None
    time_ms: float


def add_parser(subparsers: Any) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "estimate",
        help="estimate pose, size and shape of objects in frame folders",
        description=(
            "Estimate pose, size and shape of every labelled object in RGB-D frames. A frame is a "
            "folder with color.png, depth.png, mask.png and meta.json. Print a table, with errors "
            "if meta.json has ground truth, and write OUT/NAME/overlay.png and one mesh "
            "OUT/NAME/CATEGORY_ID.ply per object. Unusable frames are reported and skipped. The "
            "exit status is 0 if anything was estimated, else 1."
        ),
        epilog="Example: sdfpose estimate frames/ --out results --json results/estimates.json",
    )
    parser.add_argument(
        "frames",
        nargs="*",
        default=[],
        type=Path,
        metavar="FRAME_DIR",
        help="frame folder, or folder of frame folders",
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="estimate the sample frame of the package: six simulated objects with ground truth",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/estimate"),
        metavar="DIR",
        help="folder for overlays and meshes (default: %(default)s)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="draw overlays on a light background with mask outlines, not on the colour image",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the estimates as JSON")
    add_estimator_arguments(parser, device=EstimatorConfig().device)
    add_depth_unit_argument(parser)
    parser.add_argument(
        "--category",
        help=(
            "treat every mask as an object of this category and ignore the labels of meta.json; "
            "'any' lets the estimator find the category"
        ),
    )


def run(args: argparse.Namespace) -> int:
    """Estimate all frames. Return 0 if anything was estimated, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the weights cannot be used.
    """
    frames = [*args.frames, *([sample_frame()] if args.sample else [])]
    if not frames:
        raise ConfigurationError("no frame was named: expected FRAME_DIR... or --sample")
    categories = default_categories()
    if args.category not in (None, ANY_CATEGORY):
        _ = categories[args.category]
    estimator = PoseEstimator(estimator_config(args), categories)
    rows_by_frame: dict[str, list[_Row]] = {}
    results: dict[str, list[dict[str, Any]]] = {}
    problems: list[str] = []
    warnings = WarningCounts()
    for frame in _frames(frames, args, problems):
        warnings.add(frame.warnings)
        rows, skipped = _estimate(estimator, frame)
        for skip in skipped:
            _report(f"{frame.name}: {skip.reason}; skipped", problems)
        _write(
            args.out / frame.name,
            frame.frame,
            [row.estimate for row in rows],
            categories,
            plain=args.plain,
        )
        rows_by_frame[frame.name] = rows
        results[frame.name] = [_as_json(row) for row in rows]
    count = sum(map(len, results.values()))
    for warning in warnings.sentences("depth or ground truth"):
        _report(warning, problems)
    if count:
        console = wide_console(_PIPE_WIDTH)
        console.print(_table(rows_by_frame, compact=console.width < _FULL_WIDTH))
        print(f"{count} object(s) in {len(results)} frame(s); overlays and meshes in {args.out}")
    else:
        print("sdfpose: nothing was estimated", file=sys.stderr)
    if args.json is not None:
        write_json(args.json, {"frames": results, "problems": problems})
    return 0 if count else 1


def _frames(
    paths: Sequence[Path], args: argparse.Namespace, problems: list[str]
) -> Iterator[FolderFrame]:
    """Read all frames; report those that cannot be read."""
    names: dict[str, Path] = {}
    for folder in (folder for path in paths for folder in frame_folders(path)):
        try:
            frame = read_frame(folder, depth_unit=args.depth_unit, category=args.category)
        except FrameError as error:
            _report(f"{error}; frame skipped", problems)
            continue
        if frame.name in names:
            _report(
                f"{folder}: {names[frame.name]} has the same name {frame.name}: expected unique "
                "frame names; frame skipped",
                problems,
            )
            continue
        names[frame.name] = folder
        for problem in frame.problems:
            _report(problem, problems)
        yield frame


def _estimate(
    estimator: PoseEstimator, frame: FolderFrame
) -> tuple[list[_Row], list[SkippedInstance]]:
    """Estimate the objects of a frame; the frame's time is divided evenly among them."""
    start = time.perf_counter()
    result = estimator.run(frame.frame)
    elapsed_ms = 1000.0 * (time.perf_counter() - start)
    truth = {x.mask_id: x for x in frame.ground_truth}
    rows = [
        _Row(
            instance=frame.instances.get(x.mask_id, f"{x.category}_{x.mask_id}"),
            estimate=x,
            errors=compare(x, truth[x.mask_id]) if x.mask_id in truth else None,
            time_ms=elapsed_ms / len(result.estimates),
        )
        for x in result.estimates
    ]
    return rows, result.skipped


def _write(
    folder: Path,
    frame: RgbdFrame,
    estimates: Sequence[ObjectEstimate],
    categories: Categories,
    *,
    plain: bool,
) -> None:
    """Write the overlay, and a mesh for each estimate that has one."""
    overlay = draw_overlay(frame, estimates, categories, plain=plain)
    content = cv2.imencode(".png", overlay[..., ::-1])[1].tobytes()
    write_file(folder / "overlay.png", content)
    for x in estimates:
        if len(x.faces):
            path = folder / f"{x.category}_{x.mask_id}.ply"
            write_ply(path, x.vertices, x.faces, x.normals)


def _as_json(row: _Row) -> dict[str, Any]:
    x = row.estimate
    entry: dict[str, Any] = {
        "mask_id": int(x.mask_id),
        "category": x.category,
        "instance": row.instance,
        "R": x.rotation.tolist(),
        "t": x.translation.tolist(),
        "scale": float(x.scale),
        "dimensions_m": x.dimensions_m.tolist(),
        "confidence": float(x.confidence),
        "time_ms": row.time_ms,
    }
    return entry if row.errors is None else entry | dataclasses.asdict(row.errors)


def _table(frames: Mapping[str, Sequence[_Row]], *, compact: bool) -> Table:
    """Build the table of all estimates; a compact one has no lines, instance names and times."""
    rows = [_cells(name, row) for name, estimated in frames.items() for row in estimated]
    hidden = {"instance", "time\n(ms)"} if compact else set()
    shown = [x for x in rows[0] if x not in hidden and any(row[x] for row in rows)]
    table = Table(title="sdfpose estimate", title_justify="left")
    if compact:
        table.box, table.padding = None, (0, 1, 0, 0)
    for name in shown:
        text = name in ("frame", "category", "instance")
        table.add_column(
            name,
            justify="left" if text else "right",
            overflow="fold" if text else "ellipsis",
            no_wrap=not text,
        )
    for row in rows:
        table.add_row(*(Text(row[x]) for x in shown))
    return table


def _cells(frame: str, row: _Row) -> dict[str, str]:
    """Return the text of each column; the errors are empty without ground truth."""
    x, errors = row.estimate, row.errors
    return {
        "frame": frame,
        "id": str(x.mask_id),
        "category": x.category,
        "instance": row.instance,
        "position\n(m)": " ".join(f"{v:.3f}" for v in x.translation),
        "size\n(cm)": "x".join(f"{100.0 * v:.1f}" for v in x.dimensions_m),
        "conf.": f"{x.confidence:.2f}",
        "rot.\n(deg)": "" if errors is None else f"{errors.rot_err_deg:.1f}",
        "trans.\n(cm)": "" if errors is None else f"{errors.trans_err_cm:.2f}",
        "3D\nIoU": "" if errors is None else f"{errors.iou3d_oriented:.2f}",
        "time\n(ms)": f"{row.time_ms:.0f}",
    }


def _report(problem: str, problems: list[str]) -> None:
    """Print a problem on stderr and add it to `problems`."""
    problems.append(problem)
    print(f"sdfpose: {problem}", file=sys.stderr)
