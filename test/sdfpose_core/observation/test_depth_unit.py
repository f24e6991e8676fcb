"""The unit of depth: what is given, and what the sizes of objects say about it."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets import read_frame
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.observation.depth_unit import depth_unit_problem, parse_depth_unit
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.samples import sample_frame

CATEGORIES = default_categories()
FRAME = read_frame(sample_frame()).frame


def problem(depth, unit=0.001, *, mask=FRAME.mask, labels=FRAME.labels, camera=FRAME.camera):
    return depth_unit_problem(depth, mask, camera, labels, CATEGORIES, unit)


def only(category: str) -> dict[int, InstanceLabel]:
    return {i: x for i, x in FRAME.labels.items() if x.category == category}


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (0.001, 0.001),
        (1, 1.0),
        ("0.0002", 0.0002),
        ("1e-4", 0.0001),
        ("mm", 0.001),
        ("M", 1.0),
        ("0.1mm", 0.0001),
        ("0.25 mm", 0.00025),
        ("mm (uint16, 0 = missing)", 0.001),
    ],
)
def test_units_are_lengths_or_names(value, unit):
    assert parse_depth_unit(value, "depth_unit") == pytest.approx(unit)


@pytest.mark.parametrize(
    "value",
    [0, -0.001, 1000, 1.5, "", "inch", "0.0.1mm", "(mm)", True, None, [0.001], float("nan")],
)
def test_other_units_are_refused_by_name_and_value(value):
    with pytest.raises(ConfigurationError, match=r"meta\.json: depth_unit is .*: expected metres"):
        parse_depth_unit(value, "meta.json: depth_unit")


def test_the_right_unit_is_plausible():
    assert problem(FRAME.depth) is None
    assert problem(FRAME.depth, 1.0) is None
    for category in CATEGORIES:
        assert problem(FRAME.depth, labels=only(category)) is None


@pytest.mark.parametrize(
    ("factor", "name", "unit"),
    [
        (10.0, "0.1 mm", "0.0001"),
        (8.0, "0.125 mm", "0.000125"),
        (5.0, "0.2 mm", "0.0002"),
        (4.0, "0.25 mm", "0.00025"),
        (0.1, "0.01 m", "0.01"),
    ],
)
def test_a_wrong_unit_of_16_bit_depth_is_named(factor, name, unit):
    text = problem(FRAME.depth * factor)
    assert text is not None
    assert name in text.partition(":")[0]
    assert "times as large as their categories" in text
    assert unit in text.partition("set depth_unit to ")[2]


@pytest.mark.parametrize("category", CATEGORIES)
def test_one_object_is_enough(category):
    text = problem(FRAME.depth * 10.0, labels=only(category))
    assert text is not None
    assert "depth looks like units of 0.1" in text


def test_the_best_unit_comes_first():
    text = problem(FRAME.depth * 10.0)
    assert text is not None
    assert text.startswith("depth looks like units of 0.1 mm (or 0.125 mm): objects are 10.")
    assert text.endswith("set depth_unit to 0.0001 (or 0.000125)")


def test_millimetres_in_a_float_image():
    text = problem(FRAME.depth * 1000.0, 1.0)
    assert text is not None
    assert "m: expected at most 20 m" in text
    assert "depth looks like units of 1 mm" in text
    assert text.endswith("set depth_unit to 0.001")


def test_a_unit_that_is_too_small_says_how_large_the_right_one_is():
    text = problem(FRAME.depth * 0.2, 0.0002)
    assert text is not None
    assert text.startswith("depth looks like units of 1 mm")


def test_without_labels_the_range_is_judged():
    text = problem(FRAME.depth * 30.0, labels={})
    assert text is not None
    assert "expected at most 20 m" in text
    text = problem(np.full_like(FRAME.depth, 0.001), labels={})
    assert text is not None
    assert "median of 1 mm: expected at least 50 mm" in text
    assert problem(FRAME.depth * 10.0, labels={}) is None


@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf])
def test_missing_depth_is_not_judged(fill):
    assert problem(np.full_like(FRAME.depth, fill)) is None


def test_unknown_categories_are_judged_by_the_nearest_size():
    unknown = {i: InstanceLabel("any") for i in FRAME.labels}
    assert problem(FRAME.depth, labels=unknown) is None
    text = problem(FRAME.depth * 10.0, labels=unknown)
    assert text is not None
    assert "0.1 mm" in text
    assert problem(FRAME.depth * 10.0, labels={i: InstanceLabel("teapot") for i in unknown}) is None


def test_hidden_leaking_and_tiny_masks_are_no_wrong_unit():
    """A third of an object, stray pixels, and a mask of a few pixels."""
    (mask_id,) = only("bottle")
    v, u = np.nonzero(FRAME.mask == mask_id)
    hidden = np.where(np.arange(FRAME.mask.shape[0])[:, None] < np.percentile(v, 33), FRAME.mask, 0)
    assert problem(FRAME.depth, mask=hidden, labels=only("bottle")) is None
    leaking = FRAME.mask.copy()
    leaking[::97, ::101] = mask_id
    leaking[v, u] = mask_id
    assert problem(FRAME.depth, mask=leaking, labels=only("bottle")) is None
    tiny = np.zeros_like(FRAME.mask)
    tiny[v[:20], u[:20]] = mask_id
    assert problem(FRAME.depth, mask=tiny, labels=only("bottle")) is None


def test_one_odd_mask_among_many_is_no_wrong_unit():
    mask = FRAME.mask.copy()
    (mask_id,) = only("can")
    mask[:, :300] = np.where(mask[:, :300] == 0, mask_id, mask[:, :300])
    assert problem(FRAME.depth, mask=mask) is None


def test_large_images_are_judged_on_some_pixels():
    def larger(image):
        return np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)

    camera = FRAME.camera.resize(3 * FRAME.camera.width, 3 * FRAME.camera.height)
    depth, mask = larger(FRAME.depth), larger(FRAME.mask)
    assert problem(depth, mask=mask, camera=camera) is None
    text = problem(10.0 * depth, mask=mask, camera=camera)
    assert text is not None
    assert "0.1 mm" in text
