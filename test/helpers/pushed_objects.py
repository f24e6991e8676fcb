"""A can that is pushed toward a mug, and an estimator that knows both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from followed_objects import TABLE_CAMERA, VIEW, followed, moved, overlap, touching, view
from tracker_fakes import FakeEstimator

CAMERA = TABLE_CAMERA.resize(320, 240)
MUG, CAN = touching()
GAPS_M = (0.08, 0.07, 0.06, 0.05, 0.03, 0.01, 0.0, 0.0)
"""Between mug and can; the tabletop masks part 22 mm."""


def scene(gap_m):
    return [moved(MUG, x_m=-0.03), moved(CAN, x_m=gap_m - 0.03)]


class Knowing(FakeEstimator):
    """Knows the shapes, and where the objects of the scene may be."""

    device = torch.device("cpu")

    def __init__(self, *_):
        super().__init__(self._truth)
        self._places = [x for gap_m in sorted(set(GAPS_M)) for x in scene(gap_m)]

    def load(self, category):
        pass

    def _truth(self, instance, warm):
        same = [x for x in self._places if x.category == instance.category]
        if not same:
            return None

        def distance(item):
            visible = VIEW.to_camera(item.translation) - instance.middle
            return float(np.linalg.norm(visible[:2]))

        nearest = min(same, key=distance)
        if distance(nearest) > 0.03:
            return None
        true = followed(nearest)
        pose = ("rotation", "translation", "scale", "dimensions_m")
        names = (*pose, "vertices", "faces", "normals")
        return {x: getattr(true, x) for x in names} | {"symmetric_about_y": False}


def best_masks(mask, frame):
    """The id that overlaps each of the two objects most, and the IoU, by true id."""
    ids = sorted(set(np.unique(mask).tolist()) - {0})
    return {
        true_id: max((overlap(mask == i, frame.mask == true_id), i) for i in ids)[::-1]
        for true_id in (1, 2)
    }


def frames():
    """An image for each gap, every 0.1 s."""
    return [
        replace(view(scene(gap_m), seed=k, camera=CAMERA), stamp_ns=(1 + k) * 10**8)
        for k, gap_m in enumerate(GAPS_M)
    ]
