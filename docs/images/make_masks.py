#!/usr/bin/env python3
"""Draw true masks beside those of the mask network: ``python docs/images/make_masks.py``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sdfpose_core.evaluation.mask_metrics import match_masks
from sdfpose_core.masks.network_masks import NetworkMasks
from sdfpose_core.masks.sources import segment_alone
from sdfpose_core.shapes.families import HELD_OUT_SEED
from sdfpose_core.simulation.clutter import simulated_clutter
from sdfpose_core.visualisation.masks import draw_mask_comparison

OUTPUT = Path(__file__).parent / "masks.webp"
SEED, FRAMES, COLUMNS, WIDTH_PX, GAP_PX = 77, 6, 2, 480, 6
MODELS = range(HELD_OUT_SEED, HELD_OUT_SEED + 24)


def main() -> None:
    """Write the picture: each image with the true masks, and with the found ones."""
    network = NetworkMasks(device="cpu")
    tiles = []
    images = simulated_clutter(SEED, FRAMES, width=640, model_seeds=MODELS, views_per_scene=1)
    for x in images:
        found = segment_alone(network, x.frame).ids
        comparison = match_masks(x.ids, found, ignore=x.ignore)
        drawn = draw_mask_comparison(x.frame.colour, x.ids, found, comparison)
        height = round(drawn.shape[0] * 2 * WIDTH_PX / drawn.shape[1])
        tile = cv2.resize(drawn, (2 * WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        tiles.append(cv2.copyMakeBorder(tile, 0, GAP_PX, 0, GAP_PX, cv2.BORDER_CONSTANT,
                                        value=(255, 255, 255)))  # fmt: skip
    rows = [np.hstack(tiles[first : first + COLUMNS]) for first in range(0, FRAMES, COLUMNS)]
    picture = np.vstack(rows)[:-GAP_PX, :-GAP_PX]
    cv2.imwrite(str(OUTPUT), picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 70])


if __name__ == "__main__":
    main()
