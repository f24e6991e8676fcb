"""Object transforms relative to another frame than the camera's."""

from __future__ import annotations

from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header

from sdfpose_core.messages.objects import transform_arrays
from sdfpose_ros.graph.object_messages import transform_message
from sdfpose_ros.pose.transforms import TransformBuffer

__all__ = ["TargetFrame"]


class TargetFrame:
    """Transforms the objects' transforms into a target frame.

    Args:
        transforms: those of /tf.
        frame_id: target frame.
    """

    def __init__(self, transforms: TransformBuffer, frame_id: str) -> None:
        self._transforms = transforms
        self.frame_id = frame_id

    def __call__(self, transforms: list[TransformStamped]) -> list[TransformStamped]:
        """Return the transforms with the target frame as their parent.

        Raises:
            TransformMissingError: there is no transform from the camera frame to the target frame
                at that time.
        """
        if not transforms:
            return []
        header = transforms[0].header
        rotation, translation = self._transforms.lookup(
            self.frame_id, header.frame_id, header.stamp
        )
        target = Header(stamp=header.stamp, frame_id=self.frame_id)
        moved = []
        for transform in transforms:
            r, t = transform_arrays(transform.transform)
            moved.append(
                transform_message(
                    rotation @ r, rotation @ t + translation, target, transform.child_frame_id
                )
            )
        return moved
