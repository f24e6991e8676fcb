"""Shapes that are decoded once."""

from __future__ import annotations

import math

import pytest
import torch

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import MeshError
from sdfpose_core.estimation import shape_cache
from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.estimation.shape_cache import ShapeCache
from sdfpose_core.refine.priors import Priors


@pytest.fixture
def model(tiny_shapes):
    """The tiny decoder as that of a category."""
    decoder = tiny_shapes.decoder
    precision = torch.linalg.inv(decoder.code_covariance)
    log_size = torch.tensor(math.log(0.2))
    priors = Priors(decoder.code_mean, precision, log_size, torch.tensor(0.3))
    return CategoryModel(default_categories()["can"], decoder, None, priors, torch.device("cpu"))


@pytest.fixture
def counted(monkeypatch):
    """What was decoded, in order."""
    done: list[str] = []
    for name in ("signed_distance_grid", "surface_anchors"):
        function = getattr(shape_cache, name)

        def count(*args, name=name, function=function):
            done.append(name)
            return function(*args)

        monkeypatch.setattr(shape_cache, name, count)
    return done


def test_of_a_shape_no_more_is_decoded_than_is_asked_for_and_nothing_twice(model, counted):
    shapes, code = ShapeCache(32, 0.0, 16), model.decoder.code_mean
    mesh = shapes.mesh(model, code)
    assert counted == ["signed_distance_grid"]
    known = shapes.of(model, code)
    assert counted == ["signed_distance_grid", "surface_anchors"]
    assert known.mesh is mesh
    assert len(known.volume.samples) == 32
    assert shapes.of(model, code).volume is known.volume
    assert shapes.mesh(model, code) is mesh
    assert len(counted) == 2


def test_a_shape_from_elsewhere_is_not_decoded(model, counted):
    shapes, code = ShapeCache(32, 0.0, 16), model.decoder.code_mean
    known = shapes.of(model, code)
    others = ShapeCache(32, 0.0, 16)
    others.remember("can", code.clone(), known)
    counted.clear()
    assert others.mesh(model, code) is known.mesh
    assert others.of(model, code).volume is known.volume
    assert not counted


def test_what_is_forgotten_is_decoded_anew(model, counted):
    shapes, code = ShapeCache(32, 0.0, 16), model.decoder.code_mean
    shapes.of(model, code)
    shapes.forget()
    shapes.mesh(model, code)
    assert counted.count("signed_distance_grid") == 2


def test_the_shapes_that_were_asked_for_longest_ago_are_forgotten(model, counted, monkeypatch):
    monkeypatch.setattr(shape_cache, "_CAPACITY", 2)
    shapes = ShapeCache(32, 0.0, 16)
    first, second, third = (model.decoder.code_mean + 0.01 * i for i in range(3))
    for code in (first, second, first, third, first):
        shapes.mesh(model, code)
    assert len(counted) == 3
    shapes.mesh(model, second)
    assert len(counted) == 4


def test_a_code_without_a_surface(model):
    with pytest.raises(MeshError, match="decodes to no surface"):
        ShapeCache(32, 0.0, 16).mesh(model, torch.full_like(model.decoder.code_mean, 100.0))
