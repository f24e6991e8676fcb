from dataclasses import replace

import pytest

from sdfpose_core.selfsup.fitness import Fitness, regressions

BEFORE = Fitness(40, 0.6, 0.2, 0.5, 0.9)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"inlier_ratio": 0.7, "free_space_violation": 0.1, "certified": 0.6}, []),
        ({"inlier_ratio": 0.59}, []),
        ({"inlier_ratio": 0.55}, ["inlier_ratio 0.600 -> 0.550"]),
        ({"free_space_violation": 0.25}, ["free_space_violation 0.200 -> 0.250"]),
        ({"certified": 0.4}, ["certified 0.500 -> 0.400"]),
        ({"simulated": 0.8}, ["simulated 0.900 -> 0.800"]),
        (
            {"inlier_ratio": 0.9, "certified": 0.4, "simulated": 0.5},
            ["certified 0.500 -> 0.400", "simulated 0.900 -> 0.500"],
        ),
    ],
)
def test_every_figure_that_falls_is_named(changes, named):
    assert regressions(replace(BEFORE, **changes), BEFORE) == named
