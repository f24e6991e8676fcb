"""Cluttered scenes: what is in them, how things stand, and what is known about their images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import open3d as o3d
import pytest

from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.simulation import SensorNoise
from sdfpose_core.simulation.clutter import (
    CLUTTER,
    EMPTY,
    ClutterStyle,
    clutter_scene,
    simulated_clutter,
)
from sdfpose_core.simulation.clutter_rooms import ROOM_KINDS
from sdfpose_core.simulation.distractors import ODD_KINDS

MODELS = {name: [sample_model(name, seed) for seed in range(2)] for name in FAMILIES}


def scene(seed, style=CLUTTER):
    return clutter_scene(np.random.default_rng(seed), MODELS, style)


def depths(items):
    """Largest depth to which the vertices of one thing are inside another one, for each pair."""
    found = {}
    for i, item in enumerate(items):
        rays = o3d.t.geometry.RaycastingScene(nthreads=1)
        rays.add_triangles(
            o3d.core.Tensor.from_numpy(item.vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(item.model.faces.astype(np.uint32)),
        )
        low, high = item.vertices.min(axis=0) - 0.01, item.vertices.max(axis=0) + 0.01
        for j, other in enumerate(items):
            v = other.vertices
            v = v[((v > low) & (v < high)).all(axis=1)][:400].astype(np.float32)
            if i != j and len(v):
                inside = rays.compute_signed_distance(o3d.core.Tensor.from_numpy(v)).numpy()
                found[i, j] = -float(inside.min())
    return found


@pytest.mark.parametrize("room", ROOM_KINDS)
def test_scenes_hold_as_many_things_as_asked(room):
    style = replace(CLUTTER, rooms={room: 1.0}, objects=(3, 9))
    for seed in range(3):
        things = scene(seed, style).instances
        assert 3 <= len(things) <= 9
        assert sorted(x.mask_id for x in things) == list(range(1, len(things) + 1))
        assert all(x.category == x.model.category for x in things)


def test_ours_and_distractors_are_mixed():
    things = [x for seed in range(8) for x in scene(seed).instances]
    ours = [x.category for x in things if x.category]
    assert 0.3 < len(ours) / len(things) < 0.6
    assert set(ours) == set(FAMILIES)
    assert len({x.model.name for x in things if not x.category}) > 15
    assert all(not x.category for seed in range(4) for x in scene(seed, EMPTY).instances)
    assert not set(EMPTY.kinds) & set(ODD_KINDS)


def test_things_touch_but_do_not_penetrate_each_other():
    pairs = []
    for seed in range(6):
        things = scene(seed, replace(CLUTTER, objects=(6, 9), held=0.0)).instances
        pairs += depths(things).values()
    assert max(pairs) < 0.011
    assert np.mean(np.abs(pairs) < 0.005) > 0.15


def test_styles_say_how_things_are_arranged():
    def heights(**shares):
        none = dict.fromkeys(("touching", "near", "stacked", "leaning", "held", "lying"), 0.0)
        style = replace(CLUTTER, objects=(5, 6), rooms={"floor": 1.0}, **{**none, **shares})
        things = [x for seed in range(4) for x in scene(seed, style).instances]
        feet = np.array([x.vertices[:, 1].min() for x in things])
        upright = np.array([x.rotation[1, 1] for x in things])
        return feet, upright

    feet, upright = heights()
    assert feet.max() < 0.01
    assert np.mean(upright > 0.99) > 0.7
    feet, _ = heights(stacked=1.0)
    assert np.mean(feet > 0.01) > 0.4
    _, upright = heights(leaning=1.0)
    tilt = np.degrees(np.arccos(np.clip(np.abs(upright), 0.0, 1.0)))
    assert np.mean((tilt > 5.0) & (tilt < 85.0)) > 0.2


def test_hands_hold_things():
    style = replace(CLUTTER, objects=(4, 5), held=1.0, kinds=("carton", "sphere"))
    for seed in range(4):
        things = scene(seed, replace(style, rooms={"floor": 1.0})).instances
        hand = next(x for x in things if x.model.name == "hand")
        held = things[things.index(hand) - 1]
        assert held.vertices[:, 1].min() > 0.0
        assert np.linalg.norm(hand.translation - held.translation) < 0.5


def test_scenes_repeat_for_equal_generators():
    one, two = scene(4), scene(4)
    assert [x.model.name for x in one.all_objects] == [x.model.name for x in two.all_objects]
    for a, b in zip(one.all_objects, two.all_objects, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)


@pytest.fixture(scope="module")
def frames():
    return list(simulated_clutter(1, 12, width=320, models=MODELS, noise=SensorNoise.none()))


def test_true_ids_are_those_of_visible_things(frames):
    for x in frames:
        ids, counts = np.unique(x.ids[x.ids > 0], return_counts=True)
        assert set(ids) == set(x.categories)
        assert x.ids.dtype == np.uint16
        assert (counts >= 0.25 * CLUTTER.min_pixels).all()
        assert not (x.ids[x.ignore] > 0).any()
        assert {t.mask_id: t.category for t in x.truths} == {
            i: name for i, name in x.categories.items() if name
        }
        assert not x.frame.mask.any()
        assert not x.frame.labels
        assert x.frame.colour.shape == (240, 320, 3)
    assert any(x.ignore.any() for x in frames)
    assert sum(len(x.categories) for x in frames) > 3 * len(frames)


def test_depth_of_true_pixels_is_that_of_the_thing(frames):
    checked = 0
    for x in frames:
        for truth in x.truths:
            v, u = np.nonzero(x.ids == truth.mask_id)
            depth = x.frame.depth[v, u]
            assert (depth > 0.0).all()
            assert depth.min() < CLUTTER.max_depth_m
            points = x.frame.camera.back_project(np.stack([u, v], axis=1), depth)
            local = (points - truth.translation) @ truth.rotation
            assert (np.abs(local) <= 0.5 * truth.dimensions_m + 1e-3).all()
            checked += 1
    assert checked > len(frames)


def test_views_are_near_and_far_and_cut_things_at_the_border(frames):
    borders = [
        np.concatenate([x.ids[[0, -1]].ravel(), x.ids[:, [0, -1]].ravel()]).any() for x in frames
    ]
    assert 0.2 < np.mean(borders) < 1.0
    for x in frames:
        depth = x.frame.depth[x.ids > 0]
        assert 0.2 < depth.min() < 3.0
        fov = 2.0 * np.degrees(np.arctan(160.0 / x.frame.camera.fx))
        assert 40.0 < fov < 90.0


def test_things_that_are_small_or_far_are_ignored():
    style = ClutterStyle(objects=(6, 8), min_pixels=4000, max_depth_m=1.0)
    some = list(simulated_clutter(2, 4, style, width=320, models=MODELS))
    for x in some:
        assert (
            np.bincount(x.ids.ravel())[1:][list(np.array(list(x.categories), int) - 1)] >= 1000
        ).all()
    assert any(x.ignore.any() for x in some)


@pytest.mark.parametrize("appearance", ["studio", "field", "printed"])
def test_streams_repeat(appearance):
    one, two = (
        list(simulated_clutter(7, 2, EMPTY, width=160, appearance=appearance, views_per_scene=1))
        for _ in range(2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.frame.colour, b.frame.colour)
        np.testing.assert_array_equal(a.frame.depth, b.frame.depth)
        assert not any(a.categories.values())
    assert (one[0].frame.colour != one[1].frame.colour).any()


def test_a_thing_keeps_its_id_in_all_views_of_a_scene():
    views = list(simulated_clutter(3, 4, width=160, models=MODELS, views_per_scene=4))
    names = {}
    for x in views:
        for i, category in x.categories.items():
            assert names.setdefault(i, category) == category
    assert len(names) > 1
