"""The benchmark of tracking: simulated motion, and how well a tracker follows it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sdfpose_core.benchmark.poses import (
    MIN_VISIBILITY,
    STYLE,
    PoseCase,
    PoseOutcome,
    judge,
    model_seeds,
    run_cases,
    summarise,
)
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.evaluation.tracks import TrackSample, drift, flips, gaps, id_switches
from sdfpose_core.observation.frame import GroundTruth, Instance, InstanceLabel, RgbdFrame
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.ground_truth import ground_truth
from sdfpose_core.simulation.instances import pixels_alone
from sdfpose_core.simulation.random_motion import MOTION_S, random_motion
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scenes import cluttered_table
from sdfpose_core.simulation.sensor import MaskNoise, SensorNoise
from sdfpose_core.simulation.tabletop import TABLE_CAMERA
from sdfpose_core.tracking.tracker import Track, Tracker, TrackState

__all__ = [
    "SEQUENCES",
    "FollowedSequence",
    "SequenceFrame",
    "SimulatedSequence",
    "View",
    "follow",
    "summarise_sequences",
]

SEQUENCES = 8
"""In a run of the suite."""

DURATION_S = MOTION_S
"""Of a sequence."""

_SLOW_HZ, _FAST_HZ = 15.0, 30.0

_FAST_EVERY = 3
"""One sequence of so many is at the higher rate."""

_EXTRA_OBJECTS = 2
"""Besides one of each category: some category is there more than once."""

_CHAMFER_EVERY = 4
"""Frames for which the reconstructed surfaces are compared with the true ones."""

_DETECTION_EVERY = 12
"""Frames in which the objects are detected as well."""

_CHAMFER_SAMPLES = 2000

_START_NS = 1_000_000_000


@dataclass(frozen=True)
class View:
    """What a frame shows of an object.

    Attributes:
        truth: pose and size; None where no pixel of it is to be seen.
        visibility: visible share of the pixels that it would have without other objects and
            image borders.
        hidden: whether it is missing in the frame's mask.
    """

    truth: GroundTruth | None
    visibility: float
    hidden: bool


@dataclass(frozen=True)
class SequenceFrame:
    """A frame and what it shows of each object, in the order of the sequence's objects."""

    frame: RgbdFrame
    views: list[View]


class SimulatedSequence:
    """A cluttered table in motion, seen by a moving camera.

    One object of each category and two more stand on a table among other things; hands move some,
    a board hides one, and the camera goes round and looks aside (`random_motion`). Depth and masks
    have realistic noise. Every third sequence has 30 frames in a second, the others 15. In every
    second one the objects' mask ids are drawn anew for each frame.

    Args:
        categories: of the objects, with procedural families.
        number: of the sequence, from 0.
        seed: another one draws other models, tables, motion and noise.

    Attributes:
        models: of the objects.
        rate_hz: frames in a second.
        permuted: whether mask ids change from frame to frame.
        moving: what happens.
        path: of the camera.
    """

    def __init__(self, categories: Sequence[str], number: int, seed: int) -> None:
        self._stream = (zlib.crc32(b"sequence"), seed, number)
        rng = np.random.default_rng(self._stream)
        self.rate_hz = _FAST_HZ if number % _FAST_EVERY == _FAST_EVERY - 1 else _SLOW_HZ
        self.permuted = number % 2 == 1
        extra = rng.choice(np.array(categories), size=_EXTRA_OBJECTS)
        names = [*categories, *(str(x) for x in extra)]
        seeds = rng.choice(np.array(model_seeds(seed)), size=len(names), replace=False)
        self.models = [sample_model(x, int(y)) for x, y in zip(names, seeds, strict=True)]
        scene = cluttered_table(rng, names, self.models, STYLE)
        self.moving, self.path = random_motion(rng, scene, TABLE_CAMERA)

    def __len__(self) -> int:
        return round(DURATION_S * self.rate_hz)

    def frames(self) -> Iterator[SequenceFrame]:
        """The frames, the same ones on every call."""
        rng = np.random.default_rng((*self._stream, 1))
        noise, mask_noise = SensorNoise.realistic(), MaskNoise.realistic()
        ids = np.arange(1, len(self.models) + 1)
        for index in range(len(self)):
            time_s = index / self.rate_hz
            mask_ids = [int(x) for x in (rng.permutation(ids) if self.permuted else ids)]
            pose = self.path.pose(time_s)
            scene = self.moving.at(time_s, pose, dict(enumerate(mask_ids, start=1)))
            rendering = render(scene, TABLE_CAMERA, pose, colour=False)
            truths = {x.mask_id: x for x in ground_truth(scene, rendering, TABLE_CAMERA, pose)}
            frame = RgbdFrame(
                colour=rendering.colour,
                depth=noise.apply(rendering, TABLE_CAMERA, rng),
                mask=mask_noise.apply(rendering.mask, TABLE_CAMERA, rng),
                camera=TABLE_CAMERA,
                labels={x: InstanceLabel(truth.category) for x, truth in truths.items()},
                stamp_ns=_START_NS + round(1e9 * time_s),
                frame_id="camera_optical_frame",
            )
            visible = np.bincount(rendering.mask.ravel(), minlength=len(ids) + 1)
            masked = np.bincount(frame.mask.ravel(), minlength=len(ids) + 1)
            views = []
            for x in mask_ids:
                alone = pixels_alone(scene, x, TABLE_CAMERA, pose) if visible[x] else 1
                share = min(float(visible[x]) / max(alone, 1), 1.0)
                views.append(View(truths.get(x), share, hidden=masked[x] == 0))
            yield SequenceFrame(frame, views)


@dataclass(frozen=True)
class FollowedSequence:
    """What became of a sequence.

    Attributes:
        number: of the sequence.
        names: of the objects.
        histories: of each object, frame by frame.
        tracked: every object in every frame in which it is visible; one without a track is missed.
            The times are those of the whole frame.
        both: those in frames in which the objects were detected as well...
        detected: ...and what became of them there, in the same order.
    """

    number: int
    names: list[str]
    histories: list[list[TrackSample]]
    tracked: list[PoseOutcome]
    both: list[PoseOutcome]
    detected: list[PoseOutcome]


def follow(
    estimator: PoseEstimator,
    categories: Sequence[str],
    number: int,
    seed: int,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> FollowedSequence:
    """Track the objects of a sequence; in some frames also detect them from nothing.

    A track reports the object whose mask its estimate is of. An object of which at least
    `MIN_VISIBILITY` is to be seen has to be reported by a track that has seen it in that frame.

    Args:
        estimator: what is measured, in a tracker with default settings.
        categories: of the objects.
        number: of the sequence.
        seed: as of `SimulatedSequence`.
        progress: told after each frame which share of the sequence it is.
    """
    sequence = SimulatedSequence(categories, number, seed)
    tracker = Tracker(estimator)
    names = [f"{i}:{x.name}" for i, x in enumerate(sequence.models)]
    found = FollowedSequence(number, names, [[] for _ in names], [], [], [])
    for index, shown in enumerate(sequence.frames()):
        result = tracker.step(shown.frame)
        seen = {x.estimate.mask_id: x for x in result.tracks if x.state != TrackState.LOST}
        cases = []
        for i, view in enumerate(shown.views):
            track = None if view.truth is None else seen.get(view.truth.mask_id)
            outcome = None
            if view.truth is not None and view.visibility >= MIN_VISIBILITY:
                case = PoseCase(
                    names[i], _NO_POINTS, view.truth, sequence.models[i], view.visibility
                )
                outcome = judge(
                    case,
                    None if track is None else track.estimate,
                    result.stage_ms,
                    np.random.default_rng((number, index, i)),
                    _CHAMFER_SAMPLES if index % _CHAMFER_EVERY == 0 else 0,
                )
                found.tracked.append(_slim(outcome))
                cases.append((case, found.tracked[-1]))
            time_s = index / sequence.rate_hz
            found.histories[i].append(_track_sample(time_s, view, track, outcome))
        if index % _DETECTION_EVERY == _DETECTION_EVERY // 2:
            _detect(estimator, shown.frame, cases, found)
        progress(1.0 / len(sequence))
    return found


def summarise_sequences(followed: Sequence[FollowedSequence]) -> dict[str, Any]:
    """Figures of `summarise` over all sequences, and those of tracking.

    ``id_switches``, ``flips`` (and how many of them mend a wrong pose), ``recoveries`` of ``gaps``,
    ``drift_deg`` and ``drift_cm`` are defined in `evaluation.tracks`. ``detection`` has the mean
    figures of detection from nothing in a part of the frames and ``tracking_there`` those of the
    tracks in the same ones. ``incidents`` names the switches, flips and gaps without recovery.
    """
    histories = [x for sequence in followed for x in sequence.histories]
    grown = drift(histories)
    switches = [x for history in histories for x in id_switches(history)]
    turns = [x for history in histories for x in flips(history)]
    absences = [x for history in histories for x in gaps(history)]
    detected = _by_category([x for sequence in followed for x in sequence.detected])
    there = _by_category([x for sequence in followed for x in sequence.both])
    return summarise(_by_category([x for sequence in followed for x in sequence.tracked])) | {
        "sequences": len(followed),
        "frames": sum(len(sequence.histories[0]) for sequence in followed),
        "id_switches": len(switches),
        "flips": len(turns),
        "flips_that_mend": sum(x.mends for x in turns),
        "gaps": len(absences),
        "recoveries": sum(x.recovered for x in absences),
        "drift_deg": grown.degrees,
        "drift_cm": grown.centimetres,
        "drift_tracks": grown.tracks,
        "detection": summarise(detected)["mean"] if detected else None,
        "tracking_there": summarise(there)["mean"] if there else None,
        "incidents": [x for sequence in followed for x in _incidents(sequence)],
    }


def _detect(
    estimator: PoseEstimator,
    frame: RgbdFrame,
    cases: Sequence[tuple[PoseCase, PoseOutcome]],
    found: FollowedSequence,
) -> None:
    """Detect the visible objects of a frame, and tell `found` of them."""
    instances, _ = segment(frame, estimator.categories, min_points=estimator.config.min_points)
    measured = {x.mask_id: x for x in instances}
    usable = [x for x in cases if x[0].truth.mask_id in measured]
    found.both.extend(outcome for _, outcome in usable)
    found.detected.extend(
        _slim(x)
        for x in run_cases(
            estimator,
            [replace(case, instance=measured[case.truth.mask_id]) for case, _ in usable],
        )
    )


def _track_sample(
    time_s: float, view: View, track: Track | None, outcome: PoseOutcome | None
) -> TrackSample:
    """An object in a frame, and what its track says; `outcome` where it is visible."""
    glimpse = TrackSample(time_s, visible=outcome is not None, hidden=view.hidden)
    if view.truth is not None:
        glimpse = replace(
            glimpse,
            true_rotation=view.truth.rotation,
            symmetric_about_y=view.truth.symmetric_about_y,
        )
    if track is not None:
        glimpse = replace(glimpse, track_id=track.id, rotation=track.estimate.rotation)
    if outcome is not None:
        glimpse = replace(glimpse, degrees=outcome.degrees, centimetres=outcome.centimetres)
    return glimpse


def _slim(outcome: PoseOutcome) -> PoseOutcome:
    """The outcome without points and meshes: there are thousands."""
    case = replace(outcome.case, instance=_NO_POINTS)
    if outcome.estimate is None:
        return replace(outcome, case=case)
    estimate = replace(
        outcome.estimate, vertices=_NO_VERTICES, faces=_NO_FACES, normals=_NO_VERTICES
    )
    return replace(outcome, case=case, estimate=estimate)


def _by_category(outcomes: Sequence[PoseOutcome]) -> dict[str, list[PoseOutcome]]:
    by_category: dict[str, list[PoseOutcome]] = {}
    for outcome in outcomes:
        by_category.setdefault(outcome.case.truth.category, []).append(outcome)
    return dict(sorted(by_category.items()))


def _incidents(sequence: FollowedSequence) -> Iterator[dict[str, Any]]:
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
                "mends": flip.mends,
            }
        for gap in gaps(history):
            if not gap.recovered:
                yield {"kind": "gap", **where, "frame": gap.first, "last": gap.last}


_NO_VERTICES = np.zeros((0, 3), dtype=np.float32)
_NO_FACES = np.zeros((0, 3), dtype=np.int32)
_NO_POINTS = Instance(
    0, "", 1.0, _NO_VERTICES, np.zeros((0, 2), dtype=np.int32), FreeSpace.unknown(), 0
)
"""Stands for the measurements of a case that need not be kept."""
