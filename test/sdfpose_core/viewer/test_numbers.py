"""The numbers of objects and the history of the plots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import make_alternative, make_estimate

from sdfpose_core.viewer.numbers import History, object_numbers
from sdfpose_core.viewer.views import ObjectView


def test_the_numbers_have_units():
    estimate = make_estimate("mug", at=(0.1, -0.02, 0.8), rotation=np.eye(3))
    covariance = np.diag([1e-6, 4e-6, 9e-6, *np.square(np.radians([1.0, 2.0, 3.0]))])
    turned = make_alternative("mug", rotation=np.diag([-1.0, 1.0, -1.0]), probability=0.25)
    estimate = replace(
        estimate,
        covariance=covariance,
        alternatives=(turned,),
        probability=0.75,
        diagnostics={"inlier_ratio": 0.912345},
    )
    rows = dict(object_numbers(ObjectView(7, estimate, "tracked", 3)))
    assert rows["object"] == "mug 7"
    assert rows["state"] == "tracked"
    assert rows["position x, y, z"] == "10.0, -2.0, 80.0 cm"
    assert rows["size x, y, z"] == "10.0, 10.0, 10.0 cm"
    assert rows["std. dev., position"] == "1.0, 2.0, 3.0 mm"
    assert rows["std. dev., rotation"] == "1.0, 2.0, 3.0°"
    assert rows["probability"] == "75 %"
    assert rows["or mug"] == "25 %, 180° turned"
    assert rows["surface"] == f"{len(estimate.vertices)} vertices (revision 3)"
    assert rows["inlier ratio"] == "0.912"


def test_what_is_not_known_is_left_out():
    estimate = replace(make_estimate(), covariance=np.zeros((6, 6)))
    rows = dict(object_numbers(ObjectView(1, estimate)))
    assert not {"state", "std. dev., position", "probability"} & rows.keys()


def test_the_rate_counts_results_per_second():
    history = History()
    assert np.isnan(history.rate_hz)
    for i in range(50):
        history.add(0.1 * i, 0.2, [0.9, 0.5])
    assert history.rate_hz == pytest.approx(10.0)
    assert history.latency_ms == pytest.approx(200.0)


def test_results_between_those_that_are_added_count_as_well():
    history = History()
    for i in range(20):
        history.add(0.1 * i, None, [], count=3)
    assert history.rate_hz == pytest.approx(30.0)
    assert np.isnan(history.latency_ms)


def test_the_table_ends_now_and_forgets_what_is_old():
    history = History(length_s=5.0)
    assert history.table().shape == (5, 0)
    for i in range(100):
        history.add(0.1 * i, 0.1, [0.9, 0.5])
    table = history.table()
    assert table[0, -1] == 0.0
    assert -5.2 < table[0, 0] < -4.8
    assert (np.diff(table[0]) > 0.0).all()
    np.testing.assert_allclose(table[3:, -1], [0.7, 0.5])
    history.clear()
    assert history.table().shape == (5, 0)
