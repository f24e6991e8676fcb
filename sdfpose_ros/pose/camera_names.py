"""Names of the cameras of a pose node."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdfpose_core.errors import ConfigurationError

__all__ = ["camera_names", "camera_topic"]

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def camera_names(cameras: Sequence[str], world_frame: str) -> tuple[str, ...]:
    """The names of the cameras; one without a name if there are none.

    Args:
        cameras: parameter ``cameras``.
        world_frame: parameter ``world_frame``.

    Raises:
        ConfigurationError: a name is invalid or there twice, or there is no world in which the
            cameras see the same objects.
    """
    for name in cameras:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"parameter cameras: '{name}': expected letters, digits and underscores, not "
                "beginning with a digit: it is a part of topic names"
            )
    if len(set(cameras)) < len(cameras):
        raise ConfigurationError(
            f"parameter cameras: {', '.join(cameras)}: expected each name once"
        )
    if len(cameras) > 1 and not world_frame:
        raise ConfigurationError(
            "parameter cameras: several cameras see the same objects only in a common frame: set "
            "world_frame to a frame in which /tf has the poses of all of them"
        )
    return tuple(cameras) or ("",)


def camera_topic(camera: str, name: str) -> str:
    """The private name of a camera's topic, such as ``~/left/colour``.

    Args:
        camera: its name; empty for the only one.
        name: of the topic, such as ``colour``.
    """
    return f"~/{camera}/{name}" if camera else f"~/{name}"
