from __future__ import annotations

from itertools import islice

import numpy as np
import open3d as o3d
import pytest

from sdfpose_core.shapes.families import FAMILIES, sample_model
from sdfpose_core.simulation import MaskNoise, SceneStyle, SensorNoise
from sdfpose_core.simulation.instances import ModelPool, simulated_instances


@pytest.fixture(scope="module")
def pool():
    return ModelPool.procedural({name: range(2) for name in FAMILIES})


def test_a_stream_repeats_and_seeds_differ(pool):
    one = list(simulated_instances("mug", 5, 12, pool=pool))
    two = list(simulated_instances("mug", 5, 12, pool=pool))
    other = list(simulated_instances("mug", 6, 12, pool=pool))
    assert len(one) == 12
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.instance.points, b.instance.points)
        assert np.array_equal(a.truth.rotation, b.truth.rotation)
    assert not np.array_equal(one[0].truth.translation, other[0].truth.translation)


def test_colour_is_rendered_where_it_is_asked_for(pool):
    plain = list(simulated_instances("mug", 5, 6, pool=pool))
    coloured = list(simulated_instances("mug", 5, 6, pool=pool, colour=True))
    for a, b in zip(plain, coloured, strict=True):
        assert a.instance.colour is None
        image = b.instance.colour
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert (b.instance.pixels.max(axis=0) < image.shape[1::-1]).all()
        assert image.std() > 3.0
        assert np.array_equal(a.instance.points, b.instance.points)
        assert np.array_equal(a.truth.rotation, b.truth.rotation)


def test_views_say_whether_they_are_hard(pool):
    for share in (0.0, 1.0):
        views = simulated_instances("can", 0, 4, pool=pool, style=SceneStyle(hard=share))
        assert {x.hard_view for x in views} == {share == 1.0}


def test_the_stream_has_no_end_without_a_count(pool):
    assert len(list(islice(simulated_instances("can", 0, pool=pool), 30))) == 30


@pytest.mark.parametrize("category", list(FAMILIES))
def test_points_lie_on_the_model_at_its_pose(pool, category):
    stream = simulated_instances(
        category, 1, 10, pool=pool, noise=SensorNoise.none(), mask_noise=MaskNoise.none()
    )
    for x in stream:
        points, truth = x.instance.points, x.truth
        assert x.instance.category == truth.category == x.model.category == category
        assert points.dtype == np.float32
        assert 64 <= len(points) <= 1024
        assert len(x.instance.pixels) == len(points)
        local = (points - truth.translation) @ truth.rotation / truth.scale
        half = 0.5 * sample_model(category, x.model_seed).dimensions_m
        half /= np.linalg.norm(2.0 * half)
        assert (np.abs(local) < half + 2e-3).all()
        assert 0.15 <= x.visibility <= 1.0


def test_without_occluders_everything_in_the_image_is_visible(pool):
    style = SceneStyle(objects=(1, 1), occluders=0, held=0.0)
    stream = simulated_instances("can", 2, 12, pool=pool, style=style)
    assert np.median([x.visibility for x in stream]) > 0.95


def test_rays_around_the_object_miss_it(pool):
    stream = simulated_instances(
        "bowl", 3, 8, pool=pool, noise=SensorNoise.none(), mask_noise=MaskNoise.none()
    )
    for x in stream:
        shape = o3d.t.geometry.RaycastingScene()
        size = x.truth.scale / x.model.diagonal_m
        vertices = size * x.model.vertices @ x.truth.rotation.T + x.truth.translation
        shape.add_triangles(
            o3d.core.Tensor.from_numpy(vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(x.model.faces.astype(np.uint32)),
        )
        ends = x.instance.free.ends()
        assert len(ends) > 300
        rays = np.concatenate([np.zeros_like(ends), ends], axis=1)
        hit = shape.cast_rays(o3d.core.Tensor.from_numpy(rays))["t_hit"].numpy()
        assert (hit > 0.999).all()


def test_a_pool_knows_its_seeds():
    pool = ModelPool.procedural({"can": [4, 9]})
    assert [pool.find("can", x.name)[1] for x in pool.models["can"]] == [4, 9]
    assert set(ModelPool.for_category("can", range(2), distractors=1).models) == set(FAMILIES)
