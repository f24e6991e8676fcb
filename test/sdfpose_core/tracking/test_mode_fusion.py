"""Modes of a tracked object over several views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from simple_estimates import make_estimate

from sdfpose_core.observation.frame import Alternative
from sdfpose_core.tracking.mode_fusion import fused_modes

UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])


def estimate(probability, *rivals):
    """An estimate with rivals: (half turn, probability) or (category, probability)."""
    chosen = make_estimate()
    alternatives = []
    for what, share in rivals:
        turned = chosen.rotation if isinstance(what, str) else chosen.rotation @ what
        category = what if isinstance(what, str) else chosen.category
        alternatives.append(
            Alternative(
                category, turned, chosen.translation, chosen.scale, chosen.dimensions_m, share
            )
        )
    return replace(chosen, probability=probability, alternatives=tuple(alternatives))


def flipped(found):
    """The estimate of a view that chose its only rival."""
    (rival,) = found.alternatives
    other = replace(
        rival, rotation=found.rotation, category=found.category, probability=found.probability
    )
    return replace(
        found,
        rotation=rival.rotation,
        category=rival.category,
        probability=rival.probability,
        alternatives=(other,),
    )


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_probabilities_sum_to_one_and_follow_the_evidence(before, view):
    tracked = estimate(before, (UPSIDE_DOWN, 1.0 - before))
    found = fused_modes(tracked, estimate(view, (UPSIDE_DOWN, 1.0 - view)))
    assert found.probability + sum(x.probability for x in found.alternatives) == pytest.approx(1.0)
    if 0.02 < before < 0.98 and abs(view - 0.5) > 0.01:
        assert (found.probability > before) == (view > 0.5)


def test_views_that_choose_another_mode_turn_the_odds():
    tracked = estimate(0.9, (UPSIDE_DOWN, 0.1))
    view = flipped(estimate(0.2, (UPSIDE_DOWN, 0.8)))
    once = fused_modes(tracked, view)
    often = fused_modes(fused_modes(once, view), view)
    assert 0.5 < once.probability < 0.9
    assert often.probability < 0.5
    np.testing.assert_allclose(often.rotation, tracked.rotation)  # it stays the chosen one


def test_another_category_is_another_mode():
    found = fused_modes(estimate(1.0), flipped(estimate(0.4, ("bowl", 0.6))))
    assert [x.category for x in found.alternatives] == ["bowl"]
    assert found.alternatives[0].probability < found.probability


def test_a_mode_that_no_view_supports_any_more_is_dropped():
    found = estimate(0.95, (UPSIDE_DOWN, 0.05))
    for _ in range(20):
        found = fused_modes(found, estimate(1.0))
    assert found.alternatives == ()
    assert found.probability == 1.0


def test_yaw_tells_no_modes_of_a_symmetric_object_apart():
    turned = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    tracked = replace(estimate(1.0), symmetric_about_y=True)
    view = replace(tracked, rotation=tracked.rotation @ turned)
    assert fused_modes(tracked, view).alternatives == ()
    front = replace(tracked, symmetric_about_y=False)
    assert fused_modes(front, replace(view, symmetric_about_y=False)).alternatives != ()


BOTH_ENDS = UPSIDE_DOWN[None]


def can(probability, *rivals, symmetries=()):
    found = estimate(probability, *rivals)
    return replace(found, symmetries=np.array(symmetries).reshape(-1, 3, 3))


def test_a_view_from_the_other_end_supports_a_shape_with_two_ends_alike():
    tracked = can(1.0, symmetries=BOTH_ENDS)
    view = flipped(estimate(0.3, (UPSIDE_DOWN, 0.7)))
    found = fused_modes(tracked, view)
    assert (found.probability, found.alternatives) == (1.0, ())


def test_a_view_in_which_both_ends_look_alike_decides_nothing_between_them():
    tracked = estimate(0.7, (UPSIDE_DOWN, 0.3))
    found = fused_modes(tracked, can(1.0, symmetries=BOTH_ENDS))
    assert found.probability == pytest.approx(0.7)
    other_category = fused_modes(
        estimate(0.4, (UPSIDE_DOWN, 0.2), ("bowl", 0.4)), can(1.0, symmetries=BOTH_ENDS)
    )
    upside_down = next(x for x in other_category.alternatives if x.category != "bowl")
    assert upside_down.probability == pytest.approx(0.5 * other_category.probability)
    bowl = sum(x.probability for x in other_category.alternatives if x.category == "bowl")
    assert bowl < 0.2


def test_yaw_tells_no_rivals_of_a_symmetric_category_apart():
    """The chosen mode has a front, its rival has none: each view sees it at another yaw."""
    tracked = estimate(0.6, ("bowl", 0.4))
    for yaw in (40.0, 100.0, 200.0):
        turned = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
        view = estimate(0.6, ("bowl", 0.4))
        (rival,) = view.alternatives
        rival = replace(rival, rotation=rival.rotation @ turned, symmetric_about_y=True)
        tracked = fused_modes(tracked, replace(view, alternatives=(rival,)))
        assert [x.category for x in tracked.alternatives] == ["bowl"]


def test_the_confidence_follows_the_probability():
    tracked = replace(estimate(0.5, (UPSIDE_DOWN, 0.5)), confidence=0.4)
    found = fused_modes(tracked, estimate(0.9, (UPSIDE_DOWN, 0.1)))
    assert found.confidence == pytest.approx(0.8 * found.probability)
