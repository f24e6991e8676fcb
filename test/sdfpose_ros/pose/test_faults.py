"""Everything that goes wrong on a robot: nothing crashes, nothing blocks, every frame is accounted
for, and results come again.
"""

from __future__ import annotations

import signal
import time

import numpy as np
import psutil
import pytest
from own_pack import copied_pack
from pose_bench import Bench
from rclpy.node import Node
from rclpy.parameter import Parameter
from sdfpose.msg import SdfObjectArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sdfpose_core.datasets.bag_writing import write_frames
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_ros.graph.image_messages import camera_info_message
from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment
from sdfpose_ros.graph.topics import input_remaps
from sdfpose_ros.playback.player_node import PlayerNode
from sdfpose_ros.pose.estimation import make_tracker
from sdfpose_ros.pose.pose_node import PoseNode

IMAGES = ("colour", "depth", "mask", "labels")


def account(bench):
    """Asserts that every message and every frame is accounted for; gives the frames' numbers."""
    synchronizer, worker = bench.node.inputs[""].synchronizer, bench.node.estimation.worker
    assert worker.wait_idle(10.0)
    found, waiting = synchronizer.statistics, synchronizer.waiting
    for name in IMAGES:
        topic = f"/sdfpose/{name}"
        assert found.received[topic] == found.matched + found.unmatched[topic] + waiting[topic]
    assert found.matched == (
        found.accepted + sum(found.rejected.values()) + synchronizer.waiting_for_camera_info
    )
    assert worker.submitted == found.accepted
    assert worker.submitted == worker.processed + worker.failed + worker.replaced
    return worker


def increasing(messages):
    stamps = [stamp_ns(x.header) for x in messages]
    return stamps == sorted(set(stamps))


def test_a_sensor_that_stops_is_told_and_results_come_when_it_is_back(
    fakes, make_bench, monkeypatch
):
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.4)
    bench = make_bench()
    bench.send_and_wait(fakes.make_frame())

    def depth_alone_stops():
        bench.send(fakes.make_frame(), without=("depth",))
        time.sleep(0.02)
        return bench.log.has("/sdfpose/depth: no message for")

    bench.wait_until(depth_alone_stops, "a warning")
    assert not bench.log.has("/sdfpose/colour: no message for")
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1
    account(bench)


def test_messages_out_of_order_twice_and_lost_are_accounted_for(fakes, make_bench):
    bench = make_bench("-p", "queue_size:=5")
    rng = np.random.default_rng(3)
    frame = fakes.make_frame()
    for _ in range(120):
        lost = tuple(name for name in IMAGES if rng.random() < 0.1)
        dt = float(rng.choice([0.033, 0.066, -0.033, 0.0], p=[0.8, 0.08, 0.06, 0.06]))
        bench.send(frame, dt=dt, without=lost)
        time.sleep(0.003)
    assert len(bench.send_and_wait(frame, dt=1.0).objects) == 1
    assert account(bench).failed == 0
    assert bench.node.inputs[""].synchronizer.statistics.accepted > 40
    assert increasing(bench.received["objects"])
    assert bench.node.inputs[""].synchronizer.statistics.rejected["StaleFrameError"] > 0


def test_a_mask_that_comes_ten_images_late_finds_its_image(fakes, bench):
    frame, late = fakes.make_frame(), []
    received = bench.node.inputs[""].synchronizer.statistics.received
    for count in range(1, 31):
        late.append(bench.send(frame, without=("mask", "labels"), dt=0.033))
        bench.wait_until(lambda n=count: received["/sdfpose/depth"] == n, "the images")
        if len(late) > 10:
            bench.send_late(late[-11], frame, ("mask", "labels"))
            bench.result(late[-11])
    worker = account(bench)
    assert (worker.processed, worker.replaced) == (20, 0)
    assert len(bench.received["objects"]) == 20


def test_a_mask_that_comes_too_late_for_the_queue_is_told_with_the_size_that_it_takes(
    fakes, make_bench, monkeypatch
):
    monkeypatch.setattr("sdfpose_ros.pose.inputs.SILENT_AFTER_S", 0.5)
    bench = make_bench("-p", "queue_size:=3")
    frame, late = fakes.make_frame(), []

    def send_and_look():
        late.append(bench.send(frame, without=("mask", "labels"), dt=0.033))
        if len(late) > 10:
            bench.send_late(late[-11], frame, ("mask", "labels"))
        time.sleep(0.02)
        return bench.log.has("/sdfpose/mask is 0.33 s behind", "needs a queue_size of")

    bench.wait_until(send_and_look, "a warning")
    account(bench)


def test_a_bag_in_a_loop_begins_anew_each_time(fakes, graph, wait_until, tmp_path):
    frames = [
        (fakes.make_frame((1, 2), stamp_ns=(10 + 3 * i) * 10**8, frame_id="optical"), [])
        for i in range(5)
    ]
    write_frames(tmp_path / "bag", frames)
    graph.start(*input_remaps("/camera"))
    tracker = fakes.StubTracker()
    node = graph.spin(PoseNode(lambda *_: tracker, context=graph.context))
    settings = [
        Parameter(name, value=value)
        for name, value in {"bag": str(tmp_path / "bag"), "loop": True, "wait_s": 20.0}.items()
    ]
    graph.spin(PlayerNode(context=graph.context, parameter_overrides=settings))
    wait_until(lambda: tracker.resets >= 3, "three loops")
    wait_until(lambda: tracker.frames[-1].stamp_ns >= 16 * 10**8, "frames of the fourth loop")
    worker = node.estimation.worker
    assert worker.failed == 0
    assert worker.submitted >= 15
    # The last frame of a loop may still wait when the first one of the next comes.
    assert worker.processed >= worker.submitted - tracker.resets - 1


def test_a_camera_that_changes_its_size_is_followed(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    small = fakes.CAMERA.resize(32, 24)
    half = fakes.make_frame(
        colour=np.zeros((24, 32, 3), np.uint8),
        depth=np.full((24, 32), 0.8, np.float32),
        mask=np.ones((24, 32), np.uint16),
        camera=small,
    )
    assert len(bench.send_and_wait(half).objects) == 1
    assert bench.tracker.frames[-1].camera == small
    # The camera info alone: what was wrong is told, and the next frame is worked on.
    info = camera_info_message(small, Header())
    bench.send(fakes.make_frame(), camera_info=info)
    bench.wait_until(lambda: bench.log.has("/sdfpose/camera_info: ", "32x24", "64x48"), "a warning")
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1
    worker = account(bench)
    assert (worker.processed, worker.failed) == (3, 1)


def test_weights_that_became_rubbish_are_refused_and_good_ones_are_taken_again(
    make_bench, tmp_path
):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    file = copied_pack(tmp_path, "bowl") / "decoder.safetensors"
    good = file.read_bytes()
    bench = make_bench(
        "-p", f"weights_dirs:=['{tmp_path}']", "-p", "device:=cpu", "-p", "autostart:=false",
        "-p", "category:=bowl",
        factory=make_tracker,
    )  # fmt: skip

    def change(transition):
        return bench.call(ChangeState, "change_state", transition=Transition(id=transition)).success

    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_CLEANUP)
    file.write_bytes(np.random.default_rng(0).bytes(len(good)))
    assert not change(Transition.TRANSITION_CONFIGURE)
    assert bench.log.has("no category has usable weights")
    assert bench.log.has("category 'bowl' is disabled", str(file), "damaged")
    file.write_bytes(good)
    assert change(Transition.TRANSITION_CONFIGURE)


def test_a_subscriber_that_is_too_slow_holds_nobody_up(fakes, bench):
    slow = Node("slow", context=bench.graph.context)
    slow.create_subscription(SdfObjectArray, "/sdfpose/objects", lambda _: time.sleep(1.0), 1)
    slow.create_subscription(Image, "/sdfpose/overlay", lambda _: time.sleep(1.0), 1)
    bench.graph.spin(slow)
    bench.wait_until(lambda: bench.node.count_subscribers("/sdfpose/overlay") == 2, "it")
    began = time.monotonic()
    for _ in range(40):
        bench.send_and_wait(fakes.make_frame())
    assert time.monotonic() - began < 10.0
    assert account(bench).processed == 40


def test_thirty_objects_at_once(fakes, bench):
    mask = np.zeros((48, 64), np.uint16)
    for i in range(30):
        mask[4 * (i // 8) : 4 * (i // 8) + 4, 8 * (i % 8) : 8 * (i % 8) + 8] = i + 1
    labels = {i: fakes.InstanceLabel("mug", 0.5, detected=True) for i in range(1, 31)}
    crowd = fakes.make_frame(mask=mask, labels=labels)
    for _ in range(3):
        stamp = bench.send(crowd)
        assert len(bench.result(stamp).objects) == 30
        bench.wait_until(lambda: bench.received["tf"][-1].transforms, "/tf")
        assert len(bench.received["tf"][-1].transforms) == 30
    assert account(bench).processed == 3


def test_two_nodes_in_two_namespaces_do_not_mix(fakes, graph, wait_until):
    graph.start()
    client = Node("client", context=graph.context)
    graph.spin(client)
    benches = {}
    for name, ids in (("left", (1,)), ("right", (2, 3))):
        tracker = fakes.StubTracker()
        node = PoseNode(lambda *_, t=tracker: t, context=graph.context, namespace=name)
        graph.spin(node)
        received: list[SdfObjectArray] = []
        client.create_subscription(SdfObjectArray, f"/{name}/sdfpose/objects", received.append, 10)
        benches[name] = (
            Bench.publishers_of(client, f"/{name}/sdfpose"), fakes.make_frame(ids), received
        )  # fmt: skip
    for publishers, _, _ in benches.values():
        wait_until(
            lambda p=publishers: all(x.get_subscription_count() for x in p.values()), "connections"
        )
    for publishers, frame, _ in benches.values():
        Bench.publish(publishers, Bench.messages(frame, 10**9, "optical"))
    for _, frame, received in benches.values():
        wait_until(lambda r=received: r, "a result")
        assert [x.id - 100 for x in received[0].objects] == sorted(frame.labels)


@pytest.fixture
def processes(tmp_path, graph):
    """A simulated camera and the pose node, and what comes out."""
    graph.start()
    listener = Node("listener", context=graph.context)
    results: list[SdfObjectArray] = []
    listener.create_subscription(SdfObjectArray, "/sdfpose/objects", results.append, 10)
    graph.spin(listener)
    camera = [
        "--ros-args", "-p", "rate_hz:=10.0", "-p", "width:=320", "-p", "categories:=[bowl, can]",
        "-p", "prerender:=20",
    ]  # fmt: skip
    node = ["--ros-args", "-p", "threads:=1", *input_remaps("/camera")]
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:

        def start(name):
            module, arguments = {
                "camera": ("sdfpose_ros.playback.camera_node", camera),
                "pose": ("sdfpose_ros.pose.pose_node", node),
            }[name]
            return group.start_node(name, module, arguments)

        yield start, results


def test_results_come_again_after_the_node_was_killed(processes, wait_until):
    start, results = processes
    start("camera")
    node = start("pose")
    wait_until(lambda: any(x.objects for x in results), "results", timeout_s=60.0)
    children = psutil.Process(node.pid).children(recursive=True)
    node.send_signal(signal.SIGKILL)
    node.wait(5.0)
    wait_until(lambda: not any(x.is_running() for x in children), "the end of its children")
    before = len(results)
    start("pose")
    wait_until(lambda: any(x.objects for x in results[before:]), "results again", timeout_s=60.0)
    assert {x.category for x in results[-1].objects} == {"bowl", "can"}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_memory_stays_flat_over_twenty_thousand_frames(
    tmp_path, graph, wait_until, record_property
):
    graph.start()
    listener = Node("listener", context=graph.context)
    frames = []
    listener.create_subscription(
        SdfObjectArray, "/sdfpose/objects", lambda x: frames.append(len(x.objects)), 100
    )
    graph.spin(listener)
    camera = [
        "--ros-args", "-p", "rate_hz:=40.0", "-p", "width:=320", "-p", "categories:=[bowl]",
        "-p", "prerender:=200", "-p", "wait_s:=60.0",
    ]  # fmt: skip
    node = [
        "--ros-args", "-p", "publish_meshes:=false", "-p", "threads:=1", *input_remaps("/camera"),
    ]  # fmt: skip
    with ProcessGroup(tmp_path / "log", ros_child_environment({})) as group:
        process = psutil.Process(group.start_node("pose", "sdfpose_ros.pose.pose_node", node).pid)
        group.start_node("camera", "sdfpose_ros.playback.camera_node", camera)
        wait_until(lambda: frames, "results", timeout_s=120.0)
        time.sleep(60.0)
        minute_mib = memory_mib(process)
        wait_until(lambda: len(frames) >= 20_000, "20,000 frames", timeout_s=3000.0)
        end_mib = memory_mib(process)
    record_property("MiB after a minute", minute_mib)
    record_property("MiB at the end", end_mib)
    for early, late in zip(minute_mib, end_mib, strict=True):
        assert late <= 1.05 * early
    assert min(frames[-1000:]) == 1


def memory_mib(process):
    """Resident memory of a process and of its children, MiB."""
    everyone = (process, *process.children(recursive=True))
    return [round(x.memory_info().rss / 2**20, 1) for x in everyone]
