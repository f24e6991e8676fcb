"""The verifier: runs verifications and trials in the background.

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
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from typing import ParamSpec, TypeVar

from sdfpose_core.device import set_threads
from sdfpose_core.errors import VerificationError
from sdfpose_core.processes import end_with_parent
from sdfpose_core.tracking.verification import (
    Detector,
    Trial,
    VerificationRequest,
    VerificationResult,
    attempt,
    verify,
)

__all__ = ["Verifier"]


Request = VerificationRequest | Trial
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Verifier:
    """Runs verifications and trials in the background, one at a time.

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
        self._running: tuple[Request, int, Future[VerificationResult]] | None = None
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
    def ready(self) -> bool:
        """Whether it is open, and its process has started."""
        if not self._in_process:
            return not self._closed
        return self._pool is not None and self._started is not None and self._started.done()

    @property
    def pending(self) -> Request | None:
        """What is running, or done and not yet used."""
        running = self._running
        return None if running is None else running[0]

    @property
    def resting(self) -> bool:
        """Whether another verification now would exceed its share of the time."""
        return time.monotonic() < self._rests_until_s

    def begin(self, request: Request, due_ns: int, share: float = 1.0) -> None:
        """Start a verification or a trial, unless the verifier is closed.

        Args:
            request: the pose, or the thing.
            due_ns: time of the images from which on the result is used.
            share: of the time that verifications may take; the verifier rests accordingly after it.
        """
        start_s = time.monotonic()

        def rest(_: Future[VerificationResult]) -> None:
            now_s = time.monotonic()
            until_s = now_s + (1.0 / share - 1.0) * (now_s - start_s)
            self._rests_until_s = max(self._rests_until_s, until_s)

        with self._lock:
            if self._closed:
                return
            if self._in_process:
                future = self._submit(_run_in_process, request)
            else:
                future = self._submit(_run, request, self._detector, self._accept_confidence)
            self._running = (request, due_ns, future)
        future.add_done_callback(rest)

    def verify_now(self, request: VerificationRequest) -> VerificationResult:
        """Verify a pose synchronously."""
        return verify(request, self._detector, self._accept_confidence)

    def due(self, now_ns: int, *, wait: bool) -> tuple[Request, VerificationResult] | None:
        """The result that is due, once, with its request.

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
        """Discard what is running."""
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

_run_here: Callable[[Request], VerificationResult]
"""In the verification process."""


def _set_up_process(detector: Detector, accept_confidence: float) -> None:
    """Prepare the verification process. It ends with its parent."""
    global _run_here
    _run_here = partial(_run, detector=detector, accept_confidence=accept_confidence)
    set_threads(1)
    os.nice(_NICENESS)
    end_with_parent()


def _run_in_process(request: Request) -> VerificationResult:
    return _run_here(request)


def _run(request: Request, detector: Detector, accept_confidence: float) -> VerificationResult:
    if isinstance(request, Trial):
        return attempt(request, detector)
    return verify(request, detector, accept_confidence)
