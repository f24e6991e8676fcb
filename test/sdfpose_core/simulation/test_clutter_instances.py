"""Masks of simulated clutter: objects, distractors, parts of the room."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sdfpose_core.categories import default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, RgbdFrame
from sdfpose_core.simulation import clutter_instances as module
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY, ClutterFrame, simulated_clutter
from sdfpose_core.simulation.clutter_instances import (
    clutter_instances,
    image_instances,
    with_room_parts,
)


@pytest.fixture(scope="module")
def images():
    return list(simulated_clutter(5, 6, CLUTTER, width=160, model_seeds=range(2)))


def test_objects_have_their_pose_and_other_things_none():
    some = list(clutter_instances(1, 20, width=320, model_seeds=range(2)))
    assert len(some) == 20
    assert {x.truth is None for x in some} == {True, False}
    for x in some:
        assert len({y.mask_id for y in x.candidates}) == 1
        assert all(y.unknown and not y.label for y in x.candidates)
        assert x.category == ("" if x.truth is None else x.truth.category)
        if x.truth is not None:
            assert x.truth.mask_id == x.candidates[0].mask_id
            offset = x.candidates[0].middle - x.truth.translation
            assert np.linalg.norm(offset) < x.truth.scale
            assert len(x.told(x.truth.category)) <= 1


def test_the_stream_depends_on_its_seed_alone():
    first, again, other = (
        [x.candidates[0].points for x in clutter_instances(seed, 3, width=160)]
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert list(clutter_instances(0, 0, width=160)) == []


def test_rooms_without_objects_give_masks_of_no_category():
    some = itertools.islice(clutter_instances(0, 6, EMPTY, width=160), 6)
    assert all(x.truth is None for x in some)


def test_parts_of_the_room_are_background_of_one_depth(images):
    rng = np.random.default_rng(0)
    added = 0
    for image in images:
        ids = with_room_parts(image, rng)
        np.testing.assert_array_equal(ids[image.ids > 0], image.ids[image.ids > 0])
        assert not ids[image.ignore].any()
        for part in range(int(image.ids.max()) + 1, int(ids.max()) + 1):
            depth = image.frame.depth[ids == part]
            assert len(depth) >= 40
            assert np.ptp(depth) <= 0.5
            added += 1
    assert added > 0


MUG, BOX, CAN, NONE = (slice(20, 40), slice(30, 50)), (slice(20, 40), slice(50, 70)), (
    slice(60, 80), slice(30, 50)), (slice(60, 80), slice(70, 90))  # fmt: skip
"""Blocks of 20 x 20 pixels: a mug and a carton side by side, a can whose pose is unknown, and
something that need not be found."""


@pytest.fixture
def image():
    """An image of these blocks."""
    camera = PinholeCamera(128, 96, 160.0, 160.0, 64.0, 48.0)
    ids, ignore = np.zeros((96, 128), np.uint16), np.zeros((96, 128), np.bool_)
    ids[MUG], ids[BOX], ids[CAN], ignore[NONE] = 1, 2, 3, True
    depth = np.where((ids > 0) | ignore, 0.9, 1.0).astype(np.float32)
    frame = RgbdFrame(np.zeros((96, 128, 3), np.uint8), depth, np.zeros_like(ids), camera)
    truth = GroundTruth.without_pose(1, "mug")
    return ClutterFrame(frame, ids, {1: "mug", 2: "", 3: "can"}, ignore, (truth,))


@pytest.fixture
def blocks(image, monkeypatch):
    """The masks of the image, made by a given segmentation of id -> regions."""
    ids = image.ids
    monkeypatch.setattr(module, "simulated_clutter", lambda seed, **_: itertools.repeat(image))

    def found(**regions):
        def masks(shown, rng):
            assert shown is image
            assert isinstance(rng, np.random.Generator)
            made = np.zeros_like(ids)
            for number, parts in enumerate([*regions.values(), [BOX]], start=7):
                for part in parts:
                    made[part] = np.where(made[part] == 0, number, made[part])
            return made

        some = clutter_instances(0, len(regions) + 1, masks=masks)
        names = dict(enumerate(regions, start=7))
        by_name = {}
        for x in some:
            (mask_id,) = {y.mask_id for y in x.candidates}
            by_name.setdefault(names.get(mask_id, "rest"), x.truth)
        return by_name

    return found


def part_of(block, rows):
    return slice(block[0].start, block[0].start + rows), block[1]


def test_a_mask_of_two_things_shows_the_one_with_most_of_its_pixels(blocks):
    assert blocks(merged=[MUG, part_of(BOX, 15)])["merged"].category == "mug"
    assert blocks(merged=[part_of(MUG, 15), BOX])["merged"] is None


def test_a_mask_in_which_nothing_has_a_majority_is_of_no_category(blocks):
    """Two fifths are of the mug, more than of anything else."""
    around = slice(0, 15), slice(30, 50)
    assert blocks(torn=[MUG, part_of(BOX, 15), around])["torn"] is None
    half = slice(0, 20), slice(30, 50)
    assert blocks(half=[MUG, half])["half"] is None
    assert blocks(most=[MUG, (slice(0, 19), slice(30, 50))])["most"].category == "mug"


def test_a_mask_of_what_need_not_be_found_is_left_out(blocks):
    beside = slice(60, 70), slice(90, 110)
    assert set(blocks(ignored=[NONE, beside])) == {"rest"}
    beside = slice(60, 80), slice(90, 112)
    assert blocks(background=[NONE, beside])["background"] is None


def test_a_mask_of_an_object_without_a_true_pose_is_left_out(blocks):
    assert set(blocks(can=[CAN])) == {"rest"}


def test_the_masks_of_an_image_have_categories_with_or_without_a_pose(image):
    ids = np.zeros_like(image.ids)
    ids[MUG], ids[BOX], ids[CAN], ids[NONE], ids[:10, :20] = 40, 30, 20, 10, 50
    found = {
        x.candidates[0].mask_id: x for x in image_instances(image, ids, default_categories(), 24)
    }
    names = {i: x.category for i, x in found.items()}
    # What need not be found is left out.
    assert names == {20: "can", 30: "", 40: "mug", 50: ""}
    assert {i for i, x in found.items() if x.truth is not None} == {40}
    for mask_id, x in found.items():
        assert {y.mask_id for y in x.candidates} == {mask_id}
        assert len({y.category for y in x.candidates}) == len(x.candidates)
        assert all(y.unknown for y in x.candidates)
    assert list(image_instances(image, ids, default_categories(), 401)) == []
    assert list(image_instances(image, 0 * ids, default_categories(), 24)) == []
