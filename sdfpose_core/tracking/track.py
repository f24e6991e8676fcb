"""A tracked object as it is reported, in a module that loads without torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sdfpose_core.observation.frame import ObjectEstimate

__all__ = ["Track", "TrackState"]


class TrackState(IntEnum):
    """State of a track; the numbers are those of ``SdfObject.msg``."""

    TENTATIVE = 1
    """Seen, but not yet with confidence in enough images."""

    TRACKED = 2
    """Seen in this image, or by another camera just before."""

    LOST = 3
    """Not seen in this image: its estimate is a prediction."""

    UNOBSERVED = 4
    """Outside this image, or hidden in it: it is where it stood in the world. Only with a known
    camera pose."""


@dataclass(frozen=True)
class Track:
    """One tracked object, as it is reported.

    Attributes:
        id: from 1; not used again while the tracker lives.
        state: of the track.
        estimate: at the time of this image, camera frame. That of a `LOST` track is predicted: its
            covariance grows and its confidence fades with the time since it was seen. That of an
            `UNOBSERVED` one keeps its confidence.
        mesh_revision: counts the object's meshes from 1; 0 while it has none.
        stamp_ns: of the last image that showed it, nanoseconds.
        age: images since it was detected; 1 in the first.
        world: the estimate in the world; None if the camera's pose is unknown.
        elsewhere: whether it is another camera that sees it.
    """

    id: int
    state: TrackState
    estimate: ObjectEstimate
    mesh_revision: int
    stamp_ns: int
    age: int
    world: ObjectEstimate | None = None
    elsewhere: bool = False

    @property
    def seen(self) -> bool:
        """Whether this image shows it."""
        found = self.state in (TrackState.TENTATIVE, TrackState.TRACKED)
        return found and not self.elsewhere

    def unseen_s(self, now_ns: int) -> float:
        """Seconds since an image showed it.

        Args:
            now_ns: time of this image, nanoseconds.
        """
        return 1e-9 * (now_ns - self.stamp_ns)
