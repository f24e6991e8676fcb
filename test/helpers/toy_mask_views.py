"""Views of blocks on a plane, with the block of each pixel, in the format of training views."""

from __future__ import annotations

import numpy as np

__all__ = ["toy_views"]

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
