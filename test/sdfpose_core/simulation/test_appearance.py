"""Domains of colour images with the same geometry."""

from itertools import islice

import numpy as np
import pytest

from sdfpose_core.simulation.appearance import (
    ColourCamera,
    Illumination,
    random_camera,
    random_illumination,
    repainted,
)
from sdfpose_core.simulation.instances import ModelPool, simulated_instances

GREY = np.full((24, 32, 3), 100, dtype=np.uint8)


@pytest.fixture(scope="module")
def pool():
    return ModelPool.for_category("can", range(2), distractors=1)


def views(pool, appearance, seed=5):
    stream = simulated_instances(
        "can", seed, pool=pool, pixels=3000, colour=True, appearance=appearance
    )
    return list(islice(stream, 4))


def test_the_domains_differ_in_colour_alone(pool):
    studio, field = views(pool, "studio"), views(pool, "field")
    for a, b in zip(studio, field, strict=True):
        np.testing.assert_array_equal(a.instance.points, b.instance.points)
        np.testing.assert_array_equal(a.truth.rotation, b.truth.rotation)
        assert a.instance.colour.shape == b.instance.colour.shape
        difference = np.abs(a.instance.colour.astype(float) - b.instance.colour)
        assert difference.mean() > 10.0


def test_the_same_seed_gives_the_same_colours(pool):
    for a, b in zip(views(pool, "field"), views(pool, "field"), strict=True):
        np.testing.assert_array_equal(a.instance.colour, b.instance.colour)


def test_the_studio_has_one_light_and_an_ideal_camera():
    rng = np.random.default_rng(0)
    assert random_illumination(rng, "studio") == Illumination()
    assert random_camera(rng, "studio") == ColourCamera()
    assert repainted(scene := object(), rng, "studio") is scene
    assert ColourCamera().apply(GREY, rng) is GREY


def test_lamps_of_the_field_are_above_the_table():
    rng = np.random.default_rng(0)
    heights = [random_illumination(rng, "field").direction[1] for _ in range(50)]
    assert min(heights) > 0.2
    assert np.ptp(heights) > 0.5


def test_gain_and_gamma_act_on_each_channel():
    camera = ColourCamera(gain=(2.0, 1.0, 3.0), gamma=2.0)
    image = camera.apply(GREY, np.random.default_rng(0))
    light = 100.0 / 255.0
    expected = 255.0 * np.array([2.0 * light, light, 1.0]) ** 2
    np.testing.assert_allclose(image[0, 0], expected, atol=0.5)
    assert np.ptp(image, axis=(0, 1)).max() == 0


def test_noise_has_the_given_standard_deviation():
    white = np.full((100, 100, 3), 128, dtype=np.uint8)
    image = ColourCamera(noise=0.04).apply(white, np.random.default_rng(0)).astype(float)
    expected = 255.0 * 0.04 * np.sqrt(0.25 + 0.75 * 128 / 255)
    assert image.std() == pytest.approx(expected, rel=0.03)
    assert image.mean() == pytest.approx(128.0, abs=0.3)


def test_compression_keeps_size_and_channel_order():
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[..., 0] = 200
    out = ColourCamera(jpeg_quality=50).apply(image, np.random.default_rng(0))
    assert out.shape == image.shape
    np.testing.assert_allclose(out.mean((0, 1)), [200.0, 0.0, 0.0], atol=3.0)
