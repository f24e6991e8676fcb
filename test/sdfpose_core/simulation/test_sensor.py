from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.simulation import (
    CameraPose,
    Rendering,
    Scene,
    SceneObject,
    SensorNoise,
    primitives,
    render,
)
from sdfpose_core.simulation.weak_returns import WeakReturns

CAMERA = PinholeCamera(320, 240, 600.0, 600.0, 159.5, 119.5)
PRESETS = {
    "mild": SensorNoise.mild(),
    "realistic": SensorNoise.realistic(),
    "strong": SensorNoise.strong(),
}


def wall(distance, camera=CAMERA):
    """A wall that faces the camera."""
    shape = (camera.height, camera.width)
    normals = np.zeros((*shape, 3), dtype=np.float32)
    normals[..., 2] = -1.0
    return Rendering(
        colour=np.zeros((*shape, 3), dtype=np.uint8),
        depth=np.full(shape, distance, dtype=np.float32),
        mask=np.ones(shape, dtype=np.uint16),
        normals=normals,
    )


@pytest.fixture(scope="module")
def two_boxes():
    """A near box before a wall, seen straight on."""
    near = SceneObject(1, "can", primitives.box(0.1, 0.1, 0.02), np.eye(3), np.array([0, 0, -0.61]))
    back = SceneObject(0, "", primitives.box(4.0, 4.0, 0.02), np.eye(3), np.array([0, 0, -1.01]))
    pose = CameraPose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    return render(Scene([near, back]), CAMERA, pose, colour=False)


def test_no_noise_is_the_truth(two_boxes):
    depth = SensorNoise.none().apply(two_boxes, CAMERA, np.random.default_rng(0))
    assert np.array_equal(depth, two_boxes.depth)
    assert depth is not two_boxes.depth


@pytest.mark.parametrize("preset", PRESETS)
def test_noise_repeats_for_equal_generators(two_boxes, preset):
    noise = PRESETS[preset]
    one = noise.apply(two_boxes, CAMERA, np.random.default_rng(4))
    two = noise.apply(two_boxes, CAMERA, np.random.default_rng(4))
    other = noise.apply(two_boxes, CAMERA, np.random.default_rng(5))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.dtype == np.float32
    assert one.min() >= 0.0


@pytest.mark.parametrize("wavelength", [1.0, 3.0])
def test_axial_noise_has_its_standard_deviation_and_grows_with_depth_squared(wavelength):
    noise = SensorNoise(axial_m=0.002, axial_px=wavelength)
    for distance in (0.5, 1.0, 2.0):
        depth = noise.apply(wall(distance), CAMERA, np.random.default_rng(0))
        assert depth.std() == pytest.approx(0.002 * distance**2, rel=0.1)
        assert depth.mean() == pytest.approx(distance, abs=2e-4 * distance**2)


def test_bias_is_smooth():
    depth = SensorNoise(bias_m=0.003).apply(wall(1.0), CAMERA, np.random.default_rng(1))
    assert 0.001 < depth.std() < 0.006
    assert np.abs(np.diff(depth, axis=1)).max() < 0.001


def test_disparity_steps_grow_with_depth_squared():
    ramp = wall(1.0)
    ramp.depth.flat[:] = np.linspace(0.5, 2.0, ramp.depth.size, dtype=np.float32)
    depth = SensorNoise(step_m=0.01).apply(ramp, CAMERA, np.random.default_rng(0))
    levels = np.unique(depth)
    near, far = levels[levels < 0.6], levels[levels > 1.8]
    assert np.diff(near).mean() == pytest.approx(0.01 * near.mean() ** 2, rel=0.1)
    assert np.diff(far).mean() == pytest.approx(0.01 * far.mean() ** 2, rel=0.1)
    assert np.abs(depth - ramp.depth).max() < 0.6 * 0.01 * 2.0**2


def test_millimetres():
    noise = SensorNoise(axial_m=0.001, millimetres=True)
    depth = noise.apply(wall(0.7), CAMERA, np.random.default_rng(0)).astype(np.float64)
    np.testing.assert_allclose(depth * 1000.0, np.round(depth * 1000.0), atol=1e-3)


def test_edges_lose_depth_and_nothing_else_does(two_boxes):
    noise = SensorNoise(edge_dropout=0.5)
    depth = noise.apply(two_boxes, CAMERA, np.random.default_rng(0))
    v, u = np.nonzero(depth == 0.0)
    rows, columns = np.nonzero(two_boxes.mask)
    outline = np.minimum.reduce(
        [
            np.abs(u - columns.min()), np.abs(u - columns.max()),
            np.abs(v - rows.min()), np.abs(v - rows.max()),
        ]
    )  # fmt: skip
    assert len(v) > 100
    assert outline.max() <= 1


def test_flying_pixels_lie_between_the_surfaces(two_boxes):
    depth = SensorNoise(flying=0.5).apply(two_boxes, CAMERA, np.random.default_rng(0))
    between = (depth > 0.605) & (depth < 0.995)
    assert 50 < between.sum() < 2000
    changed = depth != two_boxes.depth
    assert depth[changed].min() >= 0.59
    assert depth[changed].max() <= 1.01


@pytest.mark.parametrize("side", [1, -1])
def test_the_second_camera_leaves_a_shadow_of_the_right_width_on_one_side(two_boxes, side):
    noise = SensorNoise(baseline_m=side * 0.05)
    depth = noise.apply(two_boxes, CAMERA, np.random.default_rng(0))
    row = depth[CAMERA.height // 2]
    lost = np.flatnonzero(row == 0.0)
    expected = 600.0 * 0.05 * (1.0 / 0.6 - 1.0 / 1.0)
    assert len(lost) == pytest.approx(expected, abs=2)
    columns = np.nonzero(two_boxes.mask)[1]
    if side > 0:
        assert lost.max() == columns.min() - 1
    else:
        assert lost.min() == columns.max() + 1


def test_grazing_surfaces_lose_depth():
    noise = SensorNoise(grazing_cos=0.3)
    facing, grazing = wall(1.0), wall(1.0)
    angle = np.deg2rad(84.0)
    grazing.normals[:] = np.array([0.0, np.sin(angle), -np.cos(angle)], dtype=np.float32)
    flat = CAMERA.crop(150, 110, 20, 20)
    assert (noise.apply(facing, CAMERA, np.random.default_rng(0)) > 0).all()
    images = (grazing.colour, grazing.depth, grazing.mask, grazing.normals)
    part = Rendering(*(x[110:130, 150:170] for x in images))
    lost = noise.apply(part, flat, np.random.default_rng(0)) == 0
    assert 0.45 < lost.mean() < 0.85


def test_patches_cover_their_share():
    noise = SensorNoise(patches=0.05)
    lost = noise.apply(wall(1.0), CAMERA, np.random.default_rng(0)) == 0
    assert lost.mean() == pytest.approx(0.05, abs=0.01)
    # patches, not salt: most missing pixels have a missing neighbour
    assert (lost[:, 1:] & lost[:, :-1]).sum() > 0.7 * lost.sum()


def test_mirrors_make_holes_in_objects_only(two_boxes):
    ball = SceneObject(1, "can", primitives.sphere(0.1, 64), np.eye(3), np.array([0, 0, -0.6]))
    pose = CameraPose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    view = render(Scene([ball]), CAMERA, pose, colour=False)
    noise = SensorNoise(shiny=1.0, shiny_cos=0.97)
    lost = [
        (noise.apply(view, CAMERA, np.random.default_rng(i)) == 0)[view.mask == 1].mean()
        for i in range(8)
    ]
    assert 0.0 < np.mean(lost) < 0.2


def flat_part(loss, instead):
    """A wall whose left half returns little depth."""
    view = wall(1.0)
    pixels = np.flatnonzero(np.arange(CAMERA.width * CAMERA.height) % CAMERA.width < 160)
    full = np.ones(len(pixels), dtype=np.float32)
    return replace(view, weak=WeakReturns(pixels, loss * full, instead * full))


@pytest.mark.parametrize("loss", [0.0, 0.3, 0.8, 1.0])
def test_weak_parts_lose_their_share_of_depth_and_nothing_else_does(loss):
    shares = []
    for i in range(20):
        depth = SensorNoise(weak=1.0).apply(flat_part(loss, 0.0), CAMERA, np.random.default_rng(i))
        assert (depth[:, 160:] == 1.0).all()
        shares.append((depth[:, :160] == 0.0).mean())
    assert np.mean(shares) == pytest.approx(loss, abs=0.06)
    half = SensorNoise(weak=0.5).apply(flat_part(loss, 0.0), CAMERA, np.random.default_rng(0))
    assert (half[:, :160] == 0.0).mean() <= shares[0]


def test_some_of_the_lost_depth_is_that_of_what_is_behind_or_mirrored():
    depth = SensorNoise(weak=1.0).apply(flat_part(1.0, 1.7), CAMERA, np.random.default_rng(0))
    assert set(np.unique(depth[:, :160])) == {np.float32(0.0), np.float32(1.7)}
    assert 0.1 < (depth[:, :160] > 0.0).mean() < 0.9


def test_weak_parts_are_noisier_where_they_return_depth():
    noise = SensorNoise(weak=1.0, axial_m=0.002)
    depth = noise.apply(flat_part(0.5, 0.0), CAMERA, np.random.default_rng(0))
    weak, strong = depth[:, :160], depth[:, 160:]
    assert weak[weak > 0.0].std() > 1.3 * strong.std()


def test_depth_out_of_range_is_missing():
    noise = SensorNoise(range_m=(0.3, 2.0))
    for distance, valid in ((0.2, False), (1.0, True), (2.5, False)):
        depth = noise.apply(wall(distance), CAMERA, np.random.default_rng(0))
        assert (depth > 0).all() == valid
        assert (depth > 0).any() == valid


def test_half_the_resolution_gets_noise_of_the_same_metric_size():
    noise = SensorNoise(axial_m=0.002, axial_px=4.0)
    half = CAMERA.resize(160, 120)
    whole = noise.apply(wall(1.0), CAMERA, np.random.default_rng(0))
    small = noise.apply(wall(1.0, half), half, np.random.default_rng(0))
    assert small.std() == pytest.approx(whole.std(), rel=0.2)


def test_random_cameras_differ_and_stay_sane(two_boxes):
    rng = np.random.default_rng(0)
    sensors = [SensorNoise.random(rng) for _ in range(20)]
    assert len(set(sensors)) == 20
    valid = [(x.apply(two_boxes, CAMERA, rng) > 0).mean() for x in sensors]
    assert min(valid) > 0.4
    assert max(valid) > 0.97


def test_presets_are_ordered():
    levels = [SensorNoise.none(), *PRESETS.values()]
    for name in ("axial_m", "bias_m", "lateral_px", "edge_dropout", "flying", "patches", "shiny"):
        values = [getattr(x, name) for x in levels]
        assert values == sorted(values)
    assert replace(SensorNoise.mild(), axial_m=0.0) != SensorNoise.mild()
