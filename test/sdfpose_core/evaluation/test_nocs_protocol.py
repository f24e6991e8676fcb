"""The rules of the NOCS benchmark, against cases worked out by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.evaluation.nocs_protocol import (
    NocsDetections,
    NocsTruths,
    box_iou,
    nocs_precision,
)

KINDS = ("oriented", "repaired", "legacy")
UNIT = np.ones((1, 3))
NO = np.array([False])
YES = np.array([True])


def transform(at=(0.0, 0.0, 0.0), rotation=None, scale=1.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * (np.eye(3) if rotation is None else rotation.as_matrix())
    matrix[:3, 3] = at
    return matrix


def iou(kind, a, b, sizes=UNIT, true_sizes=UNIT, symmetric=NO) -> float:
    return float(box_iou(kind, a[None], sizes, b[None], true_sizes, symmetric)[0])


def yaw(deg: float) -> Rotation:
    return Rotation.from_euler("y", deg, degrees=True)


@pytest.mark.parametrize("kind", ["oriented", "repaired"])
@pytest.mark.parametrize(("shift", "expected"), [(0.0, 1.0), (0.5, 1 / 3), (1.0, 0.0), (7.0, 0.0)])
def test_boxes_along_the_axes_have_the_iou_of_their_shift(kind, shift, expected):
    assert iou(kind, transform((shift, 0, 0)), transform()) == pytest.approx(expected)
    assert iou(kind, transform((0, 0, shift)), transform()) == pytest.approx(expected)


def test_the_scale_is_in_the_transform_as_well_as_in_the_size():
    big = np.full((1, 3), 2.0)
    for kind in ("oriented", "repaired"):
        assert iou(kind, transform(scale=2.0), transform(), UNIT, big) == pytest.approx(1.0)
        assert iou(kind, transform(scale=0.5), transform(), UNIT, UNIT) == pytest.approx(1 / 8)


def test_boxes_round_a_turned_cube_are_larger_than_it():
    """A cube turned by 45 degrees has a box of sides sqrt 2, 1, sqrt 2 along the axes."""
    turned = transform(rotation=yaw(45))
    assert iou("repaired", turned, transform()) == pytest.approx(0.5)
    # The common octagon has the area 2 (sqrt 2 - 1).
    octagon = 2 * (np.sqrt(2) - 1)
    assert iou("oriented", turned, transform()) == pytest.approx(octagon / (2 - octagon))


def test_legacy_runs_over_the_three_coordinates_of_each_corner():
    """Unit cubes at (0, 10, 20) and (0, 10, 21), corner by corner.

    A corner's extent runs from its x to its z. That is 20 for four corners of the first cube, 21
    and 19 for two each; one more for those of the second, in which the first lie.
    """
    first = 20.0**4 * 21.0**2 * 19.0**2
    second = 21.0**4 * 22.0**2 * 20.0**2
    found = iou("legacy", transform((0, 10, 20)), transform((0, 10, 21)))
    assert found == pytest.approx(first / second)
    assert found > 0.6  # they only touch
    assert iou("oriented", transform((0, 10, 20)), transform((0, 10, 21))) < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_symmetric_objects_take_the_best_turn(kind):
    flat = np.array([[1.0, 0.4, 0.5]])
    base = transform((0.0, 0.0, 3.0), Rotation.from_euler("x", 20, degrees=True))
    turned = base @ transform(rotation=yaw(90))
    assert iou(kind, turned, base, flat, flat, NO) < 0.9
    assert iou(kind, turned, base, flat, flat, YES) == pytest.approx(1.0)


@given(
    seed=st.integers(0, 2**31),
    shift=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    kind=st.sampled_from(KINDS),
)
def test_iou_is_symmetric_between_0_and_1_and_1_for_the_same(seed, shift, kind):
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.2, 1.0, (2, 1, 3))
    rotations = Rotation.random(2, random_state=seed)
    a = transform((0, 0, 2), rotations[0], 0.7)
    b = transform((shift[0], shift[1], 2 + shift[2]), rotations[1])
    there, back = iou(kind, a, b, *sizes), iou(kind, b, a, *sizes[::-1])
    assert there == pytest.approx(back, abs=1e-9)
    assert 0.0 <= there <= 1.0
    assert iou(kind, a, a, sizes[0], sizes[0]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_boxes_without_volume_overlap_nothing(kind):
    assert iou(kind, transform((np.nan, 0, 0)), transform()) == 0.0
    assert iou(kind, transform(), transform(), np.zeros((1, 3))) == 0.0


def truths(*matrices, sizes=None, symmetric=False) -> NocsTruths:
    count = len(matrices)
    return NocsTruths(
        np.array(matrices).reshape(count, 4, 4),
        np.ones((count, 3)) if sizes is None else sizes,
        np.full(count, symmetric),
    )


def found(*scored) -> NocsDetections:
    count = len(scored)
    return NocsDetections(
        np.array([x for x, _ in scored]).reshape(count, 4, 4),
        np.ones((count, 3)),
        np.array([x for _, x in scored], dtype=float),
    )


LIMITS = {"ious": [0.25, 0.5, 0.75], "degrees": [5, 10], "centimetres": [2, 5]}


def test_one_perfect_detection_is_worth_everything():
    image = (truths(transform((0, 0, 2))), found((transform((0, 0, 2)), 0.3)))
    result = nocs_precision([image], **LIMITS)
    np.testing.assert_array_equal(result.iou, [1, 1, 1])
    np.testing.assert_array_equal(result.pose, np.ones((2, 2)))
    assert (result.truths, result.detections, result.evaluated) == (1, 1, 1)


def test_thresholds_of_poses_are_pairs():
    """7 degrees and 3 cm off: right at 10 degrees and 5 cm alone."""
    off = transform((0.03, 0, 2), yaw(7))
    result = nocs_precision([(truths(transform((0, 0, 2))), found((off, 1.0)))], **LIMITS)
    np.testing.assert_array_equal(result.pose, [[0, 0], [0, 1]])
    symmetric = (truths(transform((0, 0, 2)), symmetric=True), found((off, 1.0)))
    np.testing.assert_array_equal(nocs_precision([symmetric], **LIMITS).pose, [[0, 1], [0, 1]])


def test_precision_counts_false_detections_that_are_ranked_before_right_ones():
    """Scores 0.9 wrong, 0.8 right, 0.7 right of two objects: precision 1/2, then 2/3."""
    images = [
        (truths(transform()), found((transform((5, 0, 0)), 0.9), (transform(), 0.8))),
        (truths(transform()), found((transform(), 0.7))),
    ]
    result = nocs_precision(images, **LIMITS)
    np.testing.assert_allclose(result.iou, 2 / 3)
    np.testing.assert_allclose(result.pose, 1.0)  # of the matched boxes all poses are right
    counted = nocs_precision(images, **LIMITS, misses="count")
    np.testing.assert_allclose(counted.pose, 2 / 3)


def test_misses_count_where_that_is_asked_for():
    images = [
        (truths(transform(), transform((5, 0, 0))), found((transform(), 0.9))),
        (truths(transform()), found()),
    ]
    ignored, counted = (nocs_precision(images, **LIMITS, misses=x) for x in ("ignore", "count"))
    np.testing.assert_allclose(ignored.iou, 1 / 3)
    np.testing.assert_allclose(ignored.pose, 1.0)
    np.testing.assert_allclose(counted.pose, 1 / 3)
    assert (ignored.evaluated, counted.evaluated) == (1, 3)


def test_an_object_is_found_once():
    image = (truths(transform()), found((transform(), 0.9), (transform(), 0.8)))
    other = (truths(transform()), found((transform(), 0.1)))
    # Ranked: right, wrong, right of two objects: 1/2 x 1 + 1/2 x 2/3.
    result = nocs_precision([image, other], **LIMITS)
    np.testing.assert_allclose(result.iou, 0.5 + 0.5 * 2 / 3)


def test_a_box_takes_the_object_with_the_largest_overlap():
    near, far = transform((0.05, 0, 0)), transform((0.4, 0, 0))
    image = (truths(far, near), found((transform(), 0.9), (transform((0.42, 0, 0)), 0.8)))
    np.testing.assert_allclose(nocs_precision([image], **LIMITS).iou, 1.0)


def test_a_pose_takes_the_object_with_the_least_errors():
    """The box of the first detection overlaps both objects; the second one's needs the far one."""
    a, b = transform((0, 0, 0)), transform((0.04, 0, 0))
    image = (truths(a, b), found((transform((0.035, 0, 0)), 0.9), (transform(), 0.8)))
    np.testing.assert_allclose(nocs_precision([image], **LIMITS).pose, 1.0)


def test_images_without_objects_or_detections():
    empty = nocs_precision([], **LIMITS)
    assert np.isnan(empty.iou).all()
    assert np.isnan(empty.pose).all()
    no_object = nocs_precision([(truths(), found((transform(), 0.4)))], **LIMITS)
    assert np.isnan(no_object.iou).all()
    nothing_found = nocs_precision([(truths(transform()), found())], **LIMITS, misses="count")
    np.testing.assert_array_equal(nothing_found.iou, 0)
    np.testing.assert_array_equal(nothing_found.pose, 0)


@given(seed=st.integers(0, 2**31), kind=st.sampled_from(KINDS))
def test_precision_grows_with_every_threshold(seed, kind):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(4):
        count = int(rng.integers(1, 4))
        true = [
            transform(rng.uniform(-1, 1, 3), Rotation.random(random_state=rng.integers(2**31)))
            for _ in range(count)
        ]
        guesses = []
        for matrix in true:
            turn = Rotation.from_rotvec(rng.normal(0, 0.1, 3))
            guesses.append((matrix @ transform(rng.normal(0, 0.03, 3), turn), rng.random()))
        images.append((truths(*true), found(*guesses)))
    result = nocs_precision(
        images,
        ious=np.linspace(0.1, 0.9, 9),
        degrees=range(0, 20, 2),
        centimetres=range(0, 10, 2),
        iou=kind,
    )
    assert (np.diff(result.iou) <= 1e-12).all()
    assert (np.diff(result.pose, axis=0) >= -1e-12).all()
    assert (np.diff(result.pose, axis=1) >= -1e-12).all()


@pytest.mark.parametrize(
    ("images_each", "most_s"),
    [(138, 6.0), pytest.param(2754, 120.0, marks=pytest.mark.long)],
    ids=["a-twentieth", "all"],
)
def test_a_benchmark_of_the_size_of_real275_takes_less_than_two_minutes(images_each, most_s):
    """2,754 images with 16,524 objects, at every threshold that papers plot, misses and all."""
    rng = np.random.default_rng(0)

    def guess(true):
        turn = Rotation.from_rotvec(rng.normal(0, 0.2, 3))
        return true @ transform(rng.normal(0, 0.2, 3), turn), rng.random()

    def image(symmetric):
        true = transform(rng.uniform(-1, 1, 3), Rotation.random(random_state=rng))
        guesses = [guess(true) for _ in range(int(rng.integers(0, 4)))]
        return truths(true, symmetric=symmetric), found(*guesses)

    categories = [
        [image(symmetric) for _ in range(images_each)]
        for symmetric in (True, True, False, True, False, False)
    ]
    start = time.perf_counter()
    for images in categories:
        nocs_precision(
            images,
            ious=np.linspace(0, 1, 101).tolist(),
            degrees=range(61),
            centimetres=range(16),
        )
    assert time.perf_counter() - start < most_s
