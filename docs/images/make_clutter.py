#!/usr/bin/env python3
"""Draw simulated clutter and its true masks: ``python docs/images/make_clutter.py``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sdfpose_core.simulation.clutter import simulated_clutter

OUTPUT = Path(__file__).parent / "clutter.webp"
SEED, FRAMES, COLUMNS, WIDTH_PX, GAP_PX = 12, 8, 4, 240, 6
DEPTH_SHARE = 0.97
"""The farthest colour is that of the depth below which this share of the pixels lies."""


def main() -> None:
    """Write the picture: colour, depth and masks of each image, one above the other."""
    hues = (np.arange(256) * 67 % 180).astype(np.uint8)
    full = np.full(256, 255, dtype=np.uint8)
    palette = cv2.cvtColor(np.stack([hues, full, full], axis=-1)[None], cv2.COLOR_HSV2RGB)[0]
    palette[0] = 0
    tiles = []
    for x in simulated_clutter(SEED, FRAMES, width=WIDTH_PX, views_per_scene=1):
        depth = x.frame.depth
        far = float(np.quantile(depth[depth > 0.0], DEPTH_SHARE))
        near = np.asarray(255.0 * (1.0 - np.clip(depth / far, 0.0, 1.0)), dtype=np.uint8)
        shown = cv2.applyColorMap(near, cv2.COLORMAP_TURBO)[..., ::-1].copy()
        shown[depth == 0.0] = 0
        tiles.append(np.vstack([x.frame.colour, shown, palette[x.ids]]))
    gap = np.full((tiles[0].shape[0], GAP_PX, 3), 255, dtype=np.uint8)
    rows = []
    for first in range(0, FRAMES, COLUMNS):
        row = [part for tile in tiles[first : first + COLUMNS] for part in (tile, gap)]
        rows += [np.hstack(row[:-1])]
        rows += [np.full((GAP_PX, rows[0].shape[1], 3), 255, dtype=np.uint8)]
    picture = np.vstack(rows[:-1])
    cv2.imwrite(str(OUTPUT), picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])


if __name__ == "__main__":
    main()
