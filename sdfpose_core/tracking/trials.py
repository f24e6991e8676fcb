"""Trials: whether an unnamed thing is an object is found out in the background.

Most of what a segmentation that names nothing shows beside the tracked objects is no object, or a
piece of one. A detection over all categories, to reject it, takes longer than the time between two
images. While live images are tracked, the verifier makes it, and the tracking thread detects only
what has passed, under the category that was found.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Container, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from sdfpose_core.observation.frame import Instance, SkippedInstance
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.places import Place, recognised, unnamed
from sdfpose_core.tracking.verification import Trial, VerificationResult
from sdfpose_core.tracking.verifier import Verifier

__all__ = ["TrialOutcome", "Trials"]

_PATIENCE_S = 3.0
"""When the verifier has not been ready for so long (its process starts, or was closed), things are
detected without a trial. So are, for so long, as many things as the first image left over."""


@dataclass(frozen=True)
class TrialOutcome:
    """What trials say about the masks of an image. Of the others, nothing is said.

    Attributes:
        passed: by mask id, the instances of the category that was found.
        failed: by mask id, why there is no object.
        waiting: mask ids whose trial is not over.
        excused: mask ids that are detected without a trial.
    """

    passed: dict[int, list[Instance]] = field(default_factory=dict)
    failed: dict[int, list[SkippedInstance]] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    excused: set[int] = field(default_factory=set)

    @property
    def untried(self) -> set[int]:
        """Mask ids that are not to be detected in this image."""
        return self.waiting | self.failed.keys()

    @property
    def skipped(self) -> list[SkippedInstance]:
        """The mask ids without an object, and why."""
        return [x for reasons in self.failed.values() for x in reasons]


@dataclass(frozen=True)
class _Thing:
    """A thing that waits for its trial, or for its detection after that.

    Attributes:
        number: from 1, in the order in which things came.
        place: in the last image that showed it.
        seen_ns: time of that image, nanoseconds.
        result: of its trial; None if that is not over.
    """

    number: int
    place: Place
    seen_ns: int
    result: VerificationResult | None = None


class Trials:
    """The things of a sequence that wait for a trial, or for what follows from it.

    They are recognised by their place; one that no image has shown for `TrackerConfig.coast_s` is
    forgotten, whatever its trial says. The first objects of a sequence are not to be late: the
    first image tries nothing, and for as many things as it had no time for, the next ones do not.

    Attributes:
        active: whether there are trials at all.
        next: the trial that may begin now: of what has waited longest among the things that the
            last image showed.

    Args:
        verifier: makes the trials.
        config: of the tracker.
        active: see above.
        clock: returns the time, seconds.
    """

    def __init__(
        self,
        verifier: Verifier,
        config: TrackerConfig,
        *,
        active: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.active = active
        self.next: Trial | None = None
        self._verifier = verifier
        self._config = config
        self._clock = clock
        self._ready_s = clock()
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """Forget all things, as no object is tracked. Trials that are running say nothing."""
        self.next = None
        self._known: list[_Thing] = []
        self._first = True
        self._excused, self._excused_until_s = 0, 0.0

    def outcome(
        self,
        options: Mapping[int, Sequence[Instance]],
        owned: Container[int],
        left_out: Container[int],
    ) -> TrialOutcome:
        """What trials say about the unnamed things of an image.

        Args:
            options: instances by mask id; those of a mask id differ in category.
            owned: mask ids of objects that were seen lately, which need no trial.
            left_out: mask ids that are not to be tried in this image.
        """
        found = TrialOutcome()
        if not self.active or self._first:
            return found
        now_s = self._clock()
        excused = self._excused if now_s <= self._excused_until_s else 0
        impatient = not self._verifier.ready and now_s - self._ready_s > _PATIENCE_S
        things = unnamed(options, owned)
        known = self._recognised(things)
        for i, same in things.items():
            thing = known.get(i)
            if i in left_out:
                continue
            if thing is not None and thing.result is not None:
                detection = thing.result.detection
                if detection is None:
                    found.failed[i] = [replace(x, mask_id=i) for x in thing.result.skipped]
                else:
                    found.passed[i] = [x for x in same if x.category == detection.category]
            elif impatient or len(found.excused) < excused:
                found.excused.add(i)
            else:
                found.waiting.add(i)
        return found

    def update(
        self,
        options: Mapping[int, Sequence[Instance]],
        owned: Container[int],
        outcome: TrialOutcome,
        in_turn: Set[int],
        too_new: Container[int],
        now_ns: int,
    ) -> None:
        """Note what an image showed, and which trial is next.

        Args:
            options: see `outcome`.
            owned: see `outcome`.
            outcome: of the image.
            in_turn: mask ids for whose detection there was no time.
            too_new: mask ids that need more sightings.
            now_ns: time of the image, nanoseconds.
        """
        if not self.active:
            return
        if self._verifier.ready:
            self._ready_s = self._clock()
        things = unnamed(options, owned)
        if self._first:
            self._excused = len(things.keys() & in_turn)
            self._excused_until_s = self._clock() + _PATIENCE_S
            self._first = False
        else:
            self._excused -= len(outcome.excused - in_turn)
        known = self._recognised(things)
        gone = {x.number for i, x in known.items() if i not in too_new}
        self._known = [
            x
            for x in self._known
            if x.number not in gone and 0.0 < 1e-9 * (now_ns - x.seen_ns) <= self._config.coast_s
        ]
        shown: dict[int, Sequence[Instance]] = {}
        for i, same in things.items():
            if i not in outcome.waiting and not (i in outcome.passed and i in in_turn):
                continue
            place = Place.of(same)
            thing = known.get(i) or _Thing(next(self._numbers), place, now_ns)
            self._known.append(replace(thing, place=place, seen_ns=now_ns))
            if i in outcome.waiting:
                shown[thing.number] = same
        if isinstance(pending := self._verifier.pending, Trial):
            shown.pop(pending.number, None)
        first = min(shown, default=None)
        self.next = None if first is None else Trial(first, tuple(shown[first]))

    def answer(self, trial: Trial, result: VerificationResult) -> None:
        """Note the result of a trial, if its thing is still known."""
        self._known = [
            replace(x, result=result) if x.number == trial.number else x for x in self._known
        ]

    def _recognised(self, things: Mapping[int, Sequence[Instance]]) -> dict[int, _Thing]:
        """The known things that an image shows again, by mask id, one for one."""
        again = recognised([x.place for x in self._known], things)
        return {i: self._known[k] for i, k in again.items()}
