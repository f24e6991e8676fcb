"""The camera on an arm."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdfpose_core.simulation.arm import AWAY_S, arm_path, measured
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, table_scene


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_moves_round_the_table_and_looks_away(seed):
    path, objects = arm_path(TABLE_CAMERA, seed), table_scene(seed).instances
    times = np.arange(0.0, 30.0, 0.1)
    poses = [path.pose(x) for x in times]
    centres = np.array([x.translation for x in poses])
    speeds = np.linalg.norm(np.diff(centres, axis=0), axis=1) / 0.1
    assert 0.2 < speeds.mean() < speeds.max() < 0.8
    inside = np.array(
        [
            [
                (seen := pose.to_camera(x.translation))[2] > 0.0
                and bool(TABLE_CAMERA.contains(TABLE_CAMERA.project(seen)))
                for x in objects
            ]
            for pose in poses
        ]
    )
    away = (times > 11.0) & (times < 11.0 + AWAY_S)
    assert not inside[away].any()
    assert inside[(times < 10.0) | (times > 22.5)].mean() > 0.95


def test_measured_poses_have_the_given_errors():
    rng, pose = np.random.default_rng(0), arm_path(TABLE_CAMERA).pose(3.0)
    found = [measured(pose, rng, 0.002, math.radians(0.2)) for _ in range(500)]
    offsets = np.array([x.translation - pose.translation for x in found])
    np.testing.assert_allclose(offsets.std(axis=0), 0.002, rtol=0.2)
    angles = np.array([x.angle_to(measured(pose, rng, 0.0, 0.0)) for x in found])
    assert np.sqrt((angles**2).mean() / 3.0) == pytest.approx(math.radians(0.2), rel=0.1)
