"""Backends by name, on images that are fine and on images that are not."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from toy_mask_views import toy_network

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.masks import sources
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.errors import MaskBackendError
from sdfpose_core.masks.sources import (
    FILE,
    MASK_SOURCES,
    MaskBackendConfig,
    make_mask_backend,
    segment_alone,
)
from sdfpose_core.masks.tabletop import TabletopMasks
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.segmentation import ANY_CATEGORY

CATEGORIES = default_categories()


def image(depth):
    """A grey image with this depth, metres."""
    height, width = depth.shape
    return RgbdFrame(
        colour=np.full((height, width, 3), 128, np.uint8),
        depth=depth.astype(np.float32),
        mask=np.zeros((height, width), np.uint16),
        camera=PinholeCamera(width, height, 300.0, 300.0, 0.5 * (width - 1), 0.5 * (height - 1)),
    )


@pytest.fixture
def tabletop():
    return make_mask_backend("tabletop", CATEGORIES)


def test_tabletop_is_the_backend_for_depth(views, tabletop):
    found = tabletop.segment(views[0])
    expected = TabletopMasks().segment(views[0].depth, views[0].camera)
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert set(found.labels.values()) == {InstanceLabel(ANY_CATEGORY, detected=True)}


def test_given_masks_are_not_read(views, tabletop):
    alone = replace(views[0], mask=np.zeros_like(views[0].mask), labels={})
    first = segment_alone(tabletop, views[0])
    np.testing.assert_array_equal(first.ids, segment_alone(tabletop, alone).ids)


def test_the_configuration_reaches_the_backend(views):
    config = MaskBackendConfig(TabletopConfig(min_pixels=10**6))
    assert not make_mask_backend("tabletop", CATEGORIES, config).segment(views[0]).labels


def test_an_image_alone_does_not_depend_on_those_before(views, tabletop):
    first = segment_alone(tabletop, views[0])
    segment_alone(tabletop, views[1])
    again = segment_alone(tabletop, views[0])
    np.testing.assert_array_equal(first.ids, again.ids)
    assert list(first.labels) == list(range(1, len(first.labels) + 1))
    assert set(np.unique(first.ids)) - {0} == set(first.labels)


@pytest.mark.parametrize("name", [FILE, "tabletopp", ""])
def test_unknown_names(name):
    with pytest.raises(ConfigurationError, match=f"no mask backend '{name}': expected one of"):
        make_mask_backend(name, CATEGORIES)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(MaskBackendError, match="pip install torchvision"):
        make_mask_backend("torchvision", CATEGORIES)


def no_plane(shape):
    return np.random.default_rng(0).uniform(0.3, 1.9, shape)


@pytest.mark.parametrize(
    "depth",
    [
        no_plane((120, 160)),
        np.zeros((120, 160)),
        np.full((120, 160), np.nan),
        no_plane((16, 16)),
        np.zeros((16, 16)),
        np.full((16, 16), 0.8),
        np.full((1, 1), 0.8),
    ],
    ids=[
        "no plane",
        "no depth",
        "not a number",
        "small",
        "small, no depth",
        "small plane",
        "pixel",
    ],
)
def test_images_without_a_table_say_so(depth, tabletop):
    found = segment_alone(tabletop, image(depth))
    assert found.ids.shape == depth.shape
    assert not found.ids.any()
    assert not found.labels
    assert "no table in the depth image" in found.problem
    assert "point the camera at the table" in found.problem


def test_every_source_has_a_maker():
    assert set(MASK_SOURCES) - {FILE} <= set(sources._MAKERS)


def test_the_network_without_weights_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("sdfpose_core.masks.network_masks.SHIPPED", tmp_path)
    with pytest.raises(WeightsError, match=r"train it with training/train_masks\.py, or name"):
        make_mask_backend("network", CATEGORIES)


def test_the_network_with_weights_of_its_own(tmp_path):
    toy_network().save(tmp_path / "own.safetensors", "any")
    config = MaskBackendConfig(weights=tmp_path / "own.safetensors", device="cpu", min_score=1.1)
    assert (
        not make_mask_backend("network", CATEGORIES, config)
        .segment(image(no_plane((48, 64))))
        .labels
    )
