"""The tracker: objects keep their id, size and shape from frame to frame.

    predict -> segment -> associate -> estimate -> update -> verify in the background

The states of an object, one step per image::

                       confident in confirm_frames images
    detected -> TENTATIVE -----------------------------> TRACKED
                  |   ^                                   |   ^
          missing |   | seen                      missing |   | seen
                  v   |                                   v   |
                  LOST                                    LOST
                   | for coast_s                           | for remove_after_s
                   v                                       v
                removed                                 removed

With the camera's pose in the frames, objects are tracked in the world. One that was confirmed and
that an image cannot show, as it is outside or hidden, is UNOBSERVED and stays where it is. The
frames may then come from several cameras; what one of them sees is not lost because another does
not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sdfpose_core.errors import FrameError
from sdfpose_core.estimation.estimator import FrameResult, PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import PredictedState
from sdfpose_core.observation.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.input_warnings import InputWarning
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.tracking.association import assign_instances
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.cameras import Cameras
from sdfpose_core.tracking.category_choice import detected_category, with_one_category
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.detector import Detector, joined, sum_of_stages
from sdfpose_core.tracking.motion import with_modes_of, yaw_open
from sdfpose_core.tracking.object_observation import ObjectObservation
from sdfpose_core.tracking.predicted_track import PredictedTrack, with_predicted_yaw
from sdfpose_core.tracking.redetection import Redetection
from sdfpose_core.tracking.track import Track, TrackState
from sdfpose_core.tracking.tracked_object import TrackedObject
from sdfpose_core.tracking.visibility import should_be_visible

__all__ = ["Track", "TrackState", "Tracker", "TrackerConfig", "TrackerResult"]


@dataclass(frozen=True)
class TrackerResult:
    """The result of a frame.

    Attributes:
        tracks: all known objects, in the order of their ids.
        removed: ids of the objects that were given up.
        skipped: the mask ids without an estimate, and why.
        waiting: the mask ids whose detection waits for one of the next images, see
            `TrackerConfig.detection_budget_s`, `TrackerConfig.sightings` and `trials.py`.
        stage_ms: wall time by stage: the estimator's ``segment``, ``encode``, ``refine``,
            ``mesh``, and ``total``.
        warnings: cues of the frame that are not used, and why.
        supports: by mask id, the planes that the seen objects stand on or lean against.
    """

    tracks: list[Track]
    removed: list[int]
    skipped: list[SkippedInstance]
    waiting: list[int]
    stage_ms: dict[str, float]
    warnings: Sequence[InputWarning] = ()
    supports: Mapping[int, SupportPlane] = field(default_factory=dict)


class Tracker:
    """Tracks the objects of one camera, or several ones, through the frames.

    Frames with a `RgbdFrame.camera_pose` are tracked in the world: the prediction of an object that
    stands still is where it stood, whatever the camera does. They may come from several cameras,
    which differ in `RgbdFrame.frame_id`. Without it, objects are tracked in the camera frame. A
    sequence has camera poses in all of its frames or in none.

    Args:
        estimator: estimates the objects of an image.
        config: of the tracker.

    Example:
        >>> tracker = Tracker(PoseEstimator())                    # doctest: +SKIP
        >>> for frame in frames:                                  # doctest: +SKIP
        ...     for track in tracker.step(frame).tracks:
        ...         print(track.id, track.state.name, track.estimate.translation)
    """

    def __init__(self, estimator: PoseEstimator, config: TrackerConfig | None = None) -> None:
        self._estimator = estimator
        self._config = config or TrackerConfig()
        self._redetection = Redetection(estimator, self._config)
        self._cameras = Cameras(self._config)
        self._objects: list[TrackedObject] = []
        self._in_world = False
        self._next_id = 1
        self._images = 0

    @property
    def device(self) -> str:
        """Where the networks run."""
        return str(self._estimator.device)

    def decoder(self, category: str) -> ShapeDecoder:
        """The decoder of a category's shapes, see `PoseEstimator.decoder`."""
        return self._estimator.decoder(category)

    def prepare(self, *, wait: bool = True) -> None:
        """Start the verification process now, so that the first images are not slow.

        Args:
            wait: until the process is ready, which takes seconds.

        Raises:
            VerificationError: the process died.
        """
        self._redetection.verifier.prepare(wait=wait)

    def close(self) -> None:
        """End what runs in the background; `prepare` starts it again."""
        self._redetection.verifier.close()

    def reset(self) -> None:
        """Forget all objects. Their ids are not used again."""
        self._redetection.verifier.drop()
        self._cameras = Cameras(self._config)
        self._objects = []

    def followed(self, frame: RgbdFrame) -> list[ObjectEstimate]:
        """Predict the objects that were seen lately and with confidence, for the masks of a frame.

        Args:
            frame: the next one; its masks are not read.
        """
        if self._cameras.begins_sequence(frame):
            return []
        now = self._cameras.time_ns(frame)
        predicted = [
            x.predict(now, self._config, frame.camera_pose, frame.frame_id)
            for x in self._objects
            if x.confirmed(self._config) and x.estimate.confidence >= self._config.accept_confidence
        ]
        return [
            x.estimate
            for x in predicted
            if x.recent
            and (x.object.shown_by(frame.frame_id) or should_be_visible(x.estimate, frame))
        ]

    def step(self, frame: RgbdFrame) -> TrackerResult:
        """Estimate the objects of one frame and track them.

        A frame that is older than the last one of its camera (a bag that loops, a simulation that
        restarts) starts a new sequence: all objects are removed, and those of the frame are new.
        Without camera poses, so does one from another camera. If the estimator raises, the tracker
        stays as it was.

        Args:
            frame: mask ids need not persist from frame to frame.

        Raises:
            FrameError: the mask holds an id that is negative or does not fit 16 bits, or the frame
                has a camera pose and earlier ones have none, or the other way round.
            VerificationError: the verification process died. A new one is started.
        """
        start = time.perf_counter()
        self._check_camera_pose(frame)
        cameras, camera = self._cameras.before(frame), frame.camera_pose
        now, elapsed_s, memory = cameras.time_ns(frame), cameras.elapsed_s(frame), cameras.of(frame)
        if cameras is not self._cameras:  # what earlier images say serves no longer
            self._redetection.verifier.drop()
            known = []
        else:
            known = [x for x in self._objects if not x.given_up(now, self._config)]
        predicted = [x.predict(now, self._config, camera, frame.frame_id) for x in known]
        instances, skipped = self._estimator.segment(frame)
        warnings = self._estimator.unused_cues(frame, instances)
        if not self._estimator.uses_colour:
            instances = [replace(x, colour=None) for x in instances]
        detector = Detector(self._estimator, self._config.detection_budget_s)
        segment_ms = 1e3 * (time.perf_counter() - start)
        options: dict[int, list[Instance]] = {}
        for x in self._in_turn(instances):
            options.setdefault(x.mask_id, []).append(x)
        owners = assign_instances(options, predicted)
        recent = {i for i, x in owners.items() if x.recent}
        trials = self._redetection.trials
        if not predicted:
            trials.reset()
        # What may be a lost object rests like any other thing, but in replays it is always tried.
        exempt = recent if trials.active else owners
        resting = memory.rejections.resting(options, exempt, now)
        # The first objects of a sequence are not to be late.
        too_new = memory.sightings.too_few(options, recent, now) if predicted else set()
        left_out = resting.keys() | too_new
        outcome = trials.outcome(options, recent, left_out)
        left_out |= outcome.untried
        tried = {i: x for i, x in {**options, **outcome.passed}.items() if i not in left_out}
        for i, passed in outcome.passed.items():
            if i in owners and owners[i].object.category != passed[0].category:
                del owners[i]
        instances = with_one_category(tried, owners, detector, self._config)
        observations, result = self._observe(
            instances, tried, owners, elapsed_s, frame.frame_id, detector
        )
        instances = [x.instance for x in observations.values()]
        too_new -= resting.keys()
        untried = (detector.waiting | too_new | outcome.waiting) - observations.keys()
        waiting = [options[i][0] for i in sorted(untried)]
        objects, created = self._update(predicted, owners, observations, waiting, frame, now)
        trials.update(options, recent, outcome, detector.waiting, too_new, now)
        objects, verify_ms = self._redetection.update(
            objects, {x.mask_id: x for x in instances}, now
        )
        skipped += [x for x in result.skipped if x.mask_id not in observations]
        skipped += [*outcome.skipped, *(y for x in resting.values() for y in x.skipped())]
        found = {*observations, *(i for i in owners if i in exempt)}
        memory.rejections.update(options, found, {*resting, *untried}, skipped, now)
        memory.sightings.update(options, {*observations, *recent}, detector.waiting, now)
        self._images += 1
        kept = {x.id for x in objects}
        removed = [x.id for x in self._objects if x.id not in kept]
        self._next_id += created
        self._objects = objects
        cameras.add(frame)
        self._cameras = cameras
        self._in_world = camera is not None
        stage_ms = {"segment": segment_ms, **sum_of_stages(result.stage_ms, verify_ms)}
        stage_ms["total"] = 1e3 * (time.perf_counter() - start)
        return TrackerResult(
            tracks=[x.track(now, self._config, camera, frame.frame_id) for x in objects],
            removed=removed,
            skipped=skipped,
            waiting=[x.mask_id for x in waiting],
            stage_ms=stage_ms,
            warnings=warnings,
            supports={x.mask_id: x.support for x in instances if x.support is not None},
        )

    def _check_camera_pose(self, frame: RgbdFrame) -> None:
        """Refuse a frame that cannot be compared with the earlier ones."""
        known = frame.camera_pose is not None
        begins = self._cameras.begins_sequence(frame)
        if self._objects and known != self._in_world and not begins:
            raise FrameError(
                f"the frame {'has a' if known else 'has no'} camera_pose, unlike the earlier ones: "
                "expected one for all frames or for none; call reset() to begin anew"
            )

    def _in_turn(self, instances: Sequence[Instance]) -> list[Instance]:
        """The instances in another order in each image, so that none waits for ever.

        The order is drawn, as mask ids may change from image to image in step with any rule.
        """
        if math.isinf(self._config.detection_budget_s):
            return list(instances)
        ids = sorted({x.mask_id for x in instances})
        drawn = np.random.default_rng(self._images).permutation(len(ids))
        turn = {i: int(x) for i, x in zip(ids, drawn, strict=True)}
        return sorted(instances, key=lambda x: turn[x.mask_id])

    def _observe(
        self,
        instances: Sequence[Instance],
        options: Mapping[int, Sequence[Instance]],
        owners: dict[int, PredictedTrack],
        elapsed_s: float,
        camera_id: str,
        detector: Detector,
    ) -> tuple[dict[int, ObjectObservation], FrameResult]:
        """The observation of each instance, by mask id, and the results of the estimator.

        An instance starts from the predicted state of its owner. It is detected from scratch
        without an owner, if the owner has been out of view for long, or if the prediction is old
        and explains little. An estimator that does not refine on the SDF always detects from
        scratch.
        """
        instance_of = {x.mask_id: x for x in instances}
        if self._estimator.config.refine != "sdf":
            known = {x.mask_id: y for x in instances if (y := detector.found(x)) is not None}
            result = self._estimator.estimate([x for x in instances if x.mask_id not in known])
            return {
                x.mask_id: replace(
                    self._detected(x, instance_of[x.mask_id]), jumped=x.mask_id not in owners
                )
                for x in sorted([*known.values(), *result.estimates], key=lambda x: x.mask_id)
            }, joined(result, detector.result)
        recent = {i: x for i, x in owners.items() if x.recent}
        anew = self._detected_anew(recent, instance_of, camera_id, detector)
        for i in anew:
            del recent[i]
        queried = self._to_query(recent, elapsed_s)
        states = {
            i: PredictedState(x.estimate, None if i in queried else x.prediction)
            for i, x in recent.items()
        }
        tracked, result = self._refine_tracked(
            [x for x in instances if x.mask_id in states], owners, states
        )
        for i in [i for i, x in tracked.items() if self._misled(x, owners[i])]:
            del tracked[i], states[i]
            if len(options[i]) == 1:
                instance_of[i] = options[i][0]  # another object's label may be right
                continue
            chosen = detected_category(options[i], detector)
            if chosen is None or chosen.category != owners[i].object.category:
                del owners[i]
            del instance_of[i]
            if chosen is not None:
                instance_of[i] = chosen
        observations = {
            i: ObjectObservation(
                x,
                instance_of[i],
                owners[i].object.belief.after(
                    x, self._config, yaw_known=owners[i].object.yaw_known
                ),
                owners[i].object.keyframes,
                result.predictions[i],
                jumped=False,
            )
            for i, x in tracked.items()
        }
        new = [x for i, x in instance_of.items() if i not in states]
        detected = [(x, detector.found(x)) for x in new]
        found = [estimate for _, estimate in detected if estimate is not None]
        unknown = [x for x, estimate in detected if estimate is None]
        if unknown:
            # Objects that wait for a new pose come before new ones.
            unknown.sort(key=lambda x: x.mask_id not in owners)
            found += detector.detect_in_time(unknown)
        for detection in sorted(found, key=lambda x: x.mask_id):
            i = detection.mask_id
            if i in owners:
                detection = with_predicted_yaw(detection, owners[i])
            observations[i] = self._detected(detection, instance_of[i])
        return observations, joined(result, detector.result)

    def _detected_anew(
        self,
        recent: Mapping[int, PredictedTrack],
        instance_of: Mapping[int, Instance],
        camera_id: str,
        detector: Detector,
    ) -> set[int]:
        """Mask ids of known objects that a further camera shows better, detected from scratch.

        Their predicted pose may be wrong in what the other cameras do not see. A detection that
        leaves the yaw open, or is not sure, is of no use.
        """
        anew = set()
        for i, x in recent.items():
            has_yaw = self._estimator.categories[x.object.category].symmetry != "y"
            if not x.object.may_look_otherwise_to(camera_id, self._config, has_yaw=has_yaw):
                continue
            instance = instance_of.get(i)
            if instance is None or not detector.has_time(i):
                continue
            found = detector.detect([instance])
            if (
                found
                and found[0].confidence >= self._config.accept_confidence
                and not (has_yaw and yaw_open(found[0]))
            ):
                anew.add(i)
        return anew

    def _misled(self, estimate: ObjectEstimate, owner: PredictedTrack) -> bool:
        """Whether a warm start from an old prediction ended in an estimate that explains little."""
        pause = owner.unseen_s > self._config.coast_s
        return pause and estimate.confidence < self._config.drop_confidence

    def _update(
        self,
        predicted: Sequence[PredictedTrack],
        owners: Mapping[int, PredictedTrack],
        observations: Mapping[int, ObjectObservation],
        waiting: Sequence[Instance],
        frame: RgbdFrame,
        now_ns: int,
    ) -> tuple[list[TrackedObject], int]:
        """All objects after an image, and the number of new ones.

        An object that a waiting instance may show is not given up.
        """
        seen = {owners[i].object.id: x for i, x in observations.items() if i in owners}
        objects = [
            x.object.seen(seen[x.object.id], x, now_ns, frame.frame_id, self._config)
            if x.object.id in seen
            else self._unseen(x, waiting, frame, now_ns)
            for x in predicted
        ]
        new = [x for i, x in observations.items() if i not in owners]
        objects += [
            TrackedObject.detected(i, x, now_ns, frame.frame_id, self._config)
            for i, x in enumerate(new, start=self._next_id)
        ]
        return objects, len(new)

    def _unseen(
        self,
        predicted: PredictedTrack,
        waiting: Sequence[Instance],
        frame: RgbdFrame,
        now_ns: int,
    ) -> TrackedObject:
        """An object after an image that does not show it."""
        known = predicted.object
        if known.seen_lately_by_another(frame.frame_id, now_ns):
            return known.left_to_another()
        if any(predicted.may_be(x) for x in waiting):
            return known.missed(waiting=True)
        in_world = frame.camera_pose is not None and known.confirmed(self._config)
        if in_world and not should_be_visible(predicted.estimate, frame):
            return known.hidden(now_ns)
        return known.missed()

    def _to_query(self, tracked: Mapping[int, PredictedTrack], elapsed_s: float) -> set[int]:
        """Mask ids of the tracked objects for which the network is queried in this image.

        Objects with a front are always queried: few points may show it. The others take turns, so
        that no prediction is older than `network_interval_s`.
        """
        age_s = {
            i: math.inf if x.prediction is None else x.prediction.age_s
            for i, x in tracked.items()
            if self._estimator.categories[x.object.category].symmetry == "y"
        }
        if not age_s or elapsed_s == 0.0:  # images without stamps
            return set(tracked)
        interval_s = self._config.network_interval_s / len(age_s)
        due = min(age_s.values()) + 0.5 * elapsed_s >= interval_s
        oldest = sorted(age_s, key=age_s.__getitem__, reverse=True)
        count = due * math.ceil(elapsed_s / interval_s)
        return tracked.keys() - age_s.keys() | set(oldest[:count])

    def _refine_tracked(
        self,
        instances: Sequence[Instance],
        owners: Mapping[int, PredictedTrack],
        states: Mapping[int, PredictedState],
    ) -> tuple[dict[int, ObjectEstimate], FrameResult]:
        """The estimates of tracked instances by mask id, and the results of the estimator.

        An instance that is not where it was predicted is also refined from its measured place. The
        more confident estimate is kept.
        """
        result = self._estimator.estimate(instances, states)
        estimates = {x.mask_id: x for x in result.estimates}
        displaced = {
            x.mask_id: PredictedState(start, result.predictions[x.mask_id])
            for x in instances
            if x.mask_id in estimates
            and (start := owners[x.mask_id].displaced_start(x)) is not None
        }
        if displaced:
            second = self._estimator.estimate(
                [x for x in instances if x.mask_id in displaced], displaced
            )
            for found in second.estimates:
                if found.confidence > estimates[found.mask_id].confidence:
                    estimates[found.mask_id] = found
            result = joined(result, second)
        kept = {i: with_modes_of(x, states[i].estimate) for i, x in estimates.items()}
        return kept, result

    def _detected(self, estimate: ObjectEstimate, instance: Instance) -> ObjectObservation:
        """The observation of a detection from scratch, which is independent of earlier images.

        Its category may be another one than the label.
        """
        instance = replace(instance, category=estimate.category)
        return ObjectObservation(
            estimate,
            instance,
            Belief.of(estimate),
            Keyframes.of(self._estimator.as_keyframe(instance), estimate),
            prediction=None,
            jumped=True,
        )
