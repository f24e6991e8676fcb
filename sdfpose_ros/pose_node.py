"""The pose node: RGB-D images and masks in, poses and meshes out.

Callbacks only put messages together; a worker thread estimates on the newest complete frame.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.errors import SdfposeError, WeightsError
from sdfpose_core.frame import RgbdFrame, SkippedInstance
from sdfpose_core.messages.decoding import (
    InputTopics,
    camera_from_info,
    check_depth_unit,
    check_rectified,
    rgbd_frame,
)
from sdfpose_core.messages.errors import MessageError
from sdfpose_core.messages.label_rules import parse_label_rules
from sdfpose_core.messages.synchronizer import FrameMessages, FrameSynchronizer
from sdfpose_ros.diagnostics import Diagnostics, FrameCounts
from sdfpose_ros.parameters import PoseNodeParameters, declare, default_frame_prefix
from sdfpose_ros.process import run_node
from sdfpose_ros.publishers import ResultPublisher
from sdfpose_ros.stand_ins import cv_bridge, message_filters
from sdfpose_ros.target_frame import TargetFrame
from sdfpose_ros.throttle import ThrottledLog
from sdfpose_ros.worker import NewestWorker

if TYPE_CHECKING:
    from sdfpose_core.tracker import TrackerResult

__all__ = ["FrameTracker", "PoseNode", "main", "make_tracker"]

_SILENCE_S = 5.0
"""Without a frame for so long, the node says which topic it waits for."""

_SKIPPED_TOLD = 5
"""Instances without an estimate that one warning names."""


class FrameTracker(Protocol):
    """What the node needs of a tracker."""

    def step(self, frame: RgbdFrame) -> TrackerResult:
        """Estimate the objects of one frame and follow them."""
        ...

    def reset(self) -> None:
        """Forget all objects."""
        ...

    def close(self) -> None:
        """End what runs beside the images."""
        ...


def make_tracker(
    parameters: PoseNodeParameters, categories: Categories, warn: Callable[[str], object]
) -> FrameTracker:
    """The tracker that the parameters describe, with its estimator's weights loaded.

    Args:
        parameters: say how to estimate.
        categories: the known ones.
        warn: told of weights that cannot be used; the other categories are estimated.

    Raises:
        SdfposeError: the device cannot be used.
    """
    # Imported here: torch takes seconds, and tests of the node do without.
    from sdfpose_core.device import use_threads
    from sdfpose_core.estimator import EstimatorConfig, PoseEstimator
    from sdfpose_core.tracker import Tracker, TrackerConfig

    use_threads(parameters.threads)
    config = EstimatorConfig(
        encoder=parameters.encoder,
        refine=parameters.refine,
        device=parameters.device,
        weights_dir=parameters.weights_dir or None,
    )
    estimator = PoseEstimator(config, categories)
    for category in categories:
        try:
            estimator.load(category)
        except WeightsError as error:
            warn(f"category '{category}' is left out: {error}")
    tracker = Tracker(estimator, TrackerConfig(trial_process=estimator.device.type == "cpu"))
    tracker.prepare()
    return tracker


TrackerFactory = Callable[[PoseNodeParameters, Categories, Callable[[str], object]], FrameTracker]


class PoseNode(Node):
    """Estimates poses and shapes of the objects in RGB-D images with instance masks.

    Args:
        tracker: makes the tracker of the node's parameters.
        name: the node's name.
        options: further arguments of `rclpy.node.Node`.

    Attributes:
        passed_over: frames that came while it was disabled.
    """

    def __init__(
        self,
        tracker: TrackerFactory = make_tracker,
        *,
        name: str = "sdfpose",
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        categories = default_categories()
        parameters = declare(self, PoseNodeParameters)
        self._label_rules = parse_label_rules(
            parameters.category, parameters.mask_categories, categories
        )
        self._bridge = cv_bridge.CvBridge()
        self._log = ThrottledLog(self.get_logger())
        target_frame = None
        if parameters.target_frame:
            target_frame = TargetFrame(
                self, parameters.target_frame, parameters.transform_timeout_s
            )
        self._tracker = tracker(parameters, categories, self.get_logger().warning)
        self._publisher = ResultPublisher(
            self,
            parameters,
            categories,
            parameters.frame_prefix or default_frame_prefix(self.get_namespace()),
            target_frame,
            self._log,
        )
        self._last_header = Header()
        self._enabled = True
        self.passed_over = 0
        self.topics = InputTopics(
            *(
                self.resolve_topic_name(f"~/{name}")
                for name in ("colour", "depth", "mask", "camera_info", "labels")
            )
        )
        self.worker = NewestWorker(self._process, self._tell, "estimation")
        self.diagnostics = Diagnostics(self, self._counts, parameters.device)
        self.synchronizer = self._subscribe(parameters)
        self._matched_before = 0
        self._received_before: dict[str, int] = dict(self.synchronizer.statistics.received)
        self._watch = self.create_timer(
            _SILENCE_S, self._check_inputs, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._reset_service = self.create_service(Trigger, "~/reset", self._reset)
        self._enable_service = self.create_service(SetBool, "~/set_enabled", self._set_enabled)
        self.get_logger().info(
            f"ready: waits for {', '.join(self.synchronizer.statistics.received)}"
        )

    def destroy_node(self) -> None:
        """End the worker and what it started, then the node."""
        worker = getattr(self, "worker", None)
        if worker is not None and not worker.stop():
            self.get_logger().warning("the worker is still busy with its last frame")
        tracker = getattr(self, "_tracker", None)
        if tracker is not None:
            tracker.close()
        super().destroy_node()

    def _subscribe(self, parameters: PoseNodeParameters) -> FrameSynchronizer:
        def source(message: type, topic: str) -> message_filters.Subscriber:
            return message_filters.Subscriber(
                self,
                message,
                topic,
                qos_profile=qos_profile_sensor_data,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

        return FrameSynchronizer(
            colour=source(Image, "~/colour"),
            depth=source(Image, "~/depth"),
            mask=source(Image, "~/mask"),
            info=source(CameraInfo, "~/camera_info"),
            labels=source(InstanceLabels, "~/labels") if self._label_rules is None else None,
            topics=self.topics,
            queue_size=parameters.queue_size,
            slop_s=parameters.slop_s,
            on_frame=self._submit,
            on_error=self._tell,
            on_restart=self._restart,
        )

    def _submit(self, messages: FrameMessages) -> None:
        self.diagnostics.came()
        if self._enabled:
            self.worker.submit(messages)
        else:
            self.passed_over += 1

    def _counts(self) -> FrameCounts:
        worker = self.worker
        return FrameCounts(
            worker.submitted + self.passed_over,
            worker.processed,
            worker.failed,
            worker.replaced,
            self.passed_over,
        )

    def _process(self, messages: FrameMessages) -> None:
        """Work on one frame, in the worker's thread."""
        self._last_header = messages.colour.header
        camera = camera_from_info(messages.info, self.topics.camera_info)
        self._tell_only(lambda: check_rectified(messages.info, self.topics))
        labels = self._label_rules if messages.labels is None else messages.labels
        assert labels is not None
        frame = rgbd_frame(
            messages.colour,
            messages.depth,
            messages.mask,
            camera,
            labels,
            self.topics,
            self._bridge,
        )
        self._tell_only(lambda: check_depth_unit(messages.depth, self.topics.depth))
        if not frame.mask.any():
            self._log.warning(
                "empty mask",
                f"{self.topics.mask}: an empty mask: expected instance ids above 0 on the objects",
            )
        result = self._tracker.step(frame)
        self._publisher.publish(frame, messages.colour.header, result)
        self.diagnostics.done(frame.stamp_ns, result)
        self._tell_skipped(result.skipped)

    def _tell_only(self, check: Callable[[], None]) -> None:
        """Tell what a check finds; the frame is used all the same."""
        try:
            check()
        except MessageError as error:
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self.context.ok():
            return  # shut down in the middle of a frame: there is nobody left to publish to
        if isinstance(error, MessageError):
            self._log.warning((type(error), error.topic), str(error))
        elif isinstance(error, SdfposeError):
            self._log.error(type(error).__name__, str(error))
        else:
            trace = "".join(traceback.format_exception(error))
            self._log.error(type(error).__name__, f"the frame is left out: {error!r}\n{trace}")

    def _tell_skipped(self, skipped: Sequence[SkippedInstance]) -> None:
        due = [s for s in skipped if self._log.due(("skipped", s.mask_id, s.category))]
        if not due:
            return
        told = "; ".join(s.reason for s in due[:_SKIPPED_TOLD])
        more = f"; and {len(due) - _SKIPPED_TOLD} more" if len(due) > _SKIPPED_TOLD else ""
        self.get_logger().warning(
            f"{self.topics.mask}: {len(skipped)} instance(s) without an estimate: {told}{more}"
        )

    def _restart(self) -> None:
        self.get_logger().warning(
            f"{self.topics.colour}: time jumped back: all objects are forgotten"
        )
        self.worker.interrupt(self._forget_objects)

    def _reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.worker.interrupt(self._forget_objects)
        response.success = True
        response.message = "all objects are forgotten before the next image is worked on"
        return response

    def _set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        """Objects are forgotten when it is disabled: where they are later is not known."""
        if self._enabled and not request.data:
            self.worker.interrupt(self._forget_objects)
        self._enabled = request.data
        response.success = True
        response.message = (
            "images are worked on"
            if self._enabled
            else "images are passed over, and all objects are forgotten"
        )
        return response

    def _forget_objects(self) -> None:
        self._tracker.reset()
        self._publisher.clear(self._last_header)

    def _check_inputs(self) -> None:
        """Say why no frames come: a topic is silent, or stamps do not agree."""
        statistics = self.synchronizer.statistics
        silent = [
            topic
            for topic, count in statistics.received.items()
            if count == self._received_before[topic]
        ]
        matched = statistics.matched - self._matched_before
        self._received_before = dict(statistics.received)
        self._matched_before = statistics.matched
        if matched:
            return
        for topic in silent:
            publishers = self.count_publishers(topic)
            hint = "is its QoS compatible?" if publishers else "is the topic's name right?"
            self._log.warning(
                ("silent", topic),
                f"{topic}: no message for {_SILENCE_S:.0f} s from {publishers} publisher(s): "
                f"expected one for each frame ({hint})",
            )
        if not silent:
            self._log.warning(
                "unmatched",
                f"messages come on {', '.join(statistics.received)}, but for {_SILENCE_S:.0f} s "
                "no stamps agreed: expected equal stamps, or a larger slop_s or queue_size",
            )


def main(args: Sequence[str] | None = None) -> int:
    """Run the pose node."""
    return run_node(PoseNode, args)


if __name__ == "__main__":
    sys.exit(main())
