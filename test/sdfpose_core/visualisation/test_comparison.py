from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simple_estimates import GREY, make_estimate, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.visualisation.comparison import change, differences, draw_comparison

CATEGORIES = default_categories()


def moved(estimate, *, by_m=0.0, turned_deg=0.0, axis="x", **changes):
    turn = Rotation.from_euler(axis, turned_deg, degrees=True).as_matrix()
    return dataclasses.replace(
        estimate,
        rotation=estimate.rotation @ turn,
        translation=estimate.translation + np.array([by_m, 0.0, 0.0]),
        **changes,
    )


def test_equal_estimates_do_not_differ():
    ball = make_estimate()
    assert differences([ball], [ball]) == ["mug 1: no difference"]
    assert change([ball], [ball]) == 0.0
    assert change([], []) == 0.0


def test_only_the_figures_that_differ_are_listed():
    before = make_estimate()
    before = dataclasses.replace(
        before, diagnostics={"inlier_ratio": 0.62, "free_space_violation": 0.05}
    )
    after = moved(
        before,
        by_m=0.012,
        turned_deg=4.0,
        confidence=0.91,
        scale=1.02 * before.scale,
        diagnostics={"inlier_ratio": 0.81, "free_space_violation": 0.0502},
    )
    assert differences([before], [after]) == [
        "mug 1: confidence 0.87 -> 0.91, points on the surface 62% -> 81%, moved 1.2 cm, "
        "turned 4.0 deg, size +2.0 %"
    ]


def test_what_rounds_to_nothing_is_not_listed():
    ball = make_estimate()
    other = moved(ball, by_m=1e-5, turned_deg=0.01, confidence=0.8704, scale=0.9999 * ball.scale)
    assert differences([ball], [other]) == ["mug 1: no difference"]


def test_the_yaw_of_a_symmetric_object_is_no_difference():
    can = dataclasses.replace(make_estimate("can"), symmetric_about_y=True)
    turned = moved(can, turned_deg=70.0, axis="y")
    assert differences([can], [turned]) == ["can 1: no difference"]
    assert change([can], [turned]) == pytest.approx(0.0, abs=1e-6)


def test_an_object_that_one_of_the_two_missed_is_named():
    ball, other = make_estimate(), make_estimate("can", at=(0.2, 0.0, 0.8), mask_id=7)
    assert differences([ball], [ball, other])[1] == "can 7: estimated after only"
    assert differences([ball, other], [ball])[1] == "can 7: estimated before only"
    assert change([ball], [ball, other]) == np.inf


def test_the_largest_change_counts():
    balls = [make_estimate(), make_estimate(at=(0.2, 0.0, 0.8), mask_id=2)]
    assert change(balls, [balls[0], moved(balls[1], by_m=0.05)]) == pytest.approx(1.0)
    assert change(balls, [moved(balls[0], turned_deg=20.0), balls[1]]) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "places",
    [
        [(0.0, 0.0, 0.8)],
        [(-0.3, 0.0, 0.8), (0.3, 0.1, 1.2)],
        [(0.0, -0.2, 0.8), (0.0, 0.25, 0.8)],
        [(0.42, 0.0, 0.8)],
        [(0.0, 0.0, -0.5)],
        [],
    ],
)
def test_panels_are_side_by_side_above_their_caption(places):
    before = [make_estimate(at=x, mask_id=i) for i, x in enumerate(places, start=1)]
    after = [moved(x, by_m=0.01) for x in before]
    frame = make_frame()
    picture = draw_comparison(frame, before, after, CATEGORIES)
    assert picture.dtype == np.uint8
    assert picture.shape[1] == 1126
    assert 300 < picture.shape[0] < 900
    left, right = picture[30 : 30 + 200, :560], picture[30 : 30 + 200, 566:]
    assert (frame.colour == GREY).all()
    if places and places[0][2] > 0:
        assert (left != GREY).any()
        assert (left != right).any()


def test_small_objects_fill_their_panel():
    far = make_estimate(at=(0.1, 0.0, 4.0))
    picture = draw_comparison(make_frame(), [far], [far], CATEGORIES)
    panel = picture[30:400, :560]
    columns = np.flatnonzero((panel != GREY).any(axis=(0, 2)))
    assert np.ptp(columns) > 0.6 * 560


def test_outlines_are_those_of_the_objects_alone():
    ball = make_estimate()
    frame = make_frame()
    mask = np.zeros_like(frame.mask)
    mask[200:280, 280:360] = ball.mask_id
    other = mask.copy()
    other[150:330, 370:420] = 9
    one, two = (
        draw_comparison(dataclasses.replace(frame, mask=x), [ball], [ball], CATEGORIES)
        for x in (mask, other)
    )
    assert (one == two).all()
    none = draw_comparison(frame, [ball], [ball], CATEGORIES)
    assert (one != none).any()
