"""A tracked object: its state from image to image, and its prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.estimation.rivals import true_rivals
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import PoseFilter, moved, with_yaw_of, yaw_open
from sdfpose_core.tracking.rest import Rest
from sdfpose_core.tracking.track import Track, TrackState
from sdfpose_core.tracking.world import in_camera, in_world, place_sd_m

__all__ = [
    "ObjectObservation",
    "PredictedTrack",
    "TrackedObject",
    "with_predicted_yaw",
]


_GATE_SDS = 2.0
"""The gate widens by this many standard deviations of the predicted place."""


_MAX_GATE = 2.0
"""Largest gate in diagonals: an instance farther away is another object."""


_MIDDLE_SLACK = 0.2
"""Diagonals by which the middle of an object's visible points varies from image to image."""


_MAX_PAUSE_S = 8.0
"""Longest pause between two images after which the last one still serves for a warm start. On a
busy machine, the detection of many objects takes seconds; the next image must not need another."""


_NEW_MESH_SCALE = 1e-3
"""Relative change of the size from which on the mesh gets a new revision."""


@dataclass(frozen=True)
class ObjectObservation:
    """What one image shows of an object.

    Attributes:
        estimate: of the object, camera frame.
        instance: what was measured.
        belief: in the pose.
        keyframes: that determine size and shape.
        prediction: the network's; None to query it in the next image.
        jumped: whether the pose is independent of the earlier one.
    """

    estimate: ObjectEstimate
    instance: Instance
    belief: Belief
    keyframes: Keyframes
    prediction: NetworkPrediction | None
    jumped: bool

    @property
    def label(self) -> str:
        """The category that the mask has."""
        return self.instance.label or self.instance.category

    @property
    def camera(self) -> MeasuredCameraPose | None:
        """Pose of the camera, None if it is unknown."""
        return self.instance.camera_pose

    @cached_property
    def in_world(self) -> ObjectEstimate:
        """The estimate in the world, or in the camera frame if the camera's pose is unknown."""
        return in_world(self.estimate, self.camera)

    def offset_of(self, estimate: ObjectEstimate) -> NDArray[np.float64]:
        """(3,) from the middle of the visible points to the object's centre, metres, camera frame.

        Args:
            estimate: of the object, in the frame of `in_world`.
        """
        centre = estimate.translation
        seen_at = centre if self.camera is None else self.camera.to_camera(centre)
        return np.asarray(seen_at - self.instance.middle)


@dataclass(frozen=True)
class TrackedObject:
    """The state of an object between images.

    It is tracked in the world if the camera's pose is known, else in the camera frame.

    Attributes:
        id: of the track.
        estimate: when it was last seen, in the frame in which it is tracked.
        stamp_ns: of that image.
        offset: (3,) from the middle of its visible points to its centre, metres, camera frame: the
            points are always on the camera's side.
        motion: filter of its pose, in the frame in which it is tracked.
        keyframes: that determine size and shape.
        belief: in its pose.
        prediction: the network's last prediction.
        confirmations: images that showed it with confidence.
        missing_frames: images since it was last seen.
        age: images since it was detected.
        mesh_revision: of its mesh, 0 for none.
        mesh_scale: its size when that mesh was made.
        labels: categories under which masks have presented it.
        waiting: whether the last image may show it, but had no time to detect it.
        camera: pose of the camera in that image; None if it is tracked in the camera frame.
        rest: whether it stands still in the world; None if it is tracked in the camera frame.
        unobserved: whether the last image could not show it.
        explained_ns: time of the last image that showed it or could not, nanoseconds.
    """

    id: int
    estimate: ObjectEstimate
    stamp_ns: int
    offset: NDArray[np.float64]
    motion: PoseFilter
    keyframes: Keyframes
    belief: Belief
    prediction: NetworkPrediction | None
    confirmations: int
    missing_frames: int
    age: int
    mesh_revision: int
    mesh_scale: float
    labels: frozenset[str]
    waiting: bool = False
    camera: MeasuredCameraPose | None = None
    rest: Rest | None = None
    unobserved: bool = False
    explained_ns: int = 0

    @classmethod
    def detected(
        cls, new_id: int, observation: ObjectObservation, stamp_ns: int, config: TrackerConfig
    ) -> TrackedObject:
        """A new object after the first image that shows it."""
        estimate = observation.in_world
        return cls(
            id=new_id,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=observation.offset_of(estimate),
            motion=PoseFilter.start(estimate, config),
            keyframes=observation.keyframes,
            belief=observation.belief,
            prediction=observation.prediction,
            confirmations=int(estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=1,
            mesh_revision=int(len(estimate.vertices) > 0),
            mesh_scale=estimate.scale,
            labels=frozenset({observation.label}),
            camera=observation.camera,
            rest=None if observation.camera is None else Rest(estimate, stamp_ns),
            explained_ns=stamp_ns,
        )

    @property
    def known_as(self) -> frozenset[str]:
        """Its category, and those under which masks have presented it."""
        return self.labels | {self.category}

    @property
    def category(self) -> str:
        """Name of its category."""
        return self.estimate.category

    @property
    def visible(self) -> bool:
        """Whether the last image showed it."""
        return self.missing_frames == 0 and not self.unobserved

    @property
    def at_rest(self) -> bool:
        """Whether it is known to stand still in the world."""
        return self.rest is not None and self.rest.at_rest

    def seen(
        self,
        observation: ObjectObservation,
        predicted: PredictedTrack,
        stamp_ns: int,
        config: TrackerConfig,
    ) -> TrackedObject:
        """The object after an image that shows it."""
        estimate, keyframes, rest = observation.in_world, observation.keyframes, self.rest
        if observation.jumped or stamp_ns == self.stamp_ns:
            motion = PoseFilter.start(estimate, config)
            rest = None if rest is None else Rest(estimate, stamp_ns)
        else:
            seen = estimate
            estimate, motion = predicted.motion.correct(predicted.reference, seen)
            if rest is not None:
                rest = rest.after(seen, estimate, stamp_ns, config)
                if rest.at_rest and not motion.at_rest:
                    motion = motion.rested()
                elif motion.at_rest and not rest.at_rest:
                    estimate, motion = seen, PoseFilter.start(seen, config)
                    keyframes = keyframes.unplaced()
        revision, mesh_scale = self._mesh_of(estimate)
        return replace(
            self,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=observation.offset_of(estimate),
            motion=motion,
            keyframes=keyframes,
            belief=observation.belief,
            prediction=observation.prediction,
            confirmations=self.confirmations + (estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=self.age + 1,
            mesh_revision=revision,
            mesh_scale=mesh_scale,
            labels=self.labels | {observation.label},
            waiting=False,
            camera=observation.camera,
            rest=rest,
            unobserved=False,
            explained_ns=stamp_ns,
        )

    def missed(self, *, waiting: bool = False) -> TrackedObject:
        """The object after an image that does not show it, or had no time to detect it."""
        return replace(
            self,
            missing_frames=self.missing_frames + 1,
            age=self.age + 1,
            waiting=waiting,
            unobserved=False,
        )

    def hidden(self, stamp_ns: int) -> TrackedObject:
        """The object after an image that could not show it: it is outside, or behind something."""
        return replace(
            self, age=self.age + 1, waiting=False, unobserved=True, explained_ns=stamp_ns
        )

    def corrected(
        self,
        before: ObjectEstimate,
        after: ObjectEstimate,
        keyframes: Keyframes,
        belief: Belief,
        config: TrackerConfig,
        *,
        jumped: bool,
    ) -> TrackedObject:
        """The object after its estimate in an earlier image was corrected.

        The correction is moved along with the object's motion since that image.

        Args:
            before: the estimate in that image, camera frame.
            after: the corrected one, camera frame.
            keyframes: of the object.
            belief: in the pose.
            config: of the tracker.
            jumped: whether the pose is independent of the earlier one.
        """
        if self.camera is not None:
            covariance = after.covariance + self.camera.covariance_at(after.translation)
            after = replace(after, covariance=covariance)
        turn = self.estimate.rotation @ before.rotation.T
        estimate = moved(after, turn, self.estimate.translation - turn @ before.translation)
        estimate = replace(estimate, mask_id=self.estimate.mask_id)
        revision, mesh_scale = self._mesh_of(estimate)
        shift = estimate.translation - self.estimate.translation
        return replace(
            self,
            estimate=estimate,
            offset=self.offset + (shift if self.camera is None else shift @ self.camera.rotation),
            motion=PoseFilter.start(estimate, config) if jumped else self.motion,
            keyframes=keyframes,
            belief=belief,
            mesh_revision=revision,
            mesh_scale=mesh_scale,
            rest=Rest(estimate, self.stamp_ns) if jumped and self.rest is not None else self.rest,
        )

    def confirmed(self, config: TrackerConfig) -> bool:
        """Whether it was seen with confidence in enough images."""
        return self.confirmations >= config.confirm_frames

    def state(self, config: TrackerConfig) -> TrackState:
        """State of the track after the last image."""
        if self.unobserved:
            return TrackState.UNOBSERVED
        if not self.visible:
            return TrackState.LOST
        return TrackState.TRACKED if self.confirmed(config) else TrackState.TENTATIVE

    def given_up(self, now_ns: int, config: TrackerConfig) -> bool:
        """Whether it has been missing for too long.

        An object that the last image shows or may show never has, nor has one that it could not
        show.
        """
        limit_s = config.remove_after_s if self.confirmed(config) else config.coast_s
        return not (self.visible or self.waiting or self.unobserved) and (
            self.absent_s(now_ns) > limit_s or self.missing_frames >= config.remove_after_frames
        )

    def absent_s(self, now_ns: int) -> float:
        """Seconds since the last image that showed it or could not."""
        return 1e-9 * (now_ns - self.explained_ns)

    def unseen_s(self, now_ns: int) -> float:
        """Seconds since it was last seen."""
        return 1e-9 * (now_ns - self.stamp_ns)

    def predict(
        self, now_ns: int, config: TrackerConfig, camera: MeasuredCameraPose | None = None
    ) -> PredictedTrack:
        """Its predicted state at a time.

        Args:
            now_ns: the time, nanoseconds.
            config: of the tracker.
            camera: pose of the camera at that time; None if it is tracked in the camera frame.
        """
        seconds = self.unseen_s(now_ns)
        reference, motion = self.motion.predict(self.estimate, seconds, config)
        estimate, place = in_camera(reference, camera), self.estimate.translation
        sd_m = place_sd_m(motion.covariance[:3, :3], estimate.translation, camera)
        rad_s = float(np.linalg.norm(self.motion.velocity[3:]))
        if camera is not None and self.camera is not None and seconds > 0.0:
            rad_s += camera.angle_to(self.camera) / seconds
        # An object that stands still is as good as seen while no image could show it.
        pause_s = self.absent_s(now_ns) if self.at_rest else seconds
        return PredictedTrack(
            object=self,
            estimate=estimate,
            prediction=None if self.prediction is None else self.prediction.aged(seconds, rad_s),
            reference=reference,
            last_place=place if camera is None else camera.to_camera(place),
            motion=motion,
            unseen_s=seconds,
            recent=pause_s <= (_MAX_PAUSE_S if self.visible else config.coast_s),
            gate_m=min(
                config.gate_share * estimate.scale + _GATE_SDS * sd_m,
                _MAX_GATE * estimate.scale,
            ),
        )

    def track(
        self, now_ns: int, config: TrackerConfig, camera: MeasuredCameraPose | None = None
    ) -> Track:
        """The track as it is reported; see `predict`."""
        estimate, state = self.estimate, self.state(config)
        if not self.visible:
            predicted = self.predict(now_ns, config, camera)
            fading = max(1.0 - self.absent_s(now_ns) / config.remove_after_s, 0.0)
            estimate = replace(
                predicted.reference,
                # Errors that an object's images share do not average out in the filter.
                covariance=estimate.covariance + predicted.motion.covariance[:6, :6],
                confidence=fading * estimate.confidence,
            )
        reported = true_rivals(estimate)  # whether yaw is defined may change with the view
        return Track(
            self.id,
            state,
            in_camera(reported, camera),
            self.mesh_revision,
            self.stamp_ns,
            self.age,
            world=None if camera is None else reported,
        )

    def _mesh_of(self, estimate: ObjectEstimate) -> tuple[int, float]:
        """Revision of the estimate's mesh, and the object's size when that mesh was made."""
        same = len(estimate.vertices) == 0 or (
            self.mesh_revision > 0
            and estimate.category == self.category
            and np.array_equal(estimate.code, self.estimate.code)
            and abs(estimate.scale / self.mesh_scale - 1.0) <= _NEW_MESH_SCALE
        )
        if same:
            return self.mesh_revision, self.mesh_scale
        return self.mesh_revision + 1, estimate.scale


@dataclass(frozen=True)
class PredictedTrack:
    """The predicted state of an object in this image.

    Attributes:
        object: the object.
        estimate: at the predicted pose, camera frame.
        prediction: the network's last prediction.
        reference: the same estimate in the frame in which the object is tracked.
        last_place: (3,), metres: where the object was last seen, in this image's camera frame.
        motion: the filter at this time.
        unseen_s: seconds since the object was seen.
        recent: whether the prediction is good enough for a warm start. The time since the object
            was seen decides, not the number of images: a pause is no image.
        gate_m: distance within which an instance may be the object.
    """

    object: TrackedObject
    estimate: ObjectEstimate
    prediction: NetworkPrediction | None
    reference: ObjectEstimate
    last_place: NDArray[np.float64]
    motion: PoseFilter
    unseen_s: float
    recent: bool
    gate_m: float

    @property
    def priority(self) -> int:
        """Order of association, lowest first: recently seen objects before the others."""
        if not self.recent:
            return 2
        return 0 if self.object.visible else 1

    @property
    def middle(self) -> NDArray[np.float64]:
        """(3,), metres: predicted middle of its visible points."""
        return self.estimate.translation - self.object.offset

    @property
    def path(self) -> NDArray[np.float64]:
        """(2, 3), metres: ends of the segment on which the middle of its points is predicted.

        An object out of view may have stopped as well as moved on: a camera that looked away may
        look back. The same holds after a pause.
        """
        if self.object.visible and self.recent:
            return np.stack([self.middle, self.middle])
        return np.stack([self.last_place - self.object.offset, self.middle])

    def may_be(self, instance: Instance) -> bool:
        """Whether an instance lies where the object may be."""
        near = np.linalg.norm(self.path - instance.middle, axis=1).min()
        return float(near) < self.gate_m

    def displaced_start(self, instance: Instance) -> ObjectEstimate | None:
        """The estimate moved along with the measured points, if these are far from the prediction.

        After a sudden motion, a refinement from the predicted place may end in a wrong minimum. If
        most of the object is hidden, on the other hand, the visible points hardly determine its
        position. Hence both starts are tried.
        """
        off = instance.middle - self.middle
        if float(np.linalg.norm(off)) <= _MIDDLE_SLACK * self.estimate.scale:
            return None
        return moved(self.estimate, np.eye(3), off)


def with_predicted_yaw(estimate: ObjectEstimate, predicted: PredictedTrack) -> ObjectEstimate:
    """The estimate with the predicted yaw, if its own is arbitrary.

    The yaw of a bottle that is not round is measurable although errors ignore it, and stays.
    """
    if estimate.symmetric_about_y and yaw_open(estimate):
        return with_yaw_of(estimate, predicted.estimate)
    return estimate
