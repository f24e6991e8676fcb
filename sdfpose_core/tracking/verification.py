"""Verification of tracked poses by detections from scratch.

A detection takes longer than the time between two images. Verifications therefore run in the
background, one at a time, and a result is used at a fixed time after its image: the same recording
gives the same poses on every machine, and a slow machine waits. With live images a result is used
as soon as it is there. A separate process keeps verifications from slowing down the images, which
threads of one interpreter would.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import ParamSpec, Protocol, TypeVar

from sdfpose_core.device import set_threads
from sdfpose_core.errors import MeshError, VerificationError
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.shape_cache import CachedShape
from sdfpose_core.observation.frame import Instance, ObjectEstimate, SkippedInstance
from sdfpose_core.tracking.belief import agree
from sdfpose_core.tracking.motion import with_modes_of, with_yaw_of, yaw_open

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
    """The result of a verification.

    Attributes:
        detection: a draft, with the tracked yaw where its own is arbitrary; None if nothing was
            detected.
        update: the keyframe that was added, if the detection confirmed the pose with confidence.
        stage_ms: wall time by stage.
        rejected: whether the mask shows nothing of the categories.
    """

    detection: ObjectEstimate | None
    update: KeyframeUpdate | None
    stage_ms: dict[str, float]
    rejected: bool = False


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
        return VerificationResult(
            None, None, stage_ms, rejected=any(x.rejected for x in found.skipped)
        )
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


class Verifier:
    """Runs verifications in the background, one at a time.

    Args:
        detector: detects objects from scratch.
        accept_confidence: see `verify`.
        in_process: run them in a separate process with a copy of the detector, not in a thread.
    """

    def __init__(self, detector: Detector, accept_confidence: float, *, in_process: bool) -> None:
        self._detector = detector
        self._accept_confidence = accept_confidence
        self._in_process = in_process
        self._pool: Executor | None = None
        self._running: tuple[VerificationRequest, int, Future[VerificationResult]] | None = None
        self._process: BaseProcess | None = None
        self._started: Future[int] | None = None
        self._closed = False
        self._lock = threading.Lock()  # closing does not wait for the present image
        self._rests_until_s = 0.0

    def prepare(self, *, wait: bool = True) -> None:
        """Start the process, which takes seconds.

        Args:
            wait: until it is ready.

        Raises:
            VerificationError: it died.
        """
        self._closed = False
        if self._in_process:
            ready = self._submit(os.getpid)
            if wait:
                self._result(ready)

    @property
    def pending_object(self) -> int | None:
        """Track id of the object whose verification is running or not yet used."""
        running = self._running
        return None if running is None else running[0].object_id

    @property
    def resting(self) -> bool:
        """Whether another verification now would exceed its share of the time."""
        return time.monotonic() < self._rests_until_s

    def begin(self, request: VerificationRequest, due_ns: int, share: float = 1.0) -> None:
        """Start a verification, unless the verifier is closed.

        Args:
            request: the pose.
            due_ns: time of the images from which on the result is used.
            share: of the time that verifications may take; the verifier rests accordingly after it.
        """
        start_s = time.monotonic()

        def rest(_: Future[VerificationResult]) -> None:
            now_s = time.monotonic()
            self._rests_until_s = now_s + (1.0 / share - 1.0) * (now_s - start_s)

        with self._lock:
            if self._closed:
                return
            if self._in_process:
                future = self._submit(_verify_in_process, request)
            else:
                future = self._submit(verify, request, self._detector, self._accept_confidence)
            self._running = (request, due_ns, future)
        future.add_done_callback(rest)

    def verify_now(self, request: VerificationRequest) -> VerificationResult:
        """Verify a pose synchronously."""
        return verify(request, self._detector, self._accept_confidence)

    def due(
        self, now_ns: int, *, wait: bool
    ) -> tuple[VerificationRequest, VerificationResult] | None:
        """The verification that is due, once, with its request.

        Args:
            now_ns: time of the image.
            wait: for a result that is due but not there. Otherwise it is used in a later image.

        Raises:
            VerificationError: the process died. The next verification starts a new one.
        """
        running = self._running
        if running is None or now_ns < running[1]:
            return None
        request, _, future = running
        if not wait and not future.done():
            return None
        self._running = None
        result = self._result(future)
        if self._in_process and result.update is not None and result.update.shape is not None:
            self._detector.cache_shape(result.update.estimate, result.update.shape)
        return request, result

    def drop(self) -> None:
        """Discard the running verification."""
        self._running = None

    def close(self) -> None:
        """End the thread after its present work, or the process at once; `prepare` reopens it."""
        with self._lock:
            self._closed = True
            self.drop()
            pool, process = self._pool, self._process
            self._pool = self._process = None
        if process is not None:
            process.kill()  # a process that still imports torch would notice nothing else
        if pool is not None:
            # The pool of a killed process ends at once; one that is left behind may be torn down
            # together with the interpreter.
            pool.shutdown(wait=process is not None, cancel_futures=True)

    def _submit(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        try:
            return self._executor().submit(function, *args, **kwargs)
        except BrokenProcessPool:  # it died while idle: nothing is lost
            self._pool = None
            return self._executor().submit(function, *args, **kwargs)

    def _executor(self) -> Executor:
        if self._pool is None and self._in_process:
            self._pool = ProcessPoolExecutor(
                1,
                multiprocessing.get_context("spawn"),
                _set_up_process,
                (self._detector, self._accept_confidence),
            )
            try:
                self._process, self._started = _start_process(self._pool)
            except RuntimeError as error:
                self._pool = None
                if not _imports_main():
                    raise
                raise VerificationError(_NO_GUARD) from error
        elif self._pool is None:
            self._pool = ThreadPoolExecutor(1, "verification")
        return self._pool

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except BrokenProcessPool as error:
            self._pool = None
            if self._started is not None and _failed(self._started):
                raise VerificationError(
                    "the verification process has died while it started: it was killed, is out of "
                    f"memory, or could not import the script: {_NO_GUARD}"
                ) from error
            raise VerificationError(
                "the verification process has died (killed, or out of memory?): its verification "
                "is lost, and the next one starts a new process"
            ) from error


_starting = threading.Lock()
"""Held while a process is started, so that it is known which one it is."""


_NO_GUARD = (
    "a script that verifies in a process (TrackerConfig.verify_in_process) must start its work "
    "under 'if __name__ == \"__main__\":' and be a file, as the process imports it"
)


def _failed(future: Future[int]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None


def _imports_main() -> bool:
    """Whether this is a new process that still imports the script of its parent."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def _start_process(pool: ProcessPoolExecutor) -> tuple[BaseProcess | None, Future[int]]:
    """Start the process of a pool with SIGINT blocked; return it, and its process id once it runs.

    A terminal sends SIGINT to parent and child. The child cannot ignore it before it has imported
    torch, but inherits the blocked signals of this thread.
    """
    resource_tracker.ensure_running()  # it is started by the first pool, and unblocks SIGINT
    with _starting:
        before = set(multiprocessing.active_children())
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            ready = pool.submit(os.getpid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        started = set(multiprocessing.active_children()) - before
    return started.pop() if started else None, ready


_NICENESS = 5
"""Of the verification process: images come first."""

_verify_here: Callable[[VerificationRequest], VerificationResult]
"""In the verification process."""


def _set_up_process(detector: Detector, accept_confidence: float) -> None:
    """Prepare the verification process. It ends with its parent."""
    global _verify_here
    _verify_here = partial(verify, detector=detector, accept_confidence=accept_confidence)
    set_threads(1)
    os.nice(_NICENESS)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _verify_in_process(request: VerificationRequest) -> VerificationResult:
    return _verify_here(request)
