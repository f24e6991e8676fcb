"""The tracker: objects keep their id, size and shape from frame to frame.

    predict -> associate -> estimate, warm -> put to the test, beside the images -> next state

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

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.errors import MeshError
from sdfpose_core.estimation.estimator import FrameResult, PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import PredictedState
from sdfpose_core.observation.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.tracking.association import associate
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import farther
from sdfpose_core.tracking.tracked_object import (
    ObjectObservation,
    PredictedTrack,
    Track,
    TrackedObject,
    TrackState,
    with_predicted_yaw,
)
from sdfpose_core.tracking.verification import VerificationRequest, VerificationResult, Verifier

__all__ = ["Track", "TrackState", "Tracker", "TrackerConfig", "TrackerResult"]


_JUMP_DEG, _JUMP_SHARE = 5.0, 0.1
"""When another shape moves the pose by more, or by more than this share of the diagonal, that is no
motion of the object."""


_SHORT_DELAY_FACTOR = 0.4
"""Of the time that an outcome is waited for otherwise, where other objects wait for their trials:
it is better to hold up an image than to report a wrong pose in many."""


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
        self._objects: list[TrackedObject] = []
        self._verifier = Verifier(
            estimator,
            self._config.accept_confidence,
            apart=self._config.verify_in_process and self._config.verification_delay_s > 0.0,
        )
        self._time: tuple[str, int] | None = None
        self._next_id = 1

    @property
    def device(self) -> str:
        """Where the networks run."""
        return str(self._estimator.device)

    def prepare(self, *, wait: bool = True) -> None:
        """Do now what would make the first images slow.

        Args:
            wait: until poses can be put to the test beside the images, which takes seconds.

        Raises:
            VerificationError: the process of the trials died.
        """
        self._verifier.prepare(wait=wait)

    def close(self) -> None:
        """End what runs beside the images; `prepare` begins it again."""
        self._verifier.close()

    def reset(self) -> None:
        """Forget all objects. Their ids stay used."""
        self._verifier.drop()
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
            VerificationError: the process of the trials died; a new one is begun.
        """
        start = time.perf_counter()
        now = frame.stamp_ns
        seconds = 0.0 if self._time is None else max(1e-9 * (now - self._time[1]), 0.0)
        known = [x.predict(now, self._config) for x in self._remembered(frame)]
        instances, skipped = segment(
            frame, self._estimator.categories, min_points=self._estimator.config.min_points
        )
        if not self._estimator.looks_at_colour:  # they are kept, and sent to another process
            instances = [replace(x, colour=None) for x in instances]
        instances = self._resolve_categories(instances, known)
        segment_ms = 1e3 * (time.perf_counter() - start)
        owners = self._owners(instances, known)
        sightings, result = self._observe_objects(instances, owners, seconds)

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
            TrackedObject.detected(i, sighting, now, self._config)
            for i, sighting in enumerate(new, start=self._next_id)
        ]
        kept = {x.id for x in objects}
        removed = [x.id for x in self._objects if x.id not in kept]
        objects, spent = self._verify(objects, {x.mask_id: x for x in instances}, now)
        result = _added(result, spent)
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

    def _remembered(self, frame: RgbdFrame) -> list[TrackedObject]:
        """The objects that the frame may show again."""
        if self._time is not None:
            frame_id, stamp_ns = self._time
            if frame.frame_id != frame_id or frame.stamp_ns < stamp_ns:
                self._verifier.drop()
                return []
        return [x for x in self._objects if not x.given_up(frame.stamp_ns, self._config)]

    def _resolve_categories(
        self, instances: Sequence[Instance], known: Sequence[PredictedTrack]
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
                x.memory.id: float(np.linalg.norm(x.middle - same[0].middle))
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
        self, instances: Sequence[Instance], known: Sequence[PredictedTrack]
    ) -> dict[int, PredictedTrack]:
        """The known object behind each instance, by mask id; new ones have none.

        The less an object has been away, the sooner it chooses: the place of one that has been for
        long is a guess.
        """
        owners: dict[int, PredictedTrack] = {}
        for turn in sorted({x.turn for x in known}):
            free = [x for x in instances if x.mask_id not in owners]
            candidates = [x for x in known if x.turn == turn]
            if not free:
                break
            pairs = associate(
                np.stack([x.path for x in candidates]),
                np.array([x.gate_m for x in candidates]),
                np.stack([x.middle for x in free]),
                compatible=np.array(
                    [[x.memory.category == y.category for y in free] for x in candidates]
                ),
                preferred=np.array(
                    [[x.memory.estimate.mask_id == y.mask_id for y in free] for x in candidates]
                ),
            )
            owners |= {free[j].mask_id: candidates[i] for i, j in pairs}
        return owners

    def _observe_objects(
        self, instances: Sequence[Instance], owners: Mapping[int, PredictedTrack], seconds: float
    ) -> tuple[dict[int, ObjectObservation], FrameResult]:
        """The estimate of each instance, by mask id, and what was skipped and how long it took.

        An instance starts from its owner's prediction. It is detected from nothing if it has no
        owner, if that has been away for long, and always by an estimator that does not refine on
        the SDF: it has no use for a start.
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
        recent = {i: x for i, x in owners.items() if x.recent}
        asked = self._asked(recent, seconds)
        expected = {
            i: PredictedState(x.estimate, None if i in asked else x.prediction)
            for i, x in recent.items()
        }
        tracked, result = self._refined(
            [x for x in instances if x.mask_id in expected], owners, expected
        )
        sightings = {
            i: ObjectObservation(
                x,
                instance_of[i],
                owners[i].memory.belief.after(x, self._config),
                owners[i].memory.keyframes,
                result.predictions[i],
                anew=False,
            )
            for i, x in tracked.items()
        }
        unknown = [x for x in instances if x.mask_id not in expected]
        if unknown:
            found = self._estimator.estimate(unknown)
            result = _added(result, found)
            for detection in found.estimates:
                i = detection.mask_id
                if i in owners:
                    detection = with_predicted_yaw(detection, owners[i])
                sightings[i] = self._detected(detection, instance_of[i])
        return sightings, result

    def _detected(self, estimate: ObjectEstimate, instance: Instance) -> ObjectObservation:
        """What a detection says that owes nothing to earlier images."""
        keyframes = Keyframes.of(instance, estimate)
        return ObjectObservation(
            estimate, instance, Belief.of(estimate), keyframes, None, anew=True
        )

    def _asked(self, followed: Mapping[int, PredictedTrack], seconds: float) -> set[int]:
        """Of which followed objects, by mask id, the network is asked in this image.

        Of those with a front, which may be a few points of hundreds. The others take turns, as
        often as keeps the answers as young as the configuration says.
        """
        age_s = {
            i: math.inf if (prediction := x.prediction) is None else prediction.age_s
            for i, x in followed.items()
            if self._estimator.categories[x.memory.category].symmetry == "y"
        }
        if not age_s or seconds == 0.0:  # images without time
            return set(followed)
        turn_s = self._config.network_interval_s / len(age_s)
        due = min(age_s.values()) + 0.5 * seconds >= turn_s
        oldest = sorted(age_s, key=age_s.__getitem__, reverse=True)
        return followed.keys() - age_s.keys() | set(oldest[: due * math.ceil(seconds / turn_s)])

    def _verify(
        self, objects: Sequence[TrackedObject], instance_of: Mapping[int, Instance], now: int
    ) -> tuple[list[TrackedObject], FrameResult]:
        """The objects after the trials whose outcome is known now, and how long these took.

        A request begins with the least certain one of the objects whose turn it is, if no other one
        is under way. An object that the image contradicts is not kept waiting.
        """
        by_id = {x.id: x for x in objects}
        spent = FrameResult([], [], {})

        def request_for(x: TrackedObject) -> VerificationRequest:
            return VerificationRequest(
                x.id, instance_of[x.estimate.mask_id], x.estimate, x.keyframes
            )

        def judge(request: VerificationRequest, outcome: VerificationResult) -> None:
            if request.object_id in by_id:
                known = by_id[request.object_id]
                by_id[request.object_id] = self._judged(known, request, outcome)

        if self._estimator.config.refine != "sdf":
            return list(objects), spent
        held = self._verifier.due(now, wait=self._config.wait_for_verification)
        if held is not None:
            judge(*held)
        if self._config.wait_for_verification:
            for request in [
                request_for(x)
                for x in by_id.values()
                if x.missing_frames == 0 and x.belief.collapsed
            ]:
                outcome = self._verifier.verify_now(request)
                spent = _added(spent, FrameResult([], [], outcome.stage_ms))
                judge(request, outcome)
        waiting = [
            x
            for x in by_id.values()
            if x.missing_frames == 0
            and (x.belief.collapsed or x.belief.overdue >= 0)
            and (
                self._config.wait_for_verification
                or not self._verifier.resting
                or x.belief.uncertain
            )
        ]
        if waiting and self._verifier.pending_object is None:
            first = min(waiting, key=lambda x: (not x.belief.collapsed, x.belief.log_odds))
            request = request_for(first)
            delay_s = self._config.verification_delay_s * (
                _SHORT_DELAY_FACTOR if len(waiting) > 1 else 1.0
            )
            if delay_s == 0.0:
                outcome = self._verifier.verify_now(request)
                spent = _added(spent, FrameResult([], [], outcome.stage_ms))
                judge(request, outcome)
            else:
                urgent = first.belief.collapsed
                due = now if urgent else now + round(1e9 * delay_s)
                self._verifier.begin(request, due, self._config.verification_share)
        return list(by_id.values()), spent

    def _judged(
        self, known: TrackedObject, request: VerificationRequest, outcome: VerificationResult
    ) -> TrackedObject:
        """An object after a request.

        One that was found where it was expected is seen in one more view. One that was found
        elsewhere too often is taken to be there. Either way it has moved since.
        """
        detection = outcome.detection
        if known.keyframes is not request.keyframes:
            return known  # it was found anew meanwhile
        if detection is None:
            return replace(known, belief=known.belief.untested())
        view = outcome.view
        belief = known.belief.voted(
            detection,
            request.tracked,
            self._config,
            shape_settled=view is not None
            and view.keyframes.full
            and np.array_equal(view.estimate.code, request.tracked.code),
        )
        if belief.log_odds < 0.0:
            try:
                found = self._estimator.finished(detection)
            except MeshError:
                return replace(known, belief=known.belief.untested())  # it is no object
            belief = replace(Belief.of(found), log_odds=-belief.log_odds)
            keyframes = Keyframes.of(request.instance, found)
            return known.corrected(
                request.tracked, found, keyframes, belief, self._config, anew=True
            )
        if view is None:
            return replace(known, belief=belief)
        jumped = farther(view.estimate, request.tracked, _JUMP_DEG, _JUMP_SHARE)
        return known.corrected(
            request.tracked, view.estimate, view.keyframes, belief, self._config, anew=jumped
        )

    def _refined(
        self,
        instances: Sequence[Instance],
        owners: Mapping[int, PredictedTrack],
        expected: Mapping[int, PredictedState],
    ) -> tuple[dict[int, ObjectEstimate], FrameResult]:
        """The estimates by mask id, and what was skipped and how long it took.

        Where an instance is not where it was expected, it is refined from its place as well; the
        more confident of the two is taken.
        """
        result = self._estimator.estimate(instances, expected)
        estimates = {x.mask_id: x for x in result.estimates}
        others = {
            x.mask_id: PredictedState(start, result.predictions[x.mask_id])
            for x in instances
            if x.mask_id in expected
            and x.mask_id in estimates
            and (start := owners[x.mask_id].displaced_start(x)) is not None
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
