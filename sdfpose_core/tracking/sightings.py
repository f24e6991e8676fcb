"""Sightings: in how many images an unnamed thing was seen before it is worth a detection.

A segmentation that names nothing also shows pieces, shadows and reflections, many of them in one
or two images only. Each would take the time of a detection over all categories, to be rejected.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from sdfpose_core.observation.frame import Instance
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.places import Place, recognised, unnamed

__all__ = ["Sightings"]


@dataclass(frozen=True)
class _Sighting:
    """A thing that was seen.

    Attributes:
        place: in the last image that showed it.
        seen_ns: time of that image, nanoseconds.
        count: images that showed it, less those that did not.
    """

    place: Place
    seen_ns: int
    count: int


class Sightings:
    """Counts the images that show each unnamed thing of a sequence at its place.

    An image that does not show it takes one away. What flickers more than it shows is never worth
    a detection; an object that is missed now and then is.

    Args:
        config: of the tracker.
    """

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._known: list[_Sighting] = []

    def reset(self) -> None:
        """Forget all of them."""
        self._known = []

    def too_few(
        self, options: Mapping[int, Sequence[Instance]], owned: Container[int], now_ns: int
    ) -> set[int]:
        """Mask ids of the things that too few images have shown, this one included.

        Args:
            options: instances by mask id; those of a mask id differ in category.
            owned: mask ids of objects that were seen lately, which need no sightings.
            now_ns: time of the image, nanoseconds.
        """
        if self._config.sightings == 1:
            return set()
        things = unnamed(options, owned)
        counts = {i: x.count for i, x in self._recognised(things, now_ns).items()}
        return {i for i in things if counts.get(i, 0) + 1 < self._config.sightings}

    def update(
        self,
        options: Mapping[int, Sequence[Instance]],
        owned: Container[int],
        in_turn: Container[int],
        now_ns: int,
    ) -> None:
        """Count an image.

        Args:
            options: see `too_few`.
            owned: mask ids of objects that the image shows or that were seen lately.
            in_turn: mask ids for which there was no time. They keep their right to a detection.
            now_ns: see `too_few`.
        """
        most = self._config.sightings
        if most == 1:
            return
        things = unnamed(options, owned)
        earlier = self._recognised(things, now_ns)
        again = {id(x) for x in earlier.values()}
        missed = [replace(x, count=x.count - 1) for x in self._known if id(x) not in again]
        self._known = [x for x in missed if x.count > 0 and self._is_current(x, now_ns)]
        for i, same in things.items():
            before = most if i in in_turn else earlier[i].count if i in earlier else 0
            self._known.append(_Sighting(Place.of(same), now_ns, min(before + 1, most)))

    def _recognised(
        self, things: Mapping[int, Sequence[Instance]], now_ns: int
    ) -> dict[int, _Sighting]:
        """The things that an image shows again, by mask id, one for one."""
        known = [x for x in self._known if self._is_current(x, now_ns)]
        again = recognised([x.place for x in known], things)
        return {i: known[k] for i, k in again.items()}

    def _is_current(self, sighting: _Sighting, now_ns: int) -> bool:
        return 1e-9 * (now_ns - sighting.seen_ns) <= self._config.coast_s
