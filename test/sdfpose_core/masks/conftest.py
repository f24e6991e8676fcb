"""Simulated views of a table, with the true masks."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.simulation import MaskNoise, Scene, simulated_frame
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene


def view(scene: Scene, time_s: float, seed: int = 0) -> RgbdFrame:
    """A realistic depth image of the demonstration's camera, and the true mask."""
    frame, _ = simulated_frame(
        scene,
        TABLE_CAMERA,
        orbit(time_s),
        np.random.default_rng(seed),
        mask_noise=MaskNoise.none(),
        colour=False,
    )
    return frame


@pytest.fixture(scope="session")
def views() -> list[RgbdFrame]:
    """Views of four tables with six objects each, from both sides."""
    return [
        view(table_scene(seed), 7.0 * seed + time_s, seed)
        for seed in range(4)
        for time_s in (0, 30)
    ]


@pytest.fixture(scope="session")
def empty_table() -> RgbdFrame:
    scene = table_scene(0)
    furniture = [x for x in scene.objects if x.mask_id == 0]
    return view(Scene(furniture, scene.table), 0.0)


@pytest.fixture(scope="session")
def moving_views() -> list[RgbdFrame]:
    """Five images of a camera that moves round a table, at ten in a second."""
    scene = table_scene(1)
    return [view(scene, 0.1 * i, i) for i in range(5)]
