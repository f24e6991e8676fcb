"""Printed surfaces: where print lies, which way it reads, and what tells an object's ends apart."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.simulation import artwork, fittings, primitives
from sdfpose_core.simulation.appearance import ColourCamera, random_camera, random_illumination
from sdfpose_core.simulation.coats import (
    PrintedPaint,
    SurfacePoints,
    above,
    flat,
    on_end,
    pictured,
    wrapped,
)
from sdfpose_core.simulation.printed import printed_background, printed_paint
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.scene import CameraPose, Scene, SceneObject
from sdfpose_core.simulation.tabletop import TABLE_CAMERA

RED, GREEN, BLUE = (220, 0, 0), (0, 200, 0), (0, 0, 210)
SIDES = np.array([0.1, 0.2, 0.1])


def quartered():
    """A picture that is red at the upper left, green at the upper right and blue below."""
    picture = np.ones((40, 40, 4), np.float32)
    picture[:20, :20, :3] = np.array(RED) / 255.0
    picture[:20, 20:, :3] = np.array(GREEN) / 255.0
    picture[20:, :, :3] = np.array(BLUE) / 255.0
    return picture


def wall_points(turns, heights):
    """Points on the wall of a cylinder as tall as the box, by turn from +x toward -z."""
    angle = -2.0 * np.pi * np.asarray(turns)
    normals = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=1)
    points = 0.05 * normals + np.outer(SIDES[1] * (np.asarray(heights) - 0.5), [0.0, 1.0, 0.0])
    return points, normals


def names(colours):
    return [("red", "green", "blue")[int(np.argmax(x))] for x in colours]


def test_a_wrapped_picture_stands_upright_and_reads_from_the_left():
    paint = PrintedPaint((90, 90, 90), (wrapped(quartered(), 0.1, 0.9, start=0.25, span=0.5),))
    points, normals = wall_points([-0.1, 0.1, -0.1, 0.1], [0.8, 0.8, 0.2, 0.2])
    assert names(paint.albedo(points, normals, SIDES)) == ["red", "green", "blue", "blue"]
    points, normals = wall_points([0.5, 0.0], [0.5, 0.95])
    beside = paint.albedo(points, normals, SIDES)
    np.testing.assert_allclose(beside, 90.0 / 255.0, atol=1e-6)


def test_a_camera_sees_print_as_it_was_drawn():
    """Rendered from +x with the object upright, left is left and up is up."""
    model = primitives.cylinder(0.05, 0.2)
    paint = PrintedPaint((0, 0, 0), (wrapped(quartered(), 0.0, 1.0, start=0.25, span=0.5),))
    item = SceneObject(1, "can", model, np.eye(3), np.zeros(3), paint)
    pose = CameraPose.look_at([0.6, 0.0, 0.0], [0.0, 0.0, 0.0])
    image = render(Scene([item]), TABLE_CAMERA, pose).colour
    rows, columns = image.shape[:2]
    around = [(-60, -25), (-60, 25), (60, -25), (60, 25)]
    seen = [image[rows // 2 + v, columns // 2 + u] for v, u in around]
    assert names(seen) == ["red", "green", "blue", "blue"]


def test_later_coats_cover_earlier_ones():
    paint = PrintedPaint(BLUE, (flat(RED, above(0.5)), flat(GREEN, above(0.75))))
    points, normals = wall_points([0.0] * 3, [0.25, 0.6, 0.9])
    assert names(paint.albedo(points, normals, SIDES)) == ["blue", "red", "green"]


def test_what_a_picture_does_not_cover_stays():
    picture = quartered()
    picture[:20, :, 3] = 0.0
    paint = PrintedPaint(GREEN, (wrapped(picture, 0.0, 1.0),))
    points, normals = wall_points([0.1, 0.1], [0.8, 0.2])
    assert names(paint.albedo(points, normals, SIDES)) == ["green", "blue"]


def test_an_end_is_painted_alone():
    points = np.array([[0.01, 0.1, 0.0], [0.01, -0.1, 0.0], [0.05, 0.0, 0.0]])
    normals = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    picture = np.ones((8, 8, 4), np.float32) * np.array([1.0, 0.0, 0.0, 1.0], np.float32)
    for up, expected in ((True, ["red", "green", "green"]), (False, ["green", "red", "green"])):
        paint = PrintedPaint(GREEN, (on_end(picture, up),))
        assert names(paint.albedo(points, normals, SIDES)) == expected


def test_few_points_see_a_fine_pattern_blurred():
    fine = np.ones((128, 128, 4), np.float32)
    fine[..., :3] = (np.indices((128, 128)).sum(axis=0) % 2)[..., None]

    def where(at: SurfacePoints):
        return at.p[:, 0], at.p[:, 1], np.ones(len(at.p), dtype=np.bool_)

    rng = np.random.default_rng(0)
    paint = PrintedPaint((0, 0, 0), (pictured(fine, where, 1.0),))
    points = rng.random((400, 3))
    few = paint.albedo(points, points, SIDES)
    np.testing.assert_allclose(few, 0.5, atol=0.15)
    points = rng.random((40_000, 3))
    assert paint.albedo(points, points, SIDES).std() > 0.45


@pytest.mark.parametrize("category", FAMILIES)
def test_every_category_has_surfaces_of_its_own(category):
    model = sample_model(category, 0)
    points = model.vertices[model.faces].mean(axis=1)
    a, b, c = (model.vertices[model.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    seen = []
    for seed in range(4):
        paint = printed_paint(category, model, np.random.default_rng(seed))
        colours = paint.albedo(points, normals, model.dimensions_m)
        assert colours.shape == points.shape
        assert 0.0 <= colours.min() <= colours.max() <= 1.0 + 1e-6
        again = printed_paint(category, model, np.random.default_rng(seed))
        np.testing.assert_array_equal(colours, again.albedo(points, normals, model.dimensions_m))
        seen.append(colours)
    assert max(x.std() for x in seen) > 0.05
    assert np.abs(seen[0] - seen[1]).mean() > 0.02


def test_the_ends_of_cans_differ():
    model = sample_model("can", 1)
    height = float(model.dimensions_m[1])
    rng = np.random.default_rng(0)
    disc = rng.uniform(-0.3, 0.3, size=(500, 2)) * model.dimensions_m[0]
    ends = []
    for sign in (1.0, -1.0):
        points = np.stack([disc[:, 0], np.full(500, 0.5 * sign * height), disc[:, 1]], axis=1)
        normals = np.tile([0.0, sign, 0.0], (500, 1))
        ends.append((points, normals))
    differ = 0
    for seed in range(10):
        paint = printed_paint("can", model, np.random.default_rng(seed))
        top, bottom = (paint.albedo(*end, model.dimensions_m) for end in ends)
        differ += abs(top - bottom).mean() > 0.03
    assert differ >= 8


def test_backgrounds_of_all_kinds_are_painted():
    rng = np.random.default_rng(0)
    for model in (primitives.box(3.0, 0.03, 2.0), primitives.box(0.1, 0.2, 0.05)):
        points = rng.uniform(-0.5, 0.5, size=(5000, 3)) * model.dimensions_m
        normals = np.eye(3)[rng.integers(3, size=5000)]
        patterned = 0
        for _ in range(20):
            colours = printed_background(model, rng).albedo(points, normals, model.dimensions_m)
            assert np.all(np.isfinite(colours))
            patterned += colours.std(axis=0).max() > 0.02
        assert 8 <= patterned <= 20


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: artwork.label(rng, 0.3),
        lambda rng: artwork.label(rng, 6.0),
        lambda rng: artwork.decal(rng, 0.2),
        lambda rng: artwork.logo(rng, RED),
        lambda rng: fittings.keyboard(rng, RED),
        lambda rng: fittings.text_ring(rng, RED),
        fittings.screen,
        fittings.tab_lid,
        fittings.bottom_lid,
        fittings.cloth,
        fittings.pattern_tile,
    ],
)
def test_pictures_have_colour_and_coverage(draw):
    for seed in range(6):
        picture = draw(np.random.default_rng(seed))
        assert picture.ndim == 3
        assert picture.shape[2] == 4
        assert picture.dtype == np.float32
        assert 0.0 <= picture.min() <= picture.max() <= 1.0
        assert picture[..., 3].max() > 0.0


def test_grey_and_shifted_cameras():
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(30, 40, 3), dtype=np.uint8)
    grey = ColourCamera(grey=True).apply(image, rng)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    moved = ColourCamera(shift_px=(3, -2)).apply(image, rng)
    np.testing.assert_array_equal(moved[:-2, 3:], image[2:, :-3])


def test_rooms_and_cameras_vary_within_bounds():
    rng = np.random.default_rng(0)
    cameras = [random_camera(rng, "printed") for _ in range(400)]
    assert 0.01 < np.mean([x.grey for x in cameras]) < 0.12
    assert max(abs(v) for x in cameras for v in x.shift_px) == 5
    lights = [random_illumination(rng, "printed") for _ in range(100)]
    assert all(x.direction[1] > 0.1 for x in lights)
    assert any(x.window > 0.5 for x in lights)


def test_a_window_is_reflected_by_gloss_alone():
    ball = primitives.sphere(0.1)
    camera, pose = TABLE_CAMERA.resize(160, 120), CameraPose.look_at([0.0, 0.0, 0.6], [0, 0, 0])
    light = random_illumination(np.random.default_rng(0), "studio")
    window = type(light)(window=1.0, window_at=(0.0, 0.0, 1.0))
    for gloss, brighter in ((0.0, False), (0.8, True)):
        item = SceneObject(
            1, "", ball, np.eye(3), np.zeros(3), PrintedPaint((60, 60, 60), (), gloss)
        )
        plain, lit = (
            render(Scene([item]), camera, pose, illumination=x).colour for x in (light, window)
        )
        assert (
            bool(lit[60, 80].astype(int).sum() > plain[60, 80].astype(int).sum() + 50) == brighter
        )
