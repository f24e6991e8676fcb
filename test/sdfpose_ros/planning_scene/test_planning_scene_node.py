"""The planning scene node in a graph; MoveIt is a list of the messages that it would get."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from recorded_messages import made, module_of, reread
from sdfpose.msg import SdfObjectArray
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sdfpose_core.messages.objects import pose_arrays
from sdfpose_core.tracking.track import TrackState
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.object_messages import object_message, transform_message
from sdfpose_ros.planning_scene.planning_scene_node import PlanningSceneNode

ADD, REMOVE, _, MOVE = range(4)
SECOND_NS = 10**9
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
PLACE = np.array([0.3, 0.2, 0.1])


class MoveIt:
    """The topics of MoveIt without a graph: keeps what is published."""

    name = "/planning_scene"

    def __init__(self, node, on_scene):
        self.tell, self.listeners, self.scenes, self.last = on_scene, 1, [], []

    def subscribers(self):
        return self.listeners

    def publish(self, scene):
        self.scenes.append(reread(scene))

    def publish_last(self, scene):
        self.last.append(reread(scene))

    @property
    def operations(self):
        return [(x.operation, x.id) for s in self.scenes for x in s.world.collision_objects]

    @property
    def objects(self):
        return [x for s in self.scenes for x in s.world.collision_objects]


class Scene:
    """A planning scene node, and a node that plays the pose node."""

    def __init__(self, fakes, graph, wait_until, **parameters):
        self.fakes, self.wait_until = fakes, wait_until
        graph.start()
        self.node = graph.spin(
            PlanningSceneNode(
                MoveIt,
                new=made,
                context=graph.context,
                parameter_overrides=[Parameter(k, value=v) for k, v in parameters.items()],
            )
        )
        self.moveit = self.node.topics
        player = Node("player", context=graph.context)
        self.objects, self.meshes = (
            player.create_publisher(SdfObjectArray, f"/sdfpose_planning_scene/{name}", qos)
            for name, qos in (("objects", 10), ("meshes", LATCHED))
        )
        self.transforms = player.create_publisher(TFMessage, "/tf", 10)
        graph.spin(player)
        wanted = [self.objects, self.meshes]
        wait_until(lambda: all(x.get_subscription_count() for x in wanted), "connections")
        self.now_ns = 50 * SECOND_NS

    def header(self, frame_id="optical"):
        header = Header(frame_id=frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(self.now_ns, SECOND_NS)
        return header

    def message(self, *tracks, with_mesh=True):
        header = self.header()
        return SdfObjectArray(
            header=header, objects=[object_message(x, header, with_mesh=with_mesh) for x in tracks]
        )

    def see(self, *tracks, after_s=0.1, with_mesh=True):
        """Send the objects of an image, and return what MoveIt gets for it."""
        before, worker = len(self.moveit.operations), self.node.worker
        done = worker.processed + worker.failed
        self.now_ns += round(after_s * SECOND_NS)
        self.objects.publish(self.message(*tracks, with_mesh=with_mesh))
        self.wait_until(lambda: worker.processed + worker.failed > done, "the message")
        return self.moveit.operations[before:]

    def track(self, number=7, *, at=None, state=TrackState.TRACKED, revision=1, **changes):
        estimate = self.fakes.make_estimate(**changes)
        if at is not None:
            estimate = dataclasses.replace(estimate, translation=np.array(at))
        return self.fakes.make_track(number, estimate, state, mesh_revision=revision)


@pytest.fixture
def make_scene(fakes, graph, wait_until, monkeypatch):
    monkeypatch.setattr(stand_ins, "moveit_msgs", module_of("moveit_msgs"))
    return lambda **parameters: Scene(fakes, graph, wait_until, **parameters)


def test_objects_are_added_moved_and_removed(make_scene):
    scene = make_scene()
    assert scene.see(scene.track()) == [(ADD, "mug_7")]
    (x,) = scene.moveit.objects
    assert x.header.frame_id == "optical"
    assert (x.header.stamp.sec, x.header.stamp.nanosec) == (50, 100_000_000)
    assert len(x.meshes[0].triangles) == 4
    rotation, translation = pose_arrays(x.pose)
    estimate = scene.fakes.make_estimate()
    np.testing.assert_allclose(rotation, estimate.rotation, atol=1e-9)
    np.testing.assert_allclose(translation, estimate.translation)
    assert scene.see(scene.track(), with_mesh=False) == []
    assert scene.see(scene.track(at=(0.3, 0.0, 0.8)), with_mesh=False) == [(MOVE, "mug_7")]
    lost = scene.track(state=TrackState.LOST)
    assert scene.see(lost) == []
    assert scene.see(lost, after_s=5.1) == [(REMOVE, "mug_7")]
    assert scene.see(scene.track(), with_mesh=False) == [(ADD, "mug_7")]
    assert scene.see() == [(REMOVE, "mug_7")]


def test_the_mesh_may_come_latched(make_scene):
    scene = make_scene()
    assert scene.see(scene.track(), with_mesh=False) == []
    scene.meshes.publish(scene.message(scene.track()))
    scene.wait_until(lambda: scene.node._meshes.get(7) is not None, "the mesh")
    assert scene.see(scene.track(), with_mesh=False) == [(ADD, "mug_7")]


def test_a_mesh_that_comes_again_is_no_other_shape(make_scene):
    scene = make_scene(min_shape_period_s=0.0)
    scene.see(scene.track())
    assert scene.see(scene.track()) == []
    assert scene.see(scene.track(revision=2)) == [(ADD, "mug_7")]


def test_another_object_with_the_same_id_and_revision_has_its_own_mesh(make_scene):
    scene = make_scene(min_shape_period_s=0.0)
    scene.see(scene.track())
    other = 1.01 * scene.fakes.make_estimate().vertices
    assert scene.see(scene.track(vertices=other)) == [(ADD, "mug_7")]


def test_an_object_keeps_its_id_when_its_category_changes(make_scene):
    scene = make_scene(id_prefix="left_")
    assert scene.see(scene.track()) == [(ADD, "left_mug_7")]
    assert scene.see(scene.track(category="bowl", at=(0.3, 0, 0.8))) == [(MOVE, "left_mug_7")]
    scene.see()
    assert scene.see(scene.track(category="bowl")) == [(ADD, "left_bowl_7")]


def test_primitives_need_no_mesh(make_scene):
    scene = make_scene(shape="primitive")
    assert scene.see(scene.track(), with_mesh=False) == [(ADD, "mug_7")]
    assert len(scene.moveit.objects[0].primitives) == 1


def test_a_mesh_without_a_hull_is_replaced_by_a_primitive(make_scene):
    scene = make_scene(shape="convex")
    flat = scene.fakes.make_estimate().vertices * np.array([1, 1, 0], np.float32)
    assert scene.see(scene.track(vertices=flat)) == [(ADD, "mug_7")]
    (x,) = scene.moveit.objects
    assert len(x.primitives) == 1
    assert not x.meshes


def test_poses_are_those_of_the_planning_frame_at_the_time_of_the_image(make_scene):
    scene = make_scene(planning_frame="base", transform_timeout_s=0.2)
    scene.wait_until(scene.transforms.get_subscription_count, "the listener")
    assert scene.see(scene.track()) == []  # waits for /tf
    assert scene.node.worker.failed == 1
    scene.now_ns += SECOND_NS // 10
    tf = transform_message(TURN, PLACE, scene.header("base"), "optical")
    scene.now_ns -= SECOND_NS // 10
    scene.transforms.publish(TFMessage(transforms=[tf]))
    assert scene.see(scene.track()) == [(ADD, "mug_7")]
    (x,) = scene.moveit.objects
    assert x.header.frame_id == "base"
    _, translation = pose_arrays(x.pose)
    np.testing.assert_allclose(translation, TURN @ [0.01, -0.02, 0.8] + PLACE)
    assert scene.see() == [(REMOVE, "mug_7")]  # needs no transform


def attached(*names, is_diff=True):
    held = [
        made(
            "moveit_msgs/msg/AttachedCollisionObject",
            object=made("moveit_msgs/msg/CollisionObject", id=x, operation=ADD),
        )
        for x in names
    ]
    state = made("moveit_msgs/msg/RobotState", attached_collision_objects=held, is_diff=is_diff)
    return reread(made("moveit_msgs/msg/PlanningScene", robot_state=state, is_diff=is_diff))


def test_an_attached_object_is_left_alone(make_scene):
    scene = make_scene()
    scene.see(scene.track())
    scene.moveit.tell(attached("mug_7"))
    assert scene.see(scene.track(at=(0.5, 0.0, 0.8))) == []
    scene.moveit.tell(attached(is_diff=False))  # detached, and not in the world either
    assert scene.see(scene.track(at=(0.5, 0.0, 0.8))) == [(ADD, "mug_7")]


def test_a_late_listener_gets_all_objects(make_scene):
    scene = make_scene()
    scene.moveit.listeners = 0
    assert scene.see(scene.track()) == []
    scene.moveit.listeners = 1
    assert scene.see(scene.track()) == [(ADD, "mug_7")]
    scene.moveit.listeners = 2
    assert scene.see(scene.track()) == [(ADD, "mug_7")]


def test_a_bag_that_starts_again_brings_its_meshes_again(make_scene):
    scene = make_scene(min_shape_period_s=0.0)
    scene.see(scene.track(revision=3))
    assert scene.see(scene.track(revision=1), after_s=-20.0) == [(ADD, "mug_7")]


def test_the_objects_are_removed_when_the_node_ends(make_scene):
    scene = make_scene()
    scene.see(scene.track(7), scene.track(8))
    scene.moveit.tell(attached("mug_8"))
    scene.node.destroy_node()
    (scene_at_the_end,) = scene.moveit.last
    assert [(x.operation, x.id) for x in scene_at_the_end.world.collision_objects] == [
        (REMOVE, "mug_7")
    ]
    scene.node.destroy_node = lambda: None
