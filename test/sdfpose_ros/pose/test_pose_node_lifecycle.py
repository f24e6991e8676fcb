"""States, parameters that change, and services of the pose node, in a real graph."""

from __future__ import annotations

import gc
import time

import pytest
import trimesh
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from pose_bench import LATCHED
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from sdfpose.msg import SdfObjectArray
from sdfpose.srv import GetMesh, SaveMesh, SetCategory
from std_srvs.srv import SetBool, Trigger
from visualization_msgs.msg import Marker

from sdfpose_core.errors import WeightsError
from sdfpose_ros.pose.pose_node import PoseNode

KINDS = {
    bool: (ParameterType.PARAMETER_BOOL, "bool_value"),
    int: (ParameterType.PARAMETER_INTEGER, "integer_value"),
    float: (ParameterType.PARAMETER_DOUBLE, "double_value"),
    str: (ParameterType.PARAMETER_STRING, "string_value"),
    list: (ParameterType.PARAMETER_STRING_ARRAY, "string_array_value"),
}


def change(bench, transition):
    request = Transition(id=transition)
    return bench.call(ChangeState, "change_state", transition=request).success


def state_of(bench):
    return bench.call(GetState, "get_state").current_state.id


def set_parameter(bench, name, value):
    kind, field = KINDS[type(value)]
    parameter = Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))
    (result,) = bench.call(SetParameters, "set_parameters", parameters=[parameter]).results
    return result


def subscriptions(bench):
    return {x.topic_name for x in bench.node.subscriptions if x.topic_name.startswith("/sdfpose/")}


def test_the_node_goes_through_its_states(fakes, make_bench):
    bench = make_bench("-p", "autostart:=false")
    assert state_of(bench) == State.PRIMARY_STATE_UNCONFIGURED
    assert change(bench, Transition.TRANSITION_CONFIGURE)
    assert state_of(bench) == State.PRIMARY_STATE_INACTIVE
    assert not subscriptions(bench)

    for _ in range(2):
        assert change(bench, Transition.TRANSITION_ACTIVATE)
        assert state_of(bench) == State.PRIMARY_STATE_ACTIVE
        bench.wait_connected()
        assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1
        assert not bench.tracker.closed

        resets = bench.tracker.resets
        assert change(bench, Transition.TRANSITION_DEACTIVATE)
        assert state_of(bench) == State.PRIMARY_STATE_INACTIVE
        assert bench.tracker.resets == resets + 1
        assert bench.tracker.closed
        bench.wait_until(lambda: not subscriptions(bench), "the end of the subscriptions")
        bench.wait_until(lambda: bench.received["objects"][-1].objects == [], "an empty list")
        deleted = bench.received["markers"][-1].markers[0]
        assert deleted.action == Marker.DELETEALL

    assert change(bench, Transition.TRANSITION_CLEANUP)
    assert state_of(bench) == State.PRIMARY_STATE_UNCONFIGURED
    assert bench.node.estimation is None
    assert change(bench, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert state_of(bench) == State.PRIMARY_STATE_FINALIZED


def test_the_node_starts_by_itself(bench):
    assert state_of(bench) == State.PRIMARY_STATE_ACTIVE


def test_a_destroyed_node_leaves_no_service_in_the_graph(bench):
    def services():
        found = bench.client.get_service_names_and_types_by_node("sdfpose", "/")
        return {name for name, _ in found}

    bench.wait_until(lambda: "/sdfpose/change_state" in services(), "the services")
    gc.disable()
    try:
        bench.node.destroy_node()
        for name in ("change_state", "get_state", "reset"):
            bench.wait_until(
                lambda name=name: bench.client.count_services(f"/sdfpose/{name}") == 0,
                f"the end of {name}",
                timeout_s=5.0,
            )
    finally:
        gc.enable()


def test_an_active_node_can_be_shut_down(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    assert change(bench, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state_of(bench) == State.PRIMARY_STATE_FINALIZED
    assert bench.tracker.closed
    bench.wait_until(lambda: not subscriptions(bench), "the end of the subscriptions")


def test_a_node_that_cannot_be_configured_says_why_and_can_be_tried_again(fakes, make_bench):
    failures = [WeightsError("mug.safetensors: rubbish"), ZeroDivisionError("unforeseen")]

    def factory(*_):
        if failures:
            raise failures.pop(0)
        return fakes.StubTracker()

    bench = make_bench("-p", "autostart:=false", factory=factory)
    for told in ("mug.safetensors: rubbish", "ZeroDivisionError: unforeseen"):
        assert not change(bench, Transition.TRANSITION_CONFIGURE)
        assert state_of(bench) == State.PRIMARY_STATE_UNCONFIGURED
        assert bench.log.has(told)
    assert change(bench, Transition.TRANSITION_CONFIGURE)


def test_a_node_that_should_start_and_cannot_ends_with_the_reason(graph):
    def factory(*_):
        raise WeightsError("mug.safetensors: rubbish")

    graph.start()
    with pytest.raises(WeightsError, match="rubbish"):
        PoseNode(factory, context=graph.context)


def test_a_parameter_of_the_weights_changes_while_unconfigured_alone(make_bench):
    bench = make_bench()
    refused = set_parameter(bench, "encoder", "none")
    assert not refused.successful
    assert "parameter encoder: cannot change while the node is configured" in refused.reason
    assert change(bench, Transition.TRANSITION_DEACTIVATE)
    assert not set_parameter(bench, "encoder", "none").successful
    assert change(bench, Transition.TRANSITION_CLEANUP)
    assert set_parameter(bench, "encoder", "none").successful


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("autostart", False, "read-only"),
        ("queue_size", 0, "range"),
        ("slop_s", float("nan"), "slop_s"),
        ("category", "spoon", "parameter category: unknown category 'spoon'"),
        ("mask_categories", ["mug"], "expected 'id:category'"),
        ("depth_transport", "theora", "'theora': expected one of raw, compressed, compressedDepth"),
    ],
)
def test_a_change_that_is_not_possible_is_refused_with_its_reason(bench, name, value, reason):
    result = set_parameter(bench, name, value)
    assert not result.successful
    assert reason in result.reason


def test_inputs_are_wired_anew_when_their_parameters_change(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    assert set_parameter(bench, "queue_size", 3).successful
    assert set_parameter(bench, "colour_transport", "compressed").successful
    bench.wait_until(
        lambda: (
            "/sdfpose/colour/compressed" in subscriptions(bench)
            and "/sdfpose/colour" not in subscriptions(bench)
        ),
        "the other subscription",
    )
    assert set_parameter(bench, "colour_transport", "raw").successful
    answered = len(bench.received["objects"])

    def send_and_look():
        bench.send(fakes.make_frame())
        time.sleep(0.05)
        return len(bench.received["objects"]) > answered

    bench.wait_until(send_and_look, "results of raw images again")


def test_outputs_are_switched_while_the_node_runs(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    bench.wait_until(lambda: bench.received["markers"], "markers")
    assert set_parameter(bench, "publish_markers", False).successful
    assert set_parameter(bench, "publish_meshes", False).successful
    bench.send_and_wait(fakes.make_frame())
    bench.wait_until(
        lambda: bench.received["markers"][-1].markers[0].action == Marker.DELETEALL, "deletion"
    )
    bench.tracker.revision = 2
    assert not bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices
    assert set_parameter(bench, "publish_markers", True).successful
    assert set_parameter(bench, "publish_meshes", True).successful
    stamp = bench.send(fakes.make_frame())
    assert len(bench.result(stamp).objects[0].mesh_vertices) == 12
    shown = {x.ns for x in bench.result(stamp, "markers").markers}
    assert shown == {"mesh", "box", "axes", "label"}


def test_the_category_of_a_mask_id_is_set_while_the_node_runs(fakes, make_bench):
    bench = make_bench("-p", "category:=mug")
    (first,) = bench.send_and_wait(fakes.make_frame(labels={})).objects
    assert first.category == "mug"
    answer = bench.call(SetCategory, "set_category", mask_id=1, category="can")
    assert (answer.success, answer.message) == (
        True,
        "category: 'mug', mask_categories: ['1:can']",
    )
    objects = bench.send_and_wait(fakes.make_frame((1, 2), labels={})).objects
    assert [x.category for x in objects] == ["can", "mug"]
    assert bench.node.get_parameter("mask_categories").value == ["1:can"]
    answer = bench.call(SetCategory, "set_category", mask_id=1, category="spoon")
    assert not answer.success
    assert "unknown category 'spoon'" in answer.message
    assert bench.call(SetCategory, "set_category", mask_id=1, category="").success
    assert bench.call(SetCategory, "set_category", mask_id=0, category="bowl").success
    objects = bench.send_and_wait(fakes.make_frame((1, 2), labels={})).objects
    assert [x.category for x in objects] == ["bowl", "bowl"]


def test_categories_that_a_topic_says_are_not_set_by_service(bench):
    answer = bench.call(SetCategory, "set_category", mask_id=1, category="can")
    assert not answer.success
    assert "the categories of the mask ids come from /sdfpose/labels" in answer.message


def test_a_mesh_is_given_to_who_asks(fakes, make_bench):
    bench = make_bench("-p", "publish_meshes:=false")
    bench.send_and_wait(fakes.make_frame((1, 2)))
    answer = bench.call(GetMesh, "get_mesh", id=102)
    assert (answer.success, answer.message) == (True, "mug 102, revision 1")
    assert len(answer.object.mesh_vertices) == 12
    assert len(answer.object.mesh_colours) == 12
    answer = bench.call(GetMesh, "get_mesh", id=7)
    assert not answer.success
    assert answer.message == "there is no object 7: expected one of 101 (mug), 102 (mug)"


def test_a_mesh_is_written_into_the_folder(fakes, make_bench, tmp_path):
    bench = make_bench("-p", f"mesh_dir:={tmp_path / 'meshes'}")
    bench.send_and_wait(fakes.make_frame())
    for name, file in (("", "mug_101.ply"), ("my-mug", "my-mug.ply"), ("a.ply", "a.ply")):
        answer = bench.call(SaveMesh, "save_mesh", id=101, name=name)
        assert answer.success, answer.message
        assert answer.path == str(tmp_path / "meshes" / file)
        assert len(trimesh.load(answer.path).faces) == 4


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", ".hidden", "x" * 200, "link"])
def test_no_name_leaves_the_folder(fakes, make_bench, tmp_path, name):
    folder = tmp_path / "meshes"
    folder.mkdir()
    (folder / "link.ply").symlink_to(tmp_path / "elsewhere.ply")
    bench = make_bench("-p", f"mesh_dir:={folder}")
    bench.send_and_wait(fakes.make_frame())
    answer = bench.call(SaveMesh, "save_mesh", id=101, name=name)
    assert not answer.success
    assert f"name {name!r}" in answer.message
    assert [x.name for x in tmp_path.rglob("*")] == ["meshes", "link.ply"]


def test_without_a_folder_no_mesh_is_written(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    answer = bench.call(SaveMesh, "save_mesh", id=101)
    assert not answer.success
    assert "mesh_dir is empty" in answer.message


@pytest.mark.parametrize("folder", ["~nobody-of-that-name/x", "loop/x"])
def test_a_folder_that_cannot_be_entered_does_not_end_the_node(fakes, make_bench, tmp_path, folder):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    where = folder if folder.startswith("~") else str(tmp_path / folder)
    bench = make_bench("-p", f"mesh_dir:={where}")
    bench.send_and_wait(fakes.make_frame())
    answer = bench.call(SaveMesh, "save_mesh", id=101)
    assert not answer.success
    assert f"no mesh is written to {where}" in answer.message
    assert bench.call(GetMesh, "get_mesh", id=101).success


def test_an_unforeseen_error_in_a_service_is_answered_and_ends_nothing(fakes, bench, monkeypatch):
    bench.send_and_wait(fakes.make_frame())
    with monkeypatch.context() as broken:
        broken.setattr(bench.node, "publishing", lambda: 1 / 0)
        answer = bench.call(GetMesh, "get_mesh", id=101)
    assert not answer.success
    assert answer.message == "ZeroDivisionError: division by zero (see the log)"
    bench.wait_until(lambda: bench.log.has("Traceback", "ZeroDivisionError"), "the error")
    assert bench.call(GetMesh, "get_mesh", id=101).success


def test_services_of_a_node_that_is_not_active_say_so(make_bench):
    bench = make_bench("-p", "autostart:=false")
    for kind, name, needed in (
        (Trigger, "reset", "active"),
        (SetBool, "set_enabled", "configured"),
        (GetMesh, "get_mesh", "configured"),
    ):
        answer = bench.call(kind, name)
        expected = f"the node is unconfigured: expected it to be {needed}"
        assert (answer.success, answer.message) == (False, expected)


def test_a_frame_that_takes_too_long_leaves_the_node_active(fakes, bench, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.pose.estimation._STOP_S", 0.1)
    bench.tracker.delay_s = 1.0
    stamp = bench.send(fakes.make_frame())
    bench.wait_until(lambda: bench.tracker.frames, "the frame's turn")
    assert not change(bench, Transition.TRANSITION_DEACTIVATE)
    # A client made now seldom finds the node's services for seconds: the node itself is asked.
    assert bench.node._state_machine.current_state[0] == State.PRIMARY_STATE_ACTIVE
    assert bench.log.has("the last frame is still being processed")
    bench.result(stamp)
    bench.tracker.delay_s = 0.0
    bench.wait_connected()
    assert len(bench.send_and_wait(fakes.make_frame()).objects) == 1


def test_meshes_are_latched_again_after_a_pause(fakes, bench):
    bench.send_and_wait(fakes.make_frame())
    assert change(bench, Transition.TRANSITION_DEACTIVATE)
    assert change(bench, Transition.TRANSITION_ACTIVATE)
    bench.wait_connected()
    assert len(bench.send_and_wait(fakes.make_frame()).objects[0].mesh_vertices) == 12
    late = Node("late", context=bench.graph.context)
    received: list[SdfObjectArray] = []
    late.create_subscription(SdfObjectArray, "/sdfpose/meshes", received.append, LATCHED)
    bench.graph.spin(late)
    bench.wait_until(lambda: received and received[-1].objects, "the latched meshes")
