from types import SimpleNamespace

import pytest

from sdfpose_core.selfsup.certificate import Certificate


def estimate(confidence=0.9, inliers=0.95, violation=0.0):
    return SimpleNamespace(
        confidence=confidence,
        diagnostics={"inlier_ratio": inliers, "free_space_violation": violation},
    )


@pytest.mark.parametrize(
    ("found", "objections"),
    [
        (estimate(), []),
        (estimate(confidence=0.79), ["confidence"]),
        (estimate(inliers=0.84), ["inlier_ratio"]),
        (estimate(violation=0.09), ["free_space_violation"]),
        (estimate(0.1, 0.1, 0.5), ["confidence", "inlier_ratio", "free_space_violation"]),
    ],
)
def test_what_speaks_against_an_estimate_is_named(found, objections):
    assert Certificate().objections(found) == objections


def test_a_milder_certificate_lets_more_through():
    assert Certificate(confidence=0.5).objections(estimate(confidence=0.6)) == []
