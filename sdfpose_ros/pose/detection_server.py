"""The action ~/detect_objects: look once, and report the objects."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode
from sdfpose.action import DetectObjects
from std_msgs.msg import Header

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_ros.graph.object_messages import object_message
from sdfpose_ros.pose.transforms import TransformBuffer, TransformMissingError

if TYPE_CHECKING:
    from sdfpose_core.tracking.track import Track
    from sdfpose_core.tracking.tracker import TrackerResult
    from sdfpose_ros.pose.publishers import ResultPublisher

__all__ = ["DetectionServer", "LookHost"]

_VIEWS, _TIMEOUT_S = 3, 10.0
"""Values of a goal that says none."""

_POLL_S = 0.05
"""Feedback, cancellation and the end of the time take effect within this time."""

_MAX_REASONS = 20


class LookHost(Protocol):
    """What a look needs of the pose node."""

    def begin_look(self) -> bool:
        """Receive images; returns whether they were not received before.

        Raises:
            SdfposeError: the node is not configured.
        """
        ...

    def end_look(self) -> None:
        """Receive no more images, forget all objects and stop the background work."""
        ...

    @property
    def awaited(self) -> str:
        """The topics of the images."""
        ...


class _Look:
    """A goal at work.

    Attributes:
        handle: of the goal.
        goal: its request.
        started: whether the node receives images for this goal alone.
        views: number of images.
        latest: header and result of the last one.
        told: number of images of the last feedback.
        error: why the goal fails.
        timeout_s: longest time, seconds.
        end_s: when that is over, seconds.
    """

    def __init__(self, handle: ServerGoalHandle[Any, Any, Any]) -> None:
        self.handle = handle
        self.goal = handle.request
        self.started = False
        self.views = self.told = 0
        self.latest: tuple[Header, TrackerResult] | None = None
        self.error = ""
        self.timeout_s = self.goal.timeout_s or _TIMEOUT_S
        self.end_s = time.monotonic() + self.timeout_s

    @property
    def wanted(self) -> int:
        """Number of images wanted."""
        return int(self.goal.views) or _VIEWS

    @property
    def over(self) -> bool:
        """Whether nothing more is to be seen: the last image has also left nothing for later."""
        enough = self.views >= self.wanted
        return bool(self.error) or (
            enough and self.latest is not None and not self.latest[1].waiting
        )


class DetectionServer:
    """Answers goals of the action, one at a time.

    A goal is accepted at once and runs without a thread of its own: a timer, which exists only
    while one runs, reports what the worker thread has found. The last step alone is executed in
    the sense of the action.

    Args:
        node: offers the action.
        host: receives images for a goal.
        categories: returns the known categories.
        publisher: returns the publisher of the results, which has the objects' meshes.
        transforms: returns those of /tf; None if nobody listens to them.
    """

    def __init__(
        self,
        node: LifecycleNode,
        host: LookHost,
        categories: Callable[[], Categories],
        publisher: Callable[[], ResultPublisher],
        transforms: Callable[[], TransformBuffer | None],
    ) -> None:
        self._node = node
        self._host = host
        self._categories = categories
        self._publisher = publisher
        self._transforms = transforms
        self._lock = Lock()
        self._look: _Look | None = None
        self._timer: Any = None
        self._closed = False
        self._server = ActionServer(
            node,
            DetectObjects,
            "~/detect_objects",
            execute_callback=self._finish,
            goal_callback=self._judge,
            handle_accepted_callback=self._begin,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    @property
    def looking(self) -> bool:
        """Whether the node receives images for a goal alone."""
        look = self._look
        return look is not None and look.started

    def adopt(self) -> None:
        """Keep the images after the goal: the node was activated meanwhile."""
        if self._look is not None:
            self._look.started = False

    def stop(self, reason: str) -> None:
        """End a goal because the node changes its state."""
        look = self._look
        if look is not None:
            look.started = False
            look.error = reason
            self._poll()

    def close(self) -> None:
        """Destroy the action; more than once is no error."""
        if not self._closed:
            self._closed = True
            self._server.destroy()

    def take(self, header: Header, result: TrackerResult) -> None:
        """Note the result of an image. May be called from any thread."""
        with self._lock:
            if self._look is not None:
                self._look.views += 1
                self._look.latest = header, result

    def _judge(self, goal: DetectObjects.Goal) -> GoalResponse:
        if self._look is None:
            return GoalResponse.ACCEPT
        self._node.get_logger().warning(
            "~/detect_objects: a goal is refused while another one runs: cancel that, or wait"
        )
        return GoalResponse.REJECT

    def _begin(self, handle: ServerGoalHandle[Any, Any, Any]) -> None:
        look = _Look(handle)
        try:
            _check(look.goal, self._categories())
            look.started = self._host.begin_look()
        except SdfposeError as error:
            look.error = str(error)
        with self._lock:
            self._look = look
        self._timer = self._node.create_timer(
            _POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def _poll(self) -> None:
        look = self._look
        if look is None:
            return
        with self._lock:
            latest, views = look.latest, look.views
        if latest is not None and views > look.told and not look.error:
            look.told = views
            try:
                tracks, _ = self._chosen(look.goal, *latest)
            except SdfposeError as error:
                look.error = str(error)
            else:
                header = latest[0]
                objects = [object_message(x, header, with_mesh=False) for x in tracks]
                look.handle.publish_feedback(DetectObjects.Feedback(objects=objects, views=views))
        late = time.monotonic() >= look.end_s
        if look.over or late or look.handle.is_cancel_requested:
            self._node.destroy_timer(self._timer)
            look.handle.execute()

    def _finish(self, handle: ServerGoalHandle[Any, Any, Any]) -> DetectObjects.Result:
        """End the goal and give its result."""
        with self._lock:
            look, self._look = self._look, None
        assert look is not None
        result = DetectObjects.Result(views=look.views, message=look.error)
        try:
            if not look.error:
                self._fill(result, look)
        except SdfposeError as error:
            result.message = str(error)
        finally:
            if look.started:
                self._host.end_look()
        if handle.is_cancel_requested:
            handle.canceled()
            result.success, result.message = False, "cancelled"
        elif result.success or result.objects:
            handle.succeed()
        else:
            handle.abort()
        return result

    def _fill(self, result: DetectObjects.Result, look: _Look) -> None:
        if look.latest is None:
            result.message = (
                f"no image was processed within {look.timeout_s:.3g} s: "
                f"expected messages on {self._host.awaited}"
            )
            return
        header, found = look.latest
        tracks, left_out = self._chosen(look.goal, header, found)
        publisher = self._publisher()
        result.objects = [
            publisher.object_with_mesh(x.id)
            if look.goal.with_meshes and len(x.estimate.vertices)
            else object_message(x, header, with_mesh=False)
            for x in tracks
        ]
        left_out += [f"mask {x.mask_id}: {x.reason}" for x in found.skipped]
        left_out += [f"mask {i}: no time to detect it" for i in found.waiting]
        result.left_out = left_out[:_MAX_REASONS]
        result.success = look.views >= look.wanted
        result.message = f"{len(tracks)} objects in {look.views} of {look.wanted} images"

    def _chosen(
        self, goal: DetectObjects.Goal, header: Header, result: TrackerResult
    ) -> tuple[list[Track], list[str]]:
        """The wanted objects, and why the others are left out.

        Raises:
            TransformMissingError: the frame of the region is unknown.
        """
        inside = self._region(goal, header)
        chosen, left_out = [], []
        for x in result.tracks:
            estimate, name = x.estimate, f"{x.estimate.category} {x.id}"
            if x.state.name == "LOST":
                left_out.append(f"{name}: lost")
            elif goal.categories and estimate.category not in goal.categories:
                left_out.append(f"{name}: not wanted")
            elif estimate.confidence < goal.min_confidence:
                left_out.append(
                    f"{name}: confidence {estimate.confidence:.2f} below {goal.min_confidence:.2f}"
                )
            elif not inside(estimate.translation):
                left_out.append(f"{name}: outside the region")
            else:
                chosen.append(x)
        return chosen, left_out

    def _region(
        self, goal: DetectObjects.Goal, header: Header
    ) -> Callable[[NDArray[np.float64]], bool]:
        """Whether a point (3,), metres, in the frame of an image is in the region of a goal."""
        frame_id = goal.region_frame.lstrip("/")
        if not frame_id:
            return lambda point: True
        rotation, translation = np.eye(3), np.zeros(3)
        if frame_id != header.frame_id:
            transforms = self._transforms()
            if transforms is None:
                raise TransformMissingError(
                    f"the region is in frame '{frame_id}', the objects in '{header.frame_id}': set "
                    "the parameter listen_to_tf, or give the region in the objects' frame"
                )
            rotation, translation = transforms.lookup(frame_id, header.frame_id, header.stamp)
        low, high = _array(goal.region_min), _array(goal.region_max)

        def inside(point: NDArray[np.float64]) -> bool:
            place = rotation @ point + translation
            return bool(((low <= place) & (place <= high)).all())

        return inside


def _check(goal: DetectObjects.Goal, categories: Categories) -> None:
    """Refuse a goal that cannot be met.

    Raises:
        ConfigurationError: a category is unknown, or a number makes no sense.
    """
    unknown = [x for x in goal.categories if x not in categories]
    if unknown:
        raise ConfigurationError(
            f"categories: {', '.join(unknown)}: expected some of {', '.join(categories)}"
        )
    if not 0.0 <= goal.min_confidence <= 1.0:
        raise ConfigurationError(f"min_confidence is {goal.min_confidence}: expected 0 to 1")
    if not (math.isfinite(goal.timeout_s) and goal.timeout_s >= 0.0):
        raise ConfigurationError(f"timeout_s is {goal.timeout_s}: expected seconds, or 0 for 10")
    if goal.region_frame:
        low, high = _array(goal.region_min), _array(goal.region_max)
        if not (low <= high).all():
            raise ConfigurationError(
                f"region_min is {low.tolist()} and region_max {high.tolist()}: expected the "
                "smaller coordinates in region_min"
            )


def _array(point: Point) -> NDArray[np.float64]:
    return np.array([point.x, point.y, point.z])
