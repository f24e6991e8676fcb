"""The options of the commands that show their results in a browser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from sdfpose_core.categories import Categories
from sdfpose_core.cli.numbers import integer
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.viewer.address import DEFAULT_HOST, DEFAULT_PORT, Address, free_address
from sdfpose_core.viewer.packages import require_viser

if TYPE_CHECKING:
    from sdfpose_core.viewer.recording import Recording
    from sdfpose_core.viewer.viewer import Viewer

__all__ = [
    "add_address_arguments",
    "add_view_argument",
    "keep_open",
    "open_viewer",
    "viewer_address",
]

_LAST_PORT = 65535


def add_view_argument(parser: argparse.ArgumentParser, shown: str) -> None:
    """Declare ``--view``, ``--host`` and ``--port``.

    Args:
        parser: the command's parser.
        shown: what is shown.
    """
    parser.add_argument(
        "--view",
        action="store_true",
        help=f"show {shown} in a browser until Ctrl-C (needs the package viser)",
    )
    add_address_arguments(parser)


def add_address_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--host`` and ``--port``."""
    parser.add_argument(
        "--host",
        help="network interface that the viewer listens on; 0.0.0.0 lets anyone in the network see "
        f"and control it (default: {DEFAULT_HOST}, this machine only)",
    )
    parser.add_argument(
        "--port",
        type=integer(1, _LAST_PORT),
        help=f"port of the viewer (default: the first free one from {DEFAULT_PORT} on)",
    )


def viewer_address(args: argparse.Namespace) -> Address:
    """Check that the viewer can be started, and choose its address.

    Raises:
        ViewerError: Viser is not installed.
        ConfigurationError: the address is in use, or none of this machine.
    """
    require_viser()
    return free_address(args.host or DEFAULT_HOST, args.port)


@contextmanager
def open_viewer(args: argparse.Namespace, categories: Categories) -> Iterator[Viewer | None]:
    """Open the viewer and print its address; None without ``--view``.

    Raises:
        ViewerError: Viser is not installed.
        ConfigurationError: the address is in use, or ``--host`` or ``--port`` have no effect.
    """
    if not args.view:
        if args.host is not None or args.port is not None:
            raise ConfigurationError("--host and --port have no effect alone: expected --view")
        yield None
        return
    # Imported here, because most runs of a command show nothing.
    from sdfpose_core.viewer.viewer import Viewer

    with Viewer(viewer_address(args), categories) as viewer:
        for line in viewer.address.lines():
            print(line, flush=True)
        yield viewer


def keep_open(viewer: Viewer, recording: Recording | None = None, *, playing: bool = False) -> None:
    """Keep the page until the user interrupts the process.

    Args:
        viewer: the viewer.
        recording: what to browse; None to keep what is shown. It is closed at the end.
        playing: whether the recording plays at once.
    """
    from sdfpose_core.viewer.playback import Playback

    playback = None if recording is None else Playback(viewer, recording, playing=playing)
    # An interrupt may come as soon as the line can be read.
    with suppress(KeyboardInterrupt), nullcontext() if playback is None else closing(playback):
        print("viewer: Ctrl-C ends it", flush=True)
        viewer.wait()
