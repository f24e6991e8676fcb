"""True poses in millimetres, in another frame, or of another object."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets import read_frame
from sdfpose_core.observation.truth_checks import truth_problem
from sdfpose_core.samples import sample_frame

CATEGORIES = default_categories()
SAMPLE = read_frame(sample_frame())
UNKNOWN = np.full(3, np.nan)


def test_the_truth_of_the_sample_is_plausible():
    assert len(SAMPLE.ground_truth) == 6
    for truth in SAMPLE.ground_truth:
        assert truth_problem(truth, CATEGORIES, SAMPLE.frame) is None
        assert truth_problem(replace(truth, dimensions_m=UNKNOWN), CATEGORIES) is None
        assert truth_problem(replace(truth, category="teapot"), CATEGORIES) is None
    assert SAMPLE.warnings == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda x: replace(x, translation=1000 * x.translation), "m from the camera: expected met"),
        (lambda x: replace(x, translation=100 * x.translation), "m from the camera: expected met"),
        (
            lambda x: replace(x, dimensions_m=1000 * x.dimensions_m),
            r"true size is \[.*times that of category .*expected metres \(is it in millimetres\?",
        ),
        (lambda x: replace(x, dimensions_m=x.dimensions_m / 0.0254), r"inches\?\)"),
        (lambda x: replace(x, translation=-x.translation), "optical frame"),
        (
            lambda x: replace(x, translation=x.translation[[2, 0, 1]] * [1, -1, -1]),
            r"is \d\.\d\d m from the points of its mask",
        ),
    ],
)
def test_truth_in_another_unit_or_frame(change, problem):
    for truth in SAMPLE.ground_truth:
        text = truth_problem(change(truth), CATEGORIES, SAMPLE.frame)
        assert text is not None
        assert re.search(problem, text), text
