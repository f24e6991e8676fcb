"""The checks of a frame's messages, the same in the pose node and in everything that reads bags."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.messages.compressed import raw_depth
from sdfpose_core.messages.decoding import (
    InputTopics,
    LabelRules,
    camera_from_info,
    check_intrinsics,
    check_rectified,
    colour_size,
    decode_depth,
    default_depth_unit,
    rgbd_frame,
)
from sdfpose_core.messages.errors import DepthUnitError, MessageError
from sdfpose_core.messages.interfaces import Image
from sdfpose_core.messages.synchronizer import FrameMessages
from sdfpose_core.observation.depth_unit import depth_unit_problem
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.observation.input_warnings import InputWarning

__all__ = ["checked_frame"]


def checked_frame(
    messages: FrameMessages,
    rules: LabelRules | None,
    topics: InputTopics,
    categories: Categories,
    *,
    depth_unit: float | None = None,
    up: NDArray[np.floating] | None = None,
) -> tuple[RgbdFrame, list[InputWarning]]:
    """Build a frame from its messages, and check what is likely to be wrong.

    The warnings are about intrinsics of another resolution, distortion in an image that is not
    rectified, the unit of the depth, and an empty mask. The frame is usable all the same.

    Args:
        messages: synchronised messages.
        rules: categories of mask ids, used where there is no label message.
        topics: topics of the messages, for errors.
        categories: known categories, with the sizes that depth is checked against.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.
        up: (3,) unit vector against gravity, camera frame; None if unknown.

    Raises:
        MessageError: one of the messages is invalid.
    """
    size = colour_size(messages.colour, topics.colour)
    camera = camera_from_info(messages.info, topics.camera_info, size)
    labels = messages.labels if messages.labels is not None else rules or LabelRules({})
    depth = raw_depth(messages.depth, topics.depth)
    frame = rgbd_frame(
        messages.colour,
        depth,
        messages.mask,
        camera,
        labels,
        topics,
        depth_unit=depth_unit,
        up=up,
    )
    warnings: list[InputWarning] = []
    for check in (check_intrinsics, check_rectified):
        try:
            check(messages.info, topics)
        except MessageError as error:
            warnings.append(_warning(error))
    problem = _depth_problem(frame, depth, topics.depth, categories, depth_unit)
    if problem is not None:
        warnings.append(InputWarning((DepthUnitError, topics.depth), f"{topics.depth}: {problem}"))
    if messages.mask is not None and not frame.mask.any():
        warnings.append(
            InputWarning(
                ("empty mask", topics.mask),
                f"{topics.mask}: the mask is empty: expected instance ids above 0 on the objects",
            )
        )
    return frame, warnings


def _depth_problem(
    frame: RgbdFrame, message: Image, topic: str, categories: Categories, depth_unit: float | None
) -> str | None:
    depth = frame.depth
    if 2 * np.count_nonzero(depth) < depth.size:  # what is too far counts as missing in the frame
        depth = decode_depth(message, topic, depth_unit)
    unit = depth_unit or default_depth_unit(message.encoding)
    return depth_unit_problem(depth, frame.mask, frame.camera, frame.labels, categories, unit)


def _warning(error: MessageError) -> InputWarning:
    return InputWarning((type(error), error.topic), str(error))
