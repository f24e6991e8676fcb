"""The pose node: RGB-D images, with or without masks, in; poses and meshes out.

Callbacks only match messages. Worker threads process the newest complete frame.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.label_rules import parse_label_rules
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.packs.collection import Packs
from sdfpose_ros.graph.parameters import LiveParameters, default_frame_prefix
from sdfpose_ros.graph.process import run_node
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.pose.camera_names import camera_names
from sdfpose_ros.pose.detection_server import DetectionServer
from sdfpose_ros.pose.diagnostics import Diagnostics, FrameCounts, Health, NodeState
from sdfpose_ros.pose.distance_queries import SceneSource
from sdfpose_ros.pose.estimation import Estimation, TrackerFactory, make_tracker
from sdfpose_ros.pose.grasps import Grasps
from sdfpose_ros.pose.gravity import Gravity
from sdfpose_ros.pose.inputs import FrameInputs
from sdfpose_ros.pose.made_masks import MadeMasks, make_masks
from sdfpose_ros.pose.mask_names import TOPIC
from sdfpose_ros.pose.parameters import PoseNodeParameters
from sdfpose_ros.pose.publishers import ResultPublisher
from sdfpose_ros.pose.services import InvalidStateError, PoseServices
from sdfpose_ros.pose.target_frame import TargetFrame
from sdfpose_ros.pose.transforms import TransformBuffer, transform_buffer
from sdfpose_ros.pose.world_frame import WorldFrame

if TYPE_CHECKING:
    from sdfpose_core.tracking.tracker import TrackerResult

__all__ = ["InvalidStateError", "PoseNode", "main"]

_TRANSPORTS = ("colour_transport", "depth_transport", "mask_transport")
"""A change of these parameters requires new subscriptions."""


class PoseNode(LifecycleNode):
    """Estimates poses and shapes of the objects in RGB-D images.

    A lifecycle node. ``configure`` loads the weights and creates the publishers, ``activate``
    subscribes and starts to estimate, ``deactivate`` stops and forgets all objects, ``cleanup``
    releases the weights. With the parameter ``autostart`` it configures and activates itself.

    Args:
        tracker: creates the tracker from the node's parameters.
        name: node name.
        options: further arguments of `rclpy.node.Node`.

    Attributes:
        inputs: the subscriptions by camera while the node is active, else empty; see `cameras`.
        estimation: the estimation while the node is configured, else None.
        live: the parameters.
        transforms: those of /tf, if a parameter needs them and the node is configured.
        scenes: makes scenes of the objects while the node is configured.

    Raises:
        SdfposeError: a parameter is invalid, or autostart fails.
    """

    # Already while a wrong parameter ends the node.
    inputs: Mapping[str, FrameInputs] = MappingProxyType({})
    estimation: Estimation | None = None

    def __init__(
        self,
        tracker: TrackerFactory = make_tracker,
        *,
        name: str = "sdfpose",
        **options: Any,
    ) -> None:
        super().__init__(name, **options)
        self._looks = DetectionServer(
            self, self, self._known_categories, self.publishing, lambda: self.transforms
        )
        self._make_tracker = tracker
        self.live = LiveParameters(self, PoseNodeParameters, self._rules_of, self._take_parameters)
        self._rules = self._rules_of(self.live.values)
        self._log = ThrottledLog(self.get_logger())
        self._publisher: ResultPublisher | None = None
        self.transforms: TransformBuffer | None = None
        self._gravity: Gravity | None = None
        self._masks: dict[str, MadeMasks] = {}
        self.scenes: SceneSource | None = None
        self._grasps: Grasps | None = None
        self._failure: Exception | None = None
        self._starting = False
        self.diagnostics = Diagnostics(self, self._health)
        self._answers = PoseServices(self)
        if self.live.values.autostart:
            self._start()

    @property
    def node_state(self) -> NodeState:
        """Lifecycle state of the node."""
        if self.estimation is None:
            return "unconfigured"
        return "active" if self.inputs and not self._looks.looking else "inactive"

    def destroy_node(self) -> None:
        """Stop the estimation, then destroy the node."""
        self._looks.close()
        if self.estimation is not None:
            self.estimation.close()
        super().destroy_node()
        # rclpy leaves the services of the lifecycle in the graph until the node is collected.
        self._state_machine.destroy_when_not_in_use()

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and create the publishers."""
        return self._transition(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start to estimate."""
        return self._transition(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop estimating, forget all objects and stop the background work."""
        return self._transition(self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the weights and destroy the publishers."""
        return self._transition(self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        return self._transition(self._clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to the unconfigured state, so that the node can be configured again."""
        return self._transition(self._clean_up)

    def _start(self) -> None:
        self._starting = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() is not TransitionCallbackReturn.SUCCESS:
                self.destroy_node()
                assert self._failure is not None
                raise self._failure
        self._starting = False

    def _transition(self, action: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            action()
        except SdfposeError as error:
            self._failure = error
            if not self._starting:  # otherwise it ends the process, which logs it
                self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # rclpy would not log it
            self._failure = error
            if not self._starting:
                self.get_logger().error("".join(traceback.format_exception(error)))
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        parameters = self.live.values
        packs = Packs.beside_shipped(parameters.weights_dirs)
        cameras = camera_names(parameters.cameras, parameters.world_frame)
        tracker = self._make_tracker(parameters, packs, self.get_logger().warning)
        sources = make_masks(parameters, packs, cameras)
        target_frame = None
        self.transforms = transforms = transform_buffer(self, parameters)
        if parameters.target_frame:
            assert transforms is not None
            target_frame = TargetFrame(transforms, parameters.target_frame)
        self._gravity = Gravity(
            self, transforms, parameters.gravity_frame, self._log, use_imu=parameters.use_imu
        )
        self._publisher = ResultPublisher(
            self,
            lambda: self.live.values,
            packs.categories,
            parameters.frame_prefix or default_frame_prefix(self.get_namespace()),
            target_frame,
            self._log,
            parameters.world_frame,
        )
        self._masks = {x: MadeMasks(self, y, self._log, x) for x, y in sources.items()}
        self.scenes = SceneSource(tracker)
        if parameters.grasps:
            self._grasps = Grasps(self, self.scenes, lambda: self.live.values, self._log.failure)
        self.estimation = Estimation(
            self,
            tracker,
            self._publisher,
            packs.categories,
            self._processed,
            self._gravity,
            self._log,
            self._masks,
            self._grasps,
            self._world_frame(parameters, transforms),
        )
        self.live.configured = True
        self.get_logger().info("configured: the weights are loaded")

    def _world_frame(
        self, parameters: PoseNodeParameters, transforms: TransformBuffer | None
    ) -> WorldFrame | None:
        if not parameters.world_frame:
            return None
        assert transforms is not None
        return WorldFrame(
            transforms,
            parameters.world_frame,
            parameters.camera_pose_sd_m,
            parameters.camera_pose_sd_deg,
            self._log,
        )

    def _activate(self) -> None:
        self.configured().tracker.prepare(wait=False)  # the first image does not wait for it
        if self._looks.looking:
            self._looks.adopt()
        else:
            self._subscribe()

    def _deactivate(self) -> None:
        self._looks.stop("the node was deactivated")
        self._unsubscribe()
        try:
            self.configured().pause()
        except SdfposeError:
            self._subscribe()  # still active
            raise
        self.get_logger().info("inactive: all objects are forgotten")

    def _clean_up(self) -> None:
        self._looks.stop("the node was cleaned up")
        self._unsubscribe()
        device = ""
        if self.estimation is not None:
            self.estimation.close()
            device = self.estimation.tracker.device
        parts = (self._grasps, self._publisher, self._gravity, self.transforms)
        for part in (*self._masks.values(), *parts):
            if part is not None:
                part.close()
        self.estimation = self._publisher = None
        self._masks = {}
        self._gravity = self.transforms = None
        self.scenes = self._grasps = None
        self.live.configured = False
        if device:
            self.get_logger().info("unconfigured: the weights are released")
        if device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _processed(self, header: Header, result: TrackerResult) -> None:
        self.diagnostics.frame_processed(stamp_ns(header), result)
        self._looks.take(header, result)

    def _known_categories(self) -> Categories:
        return Packs.beside_shipped(self.live.values.weights_dirs).categories

    # A look, see `LookHost`

    def begin_look(self) -> bool:
        """Receive images for a goal of ~/detect_objects; returns whether they were not before.

        Raises:
            InvalidStateError: the node is not configured.
        """
        self.configured()
        if self.inputs:
            return False
        self._subscribe()
        return True

    def end_look(self) -> None:
        """Receive no more images, forget all objects and stop the background work."""
        self._unsubscribe()
        self.configured().pause()

    @property
    def awaited(self) -> str:
        """The topics of the images."""
        received = [x.synchronizer.statistics.received for x in self.inputs.values()]
        return ", ".join(topic for x in received for topic in x)

    def _health(self) -> Health:
        estimation = self.estimation
        return Health(
            self.node_state,
            FrameCounts() if estimation is None else estimation.counts(),
            self.live.values.device if estimation is None else estimation.tracker.device,
            [x.synchronizer for x in self.inputs.values()],
            busy=self._is_busy(),
        )

    # Inputs

    def _subscribe(self) -> None:
        values = self.live.values
        self.inputs = {
            camera: FrameInputs(
                self,
                values,
                camera=camera,
                labelled=self._rules is None,
                on_frame=partial(self._submit, camera),
                on_error=self._log.failure,
                on_restart=partial(self._restart, camera),
                is_busy=self._is_busy,
                log=self._log,
            )
            for camera in camera_names(values.cameras, values.world_frame)
        }
        topics = ", ".join(
            y for x in self.inputs.values() for y in x.synchronizer.statistics.received
        )
        self.get_logger().info(f"ready: waiting for messages on {topics}")

    def _unsubscribe(self) -> None:
        for inputs in self.inputs.values():
            inputs.close()
        self.inputs = {}

    def _is_busy(self) -> bool:
        return self.estimation is not None and self.estimation.worker.busy

    def _submit(self, camera: str, messages: FrameMessages) -> None:
        self.diagnostics.frame_received()
        self.configured().submit(
            messages,
            self.active()[camera].topics,
            self._rules,
            self.live.values.depth_unit or None,
            camera,
        )

    def _restart(self, camera: str) -> None:
        self.get_logger().warning(
            f"{self.active()[camera].topics.colour}: time jumped back: all objects are forgotten"
        )
        if self.transforms is not None:
            self.transforms.forget()
        if self._gravity is not None:
            self._gravity.forget()
        self.configured().forget()

    def _rules_of(self, parameters: PoseNodeParameters) -> LabelRules | None:
        if parameters.masks != TOPIC and parameters.mask_categories:
            raise ConfigurationError(
                f"parameter mask_categories has no effect with masks: {parameters.masks}, whose "
                "ids are those of the source: expected category, or masks: topic"
            )
        categories = Packs.beside_shipped(parameters.weights_dirs).categories
        return parse_label_rules(parameters.category, parameters.mask_categories, categories)

    def _take_parameters(self, before: PoseNodeParameters, now: PoseNodeParameters) -> None:
        """Apply changed parameters."""
        rules, self._rules = self._rules, self._rules_of(now)
        if not self.inputs:
            return
        if rules != self._rules:
            self.configured().forget()
        transport_changed = any(getattr(before, name) != getattr(now, name) for name in _TRANSPORTS)
        labels_changed = now.masks == TOPIC and (rules is None) != (self._rules is None)
        if transport_changed or labels_changed:
            self._unsubscribe()
            self._subscribe()
        elif (before.queue_size, before.slop_s) != (now.queue_size, now.slop_s):
            for inputs in self.inputs.values():
                inputs.synchronizer.reconfigure(now.queue_size, now.slop_s)

    # Parts that depend on the state

    @property
    def labelled(self) -> bool:
        """Whether a topic gives the categories of the mask ids."""
        return self._rules is None

    def configured(self) -> Estimation:
        """The estimation.

        Raises:
            InvalidStateError: the node is not configured.
        """
        if self.estimation is None:
            raise InvalidStateError("the node is unconfigured: expected it to be configured")
        return self.estimation

    def publishing(self) -> ResultPublisher:
        """The publisher of the results.

        Raises:
            InvalidStateError: the node is not configured.
        """
        self.configured()
        assert self._publisher is not None
        return self._publisher

    def active(self) -> Mapping[str, FrameInputs]:
        """The subscriptions by camera.

        Raises:
            InvalidStateError: the node is not active.
        """
        if not self.inputs:
            raise InvalidStateError(f"the node is {self.node_state}: expected it to be active")
        return self.inputs


def main(args: Sequence[str] | None = None) -> int:
    """Run the pose node."""
    return run_node(PoseNode, args)


if __name__ == "__main__":
    sys.exit(main())
