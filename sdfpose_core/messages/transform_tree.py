"""The tree of coordinate frames that the messages of /tf and /tf_static describe."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from sdfpose_core.errors import SdfposeError
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import transform_arrays

__all__ = ["TransformError", "TransformTree"]

_MAX_GAP_NS = 200_000_000
"""Largest time between two transforms for interpolation."""

_MAX_DEPTH = 64
"""Largest number of frames between a frame and the root of its tree; more indicate a loop."""


class TransformError(SdfposeError):
    """The tree has no transform between two frames at a time."""


class TransformTree:
    """Poses of frames in their parents over time.

    Poses are interpolated between two transforms at most 0.2 s apart.

    Args:
        keep_ns: transforms that are older than the newest one of their frame by more are forgotten,
            nanoseconds; None keeps all.
    """

    def __init__(self, keep_ns: int | None = None) -> None:
        self._keep_ns = keep_ns
        self._edges: dict[str, _Edge] = {}

    @property
    def frames(self) -> list[str]:
        """Frames with a parent, sorted."""
        return sorted(self._edges)

    def take(self, message: Any) -> None:
        """Take a message of ``/tf``."""
        for x in message.transforms:
            edge = self._edge(x.child_frame_id)
            edge.add(_name(x.header.frame_id), stamp_ns(x.header), _matrix(x.transform))
            if self._keep_ns is not None:
                edge.forget(self._keep_ns)

    def take_static(self, message: Any) -> None:
        """Take a message of ``/tf_static``."""
        for x in message.transforms:
            edge = self._edge(x.child_frame_id)
            edge.fix(_name(x.header.frame_id), _matrix(x.transform))

    def forget(self) -> None:
        """Drop all transforms that are not static: time has jumped back."""
        self._edges = {k: x for k, x in self._edges.items() if x.is_static}

    def lookup(self, target: str, source: str, stamp: int) -> NDArray[np.float64]:
        """Pose (4, 4), metres, of the source frame in the target frame.

        Args:
            target: frame of the results.
            source: frame of the arguments.
            stamp: the time, nanoseconds.

        Raises:
            TransformError: there is no such transform at that time.
        """
        target, source = _name(target), _name(source)
        above = self._ancestors(target)
        common = next((x for x in self._ancestors(source) if x in above), None)
        if common is None:
            known = {_name(x.parent) for x in self._edges.values()} | self._edges.keys()
            missing = [x for x in (target, source) if x not in known]
            raise TransformError(
                f"there is no frame '{missing[0]}'"
                if missing
                else f"'{source}' and '{target}' are in two trees"
            )
        in_target = np.linalg.inv(self._in_ancestor(target, common, stamp))
        return np.asarray(in_target @ self._in_ancestor(source, common, stamp))

    def _edge(self, child: str) -> _Edge:
        return self._edges.setdefault(_name(child), _Edge())

    def _ancestors(self, frame: str) -> list[str]:
        """The frame and those above it, the root last.

        Raises:
            TransformError: the tree has a loop.
        """
        found = [frame]
        while (edge := self._edges.get(found[-1])) is not None:
            found.append(edge.parent)
            if len(found) > _MAX_DEPTH:
                raise TransformError(f"the frames above '{frame}' form a loop")
        return found

    def _in_ancestor(self, frame: str, ancestor: str, stamp: int) -> NDArray[np.float64]:
        """Pose (4, 4) of a frame in one above it.

        Raises:
            TransformError: one of the transforms is not known at that time.
        """
        pose = np.eye(4)
        while frame != ancestor:
            edge = self._edges[frame]
            step = edge.at(stamp)
            if step is None:
                raise TransformError(
                    f"the pose of '{frame}' in '{edge.parent}' is not known at "
                    f"{1e-9 * stamp:.3f} s, but {edge.known}"
                )
            frame, pose = edge.parent, step @ pose
        return pose


class _Edge:
    """The pose of a frame in its parent frame over time."""

    def __init__(self) -> None:
        self.parent = ""
        self._stamps: list[int] = []
        self._poses: list[NDArray[np.float64]] = []
        self._fixed: NDArray[np.float64] | None = None

    @property
    def is_static(self) -> bool:
        """Whether the pose is the same at all times."""
        return self._fixed is not None

    @property
    def known(self) -> str:
        """When the pose is known, in words."""
        first, last = (1e-9 * x for x in (self._stamps[0], self._stamps[-1]))
        return f"from {first:.3f} to {last:.3f} s, with gaps of at most {1e-9 * _MAX_GAP_NS:g} s"

    def add(self, parent: str, stamp: int, pose: NDArray[np.float64]) -> None:
        """Add the pose at a time."""
        self.parent = parent
        at = bisect_left(self._stamps, stamp)
        if at < len(self._stamps) and self._stamps[at] == stamp:
            self._poses[at] = pose
        else:
            self._stamps.insert(at, stamp)
            self._poses.insert(at, pose)

    def forget(self, keep_ns: int) -> None:
        """Drop what is older than the newest pose by more."""
        first = bisect_left(self._stamps, self._stamps[-1] - keep_ns)
        del self._stamps[:first], self._poses[:first]

    def fix(self, parent: str, pose: NDArray[np.float64]) -> None:
        """Set the pose for all times."""
        self.parent, self._fixed = parent, pose

    def at(self, stamp: int) -> NDArray[np.float64] | None:
        """The pose (4, 4) at a time; None if it is not known."""
        if self._fixed is not None:
            return self._fixed
        after = bisect_left(self._stamps, stamp)
        if after < len(self._stamps) and self._stamps[after] == stamp:
            return self._poses[after]
        if not 0 < after < len(self._stamps):
            return None
        first, last = self._stamps[after - 1 : after + 1]
        if last - first > _MAX_GAP_NS:
            return None
        share = (stamp - first) / (last - first)
        a, b = self._poses[after - 1 : after + 1]
        pose = (1.0 - share) * a + share * b
        turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([a[:3, :3], b[:3, :3]])))
        pose[:3, :3] = turn(share).as_matrix()
        return pose


def _name(frame_id: str) -> str:
    """The frame id without the leading slash of ROS 1."""
    return frame_id.removeprefix("/")


def _matrix(transform: Any) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = transform_arrays(transform)
    return matrix
