"""Verification of tracked poses, and trials of unnamed things, by detections from scratch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sdfpose_core.errors import MeshError
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.shape_cache import CachedShape
from sdfpose_core.observation.frame import Instance, ObjectEstimate, SkippedInstance
from sdfpose_core.tracking.belief import agree
from sdfpose_core.tracking.motion import with_modes_of, with_yaw_of, yaw_open

__all__ = [
    "DetectionResult",
    "Detector",
    "KeyframeUpdate",
    "Trial",
    "VerificationRequest",
    "VerificationResult",
    "attempt",
    "verify",
]


class DetectionResult(Protocol):
    """The result of a detector."""

    @property
    def estimates(self) -> Sequence[ObjectEstimate]:
        """Of the instances."""

    @property
    def skipped(self) -> Sequence[SkippedInstance]:
        """The mask ids without an estimate."""

    @property
    def stage_ms(self) -> dict[str, float]:
        """Wall time by stage."""


class Detector(Protocol):
    """The part of an estimator that a verification needs."""

    def estimate(self, instances: Sequence[Instance], *, draft: bool) -> DetectionResult:
        """Detect instances from scratch."""

    def add_keyframe(
        self, keyframes: Keyframes, instance: Instance, estimates: Sequence[ObjectEstimate]
    ) -> tuple[Keyframes, ObjectEstimate]:
        """Add a view of an object and refine its size and shape."""

    def shape_of(self, estimate: ObjectEstimate) -> CachedShape | None:
        """The decoded shape of an estimate."""

    def cache_shape(self, estimate: ObjectEstimate, shape: CachedShape) -> None:
        """Put the decoded shape of an estimate into the cache."""


@dataclass(frozen=True)
class VerificationRequest:
    """The pose of one object in one image.

    Attributes:
        object_id: id of its track.
        instance: what the image measured of it.
        tracked: its tracked estimate.
        keyframes: before this image.
        rivals: other categories that it may have.
    """

    object_id: int
    instance: Instance
    tracked: ObjectEstimate
    keyframes: Keyframes
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """An unnamed thing of one image, which may be an object.

    Attributes:
        number: of the thing.
        instances: of its mask, which differ in category.
    """

    number: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class KeyframeUpdate:
    """The shape of an object after a keyframe was added.

    Attributes:
        keyframes: all of them.
        estimate: in the new one.
        shape: the decoded shape.
    """

    keyframes: Keyframes
    estimate: ObjectEstimate
    shape: CachedShape | None


@dataclass(frozen=True)
class VerificationResult:
    """The result of a verification, or of a trial.

    Attributes:
        detection: a draft, with the tracked yaw where its own is arbitrary; None if nothing was
            detected.
        update: the keyframe that was added, if the detection confirmed the pose with confidence.
        stage_ms: wall time by stage.
        skipped: why nothing was detected.
    """

    detection: ObjectEstimate | None
    update: KeyframeUpdate | None
    stage_ms: dict[str, float]
    skipped: tuple[SkippedInstance, ...] = ()

    @property
    def rejected(self) -> bool:
        """Whether the mask shows nothing of the categories."""
        return any(x.rejected for x in self.skipped)


def attempt(trial: Trial, detector: Detector) -> VerificationResult:
    """Detect an unnamed thing: the category that explains it best, or why there is none.

    Args:
        trial: the thing.
        detector: detects it.
    """
    found = detector.estimate(trial.instances, draft=True)
    if not found.estimates:
        return VerificationResult(None, None, dict(found.stage_ms), tuple(found.skipped))
    return VerificationResult(found.estimates[0], None, dict(found.stage_ms))


def verify(
    request: VerificationRequest, detector: Detector, accept_confidence: float
) -> VerificationResult:
    """Detect an object from scratch and compare it with its tracked pose.

    Args:
        request: the pose.
        detector: detects the object.
        accept_confidence: a detection with less adds no keyframe.
    """
    categories = request.instance.category, *request.rivals
    tried = [replace(request.instance, category=x) for x in categories]
    found = detector.estimate(tried, draft=True)
    stage_ms = dict(found.stage_ms)
    if not found.estimates:
        return VerificationResult(None, None, stage_ms, tuple(found.skipped))
    (detection,) = found.estimates
    if detection.symmetric_about_y and yaw_open(detection):
        detection = with_yaw_of(detection, request.tracked)
    update = None
    if detection.confidence >= accept_confidence and agree(detection, request.tracked):
        start = time.perf_counter()
        try:
            keyframes, estimate = detector.add_keyframe(
                request.keyframes, request.instance, [request.tracked, detection]
            )
            estimate = with_modes_of(estimate, request.tracked)
            update = KeyframeUpdate(keyframes, estimate, detector.shape_of(estimate))
        except MeshError:
            update = None  # the joint shape has no surface: the object keeps its shape
        stage_ms["refine"] += 1e3 * (time.perf_counter() - start)
    return VerificationResult(detection, update, stage_ms)
