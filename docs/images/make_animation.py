#!/usr/bin/env python3
"""Make the animation at the top of the README: ``python docs/images/make_animation.py``.

A simulated camera circles the table of unseen objects once while the tracker follows them. The
upper part shows boxes, axes and reconstructed surfaces over the colour image. The lower part shows
the reconstructed meshes, turning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdfpose_core import ObjectEstimate, PoseEstimator, RgbdFrame, Tracker
from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.device import set_threads
from sdfpose_core.shapes.contact_sheet import render_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import TABLE_CAMERA, orbit, simulated_frame, table_scene
from sdfpose_core.tracking.tracker import TrackState
from sdfpose_core.visualisation.drawing import draw_overlay

FILE = Path(__file__).parent / "demo.webp"

WIDTH, HEIGHT = 480, 360
MESH_SIDE = WIDTH // 6
FIRST_YAW_DEG = 55.0

PICTURES = 64
PICTURE_MS = 110
"""One turn takes seven seconds in the animation."""

STEPS = 2
"""Images that the tracker sees for each picture."""

TURN_S = 25.6
WARM_UP = 16
"""Images before the first picture, so that the end of the turn looks like its start."""

QUALITY = 75


def main() -> None:
    """Write the animation."""
    set_threads(1)
    categories = default_categories()
    meshes: dict[str, ObjectEstimate] = {}  # the newest of each object, hidden or not
    pictures = []
    for i, (frame, estimates) in enumerate(_turn()):
        meshes |= {x.category: x for x in estimates}
        row = _meshes([meshes[x] for x in sorted(meshes)], categories, i / PICTURES)
        pictures.append(np.vstack([_overlay(frame, estimates, categories), row]))
    first, *rest = [Image.fromarray(x) for x in pictures]
    first.save(
        FILE,
        save_all=True,
        append_images=rest,
        duration=PICTURE_MS,
        loop=0,
        quality=QUALITY,
        method=6,
    )


def _turn() -> Iterator[tuple[RgbdFrame, list[ObjectEstimate]]]:
    """The frame and the visible objects of each picture of one turn round the table."""
    scene, rng = table_scene(), np.random.default_rng(0)
    with closing(Tracker(PoseEstimator())) as tracker:
        for k in range(-WARM_UP, PICTURES * STEPS):
            time_s = k * TURN_S / (PICTURES * STEPS)
            shown = k >= 0 and k % STEPS == 0
            frame, _ = simulated_frame(
                scene,
                TABLE_CAMERA,
                orbit(time_s, period_s=TURN_S),
                rng,
                colour=shown,
                stamp_ns=round(1e9 * (time_s + TURN_S)),
            )
            tracks = tracker.step(frame).tracks
            if shown:
                yield frame, [x.estimate for x in tracks if x.state != TrackState.LOST]


def _overlay(
    frame: RgbdFrame, estimates: Sequence[ObjectEstimate], categories: Categories
) -> NDArray[np.uint8]:
    """The overlay, drawn at the size of the animation so that its labels stay readable."""
    size = (WIDTH, HEIGHT)
    small = replace(
        frame,
        colour=np.asarray(cv2.resize(frame.colour, size, interpolation=cv2.INTER_AREA), np.uint8),
        depth=np.zeros((HEIGHT, WIDTH), np.float32),
        mask=np.zeros((HEIGHT, WIDTH), np.uint16),
        camera=frame.camera.resize(*size),
    )
    return draw_overlay(small, estimates, categories)


def _meshes(
    estimates: Sequence[ObjectEstimate], categories: Categories, turn: float
) -> NDArray[np.uint8]:
    """The meshes side by side, turned by a share of a whole turn."""
    row = np.full((MESH_SIDE, WIDTH, 3), 255, np.uint8)
    for i, x in enumerate(estimates):
        model = CadModel.centred("", x.category, x.vertices, x.faces)
        colour = categories[x.category].colour
        row[:, i * MESH_SIDE : (i + 1) * MESH_SIDE] = render_model(
            model, MESH_SIDE, yaw_deg=FIRST_YAW_DEG + 360.0 * turn, colour=colour
        )
    return row


if __name__ == "__main__":
    main()
