"""Training and validation of the mask network on views of blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toy_mask_views import TINY, toy_network, toy_training, toy_views

from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.mask_training.training import MaskTraining, MaskTrainingConfig
from sdfpose_core.mask_training.validation import match_groups, validate_masks
from sdfpose_core.masks.grouping import GroupingConfig, Groups
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.storage.record_files import Records

FEW_PIXELS = GroupingConfig(min_pixels=20)


def test_a_little_training_finds_the_objects_and_parts_those_that_touch():
    found = validate_masks(toy_network(), Records([toy_views(8)]), FEW_PIXELS)
    assert found["iou50"] == 1.0
    assert found["iou75"] > 0.95
    assert found["merged"] == 0.0
    assert found["false_per_view"] == 0.0


def test_some_of_it_holds_for_other_views():
    found = validate_masks(toy_network(), Records([toy_views(10, seed=9)]), FEW_PIXELS)
    assert found["iou50"] > 0.7
    assert found["merged"] < 0.25


def test_losses_are_reported_and_fall():
    reported = []
    run = toy_training(toy_views(8), steps=50)
    run.run(progress=lambda step, losses: reported.append((step, losses)))
    ((step, losses),) = reported
    assert step == 50
    assert set(losses) == {"foreground", "overlap", "seed", "grouping", "spread"}
    assert losses["grouping"] < 0.5
    assert not run.network.training


def test_an_interrupted_training_continues_as_if_it_had_not_been(tmp_path):
    views = toy_views(12)
    straight = toy_training(views, steps=12).run()
    path = tmp_path / "masks.ckpt"
    interrupted = toy_training(views, steps=12)
    original = interrupted._train_step

    def until_step_7():
        if interrupted.step == 7:
            raise KeyboardInterrupt
        return original()

    interrupted._train_step = until_step_7
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(path)
    resumed = toy_training(views, steps=12).run(path)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "masks.ckpt"
    toy_training(toy_views(2), steps=5, batch=2).run(path)
    with pytest.raises(WeightsError, match="is of other settings: delete it"):
        toy_training(toy_views(2), steps=5, batch=1).run(path)


def test_without_views_there_is_no_training():
    with pytest.raises(ConfigurationError, match="no training views"):
        MaskTraining(Records([]), TINY, MaskTrainingConfig(), torch.device("cpu"))


def test_settings_without_steps_are_refused():
    with pytest.raises(ConfigurationError, match="steps is 0: expected at least 1"):
        MaskTrainingConfig(steps=0)


def test_views_are_all_used_before_one_comes_again():
    run = toy_training(toy_views(20), steps=10)
    drawn = np.concatenate([run._next() for _ in range(5)])
    assert sorted(drawn[:20]) == sorted(drawn[20:]) == list(range(20))


def boxes(*places):
    """Ids (40, 60) of rows and columns of each object."""
    ids = np.zeros((40, 60), dtype=np.int32)
    for number, (rows, columns) in enumerate(places, start=1):
        ids[slice(*rows), slice(*columns)] = number
    return ids


TRUE = boxes(((5, 25), (5, 20)), ((5, 25), (20, 35)), ((30, 32), (40, 45)))


def groups(labels):
    return Groups(labels, np.ones(labels.max(), dtype=np.float32))


def test_exact_groups_match():
    overlap, merged, false = match_groups(TRUE, groups(TRUE))
    assert overlap.tolist() == [1.0, 1.0]  # the third one is too small to be judged
    assert merged.tolist() == [False, False]
    assert false == 0


def test_one_group_over_two_objects_merges_them():
    overlap, merged, false = match_groups(TRUE, groups((TRUE > 0).astype(np.int32)))
    assert overlap.tolist() == pytest.approx([300 / 610, 300 / 610])
    assert merged.tolist() == [True, True]
    assert false == 0


def test_a_group_on_the_background_is_false():
    found = TRUE.copy()
    found[26:40, :30] = 4
    overlap, _, false = match_groups(TRUE, groups(found))
    assert overlap.tolist() == [1.0, 1.0]
    assert false == 1


def test_half_an_object_is_half_right():
    overlap, merged, _ = match_groups(TRUE, groups(boxes(((5, 15), (5, 20)))))
    assert overlap.tolist() == [0.5, 0.0]
    assert merged.tolist() == [False, False]


def test_nothing_found_and_nothing_there():
    overlap, merged, false = match_groups(TRUE, groups(0 * TRUE))
    assert overlap.tolist() == [0.0, 0.0]
    assert not merged.any()
    assert false == 0
    overlap, merged, false = match_groups(0 * TRUE, groups(TRUE))
    assert len(overlap) == len(merged) == 0
    assert false == 3


def test_views_without_objects_have_no_share():
    views = toy_views(2)
    views["ids"] = 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MaskNetwork(TINY).eval().requires_grad_(False)
    assert set(validate_masks(network, Records([views]))) == {"false_per_view"}
