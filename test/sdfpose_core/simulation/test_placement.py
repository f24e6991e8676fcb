"""Things come down on heights: they stand, stack and touch, and do not penetrate each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import SceneObject, primitives
from sdfpose_core.simulation.placement import CELL_M, Footprint, Support, resting_rotation
from sdfpose_core.simulation.rotations import yaw

sides = st.floats(0.02, 0.2)
angles = st.floats(0.0, 6.28)


def footprint(model, rotation=None):
    rotation = np.eye(3) if rotation is None else rotation
    return Footprint.of([SceneObject(0, "", model, rotation, np.zeros(3))])


def table(side=1.0, **options):
    """Empty table with its top at 0."""
    top = primitives.box(side, 0.02, side)
    item = SceneObject(0, "", top, np.eye(3), np.array([0.0, -0.01, 0.0]))
    options = {"lowest_m": -0.1, "highest_m": 1.0, **options}
    return Support.seen_from_above([item], np.zeros(2), 0.6, **options)


@settings(max_examples=25, deadline=None)
@given(sides, sides, sides, angles)
def test_a_box_stands_on_the_table_and_another_on_it(x, y, z, turn):
    support = table()
    box = footprint(primitives.box(x, y, z), yaw(turn))
    at = np.array([3, -7])
    assert support.free(box, at)
    assert support.stable(box, at)
    np.testing.assert_allclose(support.add(box, at), [3 * CELL_M, 0.5 * y, -7 * CELL_M], atol=1e-6)
    assert not support.free(box, at)
    assert support.stable(box, at)
    assert support.lift(box, at) == pytest.approx(1.5 * y, abs=1e-5)
    assert support.lift(box, at, bare=True) == pytest.approx(0.5 * y, abs=1e-5)
    np.testing.assert_allclose(box.centre, 0.0, atol=CELL_M)


@settings(max_examples=25, deadline=None)
@given(sides, sides, angles)
def test_what_is_pushed_against_a_ball_touches_it(radius, side, turn):
    support = table()
    ball = footprint(primitives.sphere(0.5 * radius))
    support.add(ball, np.zeros(2, dtype=np.intp))
    disc = footprint(primitives.cylinder(0.5 * side, 0.3))
    direction = np.array([np.cos(turn), np.sin(turn)])
    found = support.beside(disc, np.zeros(2, dtype=np.intp), direction, 0.5)
    assert found is not None
    distance = CELL_M * np.linalg.norm(found[0])
    assert distance == pytest.approx(0.5 * (radius + side), abs=2.0 * CELL_M)
    away = -found[0] / np.linalg.norm(found[0])
    assert np.arccos(np.clip(away @ direction, -1.0, 1.0)) < 0.3


def test_a_bowl_nests_in_a_bowl():
    bowl = footprint(sample_model("bowl", 0))
    support = table()
    support.add(bowl, np.zeros(2, dtype=np.intp))
    rise = support.lift(bowl, np.zeros(2, dtype=np.intp)) - support.lift(
        bowl, np.zeros(2, dtype=np.intp), bare=True
    )
    assert 0.0 < rise < 0.5 * (bowl.top - bowl.bottom)


def test_what_would_fall_over_is_not_stable():
    support = table()
    support.add(footprint(primitives.box(0.1, 0.1, 0.1)), np.zeros(2, dtype=np.intp))
    plank = footprint(primitives.box(0.3, 0.02, 0.06))
    assert support.stable(plank, np.array([int(0.04 / CELL_M), 0]))
    assert not support.stable(plank, np.array([int(0.08 / CELL_M), 0]))


def test_things_stay_on_the_surface_between_walls_under_the_ceiling():
    box = footprint(primitives.box(0.1, 0.2, 0.1))
    support = table(0.6)
    edge = np.array([int(0.29 / CELL_M), 0])
    assert not support.stable(box, edge + 5)
    assert support.lift(box, np.array([int(0.45 / CELL_M), 0])) == -np.inf
    assert support.lift(box, np.array([1000, 0])) == -np.inf
    assert support.above(box, np.array([1000, 0])) == -np.inf
    assert support.above(box, np.zeros(2, dtype=np.intp)) == pytest.approx(0.1, abs=1e-6)

    shelf = Support.board(np.zeros(2), (0.8, 0.3), 0.4, 0.65)
    middle = np.zeros(2, dtype=np.intp)
    assert shelf.free(box, middle)
    assert shelf.lift(box, middle) == pytest.approx(0.5, abs=1e-6)
    tall = footprint(primitives.box(0.1, 0.26, 0.1))
    assert not shelf.free(tall, middle)
    assert not shelf.stable(tall, middle)
    assert shelf.lift(box, np.array([int(0.35 / CELL_M), 0])) == np.inf  # the side
    assert not shelf.free(box, np.array([0, -int(0.12 / CELL_M)]))  # the wall
    assert shelf.free(box, np.array([0, int(0.09 / CELL_M)]))


def test_things_sink_into_what_is_soft():
    box = footprint(primitives.box(0.1, 0.2, 0.1))
    soft = table(softness_m=0.004)
    assert soft.lift(box, np.zeros(2, dtype=np.intp)) == pytest.approx(0.096, abs=1e-6)


def test_what_no_ray_meets_has_no_footprint():
    flake = CadModel("flake", "", np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1.0]]) * 1e-4 + 1e-3,
                     np.array([[0, 1, 2]], dtype=np.int32))  # fmt: skip
    assert footprint(flake) is None


@settings(max_examples=20, deadline=None)
@given(sides, sides, sides, st.integers(0, 10_000))
def test_a_box_rests_on_one_of_its_faces(x, y, z, seed):
    rotation = resting_rotation(np.random.default_rng(seed), primitives.box(x, y, z))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.abs(rotation[1]).max() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("category", ["bottle", "bowl", "camera", "can", "mug"])
def test_what_rests_does_not_fall_over(category):
    support = table()
    model = sample_model(category, 1)
    for seed in range(8):
        rotation = resting_rotation(np.random.default_rng(seed), model)
        thing = footprint(model, rotation)
        assert support.stable(thing, np.zeros(2, dtype=np.intp))


def test_a_thing_whose_empty_corner_alone_is_over_the_surface_has_no_place():
    ground = np.full((9, 9), -np.inf, dtype=np.float32)
    ground[0, 0] = 0.7
    support = Support(ground, np.zeros(2, dtype=np.intp), np.ones(2))
    low = np.full((3, 3), 1e6, dtype=np.float32)
    low[1:, 1:] = 0.0
    high = np.where(low > 1.0, np.float32(-np.inf), np.float32(0.1))
    thing = Footprint(low, high, np.zeros(2, dtype=np.intp))
    at = np.zeros(2, dtype=np.intp)
    assert support.lift(thing, at) == -np.inf
    assert support.above(thing, at) == -np.inf
    assert not support.stable(thing, at)
