"""The cameras of a sequence: the order of their images, and what each sees that is no object."""

from __future__ import annotations

from dataclasses import dataclass

from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.rejections import Rejections
from sdfpose_core.tracking.sightings import Sightings

__all__ = ["CameraMemory", "Cameras"]


@dataclass
class CameraMemory:
    """What the images of one camera say about its next ones.

    Attributes:
        rejections: things that were tried and are no object.
        sightings: things that too few images have shown.
        stamp_ns: of the last image, nanoseconds; None before the first.
    """

    rejections: Rejections
    sightings: Sightings
    stamp_ns: int | None = None


class Cameras:
    """The cameras of a sequence, by their frame ids.

    Images whose camera poses are known may come from several cameras, in turn. Without camera
    poses, a sequence has one camera. The order of images counts within each camera only: the clocks
    of two cameras may differ a little, and one may deliver later than the other.

    Args:
        config: of the tracker.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._known: dict[str, CameraMemory] = {}
        self._last_ns: int | None = None

    def begins_sequence(self, frame: RgbdFrame) -> bool:
        """Whether an image does not continue the sequence: it is older than the last one of its
        camera, or is from another camera and the poses of the cameras are unknown.
        """
        if self._last_ns is None:
            return False
        camera = self._known.get(frame.frame_id)
        if camera is None:
            return frame.camera_pose is None
        return camera.stamp_ns is not None and frame.stamp_ns < camera.stamp_ns

    def before(self, frame: RgbdFrame) -> Cameras:
        """The cameras of the sequence to which an image belongs."""
        return Cameras(self._config) if self.begins_sequence(frame) else self

    def of(self, frame: RgbdFrame) -> CameraMemory:
        """The memory of an image's camera."""
        if frame.frame_id not in self._known:
            self._known[frame.frame_id] = CameraMemory(
                Rejections(self._config), Sightings(self._config)
            )
        return self._known[frame.frame_id]

    def time_ns(self, frame: RgbdFrame) -> int:
        """Time of an image, nanoseconds: an older one of another camera is taken as simultaneous
        with the last one.
        """
        return frame.stamp_ns if self._last_ns is None else max(frame.stamp_ns, self._last_ns)

    def elapsed_s(self, frame: RgbdFrame) -> float:
        """Time since the last image, seconds."""
        return 0.0 if self._last_ns is None else 1e-9 * (self.time_ns(frame) - self._last_ns)

    def add(self, frame: RgbdFrame) -> None:
        """Note an image as the last one."""
        self._last_ns = self.time_ns(frame)
        self.of(frame).stamp_ns = frame.stamp_ns
