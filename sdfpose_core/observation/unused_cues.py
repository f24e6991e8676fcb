"""Cues of a frame that are not used, because they tell nothing or something impossible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sdfpose_core.observation.colour_crop import is_blank
from sdfpose_core.observation.frame import Instance, RgbdFrame
from sdfpose_core.observation.input_warnings import InputWarning

__all__ = ["unused_cues"]


def unused_cues(
    frame: RgbdFrame, instances: Sequence[Instance], *, colour: bool
) -> list[InputWarning]:
    """Say which cues of a frame its instances do without.

    Args:
        frame: the frame.
        instances: of the frame, from `segment`.
        colour: whether colour would be used.
    """
    found = []
    if frame.up is not None and any(not _is_along(x, frame.up) for x in instances):
        x, y, z = frame.up
        found.append(
            InputWarning(
                "gravity",
                f"the direction up ({x:.2f}, {y:.2f}, {z:.2f}) is that of no plane in the image, "
                "and oblique to, or opposite of, what looks like a table: gravity is not used; "
                "expected the direction against gravity in the camera's optical frame (x right, "
                "y down, z forward): check the frame and the sign of its source",
            )
        )
    blank = sorted({x.mask_id for x in instances if x.colour is not None and _is_blank(x)})
    if colour and blank:
        found.append(
            InputWarning(
                "blank colour",
                f"the colour image has no contrast around mask id {', '.join(map(str, blank))}: "
                "colour is not used there; expected an image that is neither black nor saturated "
                "(check exposure and encoding)",
            )
        )
    return found


def _is_along(instance: Instance, up: np.ndarray) -> bool:
    return instance.up is not None and bool(np.allclose(instance.up, up, atol=1e-6))


def _is_blank(instance: Instance) -> bool:
    assert instance.colour is not None
    return is_blank(instance.colour, instance.pixels)
