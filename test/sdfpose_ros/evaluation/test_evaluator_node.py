from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
import trimesh
from mcap.reader import make_reader
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rich.console import Console
from sdfpose.msg import SdfObjectArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sdfpose_core.evaluation.comparison import PoseErrors
from sdfpose_core.evaluation.frame_evaluation import ObjectEvaluation, ReportedObject
from sdfpose_ros.evaluation.evaluator_node import EvaluatorNode, evaluation_table
from sdfpose_ros.evaluation.live_evaluation import EvaluatedFrame
from sdfpose_ros.graph.image_messages import image_message
from sdfpose_ros.graph.object_messages import ground_truth_message, object_message

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Scene:
    """An evaluator, and a node that plays the camera and the pose node."""

    def __init__(self, fakes, graph, wait_until, tmp_path, **parameters):
        self.fakes, self.wait_until = fakes, wait_until
        graph.start()
        self.output = tmp_path / "out"
        self.text = io.StringIO()
        values = {"output_dir": str(self.output), "duration_s": 1.0, "startup_s": 1.0, **parameters}
        self.evaluator = EvaluatorNode(
            context=graph.context,
            console=Console(file=self.text, width=120),
            parameter_overrides=[Parameter(k, value=v) for k, v in values.items()],
        )
        node = Node("player", context=graph.context)
        kinds = {
            "ground_truth": (SdfObjectArray, 10),
            "objects": (SdfObjectArray, 10),
            "overlay": (Image, 10),
            "meshes": (SdfObjectArray, LATCHED),
        }
        self.publishers = {
            name: node.create_publisher(kind, f"/evaluator/{name}", qos)
            for name, (kind, qos) in kinds.items()
        }
        self.ended: list[int] = []
        self.executor = graph._executor_type(context=graph.context)
        self.executor.add_node(self.evaluator)
        self.executor.add_node(node)

    def spin_until(self, condition, what):
        def step():
            self.executor.spin_once(timeout_sec=0.02)
            return condition()

        self.wait_until(step, what)

    def spin_to_the_end(self) -> int:
        with pytest.raises(SystemExit) as end:
            self.spin_until(lambda: False, "the evaluator's end")
        return end.value.code

    def connect(self):
        connected = lambda: all(x.get_subscription_count() for x in self.publishers.values())  # noqa: E731
        self.spin_until(connected, "connections")

    def publish(self, second: int, categories=("mug", "can")):
        header = Header(frame_id="optical")
        header.stamp.sec = second
        truth, found = [], []
        for mask_id, category in enumerate(("mug", "can"), start=1):
            truth.append(ground_truth_message(self.fakes.make_truth(mask_id, category), header))
            if category in categories:
                estimate = self.fakes.make_estimate(mask_id, category)
                track = self.fakes.make_track(mask_id, estimate)
                found.append(object_message(track, header, with_mesh=True))
        self.publishers["ground_truth"].publish(SdfObjectArray(header=header, objects=truth))
        self.publishers["meshes"].publish(SdfObjectArray(header=header, objects=found))
        pixels = np.full((48, 64, 3), (250, second, 0), np.uint8)
        self.publishers["overlay"].publish(image_message(pixels, "rgb8", header))
        self.publishers["objects"].publish(SdfObjectArray(header=header, objects=found))

    def close(self):
        self.executor.shutdown(timeout_sec=1.0)
        self.evaluator.destroy_node()


@pytest.fixture
def make_scene(fakes, graph, wait_until, tmp_path):
    scenes = []

    def make(**parameters):
        scenes.append(Scene(fakes, graph, wait_until, tmp_path, **parameters))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


def test_it_leaves_json_overlay_meshes_and_a_recording(fakes, make_scene):
    scene = make_scene()
    scene.connect()
    scene.publish(1)
    scene.publish(2, categories=("mug",))
    assert scene.spin_to_the_end() == 0
    assert sorted(x.name for x in scene.output.iterdir()) == [
        "can_2.ply", "demo.mcap", "mug_1.ply", "objects.json", "overlay.png",
    ]  # fmt: skip
    entries = json.loads((scene.output / "objects.json").read_text())
    assert {x["category"]: round(x["trans_err_cm"], 6) for x in entries} == {"mug": 0, "can": 0}
    # The overlay is that of the frame in objects.json.
    overlay = cv2.imread(str(scene.output / "overlay.png"))
    np.testing.assert_array_equal(overlay[0, 0], (0, 1, 250))
    mesh = trimesh.load(scene.output / "mug_1.ply", process=False)
    np.testing.assert_allclose(mesh.vertices, fakes.make_estimate().vertices)
    with (scene.output / "demo.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert "/diagnostics" in {x.topic for x in summary.channels.values()}
    counts = summary.statistics.channel_message_counts
    truth, objects, meshes, overlay = (x for x in counts.values() if x)
    assert (truth, objects, overlay) == (2, 2, 2)
    assert meshes >= 1  # latched: the last one replaces those before
    table = scene.text.getvalue()
    for part in ("mug", "can", "0.0°", "0.0 cm", "results/s", "latency"):
        assert part in table


def test_no_mesh_leaves_the_folder_whatever_its_category_is(make_scene, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.evaluation.evaluator_node._OVERLAY_GRACE_S", 0.2)
    scene = make_scene()
    scene.connect()
    header = Header(frame_id="optical")
    for category, vertices in (("../mug", 12), ("can", 11)):
        estimate = scene.fakes.make_estimate(1, category)
        track = scene.fakes.make_track(len(category), estimate)
        item = object_message(track, header, with_mesh=True)
        item.mesh_vertices = item.mesh_vertices[:vertices]
        scene.publishers["objects"].publish(SdfObjectArray(header=header, objects=[item]))
        header.stamp.sec += 1
    scene.spin_until(lambda: scene.evaluator._evaluation.results == 2, "both results")
    scene.spin_to_the_end()
    assert not list(scene.output.parent.glob("*.ply"))
    assert not list(scene.output.glob("*.ply"))
    assert (scene.output / "objects.json").exists()


def test_a_report_that_fails_leaves_the_recording_whole(make_scene, monkeypatch):
    scene = make_scene(duration_s=0.0)
    scene.connect()
    scene.publish(1)
    scene.spin_until(lambda: scene.evaluator._evaluation.results == 1, "a result")
    with monkeypatch.context() as full:
        full.setattr(scene.evaluator, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            scene.evaluator.destroy_node()
    with (scene.output / "demo.mcap").open("rb") as file:
        assert make_reader(file).get_summary() is not None  # it is finished


def test_a_missing_category_is_named_and_gives_status_1(make_scene):
    scene = make_scene(record=False, categories=["mug", "can", "bowl"])
    scene.connect()
    scene.publish(1)
    assert scene.spin_to_the_end() == 1
    assert "no evaluated estimate of: bowl" in scene.text.getvalue()


def test_a_category_of_the_truth_without_an_estimate_is_missing(make_scene):
    scene = make_scene(record=False)
    scene.connect()
    scene.publish(1, categories=("mug",))
    assert scene.spin_to_the_end() == 1
    assert "no evaluated estimate of: can" in scene.text.getvalue()


def test_without_any_result_it_ends_after_the_startup_time(make_scene):
    scene = make_scene(record=False)
    assert scene.spin_to_the_end() == 1
    assert "no results received" in scene.text.getvalue()


def test_the_table_fits_a_usual_terminal(fakes):
    estimate = fakes.make_estimate()
    reported = ReportedObject(
        123, "bottle", estimate.rotation, -estimate.translation, np.full(3, 0.4567), 1.0
    )
    item = ObjectEvaluation(reported, fakes.make_truth(1, "bottle"), PoseErrors(123.4, 3.4, 0.5))
    text = io.StringIO()
    table = evaluation_table(EvaluatedFrame(0, (item,), True), 12.3, 0.123)
    Console(file=text, width=80).print(table)
    assert "\u2026" not in text.getvalue()
    assert "123.4\u00b0 3.4 cm" in text.getvalue()
