"""The action ~/detect_objects of a real node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from geometry_msgs.msg import Point
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from pose_bench import Bench
from rclpy.action import ActionClient
from sdfpose.action import DetectObjects

from sdfpose_core.tracking.tracker import TrackState

SUCCEEDED, ABORTED, CANCELED = (
    GoalStatus.STATUS_SUCCEEDED,
    GoalStatus.STATUS_ABORTED,
    GoalStatus.STATUS_CANCELED,
)


class Looks:
    """A client of the action."""

    def __init__(self, bench):
        self.bench = bench
        self.client = ActionClient(bench.client, DetectObjects, "/sdfpose/detect_objects")
        assert self.client.wait_for_server(20.0)
        self.feedback = []

    def send(self, **goal):
        """The goal's handle, accepted or not."""
        future = self.client.send_goal_async(
            DetectObjects.Goal(**goal), feedback_callback=lambda x: self.feedback.append(x.feedback)
        )
        self.bench.wait_until(future.done, "the answer to the goal")
        return future.result()

    def result(self, handle, frame=None):
        """Status and result, while images are sent if there is a frame."""
        future = handle.get_result_async()

        def done():
            if frame is not None and not future.done():
                self.bench.send(frame)
            return future.done()

        self.bench.wait_until(done, "the result")
        return future.result().status, future.result().result


@pytest.fixture
def start(fakes, graph, wait_until):
    def make(*parameters, active=True, **options):
        arguments = [
            y for x in (*parameters, f"autostart:={str(active).lower()}") for y in ("-p", x)
        ]
        bench = Bench(fakes, graph, wait_until, *arguments, **options)
        if not active:
            change = bench.call(
                ChangeState,
                "change_state",
                transition=Transition(id=Transition.TRANSITION_CONFIGURE),
            )
            assert change.success
        return bench, Looks(bench)

    return make


def receives_nothing(bench):
    return bench.client.count_subscribers("/sdfpose/colour") == 0


def test_an_inactive_node_subscribes_looks_and_unsubscribes(fakes, start):
    bench, looks = start(active=False)
    assert receives_nothing(bench)
    handle = looks.send(views=2)
    assert handle.accepted
    bench.wait_until(lambda: not receives_nothing(bench), "the node's subscriptions")
    status, result = looks.result(handle, fakes.make_frame((1, 2)))
    assert (status, result.success) == (SUCCEEDED, True)
    assert result.views >= 2
    assert sorted(x.id for x in result.objects) == [101, 102]
    assert all(len(x.mesh_vertices) == 0 for x in result.objects)
    bench.wait_until(lambda: receives_nothing(bench), "the end of the subscriptions")
    assert bench.node.node_state == "inactive"
    assert bench.tracker.resets
    bench.wait_until(lambda: looks.feedback, "feedback")
    assert len(looks.feedback[0].objects) == 2


def test_an_active_node_goes_on_after_the_look(fakes, start):
    bench, looks = start()
    handle = looks.send(views=1, with_meshes=True)
    status, result = looks.result(handle, fakes.make_frame())
    assert status == SUCCEEDED
    assert all(len(x.mesh_vertices) for x in result.objects)
    assert bench.node.node_state == "active"
    assert bench.tracker.resets == 0
    bench.send_and_wait(fakes.make_frame())


def test_what_is_left_out_has_its_reason(fakes, start):
    class Varied(fakes.StubTracker):
        def step(self, frame):
            result = super().step(frame)
            confidence = [0.9, 0.2, 0.9, 0.9]
            state = [TrackState.TRACKED] * 3 + [TrackState.LOST]
            place = [0.0, 0.0, 5.0, 0.0]
            tracks = [
                replace(
                    x,
                    state=s,
                    estimate=replace(
                        x.estimate, confidence=c, translation=np.array([0.0, 0.0, z + 0.5])
                    ),
                )
                for x, c, s, z in zip(result.tracks, confidence, state, place, strict=True)
            ]
            return replace(result, tracks=tracks)

    _, looks = start(tracker=Varied())
    handle = looks.send(
        views=1,
        min_confidence=0.5,
        region_frame="optical",
        region_min=Point(x=-1.0, y=-1.0, z=0.0),
        region_max=Point(x=1.0, y=1.0, z=1.0),
    )
    _, result = looks.result(handle, fakes.make_frame((1, 2, 3, 4)))
    assert [x.id for x in result.objects] == [101]
    assert [x.partition(": ")[2] for x in result.left_out] == [
        "confidence 0.20 below 0.50",
        "outside the region",
        "lost",
    ]


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ({"categories": ["kettle"]}, "kettle: expected some of bottle"),
        ({"min_confidence": 2.0}, "min_confidence is 2.0: expected 0 to 1"),
        ({"timeout_s": -1.0}, "timeout_s is -1.0"),
        (
            {"region_frame": "base", "region_min": Point(x=1.0)},
            "the smaller coordinates in region_min",
        ),
    ],
)
def test_a_wrong_goal_is_told(start, goal, told):
    _, looks = start()
    status, result = looks.result(looks.send(**goal))
    assert status == ABORTED
    assert told in result.message


def test_a_region_in_an_unknown_frame_is_told(fakes, start):
    _, looks = start()
    handle = looks.send(region_frame="base", views=1)
    status, result = looks.result(handle, fakes.make_frame())
    assert status == ABORTED
    assert "set the parameter listen_to_tf" in result.message


def test_without_images_the_answer_names_the_topics(start):
    bench, looks = start(active=False)
    status, result = looks.result(looks.send(timeout_s=0.3))
    assert status == ABORTED
    assert "within 0.3 s: expected messages on /sdfpose/colour" in result.message
    assert bench.node.node_state == "inactive"


def test_the_time_is_over_before_the_images_are_enough(fakes, start):
    bench, looks = start()
    handle = looks.send(views=1000, timeout_s=1.0)
    bench.send_and_wait(fakes.make_frame())
    status, result = looks.result(handle)
    assert (status, result.success, len(result.objects)) == (SUCCEEDED, False, 1)
    assert "in 1 of 1000 images" in result.message


def test_a_goal_can_be_cancelled_and_a_second_one_is_refused_meanwhile(fakes, start):
    bench, looks = start(active=False)
    handle = looks.send(timeout_s=60.0)
    assert not looks.send().accepted
    assert bench.log.has("a goal is refused while another one runs")
    bench.wait_until(lambda: handle.cancel_goal_async().done() or True, "the cancellation")
    status, result = looks.result(handle)
    assert (status, result.message) == (CANCELED, "cancelled")
    bench.wait_until(lambda: receives_nothing(bench), "the end of the subscriptions")
    assert looks.send(timeout_s=0.2).accepted


def test_an_unconfigured_node_says_so(fakes, graph, wait_until):
    bench = Bench(fakes, graph, wait_until, "-p", "autostart:=false")
    looks = Looks(bench)
    status, result = looks.result(looks.send())
    assert status == ABORTED
    assert "the node is unconfigured" in result.message


def test_activation_during_a_look_keeps_the_images_and_deactivation_ends_it(fakes, start):
    bench, looks = start(active=False)
    handle = looks.send(views=1000, timeout_s=60.0)
    for transition, state in (
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
    ):
        answer = bench.call(ChangeState, "change_state", transition=Transition(id=transition))
        assert answer.success
        assert bench.node.node_state == state
    status, result = looks.result(handle)
    assert (status, result.message) == (ABORTED, "the node was deactivated")
