"""A tracked object: its state from image to image, and its prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.pose_following import NetworkPrediction
from sdfpose_core.estimation.rivals import true_rivals
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.motion import PoseFilter, moved, yaw_open
from sdfpose_core.tracking.object_observation import ObjectObservation
from sdfpose_core.tracking.predicted_track import PredictedTrack
from sdfpose_core.tracking.rest import Rest
from sdfpose_core.tracking.track import Track, TrackState
from sdfpose_core.tracking.world import in_camera, place_sd_m

__all__ = ["TrackedObject"]


_GATE_SDS = 2.0
"""The gate widens by this many standard deviations of the predicted place."""


_MAX_GATE = 2.0
"""Largest gate in diagonals: an instance farther away is another object."""


_MAX_PAUSE_S = 8.0
"""Longest pause between two images after which the last one still serves for a warm start. On a
busy machine, the detection of many objects takes seconds; the next image must not need another."""


_OTHER_CAMERA_S = 1.0
"""For so long after a camera has seen an object, other cameras that do not see it say nothing."""


_NEW_MESH_SCALE = 1e-3
"""Relative change of the size from which on the mesh gets a new revision."""


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
        camera_id: frame id of that camera.
        cameras: frame ids of all cameras that have seen it.
        rest: whether it stands still in the world; None if it is tracked in the camera frame.
        unobserved: whether the last image could not show it.
        elsewhere: whether the last image does not show it, but one of another camera just before.
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
    camera_id: str = ""
    cameras: frozenset[str] = frozenset()
    rest: Rest | None = None
    unobserved: bool = False
    elsewhere: bool = False
    explained_ns: int = 0

    @classmethod
    def detected(
        cls,
        new_id: int,
        observation: ObjectObservation,
        stamp_ns: int,
        camera_id: str,
        config: TrackerConfig,
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
            camera_id=camera_id,
            cameras=frozenset({camera_id}),
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
        """Whether the last image showed it, or one of another camera did just before."""
        return self.missing_frames == 0 and not self.unobserved

    @property
    def shown(self) -> bool:
        """Whether the last image showed it."""
        return self.visible and not self.elsewhere

    def shown_by(self, camera_id: str) -> bool:
        """Whether the last image of a camera showed it, as far as is known."""
        return not self.unobserved and (self.camera is None or self.camera_id == camera_id)

    def may_look_otherwise_to(
        self, camera_id: str, config: TrackerConfig, *, has_yaw: bool
    ) -> bool:
        """Whether a camera that has not seen it yet may settle what the others leave open: the yaw,
        as a handle is hidden, or the choice among modes.

        Args:
            camera_id: frame id of the camera.
            config: of the tracker.
            has_yaw: whether its category has a yaw that can be seen.
        """
        if self.camera is None or camera_id in self.cameras:
            return False
        x = self.estimate
        undecided = bool(x.alternatives) or x.confidence < config.accept_confidence
        return undecided or (has_yaw and yaw_open(x))

    def seen_lately_by_another(self, camera_id: str, now_ns: int) -> bool:
        """Whether another camera than that of an image has seen it, and the image says nothing."""
        other = self.camera is not None and self.camera_id != camera_id
        return other and self.visible and self.unseen_s(now_ns) <= _OTHER_CAMERA_S

    @property
    def at_rest(self) -> bool:
        """Whether it stands still in the world, and the last image agrees."""
        return self.rest is not None and self.rest.at_rest and self.rest.elsewhere == 0

    @property
    def yaw_known(self) -> bool:
        """Whether it stands still in the world, and earlier images have settled its yaw."""
        covariance = self.motion.covariance[:6, :6]
        return self.at_rest and not yaw_open(replace(self.estimate, covariance=covariance))

    def seen(
        self,
        observation: ObjectObservation,
        predicted: PredictedTrack,
        stamp_ns: int,
        camera_id: str,
        config: TrackerConfig,
    ) -> TrackedObject:
        """The object after an image that shows it."""
        estimate, keyframes, rest = observation.in_world, observation.keyframes, self.rest
        without_stamps = stamp_ns == self.stamp_ns and camera_id == self.camera_id
        if observation.jumped or without_stamps:
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
            camera_id=camera_id,
            cameras=self.cameras | {camera_id},
            rest=rest,
            unobserved=False,
            elsewhere=False,
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
            elsewhere=False,
        )

    def hidden(self, stamp_ns: int) -> TrackedObject:
        """The object after an image that could not show it: it is outside, or behind something."""
        return replace(
            self,
            age=self.age + 1,
            waiting=False,
            unobserved=True,
            elsewhere=False,
            explained_ns=stamp_ns,
        )

    def left_to_another(self) -> TrackedObject:
        """The object after an image without it, while another camera sees it."""
        return replace(self, age=self.age + 1, elsewhere=True)

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
        motion = PoseFilter.start(estimate, config) if jumped else self.motion
        if motion.at_rest:
            # The pose is that of few images, with the errors of their camera poses.
            resized = abs(estimate.scale - self.estimate.scale)
            estimate, motion = motion.reshaped(resized).correct(self.estimate, estimate)
        revision, mesh_scale = self._mesh_of(estimate)
        shift = estimate.translation - self.estimate.translation
        return replace(
            self,
            estimate=estimate,
            offset=self.offset + (shift if self.camera is None else shift @ self.camera.rotation),
            motion=motion,
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
        self,
        now_ns: int,
        config: TrackerConfig,
        camera: MeasuredCameraPose | None = None,
        camera_id: str = "",
    ) -> PredictedTrack:
        """Its predicted state at a time.

        Args:
            now_ns: the time, nanoseconds.
            config: of the tracker.
            camera: pose of the camera at that time; None if it is tracked in the camera frame.
            camera_id: frame id of the camera.
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
        prediction = self.prediction  # in the frame of the camera that saw it
        if camera_id != self.camera_id or prediction is None:
            prediction = None
        else:
            prediction = prediction.aged(seconds, rad_s)
        return PredictedTrack(
            object=self,
            estimate=estimate,
            prediction=prediction,
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
        self,
        now_ns: int,
        config: TrackerConfig,
        camera: MeasuredCameraPose | None = None,
        camera_id: str = "",
    ) -> Track:
        """The track as it is reported; see `predict`."""
        estimate, state = self.estimate, self.state(config)
        if not self.visible:
            predicted = self.predict(now_ns, config, camera, camera_id)
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
            elsewhere=self.elsewhere,
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
