#!/usr/bin/env python3
"""Draw instances in both colour domains: ``python docs/images/make_colour_domains.py``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sdfpose_core.encoder.ssc6d import colour_view
from sdfpose_core.simulation.appearance import APPEARANCES
from sdfpose_core.simulation.instances import ModelPool, simulated_instances

OUTPUT = Path(__file__).parent / "colour_domains.webp"
CATEGORIES = ("bowl", "bottle", "can", "mug", "camera", "laptop")
VIEWS, SIDE_PX, GAP_PX = 2, 128, 6


def main() -> None:
    """Write the picture: a row per domain, a column per instance."""
    rows = []
    pools = {x: ModelPool.for_category(x, range(8), distractors=2) for x in CATEGORIES}
    for appearance in APPEARANCES:
        crops = [
            colour_view(x.instance, SIDE_PX, 256, np.random.default_rng(0)).colour
            for category in CATEGORIES
            for x in simulated_instances(
                category,
                3,
                VIEWS,
                pool=pools[category],
                views_per_scene=1,
                min_visibility=0.8,
                colour=True,
                appearance=appearance,
            )
        ]
        gap = np.full((SIDE_PX, GAP_PX, 3), 255, dtype=np.uint8)
        rows.append(np.hstack([y for x in crops for y in (x, gap)][:-1]))
    between = np.full((GAP_PX, rows[0].shape[1], 3), 255, dtype=np.uint8)
    picture = np.vstack([rows[0], between, rows[1]])
    cv2.imwrite(str(OUTPUT), picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 85])


if __name__ == "__main__":
    main()
