"""Views of blocks on a plane, with the block of each pixel, in the format of training views."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from sdfpose_core.mask_training.augmentation import MaskAugmentation
from sdfpose_core.mask_training.losses import MaskLossConfig
from sdfpose_core.mask_training.training import MaskTraining, MaskTrainingConfig
from sdfpose_core.masks.network import MaskNetworkConfig
from sdfpose_core.storage.record_files import Records

__all__ = ["STILL", "TINY", "toy_network", "toy_training", "toy_views"]

ROWS, COLUMNS = 48, 64
RECORD = np.dtype(
    [
        ("colour", np.uint8, (ROWS, COLUMNS, 3)),
        ("depth", np.uint16, (ROWS, COLUMNS)),
        ("ids", np.uint8, (ROWS, COLUMNS)),
        ("focal", np.float32),
    ]
)


def toy_views(count, seed=0):
    """A free-standing block, and two that touch each other, on a plane seen from above."""
    rng = np.random.default_rng(seed)
    views = np.zeros(count, dtype=RECORD)
    for view in views:
        view["focal"] = 60.0
        view["depth"] = 1000
        view["colour"] = rng.integers(60, 200, 3)
        top, left = rng.integers(2, 8, 2)
        width = int(rng.integers(10, 14))
        boxes = [(top, left), (top, left + width), (top + 22, int(rng.integers(4, 44)))]
        for number, (v, u) in enumerate(boxes, start=1):
            part = slice(v, v + 16), slice(u, u + width)
            view["ids"][part] = number
            view["depth"][part] = 1000 - int(rng.integers(60, 200))
            view["colour"][part] = rng.integers(0, 255, 3)
    return views


STILL = MaskAugmentation(
    zoom=1.0, shift=0.0, roll_deg=0.0, flip=0.0, turned=0.0, size=0.0, grey=0.0, tint=0.0,
    black=0.0, shift_px=0.0, flat=0.0, holes=0.0, depth_noise=0.0,
)  # fmt: skip
"""Only the light changes, a little."""

TINY = MaskNetworkConfig(widths=(16, 24, 32), blocks=(1, 1, 1), free=2)


def toy_training(views, **settings):
    """A training of a tiny network, on the CPU."""
    config = MaskTrainingConfig(
        batch=8,
        learning_rate=5e-3,
        mixed_precision=False,
        checkpoint_every=5,
        losses=MaskLossConfig(pixels=512),
        augmentation=STILL,
    )
    return MaskTraining(Records([views]), TINY, replace(config, **settings), torch.device("cpu"))


@lru_cache(maxsize=1)
def toy_network():
    """A network that knows the first eight toy views."""
    return toy_training(toy_views(8), steps=80).run()
