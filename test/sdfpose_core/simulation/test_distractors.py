"""Distractors: closed meshes of plausible sizes, none of which is an object of a category."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.shapes.solids import from_mesh
from sdfpose_core.simulation import primitives
from sdfpose_core.simulation.distractors import (
    DISTRACTORS,
    ODD_KINDS,
    gripping_hand,
    random_distractor,
)
from sdfpose_core.simulation.printed_distractors import printed_distractor


@pytest.mark.parametrize("kind", DISTRACTORS)
def test_every_kind_is_a_solid_of_no_category(kind):
    sizes = []
    for seed in range(3):
        model = DISTRACTORS[kind](np.random.default_rng(seed))
        assert (model.name, model.category) == (kind, "")
        assert from_mesh(model.vertices, model.faces).volume() > 0.0
        np.testing.assert_allclose(
            model.vertices.min(axis=0), -model.vertices.max(axis=0), atol=1e-12
        )
        sizes.append(model.dimensions_m.max())
        assert model.dimensions_m.min() > 0.001
    assert min(sizes) > 0.01
    assert max(sizes) < 0.75
    assert np.ptp(sizes) > 0.0


@pytest.mark.parametrize("kind", DISTRACTORS)
def test_every_kind_can_be_painted(kind):
    rng = np.random.default_rng(5)
    model = DISTRACTORS[kind](rng)
    points = model.vertices[model.faces].mean(axis=1)
    a, b, c = (model.vertices[model.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    for _ in range(3):
        paint = printed_distractor(model, rng)
        colour = paint.albedo(points, normals, model.dimensions_m)
        assert colour.shape == (len(points), 3)
        assert colour.min() >= 0.0
        assert colour.max() < 1.0001
        assert 0.0 <= paint.gloss <= 1.0


@pytest.mark.parametrize("category", FAMILIES)
def test_odd_shapes_are_too_large_too_small_or_too_oval(category):
    usual = [sample_model(category, seed).dimensions_m for seed in range(16)]
    longest = np.array([x.max() for x in usual])
    across = np.array([max(x[0], x[2]) / min(x[0], x[2]) for x in usual])
    for seed in range(10):
        sides = DISTRACTORS[f"odd_{category}"](np.random.default_rng(seed)).dimensions_m
        outside = not 0.8 * longest.min() < sides.max() < 1.25 * longest.max()
        oval = max(sides[0], sides[2]) / min(sides[0], sides[2]) > 1.1 * across.max()
        assert outside or oval, sides


def test_no_cylinder_is_a_can():
    cans = [sample_model("can", seed).dimensions_m for seed in range(40)]
    widths = [x[[0, 2]].max() for x in cans]
    slender = [x[1] / x[[0, 2]].max() for x in cans]
    for kind in ("cylinder", "roll"):
        for seed in range(60):
            sides = DISTRACTORS[kind](np.random.default_rng(seed)).dimensions_m
            wide, ratio = sides[0], sides[1] / sides[0]
            holed = kind == "roll" and ratio < 0.52
            assert holed or not (
                min(widths) < wide < max(widths) and min(slender) < ratio < max(slender)
            )


def test_kinds_are_drawn_as_asked():
    rng = np.random.default_rng(0)
    names = {random_distractor(rng).name for _ in range(250)}
    assert len(names) > 0.6 * len(DISTRACTORS)
    some = ("monitor", "carton")
    assert {random_distractor(rng, some).name for _ in range(20)} == set(some)
    assert set(ODD_KINDS) == {f"odd_{x}" for x in FAMILIES}


def test_distractors_repeat_for_equal_generators():
    for seed in range(5):
        one, two = (random_distractor(np.random.default_rng(seed)) for _ in range(2))
        assert one.name == two.name
        np.testing.assert_array_equal(one.vertices, two.vertices)


@pytest.mark.parametrize("width", [0.02, 0.05, 0.09])
def test_a_gripping_hand_leaves_room_for_what_it_holds(width):
    for seed in range(5):
        hand = gripping_hand(np.random.default_rng(seed), width)
        grip = np.array([hand.parameters[f"grip_{k}_m"] for k in "xyz"])
        solid = from_mesh(hand.vertices - grip, hand.faces)
        core = from_mesh(*_box(0.0, 0.02, 0.01, 0.5 * width - 0.001))
        assert (solid ^ core).volume() == pytest.approx(0.0, abs=1e-12)
        reach = solid.bounding_box()
        assert reach[2] < -0.5 * width < 0.5 * width < reach[5]


def _box(low, high, half_y, half_z):
    """Box from x = low to high."""
    box = primitives.box(high - low, 2.0 * half_y, 2.0 * half_z)
    return box.vertices + np.array([0.5 * (low + high), 0.0, 0.0]), box.faces
