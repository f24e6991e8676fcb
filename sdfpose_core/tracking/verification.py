"""Tests of the poses of followed objects: detections that know nothing of them.

They take longer than the image of a camera lasts. So they run beside the images, one at a time, and
what one found is used a fixed time after the image that it is of: the same recording gives the same
poses on every machine, and one that is too slow waits. Where images come by themselves it is used
when it is there. In a process of their own they do not verify up the images: threads of one Python
take turns.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from sdfpose_core.device import use_threads
from sdfpose_core.errors import MeshError, VerificationError
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.shape_cache import CachedShape
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.tracking.belief import agree
from sdfpose_core.tracking.motion import with_yaw_of, yaw_open

__all__ = [
    "DetectionResult",
    "Detector",
    "KeyframeUpdate",
    "VerificationRequest",
    "VerificationResult",
    "Verifier",
    "verify",
]


Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class DetectionResult(Protocol):
    """What a detector answers."""

    @property
    def estimates(self) -> Sequence[ObjectEstimate]:
        """Of the instances."""

    @property
    def stage_ms(self) -> dict[str, float]:
        """Wall time by stage."""


class Detector(Protocol):
    """What a test needs of an estimator."""

    def estimate(self, instances: Sequence[Instance], *, draft: bool) -> DetectionResult:
        """Detect instances."""

    def add_keyframe(
        self, keyframes: Keyframes, instance: Instance, estimates: Sequence[ObjectEstimate]
    ) -> tuple[Keyframes, ObjectEstimate]:
        """One more view of an object."""

    def shape_of(self, estimate: ObjectEstimate) -> CachedShape | None:
        """The decoded shape of an estimate."""

    def remember(self, estimate: ObjectEstimate, shape: CachedShape) -> None:
        """Take the decoded shape of an estimate from another process."""


@dataclass(frozen=True)
class VerificationRequest:
    """The pose of one object in one image, to be put to the test.

    Attributes:
        object_id: the object's.
        instance: what the image measured of it.
        tracked: where it was taken to be.
        keyframes: the views before.
    """

    object_id: int
    instance: Instance
    tracked: ObjectEstimate
    keyframes: Keyframes


@dataclass(frozen=True)
class KeyframeUpdate:
    """One more view of an object.

    Attributes:
        keyframes: all views.
        estimate: in the new one.
        shape: the decoded shape.
    """

    keyframes: Keyframes
    estimate: ObjectEstimate
    shape: CachedShape | None


@dataclass(frozen=True)
class VerificationResult:
    """What came of a request.

    Attributes:
        detection: a draft, with the tracked yaw where its own is arbitrary; None where nothing was
            found.
        view: where it found the same pose with confidence.
        stage_ms: wall time by stage.
    """

    detection: ObjectEstimate | None
    view: KeyframeUpdate | None
    stage_ms: dict[str, float]


def verify(
    request: VerificationRequest, detector: Detector, accept_confidence: float
) -> VerificationResult:
    """Put a pose to the test.

    Args:
        request: the pose.
        detector: finds the object anew.
        accept_confidence: a detection with less adds no view.
    """
    found = detector.estimate([request.instance], draft=True)
    stage_ms = dict(found.stage_ms)
    if not found.estimates:
        return VerificationResult(None, None, stage_ms)
    (detection,) = found.estimates
    if detection.symmetric_about_y and yaw_open(detection):
        detection = with_yaw_of(detection, request.tracked)
    view = None
    if detection.confidence >= accept_confidence and agree(detection, request.tracked):
        start = time.perf_counter()
        try:
            seen = detector.add_keyframe(
                request.keyframes, request.instance, [request.tracked, detection]
            )
            view = KeyframeUpdate(*seen, detector.shape_of(seen[1]))
        except MeshError:
            view = None  # the views agree on no surface: the shape stays as it was
        stage_ms["refine"] += 1e3 * (time.perf_counter() - start)
    return VerificationResult(detection, view, stage_ms)


class Verifier:
    """Holds trials beside the images.

    Args:
        detector: finds objects anew.
        accept_confidence: see `verify`.
        apart: whether they are held in a process of their own, which gets a copy of the detector.
    """

    def __init__(self, detector: Detector, accept_confidence: float, *, apart: bool) -> None:
        self._detector = detector
        self._accept_confidence = accept_confidence
        self._apart = apart
        self._pool: Executor | None = None
        self._begun: tuple[VerificationRequest, int, Future[VerificationResult]] | None = None
        self._pid: Future[int] | None = None
        self._closed = False
        self._lock = threading.Lock()  # closing does not wait for the image that is worked on
        self._rests_until_s = 0.0

    def prepare(self, *, wait: bool = True) -> None:
        """Make ready for trials: a process takes seconds to start.

        Args:
            wait: until one can begin at once.

        Raises:
            VerificationError: it died.
        """
        self._closed = False
        if self._apart:
            ready = self._submit(os.getpid)
            if wait:
                self._result(ready)

    @property
    def pending_object(self) -> int | None:
        """Id of the object whose outcome is awaited."""
        begun = self._begun
        return None if begun is None else begun[0].object_id

    @property
    def resting(self) -> bool:
        """Whether the last one ended so lately that another would take more than its share."""
        return time.monotonic() < self._rests_until_s

    def begin(self, request: VerificationRequest, due_ns: int, share: float = 1.0) -> None:
        """Put a pose to the test, unless the trials are closed.

        Args:
            request: the pose.
            due_ns: time of the images from which on its outcome is used.
            share: of the time that trials may take: they rest after it accordingly.
        """
        start_s = time.monotonic()

        def rest(_: Future[VerificationResult]) -> None:
            now_s = time.monotonic()
            self._rests_until_s = now_s + (1.0 / share - 1.0) * (now_s - start_s)

        with self._lock:
            if self._closed:
                return
            if self._apart:
                future = self._submit(_verify_in_process, request)
            else:
                future = self._submit(verify, request, self._detector, self._accept_confidence)
            self._begun = (request, due_ns, future)
        future.add_done_callback(rest)

    def verify_now(self, request: VerificationRequest) -> VerificationResult:
        """The outcome of a request that cannot wait."""
        return verify(request, self._detector, self._accept_confidence)

    def due(
        self, now_ns: int, *, wait: bool
    ) -> tuple[VerificationRequest, VerificationResult] | None:
        """The request whose time has come, once, and its outcome.

        Args:
            now_ns: time of the image.
            wait: whether the outcome is waited for, or its time comes later where there is none.

        Raises:
            VerificationError: the process that held it died; the next request begins in a new one.
        """
        begun = self._begun
        if begun is None or now_ns < begun[1]:
            return None
        request, _, future = begun
        if not wait and not future.done():
            return None
        self._begun = None
        outcome = self._result(future)
        if self._apart and outcome.view is not None and outcome.view.shape is not None:
            self._detector.remember(outcome.view.estimate, outcome.view.shape)
        return request, outcome

    def drop(self) -> None:
        """Forget the request that is under way."""
        self._begun = None

    def close(self) -> None:
        """End the thread after what it is at, or the process at once; `prepare` opens it again."""
        with self._lock:
            self._closed = True
            self.drop()
            pool, pid, self._pool, self._pid = self._pool, self._pid, None, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
        if pid is not None and pid.done():
            with suppress(BrokenProcessPool, CancelledError):
                for child in multiprocessing.active_children():  # another may have its number
                    if child.pid == pid.result():
                        child.terminate()

    def _submit(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        try:
            return self._executor().submit(function, *args, **kwargs)
        except BrokenProcessPool:  # it died while it had nothing to do: nothing is lost
            self._pool = None
            return self._executor().submit(function, *args, **kwargs)

    def _executor(self) -> Executor:
        if self._pool is None and self._apart:
            self._pool = ProcessPoolExecutor(
                1,
                multiprocessing.get_context("spawn"),
                _settle,
                (self._detector, self._accept_confidence),
            )
            self._pid = self._pool.submit(os.getpid)
        elif self._pool is None:
            self._pool = ThreadPoolExecutor(1, "trials")
        return self._pool

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except BrokenProcessPool as error:
            self._pool = None
            raise VerificationError(
                "the process that puts poses to the test has died (killed, or out of memory?): "
                "its request is lost, and the next one begins in a new process"
            ) from error


_NICE = 5
"""By how much the process of the trials gives way to others."""

_verify_here: Callable[[VerificationRequest], VerificationResult]
"""In the process of the trials."""


def _settle(detector: Detector, accept_confidence: float) -> None:
    """Begin the life of the process of the trials. It ends with the one that it serves."""
    global _verify_here
    _verify_here = partial(verify, detector=detector, accept_confidence=accept_confidence)
    use_threads(1)
    os.nice(_NICE)  # images come first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to parent and child
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _verify_in_process(request: VerificationRequest) -> VerificationResult:
    return _verify_here(request)
