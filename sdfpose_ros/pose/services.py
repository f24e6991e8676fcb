"""Services of the pose node."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rclpy.parameter import Parameter
from sdfpose.srv import Distance, GetMesh, SaveMesh, SetCategory
from std_srvs.srv import SetBool, Trigger

from sdfpose_core.errors import ConfigurationError, SdfposeError
from sdfpose_core.messages.label_rules import set_label_rule
from sdfpose_ros.graph.mesh_files import mesh_path, write_mesh
from sdfpose_ros.pose.distance_queries import answer_distances
from sdfpose_ros.pose.mask_names import TOPIC

if TYPE_CHECKING:
    from sdfpose_ros.pose.pose_node import PoseNode

__all__ = ["InvalidStateError", "PoseServices"]

Response = TypeVar("Response")


class InvalidStateError(SdfposeError):
    """A request that the node cannot serve in its current state."""


class PoseServices:
    """Answers ``~/reset``, ``~/set_enabled``, ``~/get_mesh`` and so on, in every state of the node.

    Args:
        node: offers the services.
    """

    def __init__(self, node: PoseNode) -> None:
        self._node = node
        node.create_service(Trigger, "~/reset", self._reset)
        node.create_service(SetBool, "~/set_enabled", self._set_enabled)
        node.create_service(GetMesh, "~/get_mesh", self._get_mesh)
        node.create_service(SaveMesh, "~/save_mesh", self._save_mesh)
        node.create_service(SetCategory, "~/set_category", self._set_category)
        node.create_service(Distance, "~/distance", self._distance)

    def _reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        def reset() -> str:
            self._node.active()
            self._node.configured().forget()
            return "all objects are forgotten before the next image is processed"

        return self._answer(response, reset)

    def _set_enabled(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        """Enable or disable processing. Disabling forgets all objects, since they may move."""

        def set_enabled() -> str:
            estimation = self._node.configured()
            if estimation.enabled and not request.data:
                estimation.forget()
            estimation.enabled = request.data
            if request.data:
                return "enabled: images are processed"
            return "disabled: images are ignored, and all objects are forgotten"

        return self._answer(response, set_enabled)

    def _get_mesh(self, request: GetMesh.Request, response: GetMesh.Response) -> GetMesh.Response:
        def get_mesh() -> str:
            found = self._node.publishing().object_with_mesh(request.id)
            response.object = found
            return f"{found.category} {found.id}, revision {found.mesh_revision}"

        return self._answer(response, get_mesh)

    def _save_mesh(
        self, request: SaveMesh.Request, response: SaveMesh.Response
    ) -> SaveMesh.Response:
        def save_mesh() -> str:
            found = self._node.publishing().object_with_mesh(request.id)
            name = request.name or f"{found.category}_{found.id}"
            path = mesh_path(self._node.live.values.mesh_dir, name)
            write_mesh(path, found)
            response.path = str(path)
            return f"the mesh of {found.category} {found.id} was written"

        return self._answer(response, save_mesh)

    def _distance(
        self, request: Distance.Request, response: Distance.Response
    ) -> Distance.Response:
        def distance() -> str:
            header, tracks = self._node.publishing().latest
            assert self._node.scenes is not None
            return answer_distances(
                request, response, self._node.scenes, header, tracks, self._node.transforms
            )

        return self._answer(response, distance)

    def _set_category(
        self, request: SetCategory.Request, response: SetCategory.Response
    ) -> SetCategory.Response:
        def set_category() -> str:
            values = self._node.live.values
            if self._node.inputs and self._node.labelled and values.masks == TOPIC:
                topics = ", ".join(x.topics.labels for x in self._node.inputs.values())
                raise InvalidStateError(
                    f"the categories of the mask ids come from {topics}: set "
                    "the parameter category or mask_categories first to use this service"
                )
            category, by_id = set_label_rule(
                values.category, values.mask_categories, request.mask_id, request.category
            )
            result = self._node.set_parameters_atomically(
                [
                    Parameter("category", Parameter.Type.STRING, category),
                    Parameter("mask_categories", Parameter.Type.STRING_ARRAY, list(by_id)),
                ]
            )
            if not result.successful:
                raise ConfigurationError(result.reason)
            return f"category: '{category}', mask_categories: {list(by_id)}"

        return self._answer(response, set_category)

    def _answer(self, response: Response, action: Callable[[], str]) -> Response:
        """Fill in a response. An error is reported in the response and does not stop the node."""
        answer: Any = response
        try:
            answer.message = action()
            answer.success = True
        except SdfposeError as error:
            answer.success, answer.message = False, str(error)
        except Exception as error:  # otherwise rclpy would stop the node
            self._node.get_logger().error("".join(traceback.format_exception(error)))
            answer.success, answer.message = False, f"{type(error).__name__}: {error} (see the log)"
        return response
