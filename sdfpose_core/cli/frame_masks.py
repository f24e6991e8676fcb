"""The option ``--masks``: where the instance masks of frames come from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from sdfpose_core.cli.output import new_table, wide_console
from sdfpose_core.cli.paths import STANDARD_OUTPUT
from sdfpose_core.datasets import FolderFrame, write_masks
from sdfpose_core.evaluation.frame_evaluation import (
    ObjectEvaluation,
    ReportedObject,
    evaluate_frame,
    evaluate_masked,
)
from sdfpose_core.evaluation.mask_metrics import (
    MaskComparison,
    ObjectMask,
    mask_figures,
    match_masks,
)
from sdfpose_core.masks.claimed_masks import ClaimedMasks
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import (
    FILE,
    MASK_SOURCES,
    MaskBackend,
    MaskBackendConfig,
    make_mask_backend,
    segment_alone,
    weights_among,
)
from sdfpose_core.observation.frame import (
    InstanceLabel,
    ObjectEstimate,
    RgbdFrame,
    complete_ground_truth,
)
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.packs.collection import Packs

__all__ = [
    "FrameMasks",
    "MaskedFrame",
    "add_masks_argument",
    "folder_beside",
    "given_masks",
    "mask_backend",
    "mask_source",
]

_SHARES = ("iou50", "iou75", "missed", "merged", "split")


@dataclass(frozen=True)
class MaskedFrame:
    """A frame folder's content, with the masks to estimate.

    Attributes:
        given: the content of the folder.
        frame: the frame with the masks to estimate, given or made.
        true_ids: given mask id by mask id in `frame`; None if no masks were given.
    """

    given: FolderFrame
    frame: RgbdFrame
    true_ids: Mapping[int, int] | None

    def instance(self, estimate: ObjectEstimate) -> str:
        """Name of the individual object that an estimate's mask shows."""
        true_id = (self.true_ids or {}).get(estimate.mask_id, 0)
        name = f"{estimate.category}_{estimate.mask_id}"
        return self.given.instances.get(true_id, name)

    def evaluate(self, estimates: Sequence[ObjectEstimate]) -> tuple[ObjectEvaluation, ...]:
        """Compare estimates with the ground truth of their masks; without given masks, by place."""
        reported = [ReportedObject.of(x) for x in estimates]
        truths = self.given.ground_truth
        if self.true_ids is None:
            return evaluate_frame(reported, complete_ground_truth(self.given.frame, truths))
        return evaluate_masked(reported, truths, self.true_ids)


def add_masks_argument(parser: argparse.ArgumentParser, given: str, written: str) -> None:
    """Declare ``--masks``.

    Args:
        parser: the command's parser.
        given: where masks that come with the frames are.
        written: where made masks are written.
    """
    parser.add_argument(
        "--masks",
        choices=MASK_SOURCES,
        default=FILE,
        help=(
            f"source of the instance masks: {FILE} takes {given}, tabletop segments the objects on "
            "a table by depth, network any objects, torchvision runs Mask R-CNN on colour. Made "
            "masks are labelled 'any', unless the source knows categories; they are written to "
            f"{written}, and compared with {given} where it exists (default: %(default)s)"
        ),
    )


def folder_beside(*results: Path | None) -> Path | None:
    """Folder for the masks beside the first result that is a file or folder on disk, if any."""
    for path in results:
        if path is not None and path != STANDARD_OUTPUT and (path.is_file() or not path.exists()):
            return path.with_name(f"{path.stem}_masks")
    return None


def mask_source(args: argparse.Namespace, packs: Packs, folder: Path | None) -> FrameMasks | None:
    """Create the source that ``--masks`` selects; None for given masks.

    Args:
        args: arguments of the command, with ``masks``, ``device`` and ``category`` (optional).
        packs: of all known categories, beside which may be a mask network of its own.
        folder: folder for the masks; None to write none.

    Raises:
        MaskBackendError: a package is not installed, or weights cannot be downloaded or read.
        WeightsError: the weights of the mask network are missing, damaged or of another version.
        DeviceError: the device is not available.
    """
    if args.masks == FILE:
        return None
    backend = mask_backend(args, packs)
    return FrameMasks(args.masks, backend, getattr(args, "category", None) or None, folder)


def mask_backend(args: argparse.Namespace, packs: Packs) -> MaskBackend:
    """Create the backend that ``--masks`` selects.

    Args:
        args: arguments of the command, with ``masks`` and ``device``.
        packs: of all known categories, beside which may be a mask network of its own.

    Raises:
        MaskBackendError: a package is not installed, or weights cannot be downloaded or read.
        WeightsError: the weights of the mask network are missing, damaged or of another version.
        DeviceError: the device is not available.
    """
    weights = weights_among(args.masks, packs)
    config = MaskBackendConfig(weights=weights, device=args.device)
    return make_mask_backend(args.masks, packs.categories, config)


def given_masks(item: FolderFrame) -> MaskedFrame:
    """Take the masks of the folder."""
    return MaskedFrame(item, item.frame, {int(i): int(i) for i in np.unique(item.frame.mask)})


class FrameMasks:
    """Makes the masks of frames, writes them, and compares them with given ones.

    Args:
        source: name of the source.
        backend: makes the masks.
        category: label of all instances, instead of the backend's labels.
        folder: the masks of each frame are written to a folder of its name in here; None to write
            none.

    Attributes:
        comparisons: with the given masks, by name of the frame.
        warnings: why images of a stream could not be segmented.
    """

    def __init__(
        self, source: str, backend: MaskBackend, category: str | None, folder: Path | None
    ) -> None:
        self.source = source
        self.comparisons: dict[str, MaskComparison] = {}
        self.warnings = WarningCounts()
        self._backend = backend
        self._stream = ClaimedMasks(backend)
        self._category = category
        self._folder = folder
        self._found: dict[str, int] = {}
        self._labels: dict[str, Mapping[int, InstanceLabel]] = {}
        self._last_ns = -1

    def of_folder(self, item: FolderFrame) -> tuple[MaskedFrame, str]:
        """Make the masks of one image, which do not depend on other images.

        Returns:
            The frame with its masks, and why it cannot be segmented, empty if it can.

        Raises:
            FrameError: the image cannot be used, or the masks cannot be written.
        """
        found = segment_alone(self._backend, item.frame)
        frame = self._masked(item.name, item.frame, found)
        true_ids = None
        if item.has_mask:
            self._labels[item.name] = item.frame.labels
            true_ids = self.compare(item.name, item.frame.mask, found.ids).partners
        return MaskedFrame(item, frame, true_ids), found.problem

    def of_stream(
        self, name: str, frame: RgbdFrame, followed: Sequence[ObjectEstimate]
    ) -> RgbdFrame:
        """Make the masks of the next image, with ids that persist from image to image.

        Args:
            name: of the image.
            frame: the image.
            followed: objects at the poses that are predicted for it; they claim their pixels.

        Raises:
            FrameError: the image cannot be used, or the masks cannot be written.
        """
        if frame.stamp_ns < self._last_ns:
            self._stream.reset()
        self._last_ns = frame.stamp_ns
        found = self._stream.segment(frame, followed)
        if found.problem:
            self.warnings.add([InputWarning("masks", found.problem)])
        return self._masked(name, frame, found)

    def compare(
        self, name: str, truth: NDArray[np.integer], found: NDArray[np.integer]
    ) -> MaskComparison:
        """Compare the found masks (H, W) of a frame with given ones (H, W)."""
        self.comparisons[name] = match_masks(truth, found)
        return self.comparisons[name]

    def as_json(self) -> dict[str, Any]:
        """Convert the comparisons to a JSON object; the means are None without any."""
        compared = list(self.comparisons.values())
        frames = {
            name: {"found": count} | self._comparison_as_json(name)
            for name, count in self._found.items()
        }
        mean = mask_figures(compared) if compared else None
        return {"source": self.source, "mean": mean, "frames": frames}

    def print(self, *, with_objects: bool = True) -> None:
        """Print the comparisons, if there are any.

        Args:
            with_objects: whether to list each object, and not only the figures of all.
        """
        if not self.comparisons:
            return
        console = wide_console()
        if with_objects:
            console.print(self._table(), highlight=False)
        figures = mask_figures(list(self.comparisons.values()))
        parts = [f"{figures['n']} objects"]
        parts += [f"{k} {figures[k]:.1f} %" for k in _SHARES if figures[k] is not None]
        console.print(
            f"masks of {self.source}: {', '.join(parts)}; "
            f"{figures['false_per_frame']:.2f} false per frame",
            highlight=False,
        )

    def _table(self) -> Table:
        table = new_table(f"Masks of {self.source}")
        table.add_column("frame, object", overflow="fold")
        for name in ("best\nIoU", "boundary\nF"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("problem", overflow="fold")
        for name, comparison in self.comparisons.items():
            for x in comparison.objects:
                label = self._labels.get(name, {}).get(x.id)
                text = f"{name} {x.id} {label.category if label else ''}".rstrip()
                cells = (f"{x.best_iou:.2f}", f"{x.boundary_f:.2f}", ", ".join(_problems(x)))
                table.add_row(Text(text), *cells)
        return table

    def _masked(self, name: str, frame: RgbdFrame, found: InstanceMask) -> RgbdFrame:
        labels = dict(found.labels)
        if self._category is not None:
            labels = {i: InstanceLabel(self._category) for i in labels}
        masked = replace(frame, mask=found.ids, labels=labels)
        self._found[name] = len(labels)
        if self._folder is not None:
            write_masks(self._folder / name, masked)
        return masked

    def _comparison_as_json(self, name: str) -> dict[str, Any]:
        comparison, labels = self.comparisons.get(name), self._labels.get(name, {})
        if comparison is None:
            return {}
        objects = [
            x.as_json() | {"category": labels[x.id].category if x.id in labels else None}
            for x in comparison.objects
        ]
        return {"false": len(comparison.false_ids), "objects": objects}


def _problems(x: ObjectMask) -> list[str]:
    """Names of what is wrong with the masks of an object."""
    return [name for name in ("missed", "merged", "split") if getattr(x, name)]
