"""Training of the recognition network: what is learned, interruptions, and changes of crops."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from simulated_windows import window_instance

from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.observation.support_plane import SupportPlane
from sdfpose_core.recognition.crop import recognition_crop
from sdfpose_core.recognition.network import RecognitionConfig
from sdfpose_core.recognition.training import (
    CropAugmentation,
    RecognitionTraining,
    RecognitionTrainingConfig,
    augmented,
)
from sdfpose_core.recognition.validation import validate_recognition
from sdfpose_core.recognition.views import NO_CATEGORY, RECOGNITION_VIEW
from sdfpose_core.storage.record_files import Records

NETWORK = RecognitionConfig(("bowl", "can"), widths=(6, 8, 8), features=12)
STILL = CropAugmentation(*(0.0 for _ in fields(CropAugmentation)))
CONFIG = RecognitionTrainingConfig(
    steps=12, batch=8, learning_rate=5e-3, checkpoint_every=5, augmentation=STILL
)
TABLE = SupportPlane(np.array([0.0, -1.0, 0.0], np.float32), -0.1)
RADII = {0: 0.08, 1: 0.05, NO_CATEGORY: 0.11}
"""Balls of two sizes belong to a category, larger ones to none."""


def toy_views(count=24, seed=0):
    """Balls of random colours; a quarter has no image."""
    rng = np.random.default_rng(seed)
    views = np.zeros(count, dtype=RECOGNITION_VIEW)
    views["category"] = [(0, 1, NO_CATEGORY, NO_CATEGORY)[i % 4] for i in range(count)]
    for view in views:
        ball = window_instance(distance=rng.uniform(0.5, 0.7), radius=RADII[int(view["category"])])
        ball = replace(ball, support=TABLE if rng.random() < 0.5 else None)
        if rng.random() < 0.75:
            image = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
            image[:8] = 255
            ball = replace(ball, colour=image)
        view["crop"] = recognition_crop(ball)
    return views


def training(config=CONFIG, views=None):
    views = Records([toy_views() if views is None else views])
    return RecognitionTraining(views, NETWORK, config, torch.device("cpu"))


def test_a_little_training_tells_objects_from_other_things_and_from_each_other():
    reported = []
    network = training(replace(CONFIG, steps=50, batch=12)).run(
        progress=lambda step, losses: reported.append((step, losses))
    )
    found = validate_recognition(network, Records([toy_views(16, seed=1)]))
    assert found["auroc"] > 0.95
    assert found["category_accuracy"] > 0.8
    assert max(found["none_taken"], found["ours_lost"]) < 0.2
    ((step, losses),) = reported
    assert step == 50
    assert set(losses) == {"known", "category"}
    assert not network.training


def test_accuracies_are_of_what_there_is():
    views = toy_views(8)
    ours = views["category"] != NO_CATEGORY
    network = training().network.eval()
    expected = {True: {"ours_lost", "category_accuracy"}, False: {"none_taken"}}
    for kind, names in expected.items():
        some = Records([views[ours == kind]])
        assert set(validate_recognition(network, some)) == names


def test_views_of_no_category_alone_are_learned(tmp_path):
    none = toy_views(8)
    none["category"] = NO_CATEGORY
    network = training(replace(CONFIG, steps=2), none).run(tmp_path / "recognition.ckpt")
    assert all(torch.isfinite(x).all() for x in network.state_dict().values())


def test_an_interrupted_training_continues_as_if_it_had_not_been(tmp_path):
    config = replace(CONFIG, augmentation=CropAugmentation())
    straight = training(config).run()
    path = tmp_path / "recognition.ckpt"
    interrupted = training(config)
    original = interrupted._train_step

    def until_step_7():
        if interrupted.step == 7:
            raise KeyboardInterrupt
        return original()

    interrupted._train_step = until_step_7
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(path)
    resumed = training(config).run(path)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "recognition.ckpt"
    training(replace(CONFIG, steps=5)).run(path)
    with pytest.raises(WeightsError, match="is of other settings: delete it"):
        training(replace(CONFIG, steps=5, category_weight=0.1)).run(path)


def test_without_views_there_is_no_training():
    with pytest.raises(ConfigurationError, match="there are no training views"):
        training(views=toy_views(0))


@pytest.mark.parametrize(("name", "least"), [("steps", 1), ("checkpoint_every", 1), ("batch", 2)])
def test_settings_that_are_too_small_are_refused(name, least):
    with pytest.raises(
        ConfigurationError, match=f"{name} is {least - 1}: expected at least {least}"
    ):
        RecognitionTrainingConfig(**{name: least - 1})


@pytest.fixture(scope="module")
def crops():
    """Crops with unknown cells, with and without a support plane."""
    made = torch.from_numpy(toy_views(32)["crop"].astype(np.float32))
    made[:, [0, 1, 2, 3, 5, 6, 7, 8], :5] = 0.0
    return made


def changed(crops, seed=0, **amounts):
    """Changed crops, of which colour without a change may differ by rounding."""
    found = augmented(crops, replace(STILL, **amounts), torch.Generator().manual_seed(seed))
    if not COLOURS & set(amounts) and "flip" not in amounts:
        torch.testing.assert_close(found[:, 10:], crops[:, 10:], rtol=0.0, atol=1e-6)
        found[:, 10:] = crops[:, 10:]
    return found


COLOURS = {"grey", "black", "narrow", "light"}


def test_without_any_amount_crops_stay(crops):
    before = crops.clone()
    assert torch.equal(changed(crops), before)
    assert torch.equal(crops, before)


def test_mirroring_turns_what_points_sideways_and_is_its_own_inverse(crops):
    mirrored = changed(crops, flip=1.0)
    sign = torch.ones(14)
    sign[[0, 5]] = -1.0
    torch.testing.assert_close(mirrored, crops.flip(3) * sign[:, None, None], rtol=0.0, atol=1e-6)
    torch.testing.assert_close(changed(mirrored, flip=1.0), crops, rtol=0.0, atol=1e-6)
    half = ((changed(crops, flip=0.5) - crops).abs() < 1e-5).all(dim=(1, 2, 3)).float().mean()
    assert 0.2 < float(half) < 0.8


def test_all_lengths_of_a_crop_change_alike(crops):
    larger = changed(crops, size=0.2)
    lengths = [0, 1, 2, 8]
    factor = larger[:, 2].abs().sum(dim=(1, 2)) / crops[:, 2].abs().sum(dim=(1, 2))
    assert 0.8 <= float(factor.min()) < 0.95
    assert 1.05 < float(factor.max()) <= 1.2
    torch.testing.assert_close(larger[:, lengths], crops[:, lengths] * factor.view(-1, 1, 1, 1))
    others = [i for i in range(14) if i not in lengths]
    assert torch.equal(larger[:, others], crops[:, others])


def test_noise_moves_known_cells_along_the_view_alone(crops):
    noisy = changed(crops, noise=0.05)
    difference = noisy - crops
    assert not difference[:, [i for i in range(14) if i != 2]].any()
    assert not difference[:, 2][crops[:, 3] == 0.0].any()
    assert 0.01 < float(difference[:, 2].std()) < 0.05


def test_a_forgotten_plane_leaves_neither_heights_nor_support(crops):
    without = changed(crops, unsupported=1.0)
    assert not without[:, 8:10].any()
    assert torch.equal(without[:, :8], crops[:, :8])
    assert torch.equal(without[:, 10:], crops[:, 10:])


def test_what_is_alone_keeps_its_own_cells(crops):
    alone = changed(crops, alone=1.0)
    own = (crops[:, 4:5] > 0.0).expand_as(crops)
    assert torch.equal(alone[own], crops[own])
    others = torch.where(own, torch.zeros(()), alone)
    assert not others[:, [0, 1, 2, 3, 5, 6, 7, 8]].any()
    rest = [4, *range(9, 14)]
    assert torch.equal(alone[:, rest], crops[:, rest])


def test_lost_cells_are_zero_and_the_others_stay(crops):
    found = changed(crops, holes=1.0)
    lost = (found[:, 3] == 0.0) & (crops[:, 3] > 0.0)
    share = lost.float().mean(dim=(1, 2))
    assert float(share.max()) <= 0.3
    assert float(share.min()) > 0.0
    hole = lost[:, None].expand_as(crops).clone()
    hole[:, 10:] = False
    zero = torch.where(hole, found, torch.zeros(()))
    assert not zero[:, [0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert torch.equal(found[~hole], crops[~hole])
    assert torch.equal(found[:, [4, 9]], crops[:, [4, 9]])


@pytest.mark.parametrize("seed", range(3))
def test_all_changes_together_stay_finite_and_unknown_cells_unknown(crops, seed):
    amount = CropAugmentation(0.0, 0.3, 0.1, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 1.0)
    found = augmented(crops, amount, torch.Generator().manual_seed(seed))
    assert torch.isfinite(found).all()
    unknown = (found[:, 3:4] == 0.0).expand_as(found)
    rest = torch.where(unknown, found, torch.zeros(()))
    assert not rest[:, [0, 1, 2, 5, 6, 7, 8]].any()
    without_colour = (found[:, 13:] == 0.0).expand(-1, 4, -1, -1)
    assert not found[:, 10:][without_colour].any()
    assert not (found[:, 13] > crops[:, 13]).any()
    again = augmented(crops, amount, torch.Generator().manual_seed(seed))
    assert torch.equal(found, again)


def with_colour(crops):
    """The crops that have an image, and all channels but colour."""
    seen = crops[crops[:, 13].any(dim=2).any(dim=1)]
    assert 8 < len(seen) < len(crops)
    return seen


@pytest.mark.parametrize("amounts", [{}, {"light": 1.0}])
def test_a_grey_image_has_equal_channels(crops, amounts):
    seen = with_colour(crops)
    grey = changed(seen, grey=1.0, **amounts)
    torch.testing.assert_close(grey[:, 10:13], grey[:, 10:11].expand(-1, 3, -1, -1))
    assert torch.equal(grey[:, 13], seen[:, 13])
    assert torch.equal(grey[:, :10], seen[:, :10])
    if not amounts:
        mean = seen[:, 10:13].mean(dim=1)
        torch.testing.assert_close(grey[:, 10], mean, rtol=0.0, atol=1e-5)
    assert float(grey[:, 10].std()) > 0.1


def test_a_black_image_is_not_known(crops):
    black = changed(crops, black=1.0)
    assert not black[:, 10:].any()
    assert torch.equal(black[:, :10], crops[:, :10])
    some = changed(with_colour(crops), black=0.5)[:, 13].any(dim=2).any(dim=1)
    assert 0.2 < float(some.float().mean()) < 0.8


def test_narrow_colour_is_that_of_the_object_and_four_cells_around_it(crops):
    seen = with_colour(crops)
    narrow = changed(seen, narrow=1.0)
    own = seen[:, 4] > 0.0
    near = torch.zeros_like(own)
    for v, u in zip(*torch.nonzero(own.any(dim=0), as_tuple=True), strict=True):
        near[:, max(v - 4, 0) : v + 5, max(u - 4, 0) : u + 5] |= own[:, v, u, None, None]
    known = near & (seen[:, 13] > 0.0)
    assert torch.equal(narrow[:, 13] > 0.0, known)
    assert not known.all()
    kept = known[:, None].expand(-1, 4, -1, -1)
    torch.testing.assert_close(narrow[:, 10:][kept], seen[:, 10:][kept], rtol=0.0, atol=1e-6)
    assert not narrow[:, 10:][~kept].any()


def test_light_changes_brightness_and_tint_within_the_range(crops):
    seen = with_colour(crops)
    lit = changed(seen, light=0.8)
    assert torch.equal(lit[:, :10], seen[:, :10])
    assert torch.equal(lit[:, 13], seen[:, 13])
    colour, before = lit[:, 10:13], seen[:, 10:13]
    assert float(colour.abs().max()) <= 1.0
    unknown = (seen[:, 13:] == 0.0).expand_as(colour)
    assert not colour[unknown].any()
    change = (colour - before).mean(dim=(2, 3))
    assert float(change.min()) < -0.1
    assert float(change.max()) > 0.1
    # The channels change by different amounts, and within a channel the order stays.
    assert float((change - change.mean(dim=1, keepdim=True)).abs().max()) > 0.03
    darker, brighter = (x[:, :, :, :-1] < x[:, :, :, 1:] - 1e-3 for x in (before, colour))
    assert not (brighter & ~darker)[:, :, :, 10:-10].any()
