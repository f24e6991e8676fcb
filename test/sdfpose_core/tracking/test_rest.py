"""Whether objects stand still."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tracker_fakes import PERIOD_NS, make_estimate

from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.rest import Rest, displaced

CONFIG = TrackerConfig()


def estimate(x=0.0, yaw=0.0, **changes):
    turn = Rotation.from_euler("y", yaw, degrees=True).as_matrix()
    return make_estimate(category="mug", place=(x, 0.0, 1.0), rotation=turn, **changes)


def follow(rest, places, start=1):
    for i, place in enumerate(places, start=start):
        seen = place if not isinstance(place, float) else estimate(place)
        rest = rest.after(seen, seen, i * PERIOD_NS, CONFIG)
    return rest


def at_rest():
    return follow(Rest(estimate(), 0), [0.0] * 30)


def test_an_object_is_at_rest_once_it_has_stayed_for_a_while():
    assert not follow(Rest(estimate(), 0), [0.0] * 10).at_rest
    assert at_rest().at_rest


def test_one_that_moves_all_the_time_is_not():
    assert not follow(Rest(estimate(), 0), [0.01 * i for i in range(60)]).at_rest


@pytest.mark.parametrize("change", [{"x": 0.05}, {"yaw": 30.0}])
def test_two_images_that_show_it_elsewhere_tell_that_it_moves(change):
    once = at_rest().after(estimate(**change), estimate(), 31 * PERIOD_NS, CONFIG)
    assert once.at_rest
    twice = once.after(estimate(**change), estimate(), 32 * PERIOD_NS, CONFIG)
    assert not twice.at_rest
    again = once.after(estimate(), estimate(), 32 * PERIOD_NS, CONFIG)
    assert (again.at_rest, again.elsewhere) == (True, 0)


def test_an_image_without_confidence_tells_nothing():
    rest = at_rest()
    for i in range(5):
        rest = rest.after(estimate(0.1, confidence=0.1), estimate(), (31 + i) * PERIOD_NS, CONFIG)
    assert rest.at_rest


def test_what_the_errors_explain_is_no_displacement():
    sure, unsure = 1e-6 * np.eye(6), np.diag([4e-4] * 3 + [1e-6] * 3)
    assert displaced(estimate(0.03, covariance=sure), estimate())
    assert not displaced(estimate(0.03, covariance=unsure), estimate())


def test_the_yaw_of_a_symmetric_object_is_no_displacement():
    assert displaced(estimate(yaw=90.0), estimate())
    assert not displaced(estimate(yaw=90.0, symmetric_about_y=True), estimate())
