"""Transforms of a recorded bag, and the poses of its camera in the world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.bags import decoded_messages, open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.messages.transform_tree import TransformTree
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.observation.frame import RgbdFrame

__all__ = ["TF", "TF_STATIC", "TF_TYPE", "RecordedWorld"]

TF, TF_STATIC = "/tf", "/tf_static"
TF_TYPE = "tf2_msgs/msg/TFMessage"


class RecordedWorld:
    """Poses of the camera in a frame of a bag's transforms.

    All transforms are read first, so that results do not depend on the order of the messages.

    Args:
        path: path of the bag.
        frame_id: the world, a frame that the objects do not move in when the robot moves.
        covariance: (6, 6) of the camera poses, see `MeasuredCameraPose`; None for its default.

    Raises:
        BagError: the bag cannot be read, or has no transforms.
    """

    def __init__(
        self, path: Path | str, frame_id: str, covariance: NDArray[np.float64] | None = None
    ) -> None:
        self.frame_id = frame_id
        self._covariance = covariance
        self._tree = TransformTree()
        undecoded: dict[str, list[str]] = {}
        with open_bag(path, []) as bag:
            topics = {x.topic for x in bag.connections if x.msgtype == TF_TYPE}
            if not topics & {TF, TF_STATIC}:
                raise BagError(
                    f"{path}: has no topic {TF}, needed for the poses of the camera in '{frame_id}'"
                )
            take = {TF: self._tree.take, TF_STATIC: self._tree.take_static}
            for topic, message, _ in decoded_messages(bag, take, undecoded):
                take[topic](message)
        self.problems = [
            f"{path}: {len(x)} messages on {topic} cannot be decoded: {x[0]}; skipped"
            for topic, x in undecoded.items()
        ]

    def placed(self, frame: RgbdFrame) -> RgbdFrame:
        """The frame with the pose of the camera at its stamp.

        Raises:
            TransformError: the transforms do not tell it.
        """
        matrix = self._tree.lookup(self.frame_id, frame.frame_id, frame.stamp_ns)
        pose = MeasuredCameraPose(matrix[:3, :3], matrix[:3, 3])
        if self._covariance is not None:
            pose = replace(pose, covariance=self._covariance)
        return replace(frame, camera_pose=pose)
