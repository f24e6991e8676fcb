"""Places of things that are no tracked objects, by which the next images recognise them.

Mask ids need not persist from image to image, but a thing stays about where it is.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.observation.frame import Instance
from sdfpose_core.tracking.association import associate

__all__ = ["Place", "recognised", "unnamed"]

_LEAST_REACH_M = 0.01


@dataclass(frozen=True)
class Place:
    """Where an image shows a thing.

    Attributes:
        mask_id: in that image.
        categories: those that it may have.
        middle: (3,), metres: of its points, in the world if the camera's pose is known, else in the
            camera frame.
        reach_m: root mean square distance of these points from their mean, metres.
    """

    mask_id: int
    categories: frozenset[str]
    middle: NDArray[np.float64]
    reach_m: float

    @classmethod
    def of(cls, same: Sequence[Instance]) -> Place:
        """The place of a mask.

        Args:
            same: the instances of a mask id, which differ in category.
        """
        instance = same[0]
        reach_m = float(np.linalg.norm(instance.points.std(axis=0)))
        return cls(
            mask_id=instance.mask_id,
            categories=frozenset(x.category for x in same),
            middle=_middle(instance),
            reach_m=max(reach_m, _LEAST_REACH_M),
        )


def recognised(known: Sequence[Place], options: Mapping[int, Sequence[Instance]]) -> dict[int, int]:
    """Which of the known places each mask shows again, one for one.

    Args:
        known: in previous images.
        options: instances by mask id; those of a mask id differ in category.

    Returns:
        Index of the place by mask id; masks at new places have no entry.
    """
    if not known or not options:
        return {}
    instances = [same[0] for same in options.values()]
    categories = [frozenset(x.category for x in same) for same in options.values()]
    middles = np.stack([x.middle for x in known])
    pairs = associate(
        np.stack([middles, middles], axis=1),
        np.array([x.reach_m for x in known]),
        np.stack([_middle(x) for x in instances]),
        compatible=np.array([[x.categories == y for y in categories] for x in known]),
        preferred=np.array([[x.mask_id == y.mask_id for y in instances] for x in known]),
    )
    return {instances[i].mask_id: k for k, i in pairs}


def unnamed(
    options: Mapping[int, Sequence[Instance]], owned: Container[int]
) -> dict[int, Sequence[Instance]]:
    """The masks for which several categories are tried, without those of tracked objects.

    Args:
        options: see `recognised`.
        owned: mask ids of tracked objects.
    """
    return {i: same for i, same in options.items() if same[0].unknown and i not in owned}


def _middle(instance: Instance) -> NDArray[np.float64]:
    camera = instance.camera_pose
    return instance.middle if camera is None else camera.to_world(instance.middle)
