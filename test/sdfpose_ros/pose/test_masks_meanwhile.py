"""The pose node makes the masks of one image while it estimates the poses of another."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from mask_frames import block_frame
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from sdfpose_core.masks.claimed_masks import ClaimedMasks
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.messages.interfaces import stamp_ns

MADE = ("-p", "masks:=tabletop", "-p", "category:=mug")
SUCCESS = TransitionCallbackReturn.SUCCESS


class HeldMasks:
    """Finds the given masks, once the test lets it."""

    def __init__(self):
        self.begun, self.resets = 0, 0
        self.free = threading.Event()
        self.free.set()
        self.failures = []

    def segment(self, frame):
        self.begun += 1
        assert self.free.wait(20.0)
        if self.failures:
            raise self.failures.pop(0)
        return InstanceMask(block_frame().mask.astype(np.uint16), dict(block_frame().labels))

    def reset(self):
        self.resets += 1


@pytest.fixture
def masks():
    return HeldMasks()


@pytest.fixture
def bench(make_bench, masks, monkeypatch):
    monkeypatch.setattr(
        "sdfpose_ros.pose.pose_node.make_masks", lambda *_: {"": ClaimedMasks(masks)}
    )
    bench = make_bench(*MADE, outputs=("objects", "mask", "labels"))
    yield bench
    masks.free.set()


def account(bench):
    """Asserts that every frame is accounted for; gives the counts."""
    estimation = bench.node.estimation
    assert estimation.worker.wait_idle(10.0)
    counts = estimation.counts()
    assert counts.submitted == (counts.processed + counts.failed + counts.dropped + counts.ignored)
    return counts


def hold_a_mask(bench, masks):
    """An image whose masks are being made."""
    begun = masks.begun
    masks.free.clear()
    stamp = bench.send(block_frame())
    bench.wait_until(lambda: masks.begun > begun, "the masks to be made")
    return stamp


def test_the_next_masks_are_made_while_poses_are_estimated(bench, masks):
    bench.send_and_wait(block_frame())
    estimating, go_on = threading.Event(), threading.Event()
    step = bench.tracker.step

    def held(frame):
        estimating.set()
        assert go_on.wait(20.0)
        return step(frame)

    bench.tracker.step = held
    first = bench.send(block_frame())
    assert estimating.wait(20.0)
    second = bench.send(block_frame())
    bench.wait_until(lambda: masks.begun == 3, "the masks of the next image")
    go_on.set()
    for stamp in (first, second):
        assert len(bench.result(stamp).objects) == 2
    assert account(bench).processed == 3


def test_slow_masks_and_slow_poses_are_of_the_newest_images_in_order(bench, masks):
    bench.tracker.delay_s = 0.06
    find = masks.segment
    masks.segment = lambda frame: time.sleep(0.04) or find(frame)
    stamps = []
    for _ in range(40):
        stamps.append(bench.send(block_frame()))
        time.sleep(0.015)
    bench.result(stamps[-1])
    counts = account(bench)
    assert counts.submitted == bench.node.inputs[""].synchronizer.statistics.accepted == 40
    assert counts.failed == 0
    assert counts.dropped > 0
    for name in ("objects", "mask", "labels"):
        found = [stamp_ns(x.header) for x in bench.received[name]]
        assert found == sorted(set(found))
    assert len(bench.received["objects"]) == counts.processed


def test_an_exception_while_masks_are_made_is_told_and_the_node_lives_on(bench, masks):
    masks.failures = [ZeroDivisionError("inside the mask network")]
    bench.send(block_frame())
    bench.wait_until(
        lambda: bench.log.has("ZeroDivisionError", "inside the mask network"), "the error"
    )
    assert len(bench.send_and_wait(block_frame()).objects) == 2
    counts = account(bench)
    assert (counts.failed, counts.processed) == (1, 1)


def test_a_reset_while_masks_are_made_keeps_its_place(bench, masks):
    before = hold_a_mask(bench, masks)
    assert bench.reset.call(bench.reset.srv_type.Request()).success
    dropped = bench.send(block_frame())
    after = bench.send(block_frame())
    assert bench.tracker.resets == 0
    masks.free.set()
    assert len(bench.result(after).objects) == 2
    assert (bench.tracker.resets, masks.resets) == (1, 1)
    counts = account(bench)
    assert counts.submitted == 3
    frames = [x.stamp_ns for x in bench.tracker.frames]
    assert frames[-1] == after
    assert set(frames) <= {before, dropped, after}


def test_deactivation_waits_for_the_masks_that_are_made(bench, masks):
    hold_a_mask(bench, masks)
    threading.Timer(0.2, masks.free.set).start()
    assert bench.node.trigger_deactivate() is SUCCESS
    assert (bench.tracker.resets, masks.resets, bench.tracker.closed) == (1, 1, True)
    account(bench)
    assert bench.node.trigger_activate() is SUCCESS
    bench.wait_connected()
    assert len(bench.send_and_wait(block_frame()).objects) == 2


def test_a_deactivation_that_takes_too_long_leaves_the_node_active(bench, masks, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.pose.estimation._STOP_S", 0.1)
    hold_a_mask(bench, masks)
    assert bench.node.trigger_deactivate() is TransitionCallbackReturn.FAILURE
    assert bench.node.node_state == "active"
    masks.free.set()
    bench.wait_connected()
    assert len(bench.send_and_wait(block_frame()).objects) == 2


@pytest.mark.parametrize("in_time", [True, False])
def test_a_cleanup_while_masks_are_made(bench, masks, monkeypatch, in_time):
    monkeypatch.setattr("sdfpose_ros.pose.estimation._END_S", 5.0 if in_time else 0.1)
    hold_a_mask(bench, masks)
    results = len(bench.received["objects"])
    worker = bench.node.estimation.worker
    if in_time:
        threading.Timer(0.2, masks.free.set).start()
    assert bench.node.trigger_shutdown() is SUCCESS
    assert bench.log.has("not waiting for it") is not in_time
    masks.free.set()
    assert worker.stop(5.0)
    assert len(bench.received["objects"]) == results


def test_other_labels_hold_from_the_next_image_on(bench, masks):
    hold_a_mask(bench, masks)
    done = bench.node.set_parameters([Parameter("category", Parameter.Type.STRING, "bowl")])
    assert done[0].successful
    after = bench.send(block_frame())
    masks.free.set()
    assert {x.category for x in bench.result(after).objects} == {"bowl"}
    assert account(bench).failed == 0


def test_masks_from_a_topic_need_one_thread(make_bench):
    bench = make_bench()
    names = {x.name for x in threading.enumerate()}
    assert "estimation" in names
    assert "estimation 1" not in names
    assert bench.node.estimation.worker.wait_idle(1.0)
