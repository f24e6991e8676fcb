"""Rejected instances: those that a detection left without an estimate, and their next trial.

A box or a hand in the image is no object of a category, however often it is looked at. Without a
memory, each image would spend the time of a detection on it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from sdfpose_core.observation.frame import Instance, SkippedInstance
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.places import Place, recognised

__all__ = ["Rejection", "Rejections"]

_BACK_OFF = 2.0
"""Factor of the wait after each trial that fails."""

_SAME_SIZE = 1.5
"""Masks whose pixels differ by a larger factor have changed: more or less of the thing is seen, or
another thing as well."""


@dataclass(frozen=True)
class Rejection:
    """A rejected instance.

    Attributes:
        place: in the last image that showed it, with the categories that were tried.
        seen_ns: time of that image, nanoseconds.
        tried_ns: time of the last trial, nanoseconds.
        tried_pixels: pixels of the mask at that time.
        wait_s: time to the next trial, seconds.
        reasons: why there was no estimate.
    """

    place: Place
    seen_ns: int
    tried_ns: int
    tried_pixels: int
    wait_s: float
    reasons: tuple[SkippedInstance, ...]

    def rests(self, instance: Instance, now_ns: int, config: TrackerConfig) -> bool:
        """Whether it is too early to try the thing again, which an image shows as `instance`.

        If the mask has changed, the thing is tried again after the shortest wait. Images without
        stamps are always tried.
        """
        sizes = sorted((self.tried_pixels, instance.mask_pixels))
        changed = sizes[1] > _SAME_SIZE * sizes[0]
        wait_s = config.retry_after_s if changed else self.wait_s
        return 0.0 < 1e-9 * (now_ns - self.tried_ns) < wait_s

    def seen(self, same: Sequence[Instance], now_ns: int) -> Rejection:
        """The rejection after an image that shows the thing again, as the instances of a mask."""
        return replace(self, place=Place.of(same), seen_ns=now_ns)

    def skipped(self) -> list[SkippedInstance]:
        """The mask id without an estimate, and why."""
        return [replace(x, mask_id=self.place.mask_id) for x in self.reasons]


class Rejections:
    """Remembers the rejected instances of a sequence.

    They are recognised by their place and label, as mask ids need not persist from image to image.

    Args:
        config: of the tracker.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._known: list[Rejection] = []

    def reset(self) -> None:
        """Forget all of them."""
        self._known = []

    def resting(
        self, options: Mapping[int, Sequence[Instance]], owned: Container[int], now_ns: int
    ) -> dict[int, Rejection]:
        """The rejected instances that are not to be tried in an image, by mask id.

        Args:
            options: instances by mask id; those of a mask id differ in category.
            owned: mask ids of tracked objects, which are never left out.
            now_ns: time of the image, nanoseconds.
        """
        return {
            i: x.seen(options[i], now_ns)
            for i, x in self._recognised(options).items()
            if i not in owned and x.rests(options[i][0], now_ns, self._config)
        }

    def update(
        self,
        options: Mapping[int, Sequence[Instance]],
        found: Container[int],
        untried: Container[int],
        skipped: Sequence[SkippedInstance],
        now_ns: int,
    ) -> None:
        """Remember the instances that were tried in an image without an estimate.

        Those that were found are forgotten, and so are those that no image has shown for
        `TrackerConfig.coast_s`.

        Args:
            options: see `resting`.
            found: mask ids of objects.
            untried: mask ids that were not tried.
            skipped: the mask ids without an estimate, and why.
            now_ns: see `resting`.
        """
        shown = self._recognised(options)
        again = {id(x) for x in shown.values()}
        known = [
            x
            for x in self._known
            if id(x) not in again and 0.0 < 1e-9 * (now_ns - x.seen_ns) <= self._config.coast_s
        ]
        for i, same in options.items():
            earlier = shown.get(i)
            if i in untried and earlier is not None:
                known.append(earlier.seen(same, now_ns))
            elif i not in found and i not in untried:
                reasons = tuple(x for x in skipped if x.mask_id == i)
                known.append(_rejected(same, now_ns, self._next_wait_s(earlier), reasons))
        self._known = known

    def _recognised(self, options: Mapping[int, Sequence[Instance]]) -> dict[int, Rejection]:
        """The rejected instances that an image shows again, by mask id, one for one."""
        again = recognised([x.place for x in self._known], options)
        return {i: self._known[k] for i, k in again.items()}

    def _next_wait_s(self, earlier: Rejection | None) -> float:
        if earlier is None:
            return self._config.retry_after_s
        return min(_BACK_OFF * earlier.wait_s, self._config.retry_at_most_s)


def _rejected(
    same: Sequence[Instance], now_ns: int, wait_s: float, reasons: tuple[SkippedInstance, ...]
) -> Rejection:
    return Rejection(
        place=Place.of(same),
        seen_ns=now_ns,
        tried_ns=now_ns,
        tried_pixels=same[0].mask_pixels,
        wait_s=wait_s,
        reasons=reasons,
    )
