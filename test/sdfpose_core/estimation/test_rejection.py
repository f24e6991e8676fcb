"""Masks that show nothing of the categories are skipped, and told why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sdfpose_core.estimation.confidence import KNOWN_FEATURES, ConfidenceModel
from sdfpose_core.estimation.rejection import rejected_at_sight, rejected_modes
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace

LEAST = 0.2


def instance(category="can", *, mask_id=1, unknown=True, label="", log_odds=0.0, shape=0.0):
    points, pixels = np.ones((60, 3), np.float32), np.zeros((60, 2), np.int32)
    return Instance(
        mask_id, category, 1.0, points, pixels, FreeSpace.unknown(), 60,
        unknown=unknown, label=label, colour_log_odds=log_odds,
        shape_log_odds=shape,
    )  # fmt: skip


def chosen(seen):
    """The modes of a mask; their features do not matter."""
    return [SimpleNamespace(instance=seen, features=dict.fromkeys(KNOWN_FEATURES, 0.0))]


def test_colour_that_is_sure_rejects_before_any_search():
    seen = [
        instance(x, mask_id=i, log_odds=odds)
        for i, odds in ((1, -10.0), (2, -2.0), (3, 0.0))
        for x in ("can", "mug")
    ]
    (found,) = rejected_at_sight(seen, LEAST).values()
    assert found.mask_id == 1
    assert found.category == "any"
    assert "mask id 1 (any) shows nothing of the categories, with a probability of 0.99" in (
        found.reason
    )


@pytest.mark.parametrize(
    ("colour", "shape", "rejected"),
    [
        (-2.0, -2.6, True),
        (-2.0, -2.4, False),
        (0.0, -3.6, True),
        (-8.0, 0.0, True),
        (-9.0, 2.0, False),
        (6.0, -6.0, False),
        (3.0, -6.0, True),
    ],
)
def test_colour_and_shape_reject_together(colour, shape, rejected):
    """Their log odds add up, those of colour by half: 0.03 is -3.5."""
    found = rejected_at_sight([instance(log_odds=colour, shape=shape)], LEAST)
    assert bool(found) == rejected


def test_a_category_that_the_network_does_not_know_saves_a_mask():
    seen = [instance("can", log_odds=-9.0), instance("kettle", log_odds=0.0)]
    assert rejected_at_sight(seen, LEAST) == {}


def test_looks_reject_no_mask_that_somebody_named():
    assert rejected_at_sight([instance(unknown=False, log_odds=-9.0)], LEAST) == {}
    named = instance(unknown=False, label="can", log_odds=-9.0)
    assert rejected_at_sight([named], LEAST) == {}


@pytest.mark.parametrize(
    ("known", "unknown", "label", "rejected"),
    [
        (0.1, True, "", "any"),
        (0.3, True, "", None),
        (0.1, False, "can", "can"),
        (0.1, False, "", None),
    ],
)
def test_modes_that_are_probably_of_no_category(known, unknown, label, rejected):
    modes = {1: chosen(instance(unknown=unknown, label=label))}
    found = rejected_modes(modes, ConfidenceModel.constant(known=known), LEAST)
    assert [x.category for x in found.values()] == ([] if rejected is None else [rejected])
    if found:
        assert "with a probability of 0.90" in found[1].reason


def test_nothing_is_rejected_with_a_limit_of_zero():
    seen = instance(log_odds=-99.0)
    assert rejected_at_sight([seen], 0.0) == {}
    assert rejected_modes({1: chosen(seen)}, ConfidenceModel.constant(known=0.0), 0.0) == {}


def test_the_likeliest_mode_counts():
    first, second = chosen(instance(mask_id=5)), chosen(instance("mug", mask_id=5))
    second[0].instance = replace(second[0].instance, unknown=False)
    found = rejected_modes({5: first + second}, ConfidenceModel.constant(known=0.1), LEAST)
    assert set(found) == {5}
