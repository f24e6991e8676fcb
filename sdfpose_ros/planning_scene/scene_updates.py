"""Which collision objects to add, to move and to remove when objects are seen: without ROS."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.tracking.track import TrackState

__all__ = ["Change", "Operation", "SceneObject", "SceneReport", "SceneRules", "SceneUpdates"]

_FOLLOWED = (TrackState.TRACKED, TrackState.UNOBSERVED)
"""States in which the pose of an object is known; in the others it is a guess."""


class Operation(Enum):
    """What is done with a collision object; the names are those of MoveIt."""

    ADD = "add"
    """It is new, or takes the place of the one with its id."""
    MOVE = "move"
    REMOVE = "remove"


@dataclass(frozen=True)
class SceneObject:
    """An object as one message of the pose node tells it.

    Attributes:
        id: of the collision object.
        number: of the track.
        category: its name.
        state: of the track, a number of `TrackState`.
        confidence: 0 to 1.
        rotation: (3, 3), of the object frame in the frame of the scene.
        translation: (3,), metres, in the same frame.
        dimensions_m: (3,), sides of its box, metres.
        symmetric_about_y: whether its rotation about its y axis is arbitrary.
        shape: tells one shape from another; None while the shape is unknown.
    """

    id: str
    number: int
    category: str
    state: int
    confidence: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    dimensions_m: NDArray[np.float64]
    symmetric_about_y: bool
    shape: Hashable | None


@dataclass(frozen=True)
class Change:
    """One operation.

    Attributes:
        operation: what is done.
        id: of the collision object.
        object: as it is seen; None for a removal.
    """

    operation: Operation
    id: str
    object: SceneObject | None = None


@dataclass(frozen=True)
class SceneReport:
    """What MoveIt says of its planning scene.

    Attributes:
        complete: whether it lists all objects; otherwise what changed.
        attached: ids of the objects that are attached to the robot.
        detached: ids of those that no longer are; they are in the world again.
        present: ids of the objects in the world.
        removed: ids of the objects that were taken out of the world.
    """

    complete: bool = False
    attached: frozenset[str] = frozenset()
    detached: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SceneRules:
    """When the scene is changed.

    Attributes:
        min_confidence: least confidence of an object that is added.
        min_move_m: an object that moved less stays where it is, metres...
        min_turn_deg: ...if it also turned less, degrees.
        min_size_change: change of a side, as a share, with which it is added anew.
        min_shape_period_s: shortest time until it is added anew for another shape, seconds.
        remove_after_s: an object that is lost is removed after this time, seconds.
    """

    min_confidence: float = 0.5
    min_move_m: float = 0.005
    min_turn_deg: float = 3.0
    min_size_change: float = 0.05
    min_shape_period_s: float = 2.0
    remove_after_s: float = 5.0


@dataclass
class _Entry:
    """A collision object of ours.

    Attributes:
        sent: the object as it was sent last; None if it is not in the world, or not where it was.
        sent_frame: frame of the scene at that time.
        added: the object as it was added last: its shape and size.
        added_s: when that was, seconds.
        in_world: whether MoveIt has it in the world.
        to_add: whether it is added again, because a scene may lack it.
        unknown_s: since when its pose is unknown, seconds; None while it is known.
        released: whether it was detached, and not seen since.
    """

    added: SceneObject
    added_s: float
    sent: SceneObject | None
    sent_frame: str
    in_world: bool = True
    to_add: bool = False
    unknown_s: float | None = None
    released: bool = False


@dataclass
class SceneUpdates:
    """Keeps the collision objects of a scene in step with the objects that are seen.

    - An object is added when it is tracked with enough confidence and its shape is known.
    - It is moved when it moved or turned enough, and added anew when its size or its shape changed.
      What is outside the image or hidden in it stays.
    - It is removed when it was lost for long enough, or is no longer listed.
    - While it is attached to the robot, nothing is done with it. When it is detached it is moved to
      where it is seen; if it is not seen, it is removed as a lost one.

    Args:
        rules: when the scene is changed.
    """

    rules: SceneRules = field(default_factory=SceneRules)
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _attached: set[str] = field(default_factory=set)
    _now_s: float = -math.inf

    @property
    def ids(self) -> set[str]:
        """Ids of the objects in the world that this class added."""
        return {x for x, entry in self._entries.items() if entry.in_world} - self._attached

    @property
    def known(self) -> set[str]:
        """Ids of all objects that this class added or that are attached to the robot."""
        return self._entries.keys() | self._attached

    def update(self, objects: Sequence[SceneObject], frame_id: str, now_s: float) -> list[Change]:
        """Take the objects of one message, and return what to do.

        Args:
            objects: all objects that the pose node knows, with different ids.
            frame_id: frame of their poses.
            now_s: time of the message, seconds. When it jumps back, all waits start again.
        """
        if now_s < self._now_s:
            self._restart(now_s)
        self._now_s = now_s
        changes = self._removals({x.id for x in objects})
        for x in objects:
            if x.id not in self._attached:
                changes += self._changes_of(x, frame_id)
        return changes

    def take(self, report: SceneReport) -> list[Change]:
        """Take what MoveIt says, and return what to do about it.

        An object that was added while it was being attached would be in the scene twice.
        """
        before = set(self._attached)
        if report.complete:
            self._attached = set(report.attached)
        else:
            self._attached = (self._attached - report.detached | report.attached) - (
                report.present - report.attached
            )
        for i in before - self._attached:
            self._release(i)
        gone = self._entries.keys() - report.present if report.complete else report.removed
        for i in gone - self._attached:
            if i in self._entries:
                self._entries[i].in_world = False
        twice = report.present & self._attached & self._entries.keys()
        return [Change(Operation.REMOVE, i) for i in sorted(twice)]

    def add_all_again(self) -> None:
        """Let all objects be added again: another planning scene listens as well, or instead."""
        for entry in self._entries.values():
            entry.to_add = True

    def clear(self) -> list[Change]:
        """Remove all objects except those that are attached."""
        changes = [Change(Operation.REMOVE, i) for i in sorted(self.ids)]
        self._entries = {i: x for i, x in self._entries.items() if i in self._attached}
        return changes

    def _restart(self, now_s: float) -> None:
        for entry in self._entries.values():
            entry.added_s = -math.inf
            entry.unknown_s = None if entry.unknown_s is None else now_s

    def _release(self, i: str) -> None:
        """Note that an object was detached: MoveIt puts it into the world, where the robot is."""
        entry = self._entries.get(i)
        if entry is not None:
            entry.in_world, entry.sent = True, None
            entry.unknown_s, entry.released = self._now_s, True

    def _removals(self, listed: set[str]) -> list[Change]:
        """Remove the objects that are no longer listed."""
        changes = []
        for i in sorted(self._entries.keys() - listed - self._attached):
            entry = self._entries[i]
            if entry.released and not self._is_overdue(entry):
                continue  # the robot has just put it down, and it may not have been seen yet
            changes += self._remove(i)
        return changes

    def _remove(self, i: str) -> list[Change]:
        return [Change(Operation.REMOVE, i)] if self._entries.pop(i).in_world else []

    def _is_overdue(self, entry: _Entry) -> bool:
        since = entry.unknown_s
        return since is not None and self._now_s - since >= self.rules.remove_after_s

    def _changes_of(self, x: SceneObject, frame_id: str) -> list[Change]:
        entry = self._entries.get(x.id)
        if entry is None:
            wanted = x.state == TrackState.TRACKED and x.confidence >= self.rules.min_confidence
            return self._add(x, frame_id) if wanted and x.shape is not None else []
        if x.state in _FOLLOWED:
            entry.unknown_s, entry.released = None, False
        elif entry.unknown_s is None:
            entry.unknown_s = self._now_s
        if self._is_overdue(entry):
            return self._remove(x.id)
        if not entry.in_world or entry.to_add or self._has_changed(x, entry):
            return self._add(x, frame_id, entry.unknown_s) if x.shape is not None else []
        if x.state in _FOLLOWED and self._has_moved(x, entry, frame_id):
            entry.sent, entry.sent_frame = x, frame_id
            return [Change(Operation.MOVE, x.id, x)]
        return []

    def _add(self, x: SceneObject, frame_id: str, unknown_s: float | None = None) -> list[Change]:
        self._entries[x.id] = _Entry(x, self._now_s, x, frame_id, unknown_s=unknown_s)
        return [Change(Operation.ADD, x.id, x)]

    def _has_changed(self, x: SceneObject, entry: _Entry) -> bool:
        """Whether a tracked object has another size, or for long enough another shape."""
        if x.state != TrackState.TRACKED:
            return False
        ratio = x.dimensions_m / np.maximum(entry.added.dimensions_m, 1e-9)
        if float(np.abs(ratio - 1.0).max()) > self.rules.min_size_change:
            return True
        waited_s = self._now_s - entry.added_s
        return x.shape != entry.added.shape and waited_s >= self.rules.min_shape_period_s

    def _has_moved(self, x: SceneObject, entry: _Entry, frame_id: str) -> bool:
        before = entry.sent
        if before is None or frame_id != entry.sent_frame:
            return True
        if float(np.linalg.norm(x.translation - before.translation)) > self.rules.min_move_m:
            return True
        return _turn_deg(before, x) > self.rules.min_turn_deg


def _turn_deg(before: SceneObject, now: SceneObject) -> float:
    """Angle between two poses, degrees; that of the y axes if the rest is arbitrary."""
    if now.symmetric_about_y:
        y, other = before.rotation[:, 1], now.rotation[:, 1]
        sine, cosine = float(np.linalg.norm(np.cross(y, other))), float(y @ other)
        return math.degrees(math.atan2(sine, cosine))
    turn = before.rotation.T @ now.rotation
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return math.degrees(math.atan2(0.5 * float(np.linalg.norm(axis)), 0.5 * (np.trace(turn) - 1.0)))
