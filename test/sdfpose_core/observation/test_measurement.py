"""A mask that is measured for several categories at once, against one category at a time."""

import dataclasses

import numpy as np
import pytest
from followed_objects import ANY, block, standing, view

from sdfpose_core.categories import default_categories
from sdfpose_core.observation import measurement
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.observation.segmentation import segment

CATEGORIES = default_categories()


@pytest.fixture(scope="module")
def table():
    """A laptop, a mug on a block, and a can, of which the masks leak and have gaps in depth."""
    frame = view(
        [
            standing(1, "laptop", -0.2, 0.0),
            block(0, (0.15, 0.06, 0.15), (0.15, 0.03, -0.05)),
            standing(2, "mug", 0.15, -0.05),
            standing(3, "can", 0.02, 0.15),
        ],
        seed=3,
    )
    mask, depth = frame.mask.copy(), frame.depth.copy()
    v, u = np.nonzero(mask == 3)
    mask[v.max() : v.max() + 12, u.min() : u.max()] = 3  # the table before the can
    mask[v.min() - 40 : v.min(), u.min() : u.max()] = 3  # and behind it
    v, u = np.nonzero(mask == 2)
    depth[v[::7], u[::7]] = 1.2 * depth[v[::7], u[::7]]
    depth[v[:60], u[:60]] -= 0.06
    mask[2:5, 2:40] = 9
    depth[2:5, 2:40] = 0.0
    return dataclasses.replace(frame, mask=mask, depth=depth, labels=dict.fromkeys((1, 2, 3), ANY))


def assert_same(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(a):
            assert_same(a, b)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, err_msg=field.name, strict=True)
        else:
            assert a == b, field.name


@pytest.mark.parametrize("up", [None, (0.0, -0.8, -0.6)])
def test_each_category_has_the_measurement_that_it_has_alone(table, up):
    table = dataclasses.replace(table, up=None if up is None else np.array(up))
    together, _ = segment(table, CATEGORIES, min_points=1)
    assert len(together) == 18
    shapes = {(x.mask_id, len(x.points)) for x in together}
    assert len(shapes) > 3  # the categories differ in what they take for their object
    for name in CATEGORIES:
        label = InstanceLabel(name, detected=True)
        alone, _ = segment(
            dataclasses.replace(table, labels=dict.fromkeys((1, 2, 3), label)),
            CATEGORIES,
            min_points=1,
        )
        several = [x for x in together if x.category == name]
        for one, other in zip(alone, several, strict=True):
            assert_same(dataclasses.replace(one, label="", unknown=True), other)


def test_the_free_space_is_found_once_for_the_same_points(table, monkeypatch):
    calls = []
    original = measurement.free_space
    monkeypatch.setattr(measurement, "free_space", lambda *a: calls.append(a) or original(*a))
    instances, _ = segment(table, CATEGORIES, min_points=1)
    windows = {(x.mask_id, id(x.free)) for x in instances}
    assert len(calls) == len(windows) < len(instances)


def test_a_mask_without_depth_has_no_points(table):
    frame = dataclasses.replace(table, labels={9: ANY})
    instances, skipped = segment(frame, CATEGORIES)
    assert not instances
    assert "mask id 9 (any) has 0 usable depth pixels of 114" in skipped[-1].reason
