import dataclasses

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation import segmentation
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.observation.measurement import largest_diagonal_m
from sdfpose_core.observation.segmentation import segment, segment_masks

CATEGORIES = default_categories()


def make_frame(mask, depth=None, labels=None):
    height, width = mask.shape
    return RgbdFrame(
        colour=np.zeros((height, width, 3), np.uint8),
        depth=np.full(mask.shape, 0.8, np.float32) if depth is None else depth,
        mask=mask.astype(np.uint16),
        camera=PinholeCamera(width, height, 600.0, 590.0, width / 2, height / 2),
        labels=labels or {},
    )


@pytest.fixture
def mug():
    """A square of 40x40 pixels at 0.8 m before a wall at 1.5 m."""
    mask = np.zeros((120, 160), np.uint16)
    mask[40:80, 60:100] = 3
    depth = np.where(mask == 3, 0.8, 1.5).astype(np.float32)
    return make_frame(mask, depth, {3: InstanceLabel("mug", 0.7)})


def only(frame, **options):
    instances, skipped = segment(frame, CATEGORIES, **options)
    assert skipped == []
    assert len(instances) == 1
    return instances[0]


def reason(frame, **options):
    instances, skipped = segment(frame, CATEGORIES, **options)
    assert instances == []
    assert len(skipped) == 1
    return skipped[0].reason


def test_an_instance_holds_every_measured_pixel_of_its_mask(mug):
    depth = mug.depth.copy()
    depth[50, 70:75] = (0.0, np.nan, np.inf, -1.0, 100.0)
    instance = only(dataclasses.replace(mug, depth=depth))
    assert (instance.mask_id, instance.category, instance.score) == (3, "mug", 0.7)
    assert instance.mask_pixels == 1600
    assert instance.points.shape == (1595, 3)
    assert instance.points.dtype == np.float32
    assert instance.pixels.dtype == np.int32
    np.testing.assert_allclose(mug.camera.project(instance.points), instance.pixels, atol=1e-3)
    np.testing.assert_allclose(instance.points[:, 2], 0.8, rtol=1e-6)


def test_a_large_object_has_points_on_every_so_many_rows_and_columns():
    mask = np.zeros((480, 640))
    mask[100:340, 200:440] = 1
    depth = np.where(mask == 1, 0.4, 1.5).astype(np.float32)
    frame = make_frame(mask, depth, {1: InstanceLabel("mug")})
    found = only(frame)
    assert found.every > 1
    assert found.mask_pixels == 240 * 240
    assert not (found.pixels % found.every).any()
    assert len(found.points) == (240 // found.every) ** 2
    assert found.depth_pixels == 240 * 240
    np.testing.assert_allclose(frame.camera.project(found.points), found.pixels, atol=1e-3)

    # Where little of it was measured, all of that is looked at.
    sparse = np.where(np.indices(mask.shape).sum(axis=0) % 157 == 0, depth, 0.0)
    found = only(dataclasses.replace(frame, depth=sparse))
    assert found.every == 1
    assert len(found.points) == np.count_nonzero(sparse[mask == 1])


def test_an_instance_refers_to_the_frames_colour(mug):
    assert only(mug).colour is mug.colour


def test_labels_of_detectors_are_understood(mug):
    frame = dataclasses.replace(mug, labels={3: InstanceLabel("Cup")})
    assert only(frame).category == "mug"


def test_an_empty_mask_gives_nothing():
    assert segment(make_frame(np.zeros((20, 30))), CATEGORIES) == ([], [])


def test_background_that_leaks_into_the_mask_is_dropped(mug):
    depth = mug.depth.copy()
    depth[40:44, 60:100] = 1.5
    instance = only(dataclasses.replace(mug, depth=depth))
    assert len(instance.points) == 1440
    assert instance.points[:, 2].max() < 0.9
    assert instance.mask_pixels == 1600


def test_an_object_cut_in_two_by_an_occluder_keeps_both_halves(mug):
    depth = mug.depth.copy()
    depth[40:80, 60:78] = 0.71  # the gap is wider than the one that parts a leak
    assert 0.25 * largest_diagonal_m(CATEGORIES["mug"]) < 0.09
    assert len(only(dataclasses.replace(mug, depth=depth)).points) == 1600


def test_a_slanted_surface_is_not_torn(mug):
    depth = mug.depth.copy()
    depth[40:80, 60:100] = np.linspace(0.72, 0.88, 40, dtype=np.float32)
    assert len(only(dataclasses.replace(mug, depth=depth)).points) == 1600


def test_points_out_of_reach_of_the_category_are_dropped():
    mask = np.zeros((120, 400), np.uint16)
    mask[50:70, 20:380] = 1  # 0.48 m wide at 0.8 m
    frame = make_frame(mask, labels={1: InstanceLabel("can")})
    points = only(frame).points
    reach = largest_diagonal_m(CATEGORIES["can"])
    assert np.linalg.norm(points - np.median(points, axis=0), axis=1).max() <= reach + 1e-3
    assert len(points) > 0


def test_the_free_space_is_that_around_the_points(mug):
    """Leaked background is not on the object, so its rays are free as those around the mask."""
    depth = mug.depth.copy()
    depth[40:44, 60:100] = 1.5
    free = only(dataclasses.replace(mug, depth=depth)).free
    u, v = np.rint(free.camera.project(np.array([[0.0, -0.0508, 1.5], [0.0, 0.0, 1.5]]))).T.astype(
        int
    )
    assert free.outside[v[0], u[0]] > 0.0
    assert free.depth[v[0], u[0]] == np.float32(1.5)
    assert free.outside[v[1], u[1]] == 0.0
    assert free.depth[v[1], u[1]] == np.float32(0.8)


def test_the_support_seen_through_a_leaking_mask_counts_less():
    """A box 3 cm high on a table 1 m below the camera; its mask leaks 6 rows of the table."""
    mask = np.zeros((120, 160), np.uint16)
    mask[40:86, 60:100] = 3
    depth = np.full(mask.shape, 1.0, np.float32)
    depth[40:80, 60:100] = 0.97
    depth += np.random.default_rng(0).normal(0.0, 0.001, depth.shape).astype(np.float32)
    instance = only(make_frame(mask, depth, {3: InstanceLabel("mug")}))
    low = instance.points[:, 2] > 0.985
    assert np.count_nonzero(~low) == 1600
    assert np.count_nonzero(low) == pytest.approx(0.25 * 240, abs=12)


def test_the_table_is_found_and_other_instances_are_not_it(mug):
    """Everything but the object lies on a slope; half of it under another mask."""
    rows = np.arange(mug.camera.height, dtype=np.float32)[:, None]
    slope = np.broadcast_to(1.1 - 0.002 * rows, mug.mask.shape)
    depth = np.where(mug.mask == 3, 0.8, slope).astype(np.float32)
    support = only(dataclasses.replace(mug, depth=depth)).support
    ground = mug.camera.back_project(np.array([[5, 5], [150, 110]]), slope[[5, 110], [5, 150]])
    assert support.normal[1] < -0.3
    assert np.abs(support.height(ground)).max() < 0.01
    covered = np.where(mug.mask == 0, 4, mug.mask).astype(np.uint16)
    labels = dict(mug.labels) | {4: InstanceLabel("can")}
    instances, _ = segment(
        dataclasses.replace(mug, depth=depth, mask=covered, labels=labels), CATEGORIES
    )
    assert instances[0].support is None


def test_a_mask_at_the_images_edge(mug):
    mask = np.zeros_like(mug.mask)
    mask[:20, 140:] = 3
    depth = np.where(mask == 3, 0.8, 1.5).astype(np.float32)
    instance = only(dataclasses.replace(mug, mask=mask, depth=depth))
    assert len(instance.points) == 400
    assert np.all(mug.camera.contains(mug.camera.project(instance.free.ends())))


def test_an_id_without_a_label_is_skipped(mug):
    text = reason(dataclasses.replace(mug, labels={}))
    assert text == (
        "mask id 3 has no label: expected one of the categories "
        "bottle, bowl, camera, can, laptop, mug"
    )


def test_an_unknown_category_is_skipped(mug):
    text = reason(dataclasses.replace(mug, labels={3: InstanceLabel("teapot")}))
    assert text == (
        "mask id 3 has the unknown label 'teapot': expected one of bottle, bowl, camera, can, "
        "laptop, mug, one of their other labels, or 'any'"
    )


def test_five_pixels_are_skipped(mug):
    mask = np.zeros_like(mug.mask)
    mask[50, 50:55] = 3
    text = reason(dataclasses.replace(mug, mask=mask))
    assert text == (
        "mask id 3 (mug) has 5 usable depth pixels of 5: expected at least 50 (too far, "
        "occluded, or without depth)"
    )


def test_an_object_without_depth_is_skipped(mug):
    text = reason(dataclasses.replace(mug, depth=np.zeros_like(mug.depth)))
    assert "mask id 3 (mug) has 0 usable depth pixels of 1600" in text


def test_the_others_of_a_frame_are_still_measured(mug):
    mask = mug.mask.copy()
    mask[10:14, 10:14] = 7
    mask[100:110, 10:30] = 65535
    instances, skipped = segment(dataclasses.replace(mug, mask=mask), CATEGORIES)
    assert [x.mask_id for x in instances] == [3]
    assert [x.mask_id for x in skipped] == [7, 65535]


def test_of_200_ids_the_largest_are_kept():
    mask = np.kron(np.arange(200).reshape(10, 20) + 1, np.ones((48, 32)))
    mask[:10, :32] = 0  # id 1 is the smallest
    labels = {i: InstanceLabel("can") for i in range(1, 201)}
    frame = make_frame(mask, labels=labels)
    instances, skipped = segment(frame, CATEGORIES, max_instances=64)
    assert len(instances) == 64
    assert len(skipped) == 136
    assert [x.mask_id for x in instances] == sorted(x.mask_id for x in instances)
    assert skipped[0].reason == (
        "mask id 1 (can) is skipped: got 200 instances, expected at most 64 (only the largest are "
        "used)"
    )


def test_thousands_of_ids_are_not_measured(monkeypatch):
    """As where a depth image is taken for a mask."""
    measured = []
    original = segmentation.measure
    monkeypatch.setattr(segmentation, "measure", lambda *a: measured.append(a[1]) or original(*a))
    mask = np.arange(240 * 320).reshape(240, 320) % 1200
    frame = make_frame(mask, labels={i: InstanceLabel("any") for i in range(1, 1200)})
    _, skipped = segment(frame, CATEGORIES)
    assert len(set(measured)) == 64
    assert len(skipped) == 1199 - 64
    reasons = [x.reason for x in skipped if "got 1199 instances, expected at most 64" in x.reason]
    assert len(reasons) == 1199 - 64


@pytest.mark.parametrize("wrong", [-1, 70000])
def test_ids_outside_16_bits_are_refused(mug, wrong):
    mask = mug.mask.astype(np.int64)
    mask[0, 0] = wrong
    with pytest.raises(FrameError, match=f"contains the id {wrong}: expected instance ids from 0"):
        segment(dataclasses.replace(mug, mask=mask), CATEGORIES)


def test_masks_that_do_not_overlap_give_what_the_mask_of_the_frame_gives(mug):
    mask = mug.mask.copy()
    mask[20:60, 10:50] = 7
    frame = dataclasses.replace(mug, mask=mask, labels={**mug.labels, 7: InstanceLabel("can")})
    masks = {i: mask == i for i in (7, 3)}
    whole, _ = segment(frame, CATEGORIES)
    apart, skipped = segment_masks(frame, masks, CATEGORIES)
    assert skipped == []
    for a, b in zip(whole, apart, strict=True):
        assert (a.mask_id, a.category, a.mask_pixels) == (b.mask_id, b.category, b.mask_pixels)
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.free.depth, b.free.depth)


def test_masks_that_overlap_are_measured_whole(mug):
    labels = {1: InstanceLabel("mug"), 2: InstanceLabel("bowl"), 3: InstanceLabel("can")}
    masks = {1: mug.mask == 3, 2: mug.mask == 3, 3: np.zeros(mug.mask.shape, bool)}
    instances, skipped = segment_masks(dataclasses.replace(mug, labels=labels), masks, CATEGORIES)
    assert [(x.mask_id, x.category, len(x.points)) for x in instances] == [
        (1, "mug", 1600), (2, "bowl", 1600),
    ]  # fmt: skip
    assert skipped == []


def test_masks_of_another_size_are_refused(mug):
    with pytest.raises(FrameError, match=r"mask 2 has shape \(4, 4\): expected \(120, 160\)"):
        segment_masks(mug, {2: np.ones((4, 4), bool)}, CATEGORIES)
