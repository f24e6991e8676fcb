"""Blocks on a table seen from above, which the tabletop masks find to the pixel, and a fake
estimator that reports the middle of each mask."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from simple_estimates import UPSIDE_DOWN, make_estimate

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, InstanceLabel, RgbdFrame

CAMERA = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
TABLE_M, TOP_M = 0.8, 0.7
BLOCKS = {4: (slice(20, 50), slice(20, 50)), 2: (slice(60, 90), slice(90, 130))}
CATEGORIES = {4: "mug", 2: "laptop"}


def block_frame(blocks=None) -> RgbdFrame:
    """Two blocks on a table, a mug and a laptop by their labels."""
    blocks = BLOCKS if blocks is None else blocks
    mask = np.zeros((CAMERA.height, CAMERA.width), np.uint16)
    for mask_id, block in blocks.items():
        mask[block] = mask_id
    return RgbdFrame(
        colour=np.full((*mask.shape, 3), 90, np.uint8),
        depth=np.where(mask > 0, TOP_M, TABLE_M).astype(np.float32),
        mask=mask,
        camera=CAMERA,
        labels={i: InstanceLabel(CATEGORIES.get(i, "bowl")) for i in blocks},
        stamp_ns=1_000_000_000,
        frame_id="optical",
    )


def empty_frame(depth_m: float) -> RgbdFrame:
    """An image without objects, and with the same depth everywhere."""
    frame = block_frame({})
    return replace(frame, depth=np.full_like(frame.depth, depth_m))


def block_truth(mask_id: int) -> GroundTruth:
    """The true pose of a block: what `MiddleEstimator` reports for its mask."""
    return GroundTruth(
        mask_id=mask_id,
        category=CATEGORIES[mask_id],
        instance=f"{CATEGORIES[mask_id]}_anna",
        rotation=UPSIDE_DOWN,
        translation=_middle(block_frame(), mask_id),
        dimensions_m=np.full(3, 0.1),
        symmetric_about_y=False,
    )


class MiddleEstimator:
    """Stands in for the estimator: a mug in the middle of every mask on the left, else a laptop."""

    device = torch.device("cpu")

    def __init__(self, config, categories):
        self.config, self.categories = config, categories
        self.frames: list[RgbdFrame] = []
        made.append(self)

    def load(self, category):
        pass

    def run(self, frame):
        self.frames.append(frame)
        estimates = []
        for mask_id in sorted(frame.labels):
            middle = _middle(frame, mask_id)
            category = "mug" if middle[0] < 0.0 else "laptop"
            estimates.append(
                make_estimate(category, at=middle, rotation=UPSIDE_DOWN, mask_id=mask_id)
            )
        stage_ms = {"total": 1.0}
        return SimpleNamespace(estimates=estimates, skipped=[], warnings=[], stage_ms=stage_ms)


made: list[MiddleEstimator] = []
"""All estimators, the latest last."""


def _middle(frame: RgbdFrame, mask_id: int):
    v, u = np.nonzero(frame.mask == mask_id)
    return frame.camera.back_project(
        np.array([[u.mean(), v.mean()]], np.float32), np.array([TOP_M], np.float32)
    )[0].astype(np.float64)
