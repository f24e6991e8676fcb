"""Labels of objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simple_estimates import UPSIDE_DOWN, make_alternative, make_estimate, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.visualisation.drawing import draw_overlay
from sdfpose_core.visualisation.labels import Labels, alternative_text

QUARTER_TURN = Rotation.from_euler("y", 90, degrees=True).as_matrix()


def estimate(*alternatives, **changes):
    return replace(make_estimate(rotation=np.eye(3)), alternatives=alternatives, **changes)


@pytest.mark.parametrize(("probability", "lines"), [(0.123, ["or bowl 12 %"]), (0.049, [])])
def test_a_likely_alternative_is_named(probability, lines):
    rivals = (make_alternative(probability=probability), make_alternative("can", probability=0.01))
    assert alternative_text(estimate(*rivals)) == lines


def test_without_alternatives_nothing_is_said():
    assert alternative_text(estimate()) == []


@pytest.mark.parametrize(
    ("rotation", "symmetric", "degrees"),
    [(UPSIDE_DOWN, False, 180), (QUARTER_TURN, False, 90), (UPSIDE_DOWN @ QUARTER_TURN, True, 180)],
)
def test_another_pose_of_the_same_category_is_named_by_its_angle(rotation, symmetric, degrees):
    rival = make_alternative("mug", rotation=rotation, probability=0.3)
    text = alternative_text(estimate(rival, symmetric_about_y=symmetric))
    assert text == [f"or turned {degrees} deg 30 %"]


def test_a_second_line_makes_the_label_higher():
    heights = []
    for lines in (["mug 1  0.87"], ["mug 1  0.87", "or bowl 12 %"]):
        image = np.zeros((120, 200, 3), np.uint8)
        Labels(image).draw(lines, (255, 0, 0), np.array([[100.0, 100.0]]))
        heights.append(np.count_nonzero(image.any(axis=(1, 2))))
    assert 1.5 * heights[0] < heights[1] <= 2 * heights[0]


def test_the_overlay_names_the_alternative():
    plain, named = (
        draw_overlay(make_frame(), [x], default_categories())
        for x in (estimate(), estimate(make_alternative()))
    )
    assert (plain != named).any()
