"""Execution of commands: errors in one sentence, and standard streams that never raise."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from sdfpose_core.errors import SdfposeError

__all__ = ["describe_os_error", "execute", "reserve_standard_output", "write_to_standard_output"]

_FAILURE = 2
_INTERRUPTED = 130
"""128 + SIGINT, the convention of shells."""

_ADVICE = {
    errno.EACCES: "change its permissions or owner, or choose another path",
    errno.EDQUOT: "delete files or choose another disk",
    errno.EEXIST: "remove it or choose another name",
    errno.EISDIR: "expected the name of a file",
    errno.EMFILE: "close other files or raise the limit (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "check the path",
    errno.ENOSPC: "free space on the disk or choose another one",
    errno.ENOTDIR: "expected a folder",
    errno.EPERM: "change its permissions or owner, or choose another path",
    errno.EROFS: "choose a folder on another file system",
}


def execute(program: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit status.

    A library error or an error of the operating system prints one sentence on stderr and gives
    the status 2. Standard output and standard error do not raise: characters that their encoding
    lacks are replaced, and text that cannot be written is dropped. If standard output could not be
    written, e.g. because the disk is full, a sentence says so and the status is not 0. A reader
    that closes a pipe is not an error.

    Args:
        program: name in front of the messages.
        command: function to run; it returns the exit status.
    """
    with _safe_streams() as output:
        try:
            status = int(command())
        except SdfposeError as error:
            status = _report(program, f"error: {error}", _FAILURE)
        except OSError as error:
            if error.errno is None:
                raise
            status = _report(program, f"error: {describe_os_error(error)}", _FAILURE)
        except KeyboardInterrupt:
            status = _report(program, "interrupted", _INTERRUPTED)
        if output is not None:
            output.flush()
            if output.failure is not None and output.failure.errno != errno.EPIPE:
                reason = output.failure.strerror
                message = f"error: standard output cannot be written: {reason}"
                status = _report(program, message, status or _FAILURE)
        return status


def describe_os_error(error: OSError) -> str:
    """Describe an error of the operating system: the path, the reason, and what to do."""
    parts = [str(x) for x in (error.filename, error.strerror) if x]
    advice = _ADVICE.get(error.errno or 0)
    return ": ".join([*parts, advice] if advice else parts)


def reserve_standard_output() -> None:
    """Reserve standard output for a document: text printed from now on goes to standard error."""
    if sys.stdout is not None and sys.stdout is not sys.stderr:
        _reserved.append(sys.stdout)
        sys.stdout = sys.stderr


def write_to_standard_output(text: str) -> None:
    """Write a document to standard output, also after `reserve_standard_output`.

    Raises:
        SdfposeError: standard output is closed.
    """
    stream = _reserved[-1] if _reserved else sys.stdout
    if stream is None:
        raise SdfposeError("standard output is closed: expected a terminal, a file or a pipe")
    stream.write(text)
    stream.flush()


_reserved: list[TextIO] = []
"""Standard output, while it is reserved."""


class _SafeStream:
    """A text stream that replaces characters and drops text instead of raising an error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self.failure is None:
            with self._watched():
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    encoding = self._stream.encoding or "ascii"
                    self._stream.write(text.encode(encoding, "replace").decode(encoding))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.failure is None:
            with self._watched():
                self._stream.flush()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            # What the stream still holds must not raise when the interpreter exits.
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


@contextlib.contextmanager
def _safe_streams() -> Iterator[_SafeStream | None]:
    """Replace `sys.stdout` and `sys.stderr` by safe streams; yield the former, if there is one."""
    before = sys.stdout, sys.stderr
    safe = [None if x is None else _SafeStream(x) for x in before]
    sys.stdout, sys.stderr = (cast(TextIO, x) for x in safe)
    reserved = len(_reserved)
    try:
        yield safe[0]
    finally:
        del _reserved[reserved:]
        sys.stdout, sys.stderr = before


def _report(program: str, message: str, status: int) -> int:
    with contextlib.suppress(AttributeError):  # standard error may be closed
        sys.stdout.flush()
    print(f"{program}: {message}", file=sys.stderr)
    return status
