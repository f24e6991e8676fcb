"""The evaluator node: compares objects with ground truth, shows a table, records the run."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rich.box
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rich.console import Console
from rich.live import Live
from rich.table import Table
from sdfpose.msg import InstanceLabels, SdfObject, SdfObjectArray
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.evaluation.frame_evaluation import ReportedObject
from sdfpose_core.messages.decoding import decode_colour
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.objects import truth_from_message
from sdfpose_ros.evaluation.live_evaluation import EvaluatedFrame, LiveEvaluation
from sdfpose_ros.evaluation.parameters import EvaluatorNodeParameters
from sdfpose_ros.evaluation.recorder import McapRecorder, RecordedTopic
from sdfpose_ros.graph.mesh_files import mesh_path, write_mesh
from sdfpose_ros.graph.parameters import declare
from sdfpose_ros.graph.process import run_node

__all__ = ["EvaluatorNode", "evaluation_table", "main"]

_OVERLAY_GRACE_S = 5.0
"""Longest wait at the end for the overlay of the reported frame."""

_REFRESH_S = 0.5
_PRINT_EVERY_S = 10.0
"""Period of printing the table if the output is not a terminal, where it cannot be updated."""

_TABLE_WIDTH = 100
_OVERLAYS_KEPT = 20
_MESHES_KEPT = 100
_SENSOR_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
_RESULT_QOS = QoSProfile(depth=50)
_LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_EVERYTHING_QOS = QoSProfile(depth=100, history=HistoryPolicy.KEEP_LAST)


class EvaluatorNode(Node):
    """Evaluates the poses of a running graph.

    Remap its inputs ``~/objects``, ``~/meshes``, ``~/overlay`` and ``~/ground_truth`` to the topics
    of the pose node and the camera.

    Args:
        name: node name.
        console: console for the table; standard output by default.
        options: further arguments of `rclpy.node.Node`.
    """

    _reported = True  # nothing to report until the node is complete
    _recorder: McapRecorder | None = None

    def __init__(
        self, *, name: str = "evaluator", console: Console | None = None, **options: Any
    ) -> None:
        super().__init__(name, **options)
        self._settings = declare(self, EvaluatorNodeParameters)
        self._output = Path(self._settings.output_dir) if self._settings.output_dir else None
        self._evaluation = LiveEvaluation(self._settings.matching_window)
        self._true_categories: set[str] = set()
        self._meshes: dict[int, SdfObject] = {}
        self._overlays: dict[int, Image] = {}
        self._console = console or _default_console()
        self._live = Live(console=self._console, auto_refresh=False)
        self._started_s = time.monotonic()
        self._first_result_s: float | None = None
        self._printed_s = self._started_s
        self.create_subscription(SdfObjectArray, "~/ground_truth", self._take_truth, _RESULT_QOS)
        self.create_subscription(SdfObjectArray, "~/objects", self._take_objects, _RESULT_QOS)
        self.create_subscription(SdfObjectArray, "~/meshes", self._take_meshes, _LATCHED_QOS)
        if self._output is not None:
            _make_folder(self._output)
            self.create_subscription(Image, "~/overlay", self._take_overlay, _RESULT_QOS)
            if self._settings.record:
                self._recorder = McapRecorder(
                    self, self._output / "demo.mcap", self._recorded_topics()
                )
        self._reported = False
        self._live.start()
        self.create_timer(_REFRESH_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def destroy_node(self) -> None:
        """Write the report, close the recording and restore the terminal."""
        try:
            self._report()
        finally:
            if self._recorder is not None:
                self._recorder.close()
            super().destroy_node()

    def missing_categories(self) -> list[str]:
        """Return the expected categories for which no estimate was evaluated."""
        wanted = set(self._settings.categories) or self._true_categories
        best = self._evaluation.best
        return sorted(wanted - (best.evaluated_categories if best else set()))

    def _recorded_topics(self) -> dict[str, RecordedTopic]:
        inputs: dict[str, type] = {
            "colour": Image,
            "depth": Image,
            "mask": Image,
            "camera_info": CameraInfo,
            "labels": InstanceLabels,
        }
        topics = {f"~/{name}": RecordedTopic(kind, _SENSOR_QOS) for name, kind in inputs.items()}
        topics["~/ground_truth"] = RecordedTopic(SdfObjectArray, _RESULT_QOS)
        topics["~/objects"] = RecordedTopic(SdfObjectArray, _RESULT_QOS)
        topics["~/meshes"] = RecordedTopic(SdfObjectArray, _LATCHED_QOS)
        topics["~/markers"] = RecordedTopic(MarkerArray, _RESULT_QOS)
        topics["~/overlay"] = RecordedTopic(Image, _RESULT_QOS)
        topics["/diagnostics"] = RecordedTopic(DiagnosticArray, _RESULT_QOS)
        topics["/tf"] = RecordedTopic(TFMessage, _EVERYTHING_QOS)
        return {self.resolve_topic_name(name): topic for name, topic in topics.items()}

    def _take_truth(self, message: SdfObjectArray) -> None:
        truths = [truth_from_message(x) for x in message.objects]
        self._true_categories |= {x.category for x in truths if x.has_pose}
        self._evaluation.add_truth(message)

    def _take_objects(self, message: SdfObjectArray) -> None:
        if message.objects and self._first_result_s is None:
            self._first_result_s = time.monotonic()
        self._evaluation.add_result(message, self.get_clock().now().nanoseconds * 1e-9)

        self._take_meshes(message)

    def _take_meshes(self, message: SdfObjectArray) -> None:
        for x in message.objects:
            if len(x.mesh_vertices):
                self._meshes.pop(x.id, None)
                self._meshes[x.id] = x
        # Ids are never reused, so meshes of removed objects would accumulate.
        best = self._evaluation.best
        wanted = set() if best is None else {x.reported.id for x in best.objects}
        for outdated in [i for i in self._meshes if i not in wanted][:-_MESHES_KEPT]:
            del self._meshes[outdated]

    def _take_overlay(self, message: Image) -> None:
        self._overlays[stamp_ns(message.header)] = message
        best = self._evaluation.best
        outdated = [stamp for stamp in self._overlays if best is None or stamp != best.stamp_ns]
        for stamp in outdated[:-_OVERLAYS_KEPT]:
            del self._overlays[stamp]

    def _tick(self) -> None:
        now = time.monotonic()
        frame = self._evaluation.latest
        if frame is not None:
            table = self._table(frame)
            if self._console.is_terminal:
                self._live.update(table, refresh=True)
            elif now - self._printed_s >= _PRINT_EVERY_S:
                self._printed_s = now
                self._console.print(table)
        if self._settings.duration_s and self._is_over(now):
            self._finish()

    def _is_over(self, now: float) -> bool:
        if self._first_result_s is None:
            return now - self._started_s >= self._settings.startup_s
        late_s = now - self._first_result_s - self._settings.duration_s
        # The overlay of a frame arrives shortly after its objects.
        best = self._evaluation.best
        complete = self._output is None or (best is not None and best.stamp_ns in self._overlays)
        return late_s >= (0.0 if complete else _OVERLAY_GRACE_S)

    def _table(self, frame: EvaluatedFrame) -> Table:
        return evaluation_table(frame, self._evaluation.rate_hz, self._evaluation.latency_s)

    def _report(self) -> None:
        """Show the best frame and write the outputs. Does nothing when called again."""
        best = self._evaluation.best
        if self._reported:
            return
        self._reported = True
        self._live.stop()
        if best is not None:
            self._console.print(self._table(best))
            if self._output is not None:
                self._write(self._output, best)

    def _finish(self) -> None:
        """Report, list missing categories and end the process."""
        self._report()
        best = self._evaluation.best
        missing = self.missing_categories()
        if missing or best is None:
            silent = "no results received: " if best is None else ""
            self._console.print(
                f"[red]{silent}no evaluated estimate of: {', '.join(missing) or 'anything'}[/red]"
            )
        raise SystemExit(1 if missing or best is None else 0)

    def _write(self, folder: Path, frame: EvaluatedFrame) -> None:
        objects = [x.as_json() for x in frame.objects]
        (folder / "objects.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
        overlay = self._overlays.get(frame.stamp_ns)
        if overlay is None:
            self.get_logger().warning(
                f"{self.resolve_topic_name('~/overlay')}: no overlay of the frame in objects.json: "
                "expected one for each result; overlay.png is not written (is publish_overlay "
                "set?)"
            )
        else:
            pixels = decode_colour(overlay, "overlay")
            cv2.imwrite(str(folder / "overlay.png"), pixels[..., ::-1])
        for item in frame.objects:
            try:
                self._write_mesh(folder, item.reported)
            except SdfposeError as error:
                self.get_logger().warning(f"{item.reported.category} {item.reported.id}: {error}")
        if self._recorder is not None:
            self._recorder.close()

    def _write_mesh(self, folder: Path, item: ReportedObject) -> None:
        mesh = self._meshes.get(item.id)
        if mesh is None:
            self.get_logger().warning(
                f"{self.resolve_topic_name('~/meshes')}: no mesh of {item.category} {item.id}: "
                "expected one for each object; its .ply is not written (is publish_meshes set?)"
            )
            return
        write_mesh(mesh_path(str(folder), f"{item.category}_{item.id}"), mesh)


def _make_folder(folder: Path) -> None:
    """Create the output folder.

    Raises:
        ConfigurationError: it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"parameter output_dir: {folder}: {error.strerror}: expected a folder that can be "
            "created"
        ) from error
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(
            f"parameter output_dir: {folder}: no permission: expected a folder that can be written"
        )


def _default_console() -> Console:
    """Create a console. A pipe or file has no width, so it gets one that fits the table.

    Characters that the encoding of standard output lacks are replaced.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console()
    return console if console.is_terminal else Console(width=_TABLE_WIDTH)


def evaluation_table(frame: EvaluatedFrame, rate_hz: float, latency_s: float) -> Table:
    """Create the table of the objects of one frame."""
    latency = "-" if np.isnan(latency_s) else f"{1000 * latency_s:.0f} ms"
    table = Table(
        title=f"{len(frame.objects)} objects, {rate_hz:.1f} results/s, latency {latency}",
        caption="camera frame (x right, y down, z forward); errors follow the NOCS protocol",
        box=rich.box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
    )
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("category", no_wrap=True)
    for column in ("position (m)", "up axis", "size (cm)", "conf.", "error"):
        table.add_column(column, justify="right", no_wrap=True)
    for evaluation in sorted(frame.objects, key=lambda x: (x.reported.category, x.reported.id)):
        item, errors = evaluation.reported, evaluation.errors
        error = "-"
        if errors is not None:
            error = f"{errors.rot_err_deg:.1f}\u00b0 {errors.trans_err_cm:.1f} cm"
        table.add_row(
            str(item.id),
            item.category,
            " ".join(f"{value:.2f}" for value in item.translation),
            " ".join(f"{value:.1f}" for value in item.rotation[:, 1]),
            "x".join(f"{100 * side:.1f}" for side in item.dimensions_m),
            f"{item.confidence:.2f}",
            error,
        )
    return table


def main(args: Sequence[str] | None = None) -> int:
    """Run the evaluator node."""
    return run_node(EvaluatorNode, args)


if __name__ == "__main__":
    sys.exit(main())
