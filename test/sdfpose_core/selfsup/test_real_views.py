"""Unlabelled colour views of real instances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, colour_view
from sdfpose_core.encoder.ssc6d_training import Ssc6dTrainingConfig
from sdfpose_core.errors import FrameError
from sdfpose_core.observation.colour_crop import ColourCrop, crop_window
from sdfpose_core.observation.frame import Instance
from sdfpose_core.selfsup.real_views import RealBatch, RealViews, crop_rays
from sdfpose_core.simulation.instances import ModelPool, simulated_instances

NETWORK = Ssc6dConfig(code_length=4, points=64, image_size=24, width=8)
PLAIN = Ssc6dTrainingConfig(colour_jitter=0.0, hue_jitter=0.0, jitter_m=0.0)


@pytest.fixture(scope="module")
def instances() -> list[Instance]:
    pool = ModelPool.for_category("mug", range(2), distractors=1)
    stream = simulated_instances("mug", 3, 3, pool=pool, colour=True, min_visibility=0.6)
    return [x.instance for x in stream]


def batch(
    instances: list[Instance], mirror: float, augmentation: Ssc6dTrainingConfig = PLAIN
) -> RealBatch:
    views = RealViews(instances, NETWORK, augmentation, 16)
    rngs = [np.random.default_rng(i) for i in range(len(instances))]
    return views(range(len(instances)), rngs, mirror)


def test_views_are_those_of_the_network(instances: list[Instance]) -> None:
    found = batch(instances, 0.0)
    assert not found.mirrored.any()
    for i, instance in enumerate(instances):
        view = colour_view(instance, 24, 64, np.random.default_rng(i))
        np.testing.assert_allclose(found.colour[i].numpy(), view.colour, atol=1e-3)
        np.testing.assert_array_equal(found.points[i].numpy(), view.points)
        np.testing.assert_array_equal(found.index[i].numpy(), view.index)
        observed = found.observed[i][found.valid[i]].numpy()
        assert 0.5 * len(instance.points) < len(observed) <= len(instance.points)
        assert {tuple(x) for x in observed} <= {tuple(x) for x in instance.points}


def test_mirrored_views_are_mirrored_throughout(instances: list[Instance]) -> None:
    plain, mirrored = batch(instances, 0.0), batch(instances, 1.0)
    assert mirrored.mirrored.all()
    np.testing.assert_array_equal(mirrored.colour.numpy(), plain.colour.numpy()[:, :, ::-1])
    sign = np.array([-1.0, 1.0, 1.0], dtype=np.float32)
    for name in ("points", "observed", "rays"):
        np.testing.assert_array_equal(getattr(mirrored, name), sign * getattr(plain, name).numpy())
    # Each point has the colour that it had.
    for i in range(len(instances)):
        before = plain.colour[i].reshape(-1, 3)[plain.index[i]]
        after = mirrored.colour[i].reshape(-1, 3)[mirrored.index[i]]
        np.testing.assert_array_equal(before.numpy(), after.numpy())


def test_the_network_sees_noise_and_the_losses_do_not(instances: list[Instance]) -> None:
    plain, noisy = batch(instances, 0.0), batch(instances, 0.0, Ssc6dTrainingConfig())
    moved = (noisy.points - plain.points).numpy()
    assert 0.0005 < moved.std() < 0.0015
    assert abs(moved).max() <= 0.005 + 1e-6
    assert (noisy.colour - plain.colour).abs().mean() > 1.0
    np.testing.assert_array_equal(noisy.observed.numpy(), plain.observed.numpy())


def test_rays_pass_through_the_points_of_their_pixels(instances: list[Instance]) -> None:
    for instance in instances:
        assert isinstance(instance.colour, np.ndarray)
        left, top, side = crop_window(instance.pixels, instance.colour.shape)
        rays = crop_rays(instance, side).reshape(side, side, 3)
        u, v = (instance.pixels - (left, top)).T
        expected = instance.points / instance.points[:, 2:]
        np.testing.assert_allclose(rays[v, u], expected, atol=1e-5)
        coarse = crop_rays(instance, side // 2).reshape(side // 2, side // 2, 3)
        middle = rays.reshape(side // 2, 2, side // 2, 2, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(coarse, middle, atol=1e-5)


def test_stored_crops_give_the_same_views(instances: list[Instance]) -> None:
    stored = []
    for x in instances:
        assert isinstance(x.colour, np.ndarray)
        stored.append(replace(x, colour=ColourCrop.around(x.colour, x.pixels)))
    whole, crop = batch(instances, 1.0), batch(stored, 1.0)
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(values, getattr(crop, name), err_msg=name)


def test_pixels_are_square_where_the_points_do_not_tell(instances: list[Instance]) -> None:
    rows = instances[0].pixels[:, 1]
    row = rows == np.bincount(rows).argmax()
    flat = replace(instances[0], points=instances[0].points[row], pixels=instances[0].pixels[row])
    rays = crop_rays(flat, 8).reshape(8, 8, 3)
    step = np.diff(rays, axis=1)[..., 0].mean()
    np.testing.assert_allclose(np.diff(rays, axis=0)[..., 1], step, rtol=1e-3)
    one = replace(flat, points=flat.points[:1], pixels=flat.pixels[:1])
    with pytest.raises(FrameError, match="points of one pixel alone"):
        crop_rays(one, 8)
