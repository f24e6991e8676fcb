"""Samples of recorded cameras: bags and frame folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdfpose_core.datasets.bags import decoded_messages, find_topics, open_bag
from sdfpose_core.datasets.folder import COLOUR, DEPTH, FolderFrame, frame_folders, read_frame
from sdfpose_core.datasets.images import read_image
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraSample, CameraView, silent_topic
from sdfpose_core.diagnosis.sampling import CameraSampler
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts

__all__ = ["bag_sample", "folder_sample"]

_FOLDERS = 8
"""Number of frame folders that are read, spread over all."""


def bag_sample(
    path: Path | str,
    *,
    topics: Mapping[str, str] | None = None,
    seconds: float | None = None,
    depth_unit: float | None = None,
) -> CameraSample:
    """Observe the camera of a bag.

    Args:
        path: the bag's folder, or one of its storage files.
        topics: topics by role that override the search by type and name.
        seconds: look at the first seconds only; None for all.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.

    Raises:
        BagError: the bag cannot be read.
    """
    problems: list[str] = []
    undecoded: dict[str, list[str]] = {}
    with open_bag(path, problems) as bag:
        try:
            found = find_topics(bag.connections, path, topics or {}, needs_mask=False)
        except BagError as error:
            return CameraSample(findings=[Finding("fault", "topics", str(error))])
        latched = any(x.latched for x in bag.connections if x.topic == found.labels)
        span_s = bag.duration_s if seconds is None else min(seconds, bag.duration_s)
        sampler = CameraSampler(found, span_s, depth_unit)
        first_ns: int | None = None
        for topic, message, arrival_ns in decoded_messages(bag, sampler.topics, undecoded):
            first_ns = arrival_ns if first_ns is None else first_ns
            if seconds is not None and arrival_ns - first_ns > 1e9 * seconds:
                break
            sampler.take(topic, message, arrival_ns)
    problems += [f"{x}: {len(y)} messages cannot be decoded: {y[0]}" for x, y in undecoded.items()]
    findings = [
        Finding("ok", "topics", ", ".join(sampler.topics)),
        *(silent_topic(role, topic) for role, topic in sampler.silent.items()),
        *(Finding("warning", "recording", x) for x in problems),
    ]
    return sampler.sample(findings, latched_labels=latched)


def folder_sample(path: Path | str, *, depth_unit: float | None = None) -> CameraSample:
    """Observe the camera of frame folders; some of them, if there are many.

    Args:
        path: a frame folder, or a folder of them.
        depth_unit: metres per unit of depth, in place of those in ``meta.json``.

    Raises:
        FrameError: there is no such folder.
    """
    if not Path(path).is_dir():
        raise FrameError(f"{path}: no such folder: expected a frame folder, or a folder of them")
    folders = frame_folders(path)
    places = np.unique(np.linspace(0, len(folders) - 1, _FOLDERS).round().astype(int))
    views: list[CameraView] = []
    refused, doubtful = WarningCounts(), WarningCounts()
    for folder in (folders[x] for x in places):
        try:
            item = read_frame(folder, depth_unit=depth_unit, needs_mask=False)
            views.append(_view(folder, item))
        except FrameError as error:
            refused.add([InputWarning("refused", str(error))])
            continue
        doubtful.add(InputWarning("entry", x) for x in item.problems)
        doubtful.add(x for x in item.warnings if x.kind != "depth unit")
    return CameraSample(
        views=views,
        findings=[
            *(Finding("fault", "frames", x) for x in refused.sentences(str(path))),
            *(Finding("warning", "frames", x) for x in doubtful.sentences(str(path))),
        ],
    )


def _view(folder: Path, item: FolderFrame) -> CameraView:
    frame = item.frame
    # The depth of a frame lacks what is too far, which is of interest here.
    depth = read_image(folder / DEPTH, "16-bit, one channel", (np.uint16,))
    return CameraView(
        None if any(x.kind == COLOUR for x in item.warnings) else frame.colour,
        depth * np.float32(item.depth_unit),
        frame.mask if item.has_mask else None,
        frame.labels or None,
        frame.camera,
        frame.camera,
        item.depth_unit,
    )
