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

from sdfpose_core.errors import MeshError
from sdfpose_core.estimator import FrameResult, PoseEstimator
from sdfpose_core.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.portrait import Portrait
from sdfpose_core.segmentation import segment
from sdfpose_core.tracking.association import associate
from sdfpose_core.tracking.belief import Belief, agree
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.followed import (
    FollowedObject,
    Predicted,
    Sighting,
    Track,
    TrackState,
    in_line,
    middle,
)
from sdfpose_core.tracking.motion import farther

__all__ = ["Track", "TrackState", "Tracker", "TrackerConfig", "TrackerResult"]


_JUMP_DEG, _JUMP_SHARE = 5.0, 0.1
"""When another shape moves the pose by more, or by more than this share of the diagonal, that is no
motion of the object."""


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
            skipped=skipped + [x for x in result.skipped if x.mask_id not in sightings],
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
        owner, if that has been away for long, when the pose is put to the test, and always by an
        estimator that does not refine on the SDF: it has no use for a start.
        """
        instance_of = {x.mask_id: x for x in instances}
        if self._estimator.config.refine != "sdf":
            result = self._estimator.estimate(instances)
            return {
                x.mask_id: replace(
                    self._detected(x, instance_of[x.mask_id]), anew=x.mask_id not in owners
                )
                for x in result.estimates
            }, result
        warm_starts = {i: x.estimate for i, x in owners.items() if x.recent}
        tracked, result = self._refined(
            [x for x in instances if x.mask_id in warm_starts], owners, warm_starts
        )
        sightings = {
            i: Sighting(
                x,
                instance_of[i],
                owners[i].memory.belief.after(x, self._config),
                owners[i].memory.portrait,
                anew=False,
            )
            for i, x in tracked.items()
        }
        on_test = self._on_test({i: x.belief for i, x in sightings.items()})
        tested = [x for x in instances if x.mask_id in on_test]
        unknown = [x for x in instances if x.mask_id not in warm_starts]
        detections: list[ObjectEstimate] = []
        for cold, draft in ((unknown, False), (tested, True)):
            if cold:
                found = self._estimator.estimate(cold, draft=draft)
                detections += found.estimates
                result = _added(result, found)
        for detection in detections:
            i = detection.mask_id
            if i in owners:
                detection = in_line(detection, owners[i])
            if i not in sightings:
                sightings[i] = self._detected(detection, instance_of[i])
                continue
            start = time.perf_counter()
            sightings[i] = self._tested(sightings[i], detection)
            spent_ms = 1e3 * (time.perf_counter() - start)
            result = _added(result, FrameResult([], [], {"refine": spent_ms}))
        return sightings, result

    def _detected(self, estimate: ObjectEstimate, instance: Instance) -> Sighting:
        """What a detection says that owes nothing to earlier images."""
        portrait = Portrait.of(instance, estimate)
        return Sighting(estimate, instance, Belief.of(estimate), portrait, anew=True)

    def _tested(self, tracked: Sighting, detection: ObjectEstimate) -> Sighting:
        """What an image says in which the object was detected from nothing as well.

        One that was found where it was expected is seen in one more view. One that was found
        elsewhere too often is taken to be there.
        """
        belief = tracked.belief.voted(detection, tracked.estimate, self._config)
        if belief.log_odds < 0.0:
            found = self._detected(detection, tracked.instance)
            return replace(found, belief=replace(found.belief, log_odds=-belief.log_odds))
        tested = replace(tracked, belief=belief)
        sure = detection.confidence >= self._config.accept_confidence
        if not sure or not agree(detection, tracked.estimate):
            return tested
        try:
            portrait, estimate = self._estimator.portrayed(
                tracked.portrait, tracked.instance, [tracked.estimate, detection]
            )
        except MeshError:
            return tested
        jumped = farther(estimate, tracked.estimate, _JUMP_DEG, _JUMP_SHARE)
        return replace(tested, estimate=estimate, portrait=portrait, anew=jumped)

    def _on_test(self, beliefs: Mapping[int, Belief]) -> set[int]:
        """Whose pose is put to the test in this image: at most one of those that can wait."""
        chosen = {i for i, x in beliefs.items() if x.collapsed}
        due = [i for i, x in beliefs.items() if x.overdue >= 0 and i not in chosen]
        if due:
            chosen.add(max(due, key=lambda i: beliefs[i].overdue))
        return chosen

    def _refined(
        self,
        instances: Sequence[Instance],
        owners: Mapping[int, Predicted],
        warm_starts: Mapping[int, ObjectEstimate],
    ) -> tuple[dict[int, ObjectEstimate], FrameResult]:
        """The estimates by mask id, and what was skipped and how long it took.

        Where an instance is not where it was expected, it is refined from its place as well; the
        more confident of the two is taken.
        """
        result = self._estimator.estimate(instances, warm_starts)
        estimates = {x.mask_id: x for x in result.estimates}
        others = {
            x.mask_id: start
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


def _added(result: FrameResult, more: FrameResult) -> FrameResult:
    """The result, with what was skipped later and the time that it took."""
    stages = dict(result.stage_ms)
    for stage, milliseconds in more.stage_ms.items():
        stages[stage] = stages.get(stage, 0.0) + milliseconds
    return replace(result, skipped=result.skipped + more.skipped, stage_ms=stages)
