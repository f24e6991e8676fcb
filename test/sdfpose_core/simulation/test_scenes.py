from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.benchmark.poses import STYLE
from sdfpose_core.categories import Categories, Resting, default_categories
from sdfpose_core.shapes.families import FAMILIES, HELD_OUT_SEED, sample_model
from sdfpose_core.simulation import (
    TABLE_CAMERA,
    MaskNoise,
    SceneStyle,
    SensorNoise,
    orbit,
    random_scene,
    random_view,
    render,
    simulated_frame,
    table_scene,
)
from sdfpose_core.simulation.furnishing import Disc, random_slab


@pytest.fixture(scope="module")
def models():
    return {name: [sample_model(name, seed) for seed in range(3)] for name in FAMILIES}


def circle(item):
    v = item.vertices
    low, high = v.min(axis=0), v.max(axis=0)
    centre = 0.5 * (low + high)[[0, 2]]
    return centre, np.hypot(*(v[:, [0, 2]] - centre).T).max()


def test_things_on_a_table_stand_on_it_apart_from_each_other(models):
    style = SceneStyle(held=0.0, leaning=0.0, slabs=0.0)
    for seed in range(10):
        scene = random_scene(np.random.default_rng(seed), models, style)
        assert scene.table is not None
        assert scene.table.vertices[:, 1].max() == pytest.approx(0.0, abs=1e-9)
        standing = [x for x in scene.objects if abs(x.vertices[:, 1].min()) < 1e-6]
        assert set(scene.instances) <= set(standing)
        circles = [circle(x) for x in standing]
        for i, (a, r) in enumerate(circles):
            for b, s in circles[:i]:
                assert np.linalg.norm(a - b) > r + s - 1e-9


def test_things_stand_on_the_table_or_on_slabs(models):
    style = SceneStyle(held=0.0, leaning=0.0, slabs=1.0)
    raised = 0
    for seed in range(20):
        scene = random_scene(np.random.default_rng(seed), models, style)
        tops = [0.0]
        for item in scene.objects:
            if item.model.name == "box" and item.dimensions_m[1] < 0.031:
                tops.append(item.vertices[:, 1].max())
        for item in scene.instances:
            foot = item.vertices[:, 1].min()
            assert np.abs(np.array(tops) - foot).min() < 1e-9
            raised += foot > 1e-3
    assert raised > 10


def test_a_slab_is_under_the_whole_of_a_thing_or_beside_it():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        discs = [Disc(rng.normal(size=2) * 0.3, rng.uniform(0.02, 0.1)) for _ in range(6)]
        found = random_slab(rng, discs)
        if found is None:
            continue
        slab, on = found
        half = 0.5 * slab.dimensions_m[[0, 2]]
        assert slab.vertices[:, 1].min() == pytest.approx(0.0)
        assert 0.002 <= slab.dimensions_m[1] <= 0.03
        angle = np.linspace(0.0, 2.0 * np.pi, 60)
        for disc, under in zip(discs, on, strict=True):
            rim = disc.centre + disc.radius_m * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            world = np.stack([rim[:, 0], np.zeros(60), rim[:, 1]], axis=1)
            local = np.abs(slab.to_object(world))[:, [0, 2]] - half
            inside = (local < 1e-9).all(axis=1)
            assert inside.all() if under else not (local < -1e-9).all(axis=1).any()


def test_leaning_objects_touch_what_they_lean_against(models):
    style = SceneStyle(held=0.0, leaning=1.0, lying=0.0, slabs=0.0, occluders=0)
    tilts = []
    for seed in range(10):
        scene = random_scene(np.random.default_rng(seed), models, style)
        things = [x for x in scene.objects if x.dimensions_m.max() < 2.0]
        for item in scene.instances:
            if item.category == "laptop":
                continue
            tilts.append(np.degrees(np.arccos(item.rotation[1, 1])))
            prop = things[things.index(item) + 1]
            toward = prop.rotation[:, 2]
            assert toward @ item.rotation[:, 1] > 0.0  # the top leans toward the prop
            v = item.vertices
            low = v[v[:, 1] <= prop.vertices[:, 1].max() + 1e-6]
            face = (prop.vertices @ toward).min()
            assert (low @ toward).max() == pytest.approx(face, abs=2e-3)
            assert v[:, 1].min() == pytest.approx(0.0, abs=1e-9)
    assert 5.0 <= min(tilts) < 10.0
    assert 25.0 < max(tilts) <= 30.0


def test_desks_are_small_and_before_a_wall_with_the_camera_on_the_same_side(models):
    style = SceneStyle(held=0.0, desks=1.0)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, models, style)
        wall = scene.objects[-1]
        assert wall.model.name == "box"
        inward = wall.rotation[:, 2]
        face = wall.translation @ inward
        assert max((x.vertices @ -inward).max() for x in scene.instances) < -face
        _, pose = random_view(rng, scene)
        assert pose.translation @ inward > face


def test_the_upright_style_is_plain(models):
    for seed in range(8):
        scene = random_scene(np.random.default_rng(seed), models, SceneStyle.upright())
        assert scene.table is not None
        for item in scene.instances:
            assert item.material is None
            assert item.rotation[1, 1] > np.cos(np.deg2rad(8.0))
            assert item.vertices[:, 1].min() == pytest.approx(0.0, abs=1e-9)


def test_the_usual_styles_have_mostly_standing_objects(models):
    for style, lowest in ((SceneStyle(held=0.0), 0.6), (STYLE, 0.8)):
        scenes = [random_scene(np.random.default_rng(i), models, style) for i in range(60)]
        up = np.array([x.rotation[1, 1] for scene in scenes for x in scene.instances])
        weak = [x.material is not None for scene in scenes for x in scene.instances]
        assert lowest < (up > np.cos(np.deg2rad(5.0))).mean() < 0.97
        assert 0.25 < np.mean(weak) < 0.45


def test_a_hard_style_prefers_models_whose_ends_look_alike():
    some = {"camera": [sample_model("camera", seed) for seed in range(24)]}

    def front(hard):
        style = SceneStyle(held=0.0, hard=hard, occluders=0)
        scenes = [random_scene(np.random.default_rng(i), some, style) for i in range(30)]
        return np.mean(
            [x.model.dimensions_m[0] / x.model.diagonal_m for s in scenes for x in s.instances]
        )

    assert front(1.0) < front(0.0) - 0.03


def test_numbers_and_ids_of_objects(models):
    counts = set()
    for seed in range(30):
        scene = random_scene(np.random.default_rng(seed), models)
        ids = sorted(x.mask_id for x in scene.instances)
        assert ids == list(range(1, len(ids) + 1))
        assert all(x.category == x.model.category for x in scene.instances)
        counts.add(len(ids))
    assert counts == {3, 4, 5, 6, 7}


def test_held_scenes_have_no_table_and_free_rotations(models):
    style = SceneStyle(held=1.0)
    scenes = [random_scene(np.random.default_rng(i), models, style) for i in range(12)]
    assert all(x.table is None for x in scenes)
    up = np.array([x.rotation[1, 1] for scene in scenes for x in scene.instances])
    assert (up < -0.3).any()
    assert (np.abs(up) < 0.3).any()
    assert (up > 0.3).any()


def test_the_focus_is_there(models):
    for seed in range(8):
        scene = random_scene(np.random.default_rng(seed), models, focus="camera")
        assert any(x.category == "camera" for x in scene.instances)


def test_scenes_and_views_repeat_for_equal_generators(models):
    def draw():
        rng = np.random.default_rng(12)
        scene = random_scene(rng, models)
        return simulated_frame(scene, *random_view(rng, scene), rng, colour=False)

    (one, truths), (two, same) = draw(), draw()
    assert np.array_equal(one.depth, two.depth)
    assert np.array_equal(one.mask, two.mask)
    assert [x.instance for x in truths] == [x.instance for x in same]


def test_views_show_their_target_from_a_plausible_place(models):
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(15):
        scene = random_scene(rng, models, SceneStyle(held=0.0, occluders=0))
        target = scene.instances[0]
        camera, pose = random_view(rng, scene, target=target)
        fov = 2.0 * np.rad2deg(np.arctan(0.5 * camera.width / camera.fx))
        assert 44.9 < fov < 75.1
        distance = np.linalg.norm(pose.translation - target.translation)
        assert 0.3 < distance < 4.0
        assert pose.translation[1] > 0.0
        small = camera.resize(camera.width // 4, camera.height // 4)
        seen.append((render(scene, small, pose, colour=False).mask == target.mask_id).any())
    assert np.mean(seen) > 0.85


def test_a_simulated_frame_is_labelled(models):
    rng = np.random.default_rng(3)
    scene = random_scene(rng, models, SceneStyle(held=0.0))
    camera, pose = random_view(rng, scene, largest_width=320)
    frame, truths = simulated_frame(
        scene, camera, pose, rng, noise=SensorNoise.none(), mask_noise=MaskNoise.none(),
        stamp_ns=17, frame_id="lens",
    )  # fmt: skip
    assert (frame.stamp_ns, frame.frame_id) == (17, "lens")
    assert {x.mask_id for x in truths} == set(np.unique(frame.mask)) - {0}
    assert {k: v.category for k, v in frame.labels.items()} == {
        x.mask_id: x.category for x in truths
    }
    assert frame.colour.any()


def test_the_demonstration_shows_all_categories_from_everywhere():
    scene = table_scene(0)
    assert [x.category for x in scene.instances] == list(FAMILIES)
    held_out = {f"{name}_{HELD_OUT_SEED:07d}" for name in FAMILIES}
    assert {x.model.name for x in scene.instances} == held_out
    camera = TABLE_CAMERA.resize(160, 120)
    for time_s in np.arange(0.0, 60.0, 5.0):
        mask = render(scene, camera, orbit(time_s), colour=False).mask
        assert set(np.unique(mask)) == {0, 1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("seed", range(4))
def test_objects_of_the_demonstration_stand_apart(seed):
    circles = [circle(x) for x in table_scene(seed).instances if x.category != "laptop"]
    for i, (a, r) in enumerate(circles):
        for b, s in circles[:i]:
            assert np.linalg.norm(a - b) > r + s


def test_the_orbit_is_gentle_and_closes():
    poses = [orbit(t, period_s=60.0) for t in np.arange(0.0, 60.0, 0.1)]
    places = np.array([x.translation for x in poses])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) / 0.1
    assert speed.max() < 0.25
    first, last = orbit(0.0, period_s=60.0), orbit(60.0, period_s=60.0)
    np.testing.assert_allclose(first.translation, last.translation, atol=1e-9)
    np.testing.assert_allclose(first.rotation, last.rotation, atol=1e-9)


@pytest.mark.parametrize(("resting", "lies"), [(Resting(), True), (Resting(0.97, 0.0, 0.0), False)])
def test_own_categories_lie_if_their_entry_says_so(models, resting, lies):
    own = replace(default_categories()["can"], name="tin", labels=("tin",), resting=resting)
    known = Categories({**default_categories(), "tin": own})
    style = SceneStyle(held=0.0, leaning=0.0, lying=0.5, upside_down=0.2, slabs=0.0, tilt_deg=0.0)
    rotations = [
        x.rotation
        for seed in range(20)
        for x in random_scene(
            np.random.default_rng(seed), {"tin": models["can"]}, style, categories=known
        ).instances
    ]
    ups = np.array([x[1, 1] for x in rotations])
    assert ((np.abs(ups) < 0.3).any(), (ups < -0.9).any()) == (lies, lies)
    assert (ups > 0.9).any()
