"""Object ids that persist from image to image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.errors import FrameError
from sdfpose_core.masks.instance_mask import MAX_MASK_ID

__all__ = ["IdentityTracker"]


@dataclass
class _KnownObject:
    centre: NDArray[np.float64]
    unseen: int = 0


class IdentityTracker:
    """Assigns each object the id of the nearest object in previous images.

    Args:
        reach: an object that moves farther than this between images is new, in the unit of the
            centres.
        patience: number of images for which the id of an unseen object is kept.
    """

    def __init__(self, reach: float, patience: int) -> None:
        self._reach = reach
        self._patience = patience
        self._known: dict[int, _KnownObject] = {}
        self._last = 0

    def assign(self, centres: NDArray[np.floating]) -> list[int]:
        """Assign ids to the objects of the next image.

        Args:
            centres: (N, D), positions of the objects, in space or in the image.

        Returns:
            One unique id from 1 to 65535 for each object.

        Raises:
            FrameError: there are more objects than ids.
        """
        ids: dict[int, int] = {}
        taken: set[int] = set()
        candidates = sorted(
            (float(np.linalg.norm(centre - known.centre)), i, known_id)
            for i, centre in enumerate(centres)
            for known_id, known in self._known.items()
        )
        for distance, i, known_id in candidates:
            if distance > self._reach:
                break
            if i not in ids and known_id not in taken:
                ids[i] = known_id
                taken.add(known_id)
        for known in self._known.values():
            known.unseen += 1
        for i, centre in enumerate(centres):
            if i not in ids:
                ids[i] = self._new_id()
            self._known[ids[i]] = _KnownObject(np.asarray(centre, dtype=np.float64))
        self._known = {k: x for k, x in self._known.items() if x.unseen <= self._patience}
        return [ids[i] for i in range(len(centres))]

    def reset(self) -> None:
        """Forget all objects; their ids are not reused soon."""
        self._known.clear()

    def _new_id(self) -> int:
        if len(self._known) >= MAX_MASK_ID:
            raise FrameError(
                f"{len(self._known)} objects in the last images: expected at most {MAX_MASK_ID}, "
                "the number of ids of a mask; drop small objects with min_pixels"
            )
        while True:
            self._last = self._last % MAX_MASK_ID + 1
            if self._last not in self._known:
                return self._last
