"""The sample frame is what the simulator makes, and small."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.datasets import read_frame
from sdfpose_core.samples import sample_frame
from sdfpose_core.simulation import table_frames

LARGEST_BYTES = 600 * 1024


@pytest.fixture(scope="module")
def sample():
    return read_frame(sample_frame())


@pytest.fixture(scope="module")
def made():
    return next(table_frames())


def test_it_is_small():
    assert sum(x.stat().st_size for x in sample_frame().iterdir()) < LARGEST_BYTES


def test_every_object_has_a_true_pose(sample):
    assert not sample.problems
    assert {x.category for x in sample.ground_truth} == {
        *("bottle", "bowl", "camera", "can", "laptop", "mug")
    }
    assert {x.mask_id for x in sample.ground_truth} == set(sample.frame.labels)


# Rounding differs between machines: a pixel at an edge may see another surface, after which the
# sensor's noise takes another course.
def test_its_images_are_those_of_the_simulator(sample, made):
    frame = made[0]
    assert np.mean(sample.frame.mask == frame.mask) > 0.995
    difference = np.abs(sample.frame.colour.astype(int) - frame.colour)
    assert np.mean(difference > 2) < 0.005
    assert np.mean((sample.frame.depth > 0) == (frame.depth > 0)) > 0.95
    both = (sample.frame.depth > 0) & (frame.depth > 0)
    assert np.median(np.abs(sample.frame.depth - frame.depth)[both]) < 0.005


def test_its_ground_truth_is_that_of_the_simulator(sample, made):
    for x, y in zip(sample.ground_truth, made[1], strict=True):
        assert (x.mask_id, x.category, x.instance) == (y.mask_id, y.category, y.instance)
        assert x.symmetric_about_y == y.symmetric_about_y
        np.testing.assert_allclose(x.rotation, y.rotation, atol=1e-6)
        np.testing.assert_allclose(x.translation, y.translation, atol=1e-6)
        np.testing.assert_allclose(x.dimensions_m, y.dimensions_m, atol=1e-6)
