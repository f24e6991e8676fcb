"""Objects of a pose node's messages, named, and with their poses in the frame of the scene."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sdfpose.msg import SdfObjectArray
from std_msgs.msg import Header

from sdfpose_core.messages.objects import estimate_from_message
from sdfpose_core.observation.frame import ObjectEstimate
from sdfpose_core.tracking.track import TrackState
from sdfpose_ros.graph.throttle import ThrottledLog
from sdfpose_ros.planning_scene.object_meshes import ObjectMeshes
from sdfpose_ros.planning_scene.parameters import PlanningSceneNodeParameters
from sdfpose_ros.planning_scene.scene_updates import SceneObject
from sdfpose_ros.pose.transforms import TransformBuffer

__all__ = ["ObjectReader"]


class ObjectReader:
    """Reads ``sdfpose/SdfObjectArray`` messages.

    Args:
        parameters: frame of the scene, collision geometry, prefix of the ids.
        meshes: the last mesh of each object.
        transforms: those of /tf; None for the frame of the messages.
        topic_of: full name of a topic, for the log.
        log: receives a warning if a mesh does not come.
    """

    def __init__(
        self,
        parameters: PlanningSceneNodeParameters,
        meshes: ObjectMeshes,
        transforms: TransformBuffer | None,
        topic_of: Callable[[str], str],
        log: ThrottledLog,
    ) -> None:
        self._parameters = parameters
        self._meshes = meshes
        self._transforms = transforms
        self._topic_of = topic_of
        self._log = log
        self._names: dict[int, str] = {}

    def __call__(
        self, message: SdfObjectArray, known: Collection[str]
    ) -> tuple[Header, list[SceneObject]]:
        """Return the objects of a message, and their stamp and frame.

        An object whose pose is invalid is left out, as if it were not listed.

        Args:
            message: of the pose node.
            known: ids in the scene. An object that is there keeps its id if its category changes.

        Raises:
            TransformMissingError: /tf does not tell where the frame of the scene is.
        """
        valid = [(x, y) for x in message.objects if (y := estimate_from_message(x)) is not None]
        header, rotation, translation = self._to_scene(message.header, needed=bool(valid))
        self._rename((x for x, _ in valid), known)
        objects = [self._object(x, y, rotation, translation) for x, y in valid]
        return header, objects

    def _to_scene(
        self, header: Header, *, needed: bool
    ) -> tuple[Header, NDArray[np.float64], NDArray[np.float64]]:
        """Header in the frame of the scene, rotation (3, 3) and translation (3,) into it."""
        target = self._parameters.planning_frame
        if self._transforms is None or target == header.frame_id:
            return header, np.eye(3), np.zeros(3)
        in_scene = Header(stamp=header.stamp, frame_id=target)
        if not needed:
            return in_scene, np.eye(3), np.zeros(3)
        return in_scene, *self._transforms.lookup(target, header.frame_id, header.stamp)

    def _rename(self, objects: Iterable[Any], known: Collection[str]) -> None:
        before, self._names = self._names, {}
        for x in objects:
            name = before.get(int(x.id), "")
            if name not in known:
                name = f"{self._parameters.id_prefix}{x.category}_{x.id}"
            self._names[int(x.id)] = name

    def _object(
        self,
        message: Any,
        estimate: ObjectEstimate,
        rotation: NDArray[np.float64],
        translation: NDArray[np.float64],
    ) -> SceneObject:
        number, name = int(message.id), self._names[int(message.id)]
        known, symmetric = self._meshes.get(number), bool(estimate.symmetric_about_y)
        shape: tuple[object, ...] | None = (symmetric, known is not None)
        if self._parameters.shape != "primitive":
            shape = None if known is None else (symmetric, known.version)
        if shape is None and message.mesh_revision and message.state == TrackState.TRACKED:
            self._log.warning(
                ("mesh", name),
                f"{name}: its mesh has not come, so it is not in the planning scene: expected it "
                f"on {self._topic_of('~/objects')} or {self._topic_of('~/meshes')}; set "
                "publish_meshes: true on the pose node, or shape: primitive here",
            )
        return SceneObject(
            id=name,
            number=number,
            category=message.category,
            state=int(message.state),
            confidence=float(estimate.confidence),
            rotation=rotation @ estimate.rotation,
            translation=rotation @ estimate.translation + translation,
            dimensions_m=np.asarray(estimate.dimensions_m, np.float64),
            symmetric_about_y=symmetric,
            shape=shape,
        )
