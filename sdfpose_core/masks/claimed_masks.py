"""Masks of a stream, in which the objects that are followed keep their pixels and ids."""

from __future__ import annotations

from collections.abc import Sequence

from sdfpose_core.masks.claims import claim
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.masks.sources import MaskBackend
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame

__all__ = ["ClaimedMasks"]

_LACKING_S = 1.0
"""An object keeps a mask for this long after the last one that was found. What the source takes for
no object must not stay, because its mask is what confirms it."""


class ClaimedMasks:
    """Segments the images of a stream, and lets the objects that are followed claim their pixels.

    Args:
        backend: finds the masks.

    Example:
        >>> masks = ClaimedMasks(backend)                         # doctest: +SKIP
        >>> for frame in frames:                                  # doctest: +SKIP
        ...     found = masks.segment(frame, tracker.followed(frame))
        ...     tracker.step(replace(frame, mask=found.ids, labels=found.labels))

    `find` and `claimed` are the two steps of `segment`. The first does not need the tracker: it may
    find the masks of the next image while the objects of this one are still being estimated.
    """

    def __init__(self, backend: MaskBackend) -> None:
        self._backend = backend
        self._found_ns: dict[int, int] = {}  # when a mask of each followed object was last found

    def segment(self, frame: RgbdFrame, followed: Sequence[ObjectEstimate] = ()) -> InstanceMask:
        """Segment the next image.

        Args:
            frame: its mask and labels are not read.
            followed: objects at the poses that are predicted for this image, see
                `sdfpose_core.tracking.tracker.Tracker.followed`.

        Raises:
            FrameError: the image cannot be used.
        """
        return self.claimed(frame, self.find(frame), followed)

    def find(self, frame: RgbdFrame) -> InstanceMask:
        """Find the masks of the next image, whatever is followed.

        Args:
            frame: see `segment`.

        Raises:
            FrameError: the image cannot be used.
        """
        return self._backend.segment(frame)

    def claimed(
        self, frame: RgbdFrame, found: InstanceMask, followed: Sequence[ObjectEstimate]
    ) -> InstanceMask:
        """Let the objects that are followed claim their pixels.

        Args:
            frame: the image, no older than the last one.
            found: its masks, see `find`.
            followed: see `segment`.
        """
        now_ns = frame.stamp_ns
        lately = {
            mask_id
            for mask_id, found_ns in self._found_ns.items()
            if 0 < now_ns - found_ns <= 1e9 * _LACKING_S
        }
        claimed = claim(found, frame.depth, frame.camera, followed, may_lack_mask=lately)
        self._found_ns = {
            **{i: x for i, x in self._found_ns.items() if i in lately},
            **dict.fromkeys(claimed.shown, now_ns),
        }
        return claimed.mask

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._backend.reset()
        self._found_ns.clear()
