"""Messages of MoveIt: collision objects are made, and planning scenes are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.geometry.collision import Primitive, TriangleMesh
from sdfpose_core.messages.factory import MessageFactory
from sdfpose_core.messages.interfaces import Header
from sdfpose_core.messages.objects import pose_message
from sdfpose_ros.planning_scene.scene_updates import SceneReport
from sdfpose_ros.planning_scene.shapes import CollisionShape

__all__ = ["MoveItMessages"]

_BOX, _CYLINDER = 1, 3
"""Types of ``shape_msgs/SolidPrimitive``."""

_Z_TO_Y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Rotation of a cylinder, whose axis is z in messages, to the y axis of the object."""

_ORIGIN = np.zeros(3)


class MoveItMessages:
    """Makes and reads messages of the package moveit_msgs.

    Args:
        moveit_msgs: its module of messages.
        new: message factory.
    """

    def __init__(self, moveit_msgs: Any, new: MessageFactory) -> None:
        self._object = moveit_msgs.CollisionObject
        self._new = new

    def added(
        self,
        object_id: str,
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
        shape: CollisionShape,
        header: Header,
    ) -> Any:
        """A collision object that is new, or takes the place of the one with its id.

        Args:
            object_id: id of the collision object.
            rotation: (3, 3), of the object frame in the frame of the header.
            translation: (3,), metres.
            shape: geometry and parts, object frame.
            header: stamp of the image, and frame of the pose.
        """
        geometry, new = shape.geometry, self._new
        if isinstance(geometry, Primitive):
            fields = {
                "primitives": [self._primitive(geometry)],
                "primitive_poses": [pose_message(new, _Z_TO_Y, _ORIGIN)]
                if geometry.kind == "cylinder"
                else [pose_message(new, np.eye(3), _ORIGIN)],
            }
        else:
            fields = {
                "meshes": [self._mesh(geometry)],
                "mesh_poses": [pose_message(new, np.eye(3), _ORIGIN)],
            }
        return self._new(
            "moveit_msgs/msg/CollisionObject",
            header=header,
            id=object_id,
            pose=pose_message(new, rotation, translation),
            subframe_names=[x.name for x in shape.parts],
            subframe_poses=[pose_message(new, x.rotation, x.translation) for x in shape.parts],
            operation=self._object.ADD,
            **fields,
        )

    def moved(
        self,
        object_id: str,
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
        header: Header,
    ) -> Any:
        """A collision object that is where it was not before; see `added` for the arguments.

        It has no geometry: MoveIt keeps that and the subframes.
        """
        return self._new(
            "moveit_msgs/msg/CollisionObject",
            header=header,
            id=object_id,
            pose=pose_message(self._new, rotation, translation),
            operation=self._object.MOVE,
        )

    def removed(self, object_id: str, header: Header) -> Any:
        """A collision object that is gone."""
        return self._new(
            "moveit_msgs/msg/CollisionObject",
            header=header,
            id=object_id,
            operation=self._object.REMOVE,
        )

    def difference(self, objects: Sequence[Any]) -> Any:
        """A planning scene that differs from MoveIt's by collision objects, and by nothing else.

        The state of the robot is a difference as well: an empty one that is not would detach all
        objects from the robot.
        """
        return self._new(
            "moveit_msgs/msg/PlanningScene",
            robot_state=self._new("moveit_msgs/msg/RobotState", is_diff=True),
            world=self._new("moveit_msgs/msg/PlanningSceneWorld", collision_objects=list(objects)),
            is_diff=True,
        )

    def report(self, scene: Any) -> SceneReport:
        """Read a planning scene as MoveIt publishes it: the whole scene, or what changed.

        Of a difference, an object that is attached and mentioned as detached as well is attached:
        MoveIt lists it so if the world has one with its id, too.
        """
        taken = (self._object.ADD, self._object.APPEND)
        attached, world = (
            scene.robot_state.attached_collision_objects,
            scene.world.collision_objects,
        )
        held = frozenset(x.object.id for x in attached if x.object.operation in taken)
        let_go = {x.object.id for x in attached if x.object.operation == self._object.REMOVE}
        gone = {x.id for x in world if x.operation == self._object.REMOVE}
        return SceneReport(
            complete=not scene.is_diff,
            attached=held,
            detached=frozenset(let_go) - held,
            present=frozenset(x.id for x in world if x.operation in taken),
            removed=frozenset(gone) - held,
        )

    def _primitive(self, solid: Primitive) -> Any:
        x, y, z = (float(side) for side in solid.sides_m)
        box = solid.kind == "box"
        return self._new(
            "shape_msgs/msg/SolidPrimitive",
            type=_BOX if box else _CYLINDER,
            dimensions=np.array([x, y, z] if box else [y, 0.5 * x], dtype=np.float64),
        )

    def _mesh(self, mesh: TriangleMesh) -> Any:
        new = self._new
        return new(
            "shape_msgs/msg/Mesh",
            triangles=[
                new("shape_msgs/msg/MeshTriangle", vertex_indices=x)
                for x in mesh.faces.astype(np.uint32)
            ],
            vertices=[
                new("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in mesh.vertices.tolist()
            ],
        )
