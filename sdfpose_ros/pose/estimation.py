"""From the messages of a frame to published results, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rclpy.node import Node
from std_msgs.msg import Header

from sdfpose_core.categories import Categories
from sdfpose_core.errors import SdfposeError, WeightsError
from sdfpose_core.messages.compressed import raw_depth
from sdfpose_core.messages.decoding import (
    InputTopics,
    LabelRules,
    camera_from_info,
    check_depth_unit,
    check_rectified,
    rgbd_frame,
)
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.observation.frame import RgbdFrame, SkippedInstance
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.graph.worker import NewestWorker
from sdfpose_ros.pose.diagnostics import FrameCounts
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.publishers import ResultPublisher
from sdfpose_ros.stand_ins import cv_bridge

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["Estimation", "FrameTracker", "TrackerFactory", "make_tracker"]

_PATIENCE_S = 0.02
"""A frame whose successor is due sooner is left out for it."""

_MAX_SKIPPED_LOGGED = 5
"""Instances without an estimate that one warning names."""

_STOP_S = 10.0
"""How long the last frame may take..."""

_END_S = 3.0
"""...and where the node ends: who started it does not wait for long."""


class FrameTracker(Protocol):
    """What the node needs of a tracker."""

    @property
    def device(self) -> str:
        """Where its networks run."""
        ...

    def prepare(self, *, wait: bool = True) -> None:
        """Do now what would make the first images slow."""
        ...

    def step(self, frame: RgbdFrame) -> TrackerResult:
        """Estimate the objects of one frame and follow them."""
        ...

    def reset(self) -> None:
        """Forget all objects."""
        ...

    def close(self) -> None:
        """End what runs beside the images; it can be prepared again."""
        ...


TrackerFactory = Callable[[PoseNodeParameters, Categories, Callable[[str], object]], FrameTracker]


def make_tracker(
    parameters: PoseNodeParameters, categories: Categories, warn: Callable[[str], object]
) -> FrameTracker:
    """The tracker that the parameters describe, with its estimator's weights loaded.

    Args:
        parameters: say how to estimate.
        categories: the known ones.
        warn: told of weights that cannot be used; the other categories are estimated.

    Raises:
        SdfposeError: the device cannot be used, or the weights of no category.
    """
    # Imported here: torch takes seconds, and tests of the node do without.
    from sdfpose_core.device import use_threads
    from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
    from sdfpose_core.tracking.tracker import Tracker, TrackerConfig

    use_threads(parameters.threads)
    config = EstimatorConfig(
        encoder=parameters.encoder,
        refine=parameters.refine,
        device=parameters.device,
        weights_dir=parameters.weights_dir or None,
    )
    estimator = PoseEstimator(config, categories)
    failures = []
    for category in categories:
        try:
            estimator.load(category)
        except WeightsError as error:
            failures.append(error)
            warn(f"category '{category}' is left out: {error}")
    if len(failures) == len(categories):
        raise WeightsError(f"the weights of no category can be used: {failures[0]}")
    return Tracker(
        estimator, TrackerConfig.live(estimator.device, wait=parameters.wait_for_verification)
    )


class _Work(NamedTuple):
    """A frame and what is needed to read it."""

    messages: FrameMessages
    topics: InputTopics
    rules: LabelRules | None


class Estimation:
    """Works on the newest frame, and publishes what comes out.

    What is wrong with a frame is told, and the next one is worked on.

    Args:
        node: has the log.
        tracker: estimates.
        publisher: publishes.
        done: told of each frame that was worked on: its stamp in nanoseconds, and its result.
        log: for what may come with every frame.

    Attributes:
        enabled: if not, frames are passed over.
        passed_over: their number.
        worker: with the numbers of the others.
    """

    def __init__(
        self,
        node: Node,
        tracker: FrameTracker,
        publisher: ResultPublisher,
        done: Callable[[int, TrackerResult], None],
        log: ThrottledLog,
    ) -> None:
        self._node = node
        self.tracker = tracker
        self._publisher = publisher
        self._done = done
        self._log = log
        self._bridge = cv_bridge.CvBridge()
        self._last_header = Header()
        self.enabled = True
        self.passed_over = 0
        self.worker = NewestWorker(self._process, self.tell, "estimation", patience_s=_PATIENCE_S)

    def submit(
        self, messages: FrameMessages, topics: InputTopics, rules: LabelRules | None
    ) -> None:
        """Make a frame the next one to be worked on; returns at once.

        Args:
            messages: of the frame.
            topics: where they came from.
            rules: say what the mask ids are, None where the messages do.
        """
        if self.enabled:
            self.worker.submit(_Work(messages, topics, rules))
        else:
            self.passed_over += 1

    def forget(self) -> None:
        """Forget all objects before the next frame; returns at once."""
        self.worker.interrupt(self._forget)

    def counts(self) -> FrameCounts:
        """What became of the frames."""
        worker = self.worker
        return FrameCounts(
            worker.submitted + self.passed_over,
            worker.processed,
            worker.failed,
            worker.replaced,
            self.passed_over,
        )

    def rest(self) -> None:
        """Forget all objects, wait until that is done, and let go of what runs beside the images.

        Raises:
            SdfposeError: the last frame takes too long.
        """
        self.forget()
        if not self.worker.wait_idle(_STOP_S):
            raise SdfposeError(
                f"the last frame takes more than {_STOP_S:.0f} s: expected it to end; try again"
            )
        self.tracker.close()

    def close(self) -> None:
        """End the thread and what runs beside the images."""
        if not self.worker.stop(_END_S):
            self._node.get_logger().warning("the worker is still busy with its last frame")
        self.tracker.close()

    def tell(self, error: Exception) -> None:
        """Tell what went wrong, in whatever thread."""
        if self._node.context.ok():  # else shut down in the middle of a frame
            self._log.failure(error)

    def _process(self, work: _Work) -> None:
        messages, topics, rules = work
        self._last_header = messages.colour.header
        camera = camera_from_info(messages.info, topics.camera_info)
        self._tell_only(lambda: check_rectified(messages.info, topics))
        labels = rules if messages.labels is None else messages.labels
        assert labels is not None
        depth = raw_depth(messages.depth, topics.depth)
        frame = rgbd_frame(
            messages.colour,
            depth,
            messages.mask,
            camera,
            labels,
            topics,
            self._bridge,
        )
        self._tell_only(lambda: check_depth_unit(depth, topics.depth))
        if not frame.mask.any():
            self._log.warning(
                "empty mask",
                f"{topics.mask}: an empty mask: expected instance ids above 0 on the objects",
            )
        result = self.tracker.step(frame)
        self._publisher.publish(frame, messages.colour.header, result)
        self._done(frame.stamp_ns, result)
        self._tell_skipped(topics.mask, result.skipped)

    def _forget(self) -> None:
        self.tracker.reset()
        self._publisher.clear(self._last_header)

    def _tell_only(self, check: Callable[[], None]) -> None:
        """Tell what a check finds; the frame is used all the same."""
        try:
            check()
        except MessageError as error:
            self.tell(error)

    def _tell_skipped(self, topic: str, skipped: Sequence[SkippedInstance]) -> None:
        due = [s for s in skipped if self._log.due(("skipped", s.mask_id, s.category))]
        if not due:
            return
        told = "; ".join(s.reason for s in due[:_MAX_SKIPPED_LOGGED])
        more = (
            f"; and {len(due) - _MAX_SKIPPED_LOGGED} more" if len(due) > _MAX_SKIPPED_LOGGED else ""
        )
        self._node.get_logger().warning(
            f"{topic}: {len(skipped)} instance(s) without an estimate: {told}{more}"
        )
