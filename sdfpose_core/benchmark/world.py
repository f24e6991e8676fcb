"""World benchmark: track the objects of a table with a camera on a robot's arm, or with a rig."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

from sdfpose_core.benchmark.poses import MIN_VISIBILITY
from sdfpose_core.benchmark.simulated_frames import START_NS, SimulatedFrame, View
from sdfpose_core.benchmark.world_sequences import WorldSequence
from sdfpose_core.categories import Categories
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.comparison import compare
from sdfpose_core.evaluation.tracks import TrackSample, id_switches
from sdfpose_core.observation.frame import GroundTruth, ObjectEstimate
from sdfpose_core.simulation.scene import SceneObject
from sdfpose_core.tracking.tracker import Track, Tracker
from sdfpose_core.tracking.world import in_world

__all__ = ["PoseError", "WorldRun", "against_one_camera", "summarise_world", "track_world"]

_END_S = 5.0
"""Errors at the end are those of the last seconds."""

_SINGLE_EVERY = 15
"""The objects are also detected from scratch in every n-th image."""

_ABSENCE_S = 5.0
"""An object that was not in view for longer has to be identified again..."""

_RETURN_IMAGES = 2
"""...within this many images."""

_FRONT_DEG = 15.0
"""A front is found if the rotation is within this angle."""

_SAME_PLACE = 0.5
"""Tracks within this share of an object's diagonal from it are the object."""


@dataclass(frozen=True)
class PoseError:
    """Error of a pose in the world; infinite without a pose or with another category."""

    degrees: float
    centimetres: float


@dataclass
class WorldRun:
    """Results of a sequence.

    Attributes:
        names: of the objects.
        histories: track samples of each object, image by image.
        copies: number of tracks that are each object, in every image after the first that shows it.
        removed: number of tracks that were given up.
        last: errors of the tracks at the end.
        single: errors of detections from single images.
        fronts: whether each object has a front that an image has shown.
    """

    names: list[str]
    histories: list[list[TrackSample]]
    copies: list[int] = field(default_factory=list)
    removed: int = 0
    last: list[PoseError] = field(default_factory=list)
    single: list[PoseError] = field(default_factory=list)
    fronts: list[bool] = field(default_factory=list)


def track_world(
    estimator: PoseEstimator,
    sequence: WorldSequence,
    *,
    fronts: Sequence[bool] = (),
    progress: Callable[[float], None] = lambda share: None,
) -> WorldRun:
    """Track the objects of a sequence in the world; in some images also detect them from scratch.

    A track is assigned to the object of the mask that it is updated with.

    Args:
        estimator: estimator to measure, in a tracker with default settings.
        sequence: the images.
        fronts: whether the front of each object is known from other images; see `WorldRun.fronts`.
        progress: called after each image with its share of the sequence.
    """
    objects = sequence.objects
    run = WorldRun([x.category for x in objects], [[] for _ in objects])
    truths = [_Truth(x, estimator.categories) for x in objects]
    for truth, known in zip(truths, fronts, strict=False):
        truth.front_seen |= known
    track_of: dict[int, int] = {}
    with closing(Tracker(estimator)) as tracker:
        for index, image in enumerate(sequence.images(colour=estimator.uses_colour)):
            result = tracker.step(image.frame)
            run.removed += len(result.removed)
            time_s = 1e-9 * (image.frame.stamp_ns - START_NS)
            seen = {x.estimate.mask_id: x for x in result.tracks if x.seen}
            by_id = {x.id: x for x in result.tracks}
            for i, view in enumerate(image.views):
                truths[i].see(view)
                track = None if view.truth is None else seen.get(view.truth.mask_id)
                if track is not None:
                    track_of[i] = track.id
                run.histories[i].append(_sample(time_s, view, track))
                if i in track_of:
                    run.copies.append(_copies(result.tracks, truths[i].known))
                if time_s > sequence.duration_s - _END_S:
                    last = by_id.get(track_of.get(i, 0))
                    error = pose_error(None if last is None else last.world, truths[i].known)
                    run.last.append(error)
            if index % _SINGLE_EVERY == _SINGLE_EVERY // 2:
                run.single += _detected(estimator, image, truths)
            progress(1.0 / len(sequence))
    run.fronts = [x.front_seen for x in truths]
    return run


def summarise_world(runs: Sequence[WorldRun]) -> dict[str, Any]:
    """Compute the figures of sequences.

    ``id_switches`` counts the images in which an object has another track than before.
    ``reidentified`` is the share, per cent, of the objects' returns after more than 5 s outside the
    view in which the former track reports them within two images; ``returns`` is their number.
    ``one_id`` is the share, per cent, of objects and images in which exactly one track is at the
    object's place, seen or not. ``given_up`` counts the tracks that were removed. ``last`` and
    ``single`` have the median errors in the world, in degrees and centimetres, of the tracks in the
    last seconds and of single images. ``error_ratio`` is the larger one of the two ratios.
    """
    histories = [x for run in runs for x in run.histories]
    returns = [x for history in histories for x in _returns(history)]
    copies = [x for run in runs for x in run.copies]
    last = _medians([x for run in runs for x in run.last])
    single = _medians([x for run in runs for x in run.single])
    ratios = [
        a / b
        for key in ("degrees", "centimetres")
        if (a := last[key]) is not None and (b := single[key])
    ]
    return {
        "sequences": len(runs),
        "images": sum(len(run.histories[0]) for run in runs),
        "objects": len(histories),
        "id_switches": sum(len(id_switches(x)) for x in histories),
        "returns": len(returns),
        "reidentified": 100.0 * float(np.mean(returns)) if returns else None,
        "one_id": 100.0 * float(np.mean([x == 1 for x in copies])) if copies else None,
        "given_up": sum(run.removed for run in runs),
        "last": last,
        "single": single,
        "error_ratio": max(ratios) if ratios else None,
    }


def against_one_camera(
    runs: Sequence[WorldRun], alone: Sequence[Sequence[WorldRun]]
) -> dict[str, Any]:
    """Compare runs with all cameras of a rig with those of each camera alone.

    The errors at the end are compared with the same true poses: what one camera of the rig has
    shown, such as the handle of a mug, counts for the others, too.

    Args:
        runs: with all cameras.
        alone: for each of them, the runs with one camera.

    Returns:
        ``one_camera`` with the median errors of single cameras at the end; ``error_ratio``, of the
        median rotation errors; ``front_found`` and ``front_found_alone``, the shares, per cent, of
        the rotations at the end within 15 degrees, of the objects with a front that some camera has
        shown.
    """
    last = _medians([x for run in runs for x in run.last])
    single = [run for several in alone for run in several]
    one = _medians([x for run in single for x in run.last])
    ratio = None
    if last["degrees"] is not None and one["degrees"]:
        ratio = last["degrees"] / one["degrees"]
    return {
        "one_camera": one,
        "error_ratio": ratio,
        "front_found": _front_found(runs),
        "front_found_alone": _front_found(single),
    }


def pose_error(found: ObjectEstimate | None, truth: GroundTruth) -> PoseError:
    """Error of a pose in the frame of the truth."""
    if found is None or found.category != truth.category:
        return PoseError(math.inf, math.inf)
    errors = compare(found, truth)
    return PoseError(errors.rot_err_deg, errors.trans_err_cm)


class _Truth:
    """The true pose of an object in the world, as far as the images have told it."""

    def __init__(self, item: SceneObject, categories: Categories) -> None:
        self._item = item
        self.front_seen = categories[item.category].symmetry == "none"

    def see(self, view: View) -> None:
        """Take note of an image: it may show a handle that no earlier one has shown."""
        if view.truth is not None and not view.truth.symmetric_about_y:
            self.front_seen = True

    @property
    def known(self) -> GroundTruth:
        """The true pose; symmetric about y as long as no image has shown a front."""
        return self.as_symmetric(not self.front_seen)

    def as_symmetric(self, symmetric: bool) -> GroundTruth:
        """The true pose for an image with the given symmetry about y."""
        x = self._item
        return GroundTruth(
            x.mask_id, x.category, x.model.name, x.rotation, x.translation, x.dimensions_m,
            symmetric,
        )  # fmt: skip


def _detected(
    estimator: PoseEstimator, image: SimulatedFrame, truths: Sequence[_Truth]
) -> list[PoseError]:
    """Errors of the visible objects, each detected from this image alone."""
    instances, _ = estimator.segment(image.frame)
    measured_ids = {x.mask_id for x in instances}
    found = {x.mask_id: x for x in estimator.estimate(instances).estimates}
    errors = []
    for truth, view in zip(truths, image.views, strict=True):
        true = view.truth
        if true is None or view.visibility < MIN_VISIBILITY or true.mask_id not in measured_ids:
            continue
        estimate = found.get(true.mask_id)
        placed = None if estimate is None else in_world(estimate, image.frame.camera_pose)
        errors.append(pose_error(placed, truth.as_symmetric(true.symmetric_about_y)))
    return errors


def _sample(time_s: float, view: View, track: Track | None) -> TrackSample:
    visible = view.truth is not None and view.visibility >= MIN_VISIBILITY
    return TrackSample(time_s, visible, view.hidden, track_id=None if track is None else track.id)


def _copies(tracks: Sequence[Track], truth: GroundTruth) -> int:
    """Number of tracks at the place of an object."""
    reach_m = _SAME_PLACE * truth.scale
    return sum(
        x.world is not None
        and float(np.linalg.norm(x.world.translation - truth.translation)) < reach_m
        for x in tracks
    )


def _returns(history: Sequence[TrackSample]) -> Iterator[bool]:
    """Whether the former track reports an object soon after each of its long absences."""
    former, last_s = None, math.inf
    for index, sample in enumerate(history):
        if not sample.visible:
            continue
        if former is not None and sample.time_s - last_s > _ABSENCE_S:
            soon = history[index : index + _RETURN_IMAGES]
            yield any(x.track_id == former for x in soon)
        former = sample.track_id or former
        last_s = sample.time_s


def _front_found(runs: Sequence[WorldRun]) -> float | None:
    """Share, per cent, of the rotations at the end that are right, of objects with a seen front."""
    degrees = [
        x.degrees
        for run in runs
        for i, x in zip(cycle(range(len(run.names))), run.last, strict=False)
        if run.fronts[i]
    ]
    return 100.0 * float(np.mean(np.array(degrees) <= _FRONT_DEG)) if degrees else None


def _medians(errors: Sequence[PoseError]) -> dict[str, float | None]:
    if not errors:
        return {"degrees": None, "centimetres": None}
    return {
        "degrees": float(np.median([x.degrees for x in errors])),
        "centimetres": float(np.median([x.centimetres for x in errors])),
    }
