"""The tracker: objects keep their id, size and shape from frame to frame.

    predict -> associate -> estimate, warm -> detect again where in doubt -> next state

An object's life, one step per image::

                       confident in confirm_frames images
    detected -> TENTATIVE -----------------------------> TRACKED
                  |   ^                                   |   ^
          missing |   | seen                      missing |   | seen
                  v   |                                   v   |
                  LOST                                    LOST
                   | for coast_s                           | for remove_after_s
                   v                                       v
                removed                                 removed
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.estimator import FrameResult, PoseEstimator, WarmStart
from sdfpose_core.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.segmentation import segment
from sdfpose_core.tracking.association import associate
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.doubt import Doubt
from sdfpose_core.tracking.followed import (
    FollowedObject,
    Predicted,
    Sighting,
    Track,
    TrackState,
    in_line,
    middle,
)

__all__ = ["Track", "TrackState", "Tracker", "TrackerConfig", "TrackerResult"]


@dataclass(frozen=True)
class TrackerResult:
    """What became of a frame.

    Attributes:
        tracks: all objects known, in the order of their ids.
        removed: ids of those that were given up.
        skipped: the mask ids without an estimate, and why.
        stage_ms: wall time by stage: the estimator's ``segment``, ``encode``, ``refine``,
            ``mesh``, and ``total``.
    """

    tracks: list[Track]
    removed: list[int]
    skipped: list[SkippedInstance]
    stage_ms: dict[str, float]


class Tracker:
    """Follows the objects of a camera through its frames.

    Args:
        estimator: with the networks' weights.
        config: when to believe what.

    Example:
        >>> tracker = Tracker(PoseEstimator())                    # doctest: +SKIP
        >>> for frame in frames:                                  # doctest: +SKIP
        ...     for track in tracker.step(frame).tracks:
        ...         print(track.id, track.state.name, track.estimate.translation)
    """

    def __init__(self, estimator: PoseEstimator, config: TrackerConfig | None = None) -> None:
        self._estimator = estimator
        self._config = config or TrackerConfig()
        self._objects: list[FollowedObject] = []
        self._time: tuple[str, int] | None = None
        self._next_id = 1

    def reset(self) -> None:
        """Forget all objects. Their ids stay used."""
        self._objects = []
        self._time = None

    def step(self, frame: RgbdFrame) -> TrackerResult:
        """Estimate the objects of one frame and follow them.

        A frame that is older than the last one (a bag that loops, a simulation that starts over)
        or from another camera has nothing to do with what was seen before: all objects are
        removed, and those of the frame are new. Where the estimator raises, the frame leaves no
        trace.

        Args:
            frame: mask ids need not persist from frame to frame.

        Raises:
            FrameError: the mask holds an id that is negative or does not fit 16 bits.
        """
        start = time.perf_counter()
        now = frame.stamp_ns
        known = [x.predict(now, self._config) for x in self._remembered(frame)]
        instances, skipped = segment(
            frame, self._estimator.categories, min_points=self._estimator.config.min_points
        )
        instances = self._one_category_each(instances, known)
        segment_ms = 1e3 * (time.perf_counter() - start)
        owners = self._owners(instances, known)
        sightings, result = self._sight(instances, owners)

        seen = {
            owners[mask_id].memory.id: sighting
            for mask_id, sighting in sightings.items()
            if mask_id in owners
        }
        objects = [
            x.memory.seen(seen[x.memory.id], x, now, self._config)
            if x.memory.id in seen
            else x.memory.missed()
            for x in known
        ]
        new = [x for mask_id, x in sightings.items() if mask_id not in owners]
        objects += [
            FollowedObject.detected(i, sighting, now, self._config)
            for i, sighting in enumerate(new, start=self._next_id)
        ]
        kept = {x.id for x in objects}
        removed = [x.id for x in self._objects if x.id not in kept]
        self._next_id += len(new)
        self._objects = objects
        self._time = (frame.frame_id, now)
        stages = {"segment": segment_ms, **result.stage_ms}
        stages["total"] = 1e3 * (time.perf_counter() - start)
        return TrackerResult(
            tracks=[x.track(now, self._config) for x in objects],
            removed=removed,
            skipped=skipped + result.skipped,
            stage_ms=stages,
        )

    def _remembered(self, frame: RgbdFrame) -> list[FollowedObject]:
        """The objects that the frame may show again."""
        if self._time is not None:
            frame_id, stamp_ns = self._time
            if frame.frame_id != frame_id or frame.stamp_ns < stamp_ns:
                return []
        return [x for x in self._objects if not x.given_up(frame.stamp_ns, self._config)]

    def _one_category_each(
        self, instances: Sequence[Instance], known: Sequence[Predicted]
    ) -> list[Instance]:
        """The instances, each mask id once.

        One of unknown category is of that of the followed object that is expected there, or else
        of the category that explains it best.
        """
        options: dict[int, list[Instance]] = {}
        for x in instances:
            options.setdefault(x.mask_id, []).append(x)
        chosen = []
        for same in options.values():
            if len(same) == 1:
                chosen += same
                continue
            distance = {
                x.memory.id: float(np.linalg.norm(x.middle - middle(same[0])))
                for x in known
                if x.recent
            }
            near = [x for x in known if x.recent and distance[x.memory.id] < x.gate_m]
            if near:
                category = min(near, key=lambda x: distance[x.memory.id]).memory.category
            else:
                found = self._estimator.estimate(same).estimates
                category = found[0].category if found else same[0].category
            chosen += [x for x in same if x.category == category][:1]
        return chosen

    def _owners(
        self, instances: Sequence[Instance], known: Sequence[Predicted]
    ) -> dict[int, Predicted]:
        """The known object behind each instance, by mask id; new ones have none.

        The less an object has been away, the sooner it chooses: the place of one that has been for
        long is a guess.
        """
        owners: dict[int, Predicted] = {}
        for turn in sorted({x.turn for x in known}):
            free = [x for x in instances if x.mask_id not in owners]
            candidates = [x for x in known if x.turn == turn]
            if not free:
                break
            pairs = associate(
                np.stack([x.path for x in candidates]),
                np.array([x.gate_m for x in candidates]),
                np.stack([middle(x) for x in free]),
                compatible=np.array(
                    [[x.memory.category == y.category for y in free] for x in candidates]
                ),
                preferred=np.array(
                    [[x.memory.estimate.mask_id == y.mask_id for y in free] for x in candidates]
                ),
            )
            owners |= {free[j].mask_id: candidates[i] for i, j in pairs}
        return owners

    def _sight(
        self, instances: Sequence[Instance], owners: Mapping[int, Predicted]
    ) -> tuple[dict[int, Sighting], FrameResult]:
        """The estimate of each instance, by mask id, and what was skipped and how long it took.

        An instance starts from its owner's prediction. It is detected from nothing if it has no
        owner, if that has been away for long, where the warm start leaves doubt, and always by an
        estimator that does not refine on the SDF: it has no use for a start.
        """
        instance_of = {x.mask_id: x for x in instances}
        if self._estimator.config.refine != "sdf":
            result = self._estimator.estimate(instances)
            unknown = Doubt.none(self._config)
            return {
                x.mask_id: Sighting(x, instance_of[x.mask_id], unknown, anew=False)
                for x in result.estimates
            }, result
        warm_starts = {
            mask_id: WarmStart(x.start, x.memory.shape.frozen)
            for mask_id, x in owners.items()
            if x.recent
        }
        estimates, result = self._refined(instances, owners, warm_starts)
        doubts = {
            mask_id: owners[mask_id].memory.doubt.after(estimates[mask_id], self._config)
            for mask_id in warm_starts
            if mask_id in estimates
        }
        doubtful = [mask_id for mask_id, doubt in doubts.items() if doubt.due(self._config)]
        returned = [i for i in estimates if i in owners and i not in warm_starts]
        detected = {i: estimates[i] for i in returned}
        if doubtful:
            cold = self._estimator.estimate([instance_of[i] for i in doubtful])
            detected |= {x.mask_id: x for x in cold.estimates}
            result = _added(result, cold)
        if detected:
            # Confidences are comparable between estimates that ended in the same way.
            starts = {i: WarmStart(in_line(x, owners[i])) for i, x in detected.items()}
            settled = self._estimator.estimate([instance_of[i] for i in starts], starts)
            detected |= {x.mask_id: x for x in settled.estimates}
            result = _added(result, settled)

        sightings = {}
        for mask_id, estimate in estimates.items():
            best = estimate
            anew = mask_id not in warm_starts
            if mask_id in detected:
                ratio = _odds(detected[mask_id]) / _odds(estimate)
                anew = anew or ratio > self._config.redetect_odds
                best = detected[mask_id] if anew else estimate
            if anew:
                doubt = Doubt.none(self._config, best)
            else:
                doubt = doubts[mask_id].postponed() if mask_id in doubtful else doubts[mask_id]
            sightings[mask_id] = Sighting(best, instance_of[mask_id], doubt, anew)
        return sightings, result

    def _refined(
        self,
        instances: Sequence[Instance],
        owners: Mapping[int, Predicted],
        warm_starts: Mapping[int, WarmStart],
    ) -> tuple[dict[int, ObjectEstimate], FrameResult]:
        """The estimates by mask id, and what was skipped and how long it took.

        Where an instance is not where it was expected, it is refined from its place as well; the
        more confident of the two is taken.
        """
        result = self._estimator.estimate(instances, warm_starts)
        estimates = {x.mask_id: x for x in result.estimates}
        others = {
            x.mask_id: WarmStart(start, warm_starts[x.mask_id].freeze_shape)
            for x in instances
            if x.mask_id in warm_starts
            and x.mask_id in estimates
            and (start := owners[x.mask_id].other_start(x)) is not None
        }
        if others:
            second = self._estimator.estimate([x for x in instances if x.mask_id in others], others)
            for found in second.estimates:
                if found.confidence > estimates[found.mask_id].confidence:
                    estimates[found.mask_id] = found
            result = _added(result, second)
        return estimates, result


def _odds(estimate: ObjectEstimate) -> float:
    confidence = min(max(estimate.confidence, 1e-12), 1.0 - 1e-12)
    return confidence / (1.0 - confidence)


def _added(result: FrameResult, more: FrameResult) -> FrameResult:
    """The result, with the time that further estimates of the same instances took."""
    stages = dict(result.stage_ms)
    for stage, milliseconds in more.stage_ms.items():
        stages[stage] = stages.get(stage, 0.0) + milliseconds
    return replace(result, stage_ms=stages)
