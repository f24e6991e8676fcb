"""The mask benchmark on images worked out by hand, frame folders and simulated scenes."""

from __future__ import annotations

import numpy as np
import pytest
from mask_frames import BLOCKS, block_frame, empty_frame

from sdfpose_core.benchmark.mask_cases import SUITES, MaskCase, folder_cases, suite_cases
from sdfpose_core.benchmark.masks import OTHER, run_masks, summarise_masks
from sdfpose_core.datasets import write_frame
from sdfpose_core.errors import FrameError
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import InstanceLabel

FIGURES = ["n", "iou50", "iou75", "missed", "merged", "split"]


class Scripted:
    """Stands in for a backend: it finds what it is told to."""

    def __init__(self, *masks):
        self.masks = list(masks)

    def segment(self, frame):
        ids = self.masks.pop(0)
        if isinstance(ids, Exception):
            raise ids
        labels = {int(i): InstanceLabel("any") for i in np.unique(ids) if i}
        return InstanceMask(ids, labels, "" if labels else "no table")

    def reset(self):
        pass


def case(name, truth, categories=None):
    return MaskCase(name, block_frame(), truth, categories or {})


TRUTH = block_frame().mask
NOTHING = np.zeros_like(TRUTH)
HALF = np.where(TRUTH == 2, TRUTH, 0).astype(np.uint16)


def test_the_document_has_the_agreed_keys():
    problems: list[str] = []
    cases = [case("a", TRUTH, {4: "mug", 2: ""}), case("b", TRUTH, {4: "mug"}), case("c", None)]
    outcomes = run_masks(Scripted(TRUTH, HALF, TRUTH), cases, problems)
    document = summarise_masks(outcomes)
    assert list(document) == ["mean", "per_category"]
    assert list(document["mean"]) == [*FIGURES, "false_per_frame", "ms"]
    assert list(document["per_category"]) == ["mug", OTHER]
    assert all(list(x) == FIGURES for x in document["per_category"].values())
    assert document["mean"]["n"] == 4  # the image without truth does not count
    assert document["mean"]["iou50"] == 75.0
    assert document["mean"]["missed"] == 25.0
    assert document["per_category"]["mug"]["iou75"] == 50.0
    assert document["per_category"][OTHER]["iou75"] == 100.0
    assert document["mean"]["ms"] > 0.0
    assert problems == []


def test_empty_images_count_for_false_masks_alone():
    document = summarise_masks(run_masks(Scripted(TRUTH), [case("a", NOTHING)], []))
    assert document["mean"]["n"] == 0
    assert document["mean"]["iou50"] is None
    assert document["mean"]["false_per_frame"] == 2.0
    assert document["per_category"] == {}


def test_objects_of_a_few_pixels_need_not_be_found():
    """The limit is 6 of 160x120 pixels."""
    few = HALF.copy()
    few[0, :5] = 9
    assert summarise_masks(run_masks(Scripted(HALF), [case("a", few)], []))["mean"]["n"] == 1
    few[0, 5] = 9
    assert summarise_masks(run_masks(Scripted(HALF), [case("a", few)], []))["mean"]["n"] == 2


def test_problems_name_the_image():
    problems: list[str] = []
    shown = []
    outcomes = run_masks(
        Scripted(FrameError("too many objects"), NOTHING),
        [case("a", TRUTH), case("b", TRUTH)],
        problems,
        show=lambda case, found, comparison: shown.append((case.name, comparison.found)),
    )
    assert [x.name for x in outcomes] == ["b"]
    assert shown == [("b", 0)]
    assert problems == ["a: too many objects; frame dropped", "b: no table"]


def test_nothing_to_summarise():
    assert summarise_masks([])["mean"]["ms"] is None


@pytest.mark.parametrize("inner", ["", "frames"])
def test_frame_folders(inner, tmp_path):
    write_frame(tmp_path / inner / "one", block_frame())
    write_frame(tmp_path / inner / "two", empty_frame(0.8))
    (tmp_path / inner / "two" / "mask.png").unlink()
    problems: list[str] = []
    one, two = folder_cases(tmp_path, problems)
    assert problems == []
    np.testing.assert_array_equal(one.truth, block_frame().mask)
    assert one.categories == {4: "mug", 2: "laptop"}
    assert set(one.categories) == set(BLOCKS)
    assert (two.name, two.truth) == ("two", None)


@pytest.mark.parametrize("suite", SUITES)
def test_simulated_images(suite):
    (first,), (again,) = suite_cases(suite, 0, 1), suite_cases(suite, 0, 1)
    assert set(np.unique(first.truth)) - {0} == set(first.categories)
    assert first.frame.colour.any()
    assert (first.frame.depth > 0.0).mean() > 0.3
    np.testing.assert_array_equal(again.truth, first.truth)
    np.testing.assert_array_equal(again.frame.depth, first.frame.depth)
