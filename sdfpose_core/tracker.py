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

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.estimator import FrameResult, PoseEstimator, WarmStart
from sdfpose_core.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.segmentation import segment

__all__ = [
    "Track",
    "TrackState",
    "Tracker",
    "TrackerConfig",
    "TrackerResult",
    "associate",
    "moved",
    "with_yaw_of",
]


class TrackState(IntEnum):
    """What the tracker thinks of an object; the numbers are those of ``SdfObject.msg``."""

    TENTATIVE = 1
    """Seen, but not often enough with confidence to be relied on."""

    TRACKED = 2
    """Seen in this image."""

    LOST = 3
    """Not seen in this image: its estimate is a prediction."""


@dataclass(frozen=True)
class Track:
    """One object as it is followed.

    Attributes:
        id: from 1; no other object gets it for as long as the tracker lives.
        state: what the tracker thinks of it.
        estimate: at the time of this image. For a `LOST` one it is predicted: the covariance
            grows and the confidence fades with the time since it was seen.
        mesh_revision: counts the object's meshes from 1; 0 = it has none yet.
        stamp_ns: of the last image in which it was seen, nanoseconds.
        age: images since it was detected; 1 in the first.
    """

    id: int
    state: TrackState
    estimate: ObjectEstimate
    mesh_revision: int
    stamp_ns: int
    age: int


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


@dataclass(frozen=True)
class TrackerConfig:
    """When the tracker believes what.

    Attributes:
        accept_confidence: an image with less does not count toward `confirm_frames`.
        confirm_frames: confident images until a track is relied on.
        drop_confidence: a pose with less is in doubt...
        drop_frames: ...and after so many images in a row it is detected from nothing as well.
        inlier_collapse: so is a pose at once if its inlier ratio falls below this share of its
            usual value.
        redetect_odds: the pose detected from nothing is taken if the odds of its confidence are
            more than so many times as high.
        converge_frames: confident images in a row whose sizes and codes, where they are steady,
            are averaged and kept from then on.
        gate_share: share of its diagonal by which an object may be off its predicted place,
            which is the less certain, the longer it has not been seen.
        speed_sd_m_s: standard deviation of velocities in the camera frame.
        turn_sd_rad_s: the same of angular velocities.
        coast_s: how long a prediction is good. Motion fades with this time constant, and a track
            unseen for longer is detected from nothing when it is back, or given up if it never
            was confirmed.
        remove_after_s: a confirmed track unseen for longer is given up...
        remove_after_frames: ...and any that is missing in more images than this.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    accept_confidence: float = 0.5
    confirm_frames: int = 3
    drop_confidence: float = 0.3
    drop_frames: int = 3
    inlier_collapse: float = 0.5
    redetect_odds: float = 3.0
    converge_frames: int = 8
    gate_share: float = 0.5
    speed_sd_m_s: float = 0.25
    turn_sd_rad_s: float = 1.0
    coast_s: float = 1.0
    remove_after_s: float = 3.0
    remove_after_frames: int = 90

    def __post_init__(self) -> None:
        shares = ("accept_confidence", "drop_confidence", "inlier_collapse")
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in shares and not 0.0 <= value <= 1.0:
                raise ConfigurationError(f"tracker: {name} is {value}: expected 0 to 1")
            if name not in shares and not value > 0.0:
                raise ConfigurationError(f"tracker: {name} is {value}: expected more than 0")
        for low, high in (
            ("drop_confidence", "accept_confidence"),
            ("coast_s", "remove_after_s"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"tracker: {low} is {getattr(self, low)}: expected at most {high}, "
                    f"{getattr(self, high)}"
                )


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
        self._objects: list[_Object] = []
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
            _Object.detected(i, sighting, now, self._config)
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

    def _remembered(self, frame: RgbdFrame) -> list[_Object]:
        """The objects that the frame may show again."""
        if self._time is not None:
            frame_id, stamp_ns = self._time
            if frame.frame_id != frame_id or frame.stamp_ns < stamp_ns:
                return []
        return [x for x in self._objects if not x.given_up(frame.stamp_ns, self._config)]

    def _owners(
        self, instances: Sequence[Instance], known: Sequence[_Predicted]
    ) -> dict[int, _Predicted]:
        """The known object behind each instance, by mask id; new ones have none.

        Objects seen a moment ago choose first: the place of one that has been away for long is
        a guess.
        """
        owners: dict[int, _Predicted] = {}
        for recent in (True, False):
            free = [x for x in instances if x.mask_id not in owners]
            candidates = [x for x in known if x.recent == recent]
            if not free or not candidates:
                continue
            pairs = associate(
                np.stack([x.estimate.translation - x.memory.offset for x in candidates]),
                np.array([x.gate_m for x in candidates]),
                np.stack([_middle(x) for x in free]),
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
        self, instances: Sequence[Instance], owners: Mapping[int, _Predicted]
    ) -> tuple[dict[int, _Sighting], FrameResult]:
        """The estimate of each instance, by mask id, and what was skipped and how long it took.

        An instance starts from its owner's prediction. It is detected from nothing if it has no
        owner, if that has been away for long, where the warm start leaves doubt, and always by an
        estimator that does not refine on the SDF: it has no use for a start.
        """
        instance_of = {x.mask_id: x for x in instances}
        if self._estimator.config.refine != "sdf":
            result = self._estimator.estimate(instances)
            unknown = _Doubt.none(self._config)
            return {
                x.mask_id: _Sighting(x, instance_of[x.mask_id], unknown, anew=False)
                for x in result.estimates
            }, result
        warm_starts = {
            mask_id: WarmStart(x.memory.shape.apply(x.estimate), x.memory.shape.frozen)
            for mask_id, x in owners.items()
            if x.recent
        }
        result = self._estimator.estimate(instances, warm_starts)
        estimates = {x.mask_id: x for x in result.estimates}
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
            starts = {i: WarmStart(_in_line(x, owners[i])) for i, x in detected.items()}
            settled = self._estimator.estimate([instance_of[i] for i in starts], starts)
            detected |= {x.mask_id: x for x in settled.estimates}
            result = _added(result, settled)

        sightings = {}
        for mask_id, estimate in estimates.items():
            best, doubt = estimate, doubts.get(mask_id, _Doubt.none(self._config))
            anew = mask_id not in warm_starts
            if mask_id in detected:
                ratio = _odds(detected[mask_id]) / _odds(estimate)
                anew = anew or ratio > self._config.redetect_odds
                best = detected[mask_id] if anew else estimate
            if mask_id in doubtful:
                doubt = _Doubt.none(self._config) if anew else doubt.postponed()
            sightings[mask_id] = _Sighting(best, instance_of[mask_id], doubt, anew)
        return sightings, result


def associate(
    predicted: NDArray[np.float64],
    gates_m: NDArray[np.float64],
    observed: NDArray[np.float64],
    *,
    compatible: NDArray[np.bool_],
    preferred: NDArray[np.bool_],
) -> list[tuple[int, int]]:
    """Which known object is where: the likeliest assignment (Kuhn, 1955).

    Minimises the sum of squared distances, in units of the gates; an object without a partner
    costs as much as one at its gate.

    Args:
        predicted: (T, 3) places of the known objects, metres.
        gates_m: (T,) distances from which on an object is another one, metres.
        observed: (I, 3) places of what was seen, metres.
        compatible: (T, I) whether a pair is possible.
        preferred: (T, I) which pairs to prefer where distances say nothing.

    Returns:
        Pairs (t, i), in the order of t.
    """
    distance = np.linalg.norm(predicted[:, None] - observed[None], axis=2)
    cost = (distance / gates_m[:, None]) ** 2
    possible = compatible & (cost < 1.0)
    cost = np.where(possible, np.maximum(cost - _PREFERENCE * preferred, 0.0), 1.0)
    rows, columns = linear_sum_assignment(cost)
    return [(int(t), int(i)) for t, i in zip(rows, columns, strict=True) if possible[t, i]]


def moved(
    estimate: ObjectEstimate, rotation: NDArray[np.float64], translation: NDArray[np.float64]
) -> ObjectEstimate:
    """The estimate of the object after a rigid motion x -> R x + t of the camera frame.

    The mesh is in the object frame and stays.

    Args:
        estimate: of the object before.
        rotation: R (3, 3).
        translation: t (3,), metres.
    """
    turn = np.kron(np.eye(2), rotation)
    return replace(
        estimate,
        # Rounding errors of many frames would add up.
        rotation=Rotation.from_matrix(rotation @ estimate.rotation).as_matrix(),
        translation=rotation @ estimate.translation + translation,
        decoder_translation=rotation @ estimate.decoder_translation + translation,
        covariance=turn @ estimate.covariance @ turn.T,
    )


def with_yaw_of(estimate: ObjectEstimate, reference: ObjectEstimate) -> ObjectEstimate:
    """The estimate, turned about its own y axis to the orientation nearest the reference's."""
    turned = _nearest_yaw(estimate.rotation, reference.rotation)
    turn = turned @ np.linalg.inv(estimate.rotation)
    return moved(estimate, turn, estimate.translation - turn @ estimate.translation)


_PREFERENCE = 0.01
"""What the same mask id is worth: a tenth of the gate."""

_OPEN_YAW_SD = math.radians(20.0)
"""An image leaves the yaw open where its standard deviation is larger. It is some 5 degrees where
a handle is in view, and 40 to 100 where it is not."""

_GATE_SDS = 2.0
"""Standard deviations of its predicted place by which an object's gate widens."""

_WIDEST_GATE = 2.0
"""Diagonals: what turns up farther away is taken for another object."""

_LEAST_VARIANCE = 1e-12

_LEVEL_BLEND = 0.1
"""Share of the newest inlier ratio in its usual value."""

_STEADY_SIZE, _STEADY_CODE = 0.03, 0.25
"""Standard deviations of a steady log size, and of a steady code over its mean's length. In one
image the noise of a good estimate is about half of that."""

_NEW_MESH_SCALE = 1e-3
"""Relative change of the size that makes another mesh."""

_LONGEST_PATIENCE = 64


@dataclass(frozen=True)
class _Sighting:
    """What one image says of an object; `anew`: without help from earlier images."""

    estimate: ObjectEstimate
    instance: Instance
    doubt: _Doubt
    anew: bool


@dataclass(frozen=True)
class _Doubt:
    """The hysteresis of a pose.

    An image speaks against it if the confidence is too low, or if it shows a front after one that
    left the yaw open: when the handle of a mug comes into view, the refinement may be caught where
    the handle is not.

    Attributes:
        frames: images in a row that speak against the pose.
        patience: how many of them are borne; doubles whenever a detection found nothing better,
            so that an object that is hard to see does not cost one in every image.
        yaw_open: whether an image since the last detection left the yaw open.
        inlier_level: the usual inlier ratio, 0 before the first.
        collapsed: whether the last one was far below.
    """

    frames: int
    patience: int
    yaw_open: bool = False
    inlier_level: float = 0.0
    collapsed: bool = False

    @classmethod
    def none(cls, config: TrackerConfig) -> _Doubt:
        return cls(0, config.drop_frames)

    def after(self, estimate: ObjectEstimate, config: TrackerConfig) -> _Doubt:
        symmetric = estimate.symmetric_about_y
        against = estimate.confidence < config.drop_confidence or (self.yaw_open and not symmetric)
        inliers = estimate.diagnostics.get("inlier_ratio", self.inlier_level)
        collapsed = inliers < config.inlier_collapse * self.inlier_level
        level = self.inlier_level or inliers
        if not collapsed:
            level += _LEVEL_BLEND * (inliers - level)
        return _Doubt(
            frames=self.frames + 1 if against else 0,
            patience=self.patience if against else max(self.patience - 1, config.drop_frames),
            yaw_open=self.yaw_open or symmetric or _yaw_open(estimate),
            inlier_level=level,
            collapsed=collapsed,
        )

    def due(self, config: TrackerConfig) -> bool:
        """Whether the pose has to be looked for from nothing."""
        return self.frames >= self.patience or (
            self.collapsed and self.patience == config.drop_frames
        )

    def postponed(self) -> _Doubt:
        """After a detection that found nothing better."""
        patience = min(2 * self.patience, _LONGEST_PATIENCE)
        return replace(self, frames=0, patience=patience, yaw_open=False)


@dataclass(frozen=True)
class _Motion:
    """A Kalman filter of the pose: velocities change at random and fade with a time constant.

    The state is the pose's error and the velocity, each (x, y, z, rotation vector) about the
    camera frame's axes; the velocity is an Ornstein-Uhlenbeck process (Uhlenbeck and Ornstein,
    1930, equations 4 to 10). What an image leaves open, such as the yaw of a mug whose handle is
    hidden, is filled in from the images before.

    Attributes:
        velocity: (6,), metres and radians per second.
        covariance: (12, 12) of pose and velocity.
    """

    velocity: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def start(cls, estimate: ObjectEstimate, config: TrackerConfig) -> _Motion:
        """Of an object of which one image is known.

        Where that leaves the yaw open, the yaw it happened to find is as good as any, and kept.
        """
        covariance = np.diag(np.concatenate([np.zeros(6), _velocity_variance(config)]))
        covariance[:3, :3] = _bounded(estimate.covariance[:3, :3])
        covariance[3:6, 3:6] = _bounded(estimate.covariance[3:, 3:], _OPEN_YAW_SD**2)
        return cls(np.zeros(6), covariance)

    def predict(
        self, estimate: ObjectEstimate, seconds: float, config: TrackerConfig
    ) -> tuple[ObjectEstimate, _Motion]:
        """Pose and motion after a while."""
        tau, fade = config.coast_s, math.exp(-seconds / config.coast_s)
        span = tau * (1.0 - fade)
        step = np.kron(np.array([[1.0, span], [0.0, fade]]), np.eye(6))
        noise = np.array(
            [
                [tau * (2.0 * seconds - tau * (3.0 - 4.0 * fade + fade**2)), span * (1.0 - fade)],
                [span * (1.0 - fade), 1.0 - fade**2],
            ]
        )
        covariance = step @ self.covariance @ step.T
        covariance += np.kron(noise, np.diag(_velocity_variance(config)))
        shift = span * self.velocity
        return _displaced(estimate, shift), _Motion(fade * self.velocity, covariance)

    def correct(
        self, predicted: ObjectEstimate, seen: ObjectEstimate
    ) -> tuple[ObjectEstimate, _Motion]:
        """Pose and motion once the image of the predicted time has been looked at.

        The pose moves along what the image leaves open; shape, mesh and the covariance of the
        image are those of `seen`.
        """
        turn = Rotation.from_matrix(seen.rotation @ predicted.rotation.T).as_rotvec()
        innovation = np.concatenate([seen.translation - predicted.translation, turn])
        spread = self.covariance[:6, :6] + _bounded(seen.covariance)
        gain = np.linalg.solve(spread, self.covariance[:6]).T
        change = gain @ innovation
        covariance = self.covariance - gain @ self.covariance[:6]
        pose = _displaced(predicted, change[:6])
        turn_back = pose.rotation @ seen.rotation.T
        fused = moved(seen, turn_back, pose.translation - turn_back @ seen.translation)
        return (
            replace(fused, covariance=seen.covariance),
            _Motion(self.velocity + change[6:], 0.5 * (covariance + covariance.T)),
        )


@dataclass(frozen=True)
class _Shape:
    """Size and code of an object as more images show it.

    A single image leaves some noise in both. Where they are steady, their mean over a number of
    images is better than any of them, and what they no longer take up is left to the pose.

    Attributes:
        log_scales: logarithm of the decoder's scale in the last confident images in a row.
        codes: in the same images, (D,) each.
        frozen: whether their means are final.
    """

    log_scales: tuple[float, ...] = ()
    codes: tuple[NDArray[np.float32], ...] = ()
    frozen: bool = False

    def after(self, estimate: ObjectEstimate, config: TrackerConfig) -> _Shape:
        if self.frozen:
            return self
        if estimate.confidence < config.accept_confidence:
            return _Shape()
        log_scales = (*self.log_scales, math.log(estimate.decoder_scale))[-config.converge_frames :]
        codes = (*self.codes, estimate.code)[-config.converge_frames :]
        return _Shape(
            log_scales,
            codes,
            frozen=len(codes) == config.converge_frames
            and float(np.std(log_scales)) <= _STEADY_SIZE
            and float(np.linalg.norm(np.std(codes, axis=0)))
            <= _STEADY_CODE * float(np.linalg.norm(np.mean(codes, axis=0))),
        )

    def apply(self, estimate: ObjectEstimate) -> ObjectEstimate:
        """The estimate with the final size and code; its box's centre stays."""
        if not self.frozen:
            return estimate
        code = np.mean(self.codes, axis=0)
        if np.array_equal(code, estimate.code):
            return estimate
        factor = math.exp(float(np.mean(self.log_scales))) / estimate.decoder_scale
        offset = estimate.decoder_translation - estimate.translation
        return replace(
            estimate,
            code=code,
            scale=factor * estimate.scale,
            dimensions_m=factor * estimate.dimensions_m,
            vertices=np.float32(factor) * estimate.vertices,
            decoder_scale=factor * estimate.decoder_scale,
            decoder_translation=estimate.translation + factor * offset,
        )


@dataclass(frozen=True)
class _Object:
    """What is remembered of an object.

    Attributes:
        id: the track's.
        estimate: when it was last seen.
        stamp_ns: of that image.
        offset: (3,) from the middle of its visible points to its centre, metres, camera frame.
        motion: how it moved.
        shape: its size and code.
        doubt: about its pose.
        confirmations: images in which it was seen with confidence.
        missing_frames: images since it was last seen.
        age: images since it was detected.
        mesh_revision: number of its mesh, 0 for none.
        mesh_scale: its size when that mesh was made.
    """

    id: int
    estimate: ObjectEstimate
    stamp_ns: int
    offset: NDArray[np.float64]
    motion: _Motion
    shape: _Shape
    doubt: _Doubt
    confirmations: int
    missing_frames: int
    age: int
    mesh_revision: int
    mesh_scale: float

    @classmethod
    def detected(
        cls, new_id: int, sighting: _Sighting, stamp_ns: int, config: TrackerConfig
    ) -> _Object:
        estimate = sighting.estimate
        return cls(
            id=new_id,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=estimate.translation - _middle(sighting.instance),
            motion=_Motion.start(estimate, config),
            shape=_Shape().after(estimate, config),
            doubt=sighting.doubt,
            confirmations=int(estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=1,
            mesh_revision=int(len(estimate.vertices) > 0),
            mesh_scale=estimate.scale,
        )

    @property
    def category(self) -> str:
        return self.estimate.category

    def seen(
        self, sighting: _Sighting, predicted: _Predicted, stamp_ns: int, config: TrackerConfig
    ) -> _Object:
        """After an image that shows it."""
        estimate = sighting.estimate
        if sighting.anew or stamp_ns == self.stamp_ns:
            motion = _Motion.start(estimate, config)
        else:
            estimate, motion = predicted.motion.correct(predicted.estimate, estimate)
        revision, mesh_scale = self.mesh_revision, self.mesh_scale
        if self._mesh_changed(estimate):
            revision, mesh_scale = revision + 1, estimate.scale
        return replace(
            self,
            estimate=estimate,
            stamp_ns=stamp_ns,
            offset=estimate.translation - _middle(sighting.instance),
            motion=motion,
            shape=(_Shape() if sighting.anew else self.shape).after(estimate, config),
            doubt=sighting.doubt,
            confirmations=self.confirmations + (estimate.confidence >= config.accept_confidence),
            missing_frames=0,
            age=self.age + 1,
            mesh_revision=revision,
            mesh_scale=mesh_scale,
        )

    def missed(self) -> _Object:
        """After an image that does not show it."""
        return replace(self, missing_frames=self.missing_frames + 1, age=self.age + 1)

    def confirmed(self, config: TrackerConfig) -> bool:
        return self.confirmations >= config.confirm_frames

    def state(self, config: TrackerConfig) -> TrackState:
        if self.missing_frames:
            return TrackState.LOST
        return TrackState.TRACKED if self.confirmed(config) else TrackState.TENTATIVE

    def given_up(self, now_ns: int, config: TrackerConfig) -> bool:
        """Whether it has been away for too long. What the last image showed is never."""
        limit_s = config.remove_after_s if self.confirmed(config) else config.coast_s
        return self.missing_frames > 0 and (
            self.unseen_s(now_ns) > limit_s or self.missing_frames >= config.remove_after_frames
        )

    def unseen_s(self, now_ns: int) -> float:
        return 1e-9 * (now_ns - self.stamp_ns)

    def predict(self, now_ns: int, config: TrackerConfig) -> _Predicted:
        """Where it should be by now."""
        seconds = self.unseen_s(now_ns)
        estimate, motion = self.motion.predict(self.estimate, seconds, config)
        place_sd_m = math.sqrt(float(np.linalg.eigvalsh(motion.covariance[:3, :3])[-1]))
        return _Predicted(
            memory=self,
            estimate=estimate,
            motion=motion,
            recent=seconds <= config.coast_s,
            gate_m=min(
                config.gate_share * estimate.scale + _GATE_SDS * place_sd_m,
                _WIDEST_GATE * estimate.scale,
            ),
        )

    def track(self, now_ns: int, config: TrackerConfig) -> Track:
        """What is reported."""
        estimate, state = self.estimate, self.state(config)
        if state == TrackState.LOST:
            predicted = self.predict(now_ns, config)
            fading = max(1.0 - self.unseen_s(now_ns) / config.remove_after_s, 0.0)
            estimate = replace(
                predicted.estimate,
                # Errors that an object's images share do not average out in the filter.
                covariance=estimate.covariance + predicted.motion.covariance[:6, :6],
                confidence=fading * estimate.confidence,
            )
        return Track(self.id, state, estimate, self.mesh_revision, self.stamp_ns, self.age)

    def _mesh_changed(self, estimate: ObjectEstimate) -> bool:
        if not len(estimate.vertices):
            return False
        return (
            self.mesh_revision == 0
            or not np.array_equal(estimate.mesh_code, self.estimate.mesh_code)
            or abs(estimate.scale / self.mesh_scale - 1.0) > _NEW_MESH_SCALE
        )


@dataclass(frozen=True)
class _Predicted:
    """Where an object should be in this image; `recent`: the prediction is a warm start."""

    memory: _Object
    estimate: ObjectEstimate
    motion: _Motion
    recent: bool
    gate_m: float


def _in_line(estimate: ObjectEstimate, predicted: _Predicted) -> ObjectEstimate:
    """The estimate with the predicted yaw where its own is arbitrary.

    That of a bottle which is not round is known although it does not count, and stays.
    """
    if estimate.symmetric_about_y and _yaw_open(estimate):
        return with_yaw_of(estimate, predicted.estimate)
    return estimate


def _yaw_open(estimate: ObjectEstimate) -> bool:
    y_axis = estimate.rotation[:, 1]
    return float(y_axis @ estimate.covariance[3:, 3:] @ y_axis) > _OPEN_YAW_SD**2


def _odds(estimate: ObjectEstimate) -> float:
    confidence = min(max(estimate.confidence, 1e-12), 1.0 - 1e-12)
    return confidence / (1.0 - confidence)


def _middle(instance: Instance) -> NDArray[np.float64]:
    """(3,), metres, camera frame: median of the visible points, a robust centre."""
    return np.median(instance.points, axis=0).astype(np.float64)


def _velocity_variance(config: TrackerConfig) -> NDArray[np.float64]:
    """(6,) of linear and angular velocity."""
    return np.repeat([config.speed_sd_m_s, config.turn_sd_rad_s], 3) ** 2


def _displaced(estimate: ObjectEstimate, change: NDArray[np.float64]) -> ObjectEstimate:
    """The estimate after a translation and rotation vector (6,) about its box's centre."""
    rotation = Rotation.from_rotvec(change[3:]).as_matrix()
    centre = estimate.translation
    return moved(estimate, rotation, centre + change[:3] - rotation @ centre)


def _bounded(covariance: NDArray[np.float64], most: float = math.inf) -> NDArray[np.float64]:
    """The covariance with its principal variances above 0, where rounding may leave them, and at
    most as large as given.
    """
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return np.asarray(vectors * np.clip(values, _LEAST_VARIANCE, most) @ vectors.T)


def _nearest_yaw(
    rotation: NDArray[np.float64], reference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """R (3, 3) turned about its own y axis until trace(R^T reference) is largest."""
    x, z = rotation[:, 0], rotation[:, 2]
    sine = reference[:, 2] @ x - reference[:, 0] @ z
    cosine = reference[:, 0] @ x + reference[:, 2] @ z
    yaw = math.atan2(sine, cosine)
    return np.asarray(rotation @ Rotation.from_rotvec([0.0, yaw, 0.0]).as_matrix())


def _added(result: FrameResult, more: FrameResult) -> FrameResult:
    """The result, with the time that further estimates of the same instances took."""
    stages = dict(result.stage_ms)
    for stage, milliseconds in more.stage_ms.items():
        stages[stage] = stages.get(stage, 0.0) + milliseconds
    return replace(result, stage_ms=stages)
