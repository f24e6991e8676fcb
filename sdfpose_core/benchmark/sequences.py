"""Tracking benchmark: track objects in simulated motion and measure the errors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sdfpose_core.benchmark.outcomes import PoseCase, PoseOutcome, evaluate_case
from sdfpose_core.benchmark.pose_figures import percent, summarise
from sdfpose_core.benchmark.poses import (
    APPEARANCE,
    MIN_VISIBILITY,
    by_mask_id,
    model_seeds,
    run_cases,
    with_unknown_categories,
)
from sdfpose_core.benchmark.simulated_frames import SimulatedFrame, View, simulated_frame
from sdfpose_core.benchmark.world_sequences import TF_SD_M, TF_SD_RAD
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.tracks import (
    TrackSample,
    drift,
    first_modes,
    flips,
    gaps,
    id_switches,
)
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.appearance import random_camera, random_illumination, repainted
from sdfpose_core.simulation.arm import measured
from sdfpose_core.simulation.random_motion import MOTION_S, random_motion
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scenes import SceneStyle, cluttered_table
from sdfpose_core.simulation.tabletop import TABLE_CAMERA
from sdfpose_core.tracking.tracker import Track, Tracker
from sdfpose_core.tracking.world import in_camera

__all__ = [
    "SimulatedSequence",
    "TrackedSequence",
    "summarise_sequences",
    "track_sequence",
]

DURATION_S = MOTION_S
"""Duration of a sequence, seconds."""

_SLOW_HZ, _FAST_HZ = 15.0, 30.0

_FAST_EVERY = 3
"""Every n-th sequence has the higher frame rate."""

_EXTRA_OBJECTS = 2
"""Objects in addition to one per category, so that some category appears more than once."""

_CHAMFER_EVERY = 4
"""The Chamfer distance is computed in every n-th frame."""

_DETECTION_EVERY = 12
"""The objects are also detected from scratch in every n-th frame."""

_CHAMFER_SAMPLES = 2000


class SimulatedSequence:
    """A cluttered table with moving objects, seen by a moving camera.

    One object of each category and two more stand on a table among other things. Hands move some
    objects, a board hides one, and the camera circles the table and looks aside (`random_motion`).
    Depth and masks have realistic noise. Every third sequence has 30 frames per second, the others
    15. In every second sequence the mask ids are permuted at random in each frame.

    Args:
        categories: categories of the objects, with procedural families.
        number: number of the sequence, from 0.
        seed: random seed of models, tables, motion and noise.
        colour: whether to render colour images; all else stays the same.
        camera_known: whether the frames have the camera's poses, with the errors of the world
            benchmark; all else stays the same.

    Attributes:
        models: CAD models of the objects.
        rate_hz: frame rate, Hz.
        permuted: whether mask ids change from frame to frame.
        moving: the moving scene.
        path: path of the camera.
    """

    def __init__(
        self,
        categories: Sequence[str],
        number: int,
        seed: int,
        *,
        colour: bool = False,
        camera_known: bool = False,
    ) -> None:
        self._colour, self._camera_known = colour, camera_known
        self._stream = (zlib.crc32(b"sequence"), seed, number)
        rng = np.random.default_rng(self._stream)
        self.rate_hz = _FAST_HZ if number % _FAST_EVERY == _FAST_EVERY - 1 else _SLOW_HZ
        self.permuted = number % 2 == 1
        extra = rng.choice(np.array(categories), size=_EXTRA_OBJECTS)
        names = [*categories, *(str(x) for x in extra)]
        seeds = rng.choice(np.array(model_seeds(seed)), size=len(names), replace=False)
        self.models = [sample_model(x, int(y)) for x, y in zip(names, seeds, strict=True)]
        scene = cluttered_table(rng, names, self.models, SceneStyle.upright())
        if colour:
            paint_rng = np.random.default_rng((*self._stream, 2))
            scene = repainted(scene, paint_rng, APPEARANCE)
        self.moving, self.path = random_motion(rng, scene, TABLE_CAMERA)

    def __len__(self) -> int:
        return round(DURATION_S * self.rate_hz)

    def frames(self) -> Iterator[SimulatedFrame]:
        """Render the frames; every call yields the same ones."""
        rng = np.random.default_rng((*self._stream, 1))
        paint_rng = np.random.default_rng((*self._stream, 3))
        pose_rng = np.random.default_rng((*self._stream, 4))
        light = random_illumination(paint_rng, APPEARANCE)
        lens = random_camera(paint_rng, APPEARANCE)
        ids = np.arange(1, len(self.models) + 1)
        for index in range(len(self)):
            time_s = index / self.rate_hz
            mask_ids = [int(x) for x in (rng.permutation(ids) if self.permuted else ids)]
            pose = self.path.pose(time_s)
            scene = self.moving.at(time_s, pose, dict(enumerate(mask_ids, start=1)))
            rendering = render(scene, TABLE_CAMERA, pose, colour=self._colour, illumination=light)
            image = rendering.colour
            if self._colour:
                image = lens.apply(image, paint_rng)
            item = simulated_frame(
                scene, TABLE_CAMERA, pose, rendering, image, mask_ids, time_s, rng
            )
            if self._camera_known:
                known = measured(pose, pose_rng, TF_SD_M, TF_SD_RAD)
                item = replace(item, frame=replace(item.frame, camera_pose=known))
            yield item

    def seen_truly(self, track: Track, index: int) -> ObjectEstimate:
        """The estimate of a track in the frame of the camera where it truly was in a frame.

        What is tracked in the world is measured there: errors of the camera's pose that a frame
        tells are errors of the frame, not of the tracker.
        """
        if track.world is None:
            return track.estimate
        pose = self.path.pose(index / self.rate_hz)
        return in_camera(
            track.world, MeasuredCameraPose(pose.rotation, pose.translation, np.zeros((6, 6)))
        )


@dataclass(frozen=True)
class TrackedSequence:
    """Results of a sequence.

    Attributes:
        number: number of the sequence.
        names: names of the objects.
        histories: track samples of each object, frame by frame.
        tracked: outcome of every object in every frame in which it is visible; an object without a
            track is a miss. The times are those of the whole frame.
        tracked_where_detected: those of `tracked` in frames with detection from scratch.
        detected: the outcomes of these detections, in the same order.
    """

    number: int
    names: list[str]
    histories: list[list[TrackSample]]
    tracked: list[PoseOutcome]
    tracked_where_detected: list[PoseOutcome]
    detected: list[PoseOutcome]


def track_sequence(
    estimator: PoseEstimator,
    categories: Sequence[str],
    number: int,
    seed: int,
    *,
    category_known: bool = True,
    camera_known: bool = False,
    progress: Callable[[float], None] = lambda share: None,
) -> TrackedSequence:
    """Track the objects of a sequence; in some frames also detect them from scratch.

    A track is assigned to the object of the mask that it is updated with. An object whose visible
    fraction is at least `MIN_VISIBILITY` must have a track that is updated in that frame.

    Args:
        estimator: estimator to measure, in a tracker with default settings.
        categories: categories of the objects.
        number: number of the sequence.
        seed: see `SimulatedSequence`.
        category_known: whether the tracker is told the categories.
        camera_known: whether it is told the camera's poses, see `SimulatedSequence`.
        progress: called after each frame with its fraction of the sequence.
    """
    sequence = SimulatedSequence(
        categories, number, seed, colour=estimator.uses_colour, camera_known=camera_known
    )
    names = [f"{i}:{x.name}" for i, x in enumerate(sequence.models)]
    results = TrackedSequence(number, names, [[] for _ in names], [], [], [])
    with closing(Tracker(estimator)) as tracker:
        for index, item in enumerate(sequence.frames()):
            frame = item.frame if category_known else with_unknown_categories(item.frame)
            result = tracker.step(frame)
            seen = {x.estimate.mask_id: x for x in result.tracks if x.seen}
            cases = []
            for i, view in enumerate(item.views):
                track = None if view.truth is None else seen.get(view.truth.mask_id)
                estimate = None if track is None else sequence.seen_truly(track, index)
                outcome = None
                if view.truth is not None and view.visibility >= MIN_VISIBILITY:
                    case = PoseCase(names[i], (), view.truth, sequence.models[i], view.visibility)
                    outcome = evaluate_case(
                        case,
                        estimate,
                        result.stage_ms,
                        np.random.default_rng((number, index, i)),
                        _CHAMFER_SAMPLES if index % _CHAMFER_EVERY == 0 else 0,
                    )
                    results.tracked.append(outcome)
                    cases.append((case, results.tracked[-1]))
                time_s = index / sequence.rate_hz
                results.histories[i].append(_track_sample(time_s, view, track, estimate, outcome))
            if index % _DETECTION_EVERY == _DETECTION_EVERY // 2:
                _detect(estimator, frame, cases, results)
            progress(1.0 / len(sequence))
    return results


def summarise_sequences(sequences: Sequence[TrackedSequence]) -> dict[str, Any]:
    """Compute the metrics of `summarise` over all sequences, and those of tracking.

    ``id_switches``, ``flips`` (and how many of them correct a wrong pose), ``first_mode_wrong`` and
    ``first_mode_mended``, ``recoveries`` of ``gaps``, ``drift_deg`` and ``drift_cm`` are defined in
    `evaluation.tracks`. ``wrong_category`` is the share of wrong ones among the poses, per cent.
    ``detection`` has the mean metrics of detection from scratch in some of the frames,
    ``tracking_there`` those of the tracks in the same frames. ``incidents`` lists the switches,
    flips and unrecovered gaps.
    """
    histories = [x for sequence in sequences for x in sequence.histories]
    drifts = drift(histories)
    switches = [x for history in histories for x in id_switches(history)]
    all_flips = [x for history in histories for x in flips(history)]
    all_gaps = [x for history in histories for x in gaps(history)]
    tracks = [x for history in histories for x in first_modes(history)]
    wrong = [x for x in tracks if x.wrong]
    outcomes = [x for sequence in sequences for x in sequence.tracked]
    categories = [(x.reported.category, x.truth.category) for x in outcomes if x.reported]
    detected = _by_category([x for sequence in sequences for x in sequence.detected])
    tracked = _by_category([x for sequence in sequences for x in sequence.tracked_where_detected])
    return summarise(_by_category(outcomes)) | {
        "sequences": len(sequences),
        "frames": sum(len(sequence.histories[0]) for sequence in sequences),
        "id_switches": len(switches),
        "flips": len(all_flips),
        "flips_that_mend": sum(x.corrective for x in all_flips),
        "tracks": len(tracks),
        "flips_per_track": len(all_flips) / len(tracks) if tracks else None,
        "first_mode_wrong": percent(wrong, tracks),
        "first_mode_mended": percent([x for x in wrong if x.mended], wrong),
        "wrong_category": percent([x for x in categories if x[0] != x[1]], categories),
        "gaps": len(all_gaps),
        "recoveries": sum(x.recovered for x in all_gaps),
        "drift_deg": drifts.degrees,
        "drift_cm": drifts.centimetres,
        "drift_tracks": drifts.tracks,
        "detection": summarise(detected)["mean"] if detected else None,
        "tracking_there": summarise(tracked)["mean"] if tracked else None,
        "incidents": [x for sequence in sequences for x in _incidents(sequence)],
    }


def _detect(
    estimator: PoseEstimator,
    frame: RgbdFrame,
    cases: Sequence[tuple[PoseCase, PoseOutcome]],
    results: TrackedSequence,
) -> None:
    """Detect the visible objects of a frame and append the outcomes to `results`."""
    instances, _ = segment(frame, estimator.categories, min_points=estimator.config.min_points)
    measured = by_mask_id(instances)
    usable = [x for x in cases if x[0].truth.mask_id in measured]
    results.tracked_where_detected.extend(outcome for _, outcome in usable)
    results.detected.extend(
        run_cases(
            estimator,
            [replace(case, instances=measured[case.truth.mask_id]) for case, _ in usable],
        )
    )


def _track_sample(
    time_s: float,
    view: View,
    track: Track | None,
    estimate: ObjectEstimate | None,
    outcome: PoseOutcome | None,
) -> TrackSample:
    """Describe an object and its track in a frame; `outcome` is None if it is not visible."""
    sample = TrackSample(time_s, visible=outcome is not None, hidden=view.hidden)
    if view.truth is not None:
        sample = replace(
            sample,
            true_rotation=view.truth.rotation,
            symmetric_about_y=view.truth.symmetric_about_y,
        )
    if track is not None and estimate is not None:
        sample = replace(sample, track_id=track.id, rotation=estimate.rotation)
    if outcome is not None:
        sample = replace(sample, degrees=outcome.degrees, centimetres=outcome.centimetres)
    return sample


def _by_category(outcomes: Sequence[PoseOutcome]) -> dict[str, list[PoseOutcome]]:
    by_category: dict[str, list[PoseOutcome]] = {}
    for outcome in outcomes:
        by_category.setdefault(outcome.truth.category, []).append(outcome)
    return dict(sorted(by_category.items()))


def _incidents(sequence: TrackedSequence) -> Iterator[dict[str, Any]]:
    for name, history in zip(sequence.names, sequence.histories, strict=True):
        where = {"sequence": sequence.number, "object": name}
        for frame in id_switches(history):
            yield {"kind": "id switch", **where, "frame": frame}
        for flip in flips(history):
            yield {
                "kind": "flip",
                **where,
                "frame": flip.frame,
                "degrees": flip.degrees,
                "corrective": flip.corrective,
            }
        for gap in gaps(history):
            if not gap.recovered:
                yield {"kind": "gap", **where, "frame": gap.first, "last": gap.last}
