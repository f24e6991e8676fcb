"""The work of `sdfpose estimate`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from sdfpose_core.categories import Categories
from sdfpose_core.cli.arguments.frames import named_frames
from sdfpose_core.cli.category_choice import given_packs
from sdfpose_core.cli.choices import (
    estimator_config,
)
from sdfpose_core.cli.estimate_results import EstimateRow, Estimates
from sdfpose_core.cli.frame_masks import (
    FrameMasks,
    MaskedFrame,
    given_masks,
    mask_source,
)
from sdfpose_core.cli.output import (
    new_table,
    wide_console,
    write_file,
    write_json,
)
from sdfpose_core.cli.paths import check_output_file, check_output_folder
from sdfpose_core.cli.viewing import keep_open, open_viewer
from sdfpose_core.datasets import FolderFrame, frame_folders, read_frame, write_masks
from sdfpose_core.device import set_threads
from sdfpose_core.errors import FrameError, SdfposeError
from sdfpose_core.estimation.estimator import FrameResult, PoseEstimator
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.masks.sources import FILE
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.observation.input_warnings import WarningCounts
from sdfpose_core.observation.segmentation import ANY_CATEGORY
from sdfpose_core.packs.collection import Packs
from sdfpose_core.viewer.recording import EstimatedFrames
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.visualisation.drawing import draw_overlay
from sdfpose_core.visualisation.labels import alternative_text

__all__ = ["run"]


class _Shown:
    """Shows frames in the viewer when they are estimated, and keeps them for browsing."""

    def __init__(self, viewer: Viewer, categories: Categories, depth_unit: float | None) -> None:
        self.viewer = viewer
        self.frames = EstimatedFrames(categories, depth_unit)

    def show(
        self, name: str, folder: Path, frame: RgbdFrame, estimates: Sequence[ObjectEstimate]
    ) -> None:
        self.viewer.show(self.frames.add(name, folder, frame, estimates), still=True)


def run(args: argparse.Namespace) -> int:
    """Estimate all frames. Return 0 if anything was estimated and all files were written, else 1.

    Raises:
        SdfposeError: An argument is invalid, or the weights or the masks' source cannot be used.
    """
    frames = named_frames(args)
    check_output_file("--json", args.json)
    check_output_folder("--out", args.out)
    packs = given_packs(args)
    categories = packs.categories
    if args.category not in (None, ANY_CATEGORY):
        _ = categories[args.category]
    if args.threads:
        set_threads(args.threads)
    with open_viewer(args, categories) as viewer:
        masks = mask_source(args, packs, None)
        shown = None if viewer is None else _Shown(viewer, categories, args.depth_unit)
        done = _estimate_all(args, frames, masks, packs, shown)
        if args.json is not None:
            write_json(args.json, done.as_json(args.out, masks))
        count = sum(map(len, done.estimated.values()))
        if count:
            _print(done)
            print(
                f"{count} object(s) in {len(done.estimated)} frame(s); overlays and meshes in "
                f"{args.out}"
            )
        else:
            print("sdfpose: nothing was estimated", file=sys.stderr)
        if masks is not None:
            masks.print()
        if shown is not None:
            keep_open(shown.viewer, shown.frames)
    return 0 if count and done.written else 1


def _estimate_all(
    args: argparse.Namespace,
    paths: Sequence[Path],
    masks: FrameMasks | None,
    packs: Packs,
    shown: _Shown | None,
) -> Estimates:
    """Estimate the frames, write overlays and meshes, and show the frames."""
    estimator = PoseEstimator(estimator_config(args), packs)
    done = Estimates()
    warnings, unused = WarningCounts(), WarningCounts()
    for item in _masked(_frames(paths, args, done), masks, done.problems):
        name = item.given.name
        warnings.add(item.given.warnings)
        rows, result = _estimate(estimator, item)
        unused.add(result.warnings)
        for skip in result.skipped:
            _report(f"{name}: {skip.reason}; skipped", done.problems)
        estimates = [row.estimate for row in rows]
        done.estimated[name], done.skipped[name] = rows, result.skipped
        try:
            if masks is not None:
                write_masks(args.out / name, item.frame)
            _write(args.out / name, item.frame, estimates, packs.categories, plain=args.plain)
        except SdfposeError as error:
            _report(str(error), done.problems)
            done.written = False
        if shown is not None:
            shown.show(name, done.folders[name], item.frame, estimates)
    for warning in [*warnings.sentences("input"), *unused.sentences("unused")]:
        _report(warning, done.problems)
    return done


def _frames(
    paths: Sequence[Path], args: argparse.Namespace, done: Estimates
) -> Iterator[FolderFrame]:
    """Read all frames, and note their folders; report those that cannot be read."""
    names, problems = done.folders, done.problems
    for folder in (folder for path in paths for folder in frame_folders(path)):
        try:
            frame = read_frame(
                folder,
                depth_unit=args.depth_unit,
                category=args.category if args.masks == FILE else None,
                needs_mask=args.masks == FILE,
            )
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


def _masked(
    frames: Iterable[FolderFrame], masks: FrameMasks | None, problems: list[str]
) -> Iterator[MaskedFrame]:
    """Take or make the masks of the frames; report frames that cannot be segmented."""
    for frame in frames:
        if masks is None:
            yield given_masks(frame)
            continue
        try:
            item, problem = masks.of_folder(frame)
        except FrameError as error:
            _report(f"{frame.name}: {error}; frame skipped", problems)
            continue
        if problem:
            _report(f"{frame.name}: {problem}", problems)
        yield item


def _estimate(estimator: PoseEstimator, item: MaskedFrame) -> tuple[list[EstimateRow], FrameResult]:
    """Estimate the objects of a frame; the frame's time is divided evenly among them."""
    start = time.perf_counter()
    result = estimator.run(item.frame)
    elapsed_ms = 1000.0 * (time.perf_counter() - start)
    rows = [
        EstimateRow(
            instance=item.instance(x),
            estimate=x,
            errors=evaluated.errors,
            time_ms=elapsed_ms / len(result.estimates),
        )
        for x, evaluated in zip(result.estimates, item.evaluate(result.estimates), strict=True)
    ]
    return rows, result


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


def _print(done: Estimates) -> None:
    """Print a table with the frames as headings; its figures leave room for names in 80 columns."""
    rows = [row for some in done.estimated.values() for row in some]
    with_truth = any(row.errors is not None for row in rows)
    table = new_table("sdfpose estimate")
    table.add_column("frame\nid, category, instance", overflow="fold")
    for name in ("x, y, z\n(cm)", "size\n(cm)", "conf."):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("rot.\n(deg)", "pos.\n(cm)", "3D\nIoU") if with_truth else ():
        table.add_column(name, justify="right", no_wrap=True)
    for frame, some in done.estimated.items():
        heading = f"{frame}: {sum(row.time_ms for row in some):.0f} ms"
        if without := {x.mask_id for x in done.skipped[frame]}:
            heading += f", {len(without)} without an estimate"
        table.add_row(Text(heading))
        for row in some:
            table.add_row(*_cells(row)[: len(table.columns)])
    wide_console().print(table, highlight=False)


def _cells(row: EstimateRow) -> list[RenderableType]:
    x, errors = row.estimate, row.errors
    names = [str(x.mask_id), x.category]
    if row.instance != f"{x.category}_{x.mask_id}":
        names.append(row.instance)
    return [
        Padding(Text(", ".join([" ".join(names), *alternative_text(x)])), (0, 0, 0, 2)),
        " ".join(f"{100.0 * v:.1f}" for v in x.translation),
        " ".join(f"{100.0 * v:.1f}" for v in x.dimensions_m),
        f"{x.confidence:.2f}",
        "" if errors is None else f"{errors.rot_err_deg:.1f}",
        "" if errors is None else f"{errors.trans_err_cm:.2f}",
        "" if errors is None else f"{errors.iou3d_oriented:.2f}",
    ]


def _report(problem: str, problems: list[str]) -> None:
    """Print a problem on stderr and add it to `problems`."""
    problems.append(problem)
    print(f"sdfpose: {problem}", file=sys.stderr)
