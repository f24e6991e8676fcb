"""Choice of resolution and rate among those that a camera has."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from sdfpose_core.cameras.camera import CameraSettings
from sdfpose_core.cameras.errors import UnsupportedProfileError

__all__ = ["Profile", "choose_profile", "wanted_profile"]

_SAME_RATE_HZ = 0.5
_LISTED = 4
"""Profiles that a message names."""


@dataclass(frozen=True, order=True)
class Profile:
    """Resolution and rate of a stream.

    Attributes:
        width, height: size of the image, pixels.
        rate_hz: images per second.
    """

    width: int
    height: int
    rate_hz: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.rate_hz:g} Hz"

    @property
    def pixel_rate(self) -> float:
        """Pixels per second."""
        return self.width * self.height * self.rate_hz

    def same(self, other: Profile) -> bool:
        """Whether size and rate agree; cameras round 29.97 Hz."""
        size = (self.width, self.height) == (other.width, other.height)
        return size and abs(self.rate_hz - other.rate_hz) < _SAME_RATE_HZ

    def distance(self, other: Profile) -> float:
        """How far another profile is, as a sum of logarithms of the ratios."""
        pairs = zip(
            (self.width, self.height, self.rate_hz),
            (other.width, other.height, other.rate_hz),
            strict=True,
        )
        return sum(abs(math.log(a / b)) for a, b in pairs)


def wanted_profile(settings: CameraSettings, default: Profile) -> Profile:
    """The profile of the settings, completed by the default of the camera."""
    return Profile(
        settings.width or default.width,
        settings.height or default.height,
        settings.rate_hz or default.rate_hz,
    )


def choose_profile(
    name: str, wanted: Profile, available: Collection[Profile], *, slow: bool = False
) -> tuple[Profile, tuple[str, ...]]:
    """Choose a profile, and say what the user should know of it.

    Args:
        name: of the camera.
        wanted: what the user asks for.
        available: what the camera has.
        slow: whether it is connected by USB 2. Then it has less, and the nearest smaller profile
            is taken in place of one that is missing.

    Raises:
        UnsupportedProfileError: the camera has no such profile; names the nearest ones.
    """
    port = f"{name} is on a USB 2 port or cable: expected USB 3"
    for profile in available:
        if profile.same(wanted):
            return profile, (f"{port}; depth may be sparse or late",) if slow else ()
    nearest = sorted(set(available), key=wanted.distance)
    smaller = [x for x in nearest if x.pixel_rate <= wanted.pixel_rate]
    if slow and smaller:
        return smaller[0], (f"{port}; it sends {smaller[0]} in place of {wanted}",)
    known = ", ".join(map(str, nearest[:_LISTED])) or "none for colour with depth"
    raise UnsupportedProfileError(
        f"{name} does not send {wanted}: set width, height and rate_hz to what it has; the nearest "
        f"are {known}"
    )
