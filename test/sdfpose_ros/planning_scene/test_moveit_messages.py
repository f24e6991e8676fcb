"""Collision objects and planning scenes in the messages of MoveIt, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from recorded_messages import made, module_of, reread
from shape_msgs.msg import Mesh, SolidPrimitive
from std_msgs.msg import Header

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.collision import TriangleMesh
from sdfpose_core.messages.objects import pose_arrays
from sdfpose_ros import stand_ins
from sdfpose_ros.graph.message_factory import ros_message
from sdfpose_ros.planning_scene.moveit_messages import MoveItMessages
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters
from sdfpose_ros.planning_scene.scene_topics import required_messages
from sdfpose_ros.planning_scene.scene_updates import SceneReport
from sdfpose_ros.planning_scene.shapes import ShapeMaker

MOVEIT = module_of("moveit_msgs")
ADD, REMOVE, APPEND, MOVE = range(4)
HEADER = Header(frame_id="base_link")
SIDES = np.array([0.08, 0.10, 0.06])


def mug():
    """A cylinder about y with a bar on its +x side, a little larger than `SIDES`."""
    body = trimesh.creation.cylinder(radius=0.04, height=0.1, sections=64)
    body.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    bar = trimesh.creation.box((0.01, 0.06, 0.01))
    bar.apply_translation((0.06, 0, 0))
    both = trimesh.util.concatenate([body, bar])
    vertices = both.vertices - both.bounds.mean(axis=0)
    return TriangleMesh.of(vertices, both.faces)


def shape_of(mesh=None, *, category="mug", symmetric=False, **parameters):
    maker = ShapeMaker(PlanningSceneNodeParameters(**parameters), default_categories())
    return maker(category, SIDES, mesh, symmetric_about_y=symmetric)


def added(fakes, shape):
    """The only collision object of a scene, as a subscriber has it."""
    messages = MoveItMessages(MOVEIT, made)
    rotation, translation = fakes.make_rotation(3), np.array([0.4, 0.1, 0.2])
    message = messages.added("mug_1", rotation, translation, shape, HEADER)
    (x,) = reread(messages.difference([message])).world.collision_objects
    assert (x.id, x.header.frame_id, x.operation) == ("mug_1", "base_link", ADD)
    assert x.type.key == ""
    for told, meant in zip(pose_arrays(x.pose), (rotation, translation), strict=True):
        np.testing.assert_allclose(told, meant, atol=1e-12)
    return x


def corners(x):
    (mesh,) = x.meshes
    return np.array([[p.x, p.y, p.z] for p in mesh.vertices])


def test_a_mesh_has_the_size_of_the_object_and_stands_in_its_frame(fakes):
    x = added(fakes, shape_of(mug(), max_triangles=60))
    assert len(x.meshes[0].triangles) <= 60
    np.testing.assert_allclose(np.ptp(corners(x), axis=0), SIDES, rtol=0.1)
    (pose,) = x.mesh_poses
    np.testing.assert_allclose(pose_arrays(pose)[0], np.eye(3), atol=1e-12)
    assert not x.primitives


def test_a_hull_is_convex_and_padding_makes_it_larger(fakes):
    x = added(fakes, shape_of(mug(), shape="convex", padding_m=0.01))
    faces = np.array([t.vertex_indices for t in x.meshes[0].triangles])
    assert trimesh.Trimesh(corners(x), faces).is_convex
    assert np.all(np.ptp(corners(x), axis=0) >= SIDES + 0.0199)


def test_the_parts_are_subframes(fakes):
    x = added(fakes, shape_of(mug()))
    assert sorted(x.subframe_names) == ["body_axis", "handle", "opening", "rim"]
    assert len(x.subframe_poses) == len(x.subframe_names)
    _, handle = pose_arrays(x.subframe_poses[x.subframe_names.index("handle")])
    assert handle[0] > 0.02
    hidden = added(fakes, shape_of(mug(), symmetric=True))
    assert "handle" not in hidden.subframe_names
    assert not added(fakes, shape_of(mug(), subframes=False)).subframe_names
    assert not added(fakes, shape_of(mug(), category="kettle")).subframe_names


def test_a_box(fakes):
    x = added(fakes, shape_of(shape="primitive", padding_m=0.005))
    (box,) = x.primitives
    assert box.type == box.BOX
    np.testing.assert_allclose(box.dimensions, SIDES + 0.01)
    np.testing.assert_allclose(pose_arrays(x.primitive_poses[0])[0], np.eye(3), atol=1e-12)
    assert not x.meshes


def test_a_cylinder_stands_along_y(fakes):
    x = added(fakes, shape_of(shape="primitive", symmetric=True))
    (cylinder,) = x.primitives
    assert cylinder.type == cylinder.CYLINDER
    assert cylinder.dimensions[cylinder.CYLINDER_HEIGHT] == pytest.approx(0.10)
    assert cylinder.dimensions[cylinder.CYLINDER_RADIUS] == pytest.approx(0.04)
    rotation, _ = pose_arrays(x.primitive_poses[0])
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("shape", ["mesh", "convex", "primitive"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_parts_of_a_message_are_those_of_rclpy(fakes, shape, symmetric):
    """The setters of rclpy check types; only the messages of MoveIt itself are stand-ins."""

    def new(kind, /, **fields):
        return (made if kind.startswith("moveit_msgs/") else ros_message)(kind, **fields)

    shape = shape_of(mug(), shape=shape, symmetric=symmetric)
    x = MoveItMessages(MOVEIT, new).added("mug_1", np.eye(3), np.zeros(3), shape, HEADER)
    assert all(isinstance(y, SolidPrimitive) for y in x.primitives)
    assert all(isinstance(y, Mesh) for y in x.meshes)
    assert len(x.primitives) + len(x.meshes) == 1


def test_a_move_has_no_geometry_and_a_removal_only_the_id(fakes):
    messages = MoveItMessages(MOVEIT, made)
    moved = messages.moved("mug_1", np.eye(3), np.array([1.0, 2.0, 3.0]), HEADER)
    scene = reread(messages.difference([moved, messages.removed("can_2", HEADER)]))
    assert [(x.id, x.operation) for x in scene.world.collision_objects] == [
        ("mug_1", MOVE),
        ("can_2", REMOVE),
    ]
    for x in scene.world.collision_objects:
        geometry = (x.meshes, x.mesh_poses, x.primitives, x.primitive_poses, x.subframe_names)
        assert not any(geometry)
    assert scene.world.collision_objects[0].pose.position.z == 3.0


def test_a_difference_leaves_the_robot_and_its_attached_objects_alone():
    scene = reread(MoveItMessages(MOVEIT, made).difference([]))
    assert scene.is_diff
    assert scene.robot_state.is_diff
    assert not scene.robot_state.attached_collision_objects


def monitored(attached=(), world=(), *, is_diff=True):
    """A scene as MoveIt publishes it; of pairs of id and operation."""

    def objects(pairs):
        return [made("moveit_msgs/msg/CollisionObject", id=i, operation=o) for i, o in pairs]

    held = [
        made("moveit_msgs/msg/AttachedCollisionObject", link_name="hand", object=x)
        for x in objects(attached)
    ]
    return reread(
        made(
            "moveit_msgs/msg/PlanningScene",
            is_diff=is_diff,
            robot_state=made("moveit_msgs/msg/RobotState", attached_collision_objects=held),
            world=made("moveit_msgs/msg/PlanningSceneWorld", collision_objects=objects(world)),
        )
    )


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (
            monitored([("a", ADD)], [("b", ADD)], is_diff=False),
            SceneReport(True, attached=frozenset("a"), present=frozenset("b")),
        ),
        (monitored(), SceneReport()),
        (
            monitored([("a", ADD), ("b", APPEND)], [("c", ADD)]),
            SceneReport(attached=frozenset("ab"), present=frozenset("c")),
        ),
        (
            monitored([("a", REMOVE)], [("a", ADD)]),
            SceneReport(detached=frozenset("a"), present=frozenset("a")),
        ),
        (
            monitored([("a", ADD), ("a", REMOVE)], [("a", ADD)]),
            SceneReport(attached=frozenset("a"), present=frozenset("a")),
        ),
        (monitored([("a", ADD)], [("a", REMOVE)]), SceneReport(attached=frozenset("a"))),
        (monitored([], [("a", REMOVE)]), SceneReport(removed=frozenset("a"))),
    ],
    ids=["complete", "state", "attached", "detached", "twice", "attached and removed", "removed"],
)
def test_scenes_are_read(scene, told):
    assert MoveItMessages(MOVEIT, made).report(scene) == told


def test_messages_that_are_not_installed_are_told(monkeypatch):
    monkeypatch.setattr(stand_ins, "moveit_msgs", None)
    with pytest.raises(ConfigurationError, match=r"moveit_msgs, .*apt install ros-.*-moveit-msgs"):
        required_messages()
