"""Training of the colour network: views, changes of views, rivals, and what is learned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdfpose_core.cues.efficientnet import ImageTrunk
from sdfpose_core.cues.network import ColourCuesConfig
from sdfpose_core.cues.training import (
    HALF_TURNS,
    ColourTraining,
    ColourTrainingConfig,
    CueAugmentation,
    augmented,
    rival_rotations,
)
from sdfpose_core.cues.validation import _temperature, calibrate_colour, validate_colour
from sdfpose_core.cues.views import (
    NO_CATEGORY,
    ClutterViewFile,
    CueViews,
    ViewFile,
    clutter_cue_views,
    simulated_cue_views,
)
from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import FrameError, WeightsError
from sdfpose_core.geometry.similarity import so3_exp
from sdfpose_core.simulation.instances import ModelPool

NETWORK = ColourCuesConfig(
    ("can", "camera"), ("can",), width=0.25, channels=16, features=16, hidden=16
)
CONFIG = ColourTrainingConfig(steps=30, batch=8, rivals=6, checkpoint_every=10)
STILL = CueAugmentation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def toy_views(count=24):
    """Cans with a red upper end, of which half are upside down, and cameras with a blue front."""
    rng = np.random.default_rng(0)
    colour = np.full((count, 96, 96, 3), 128, np.uint8)
    category = np.arange(count) % 2
    flipped = rng.random(count) < 0.5
    upright = np.diag([1.0, -1.0, -1.0])
    rotation = np.tile(upright, (count, 1, 1))
    for i in range(count):
        if category[i] == 0:
            colour[i, 48:] = (220, 30, 30)
            if flipped[i]:
                rotation[i] = upright @ HALF_TURNS[0].numpy()
            else:
                colour[i] = colour[i, ::-1]
        else:
            rotation[i] = (
                upright @ so3_exp(torch.tensor([0.0, 1.57 * (-1) ** flipped[i], 0.0])).numpy()
            )
            side = slice(0, 48) if flipped[i] else slice(48, 96)
            colour[i, :, side] = (20, 20, 230)
    return CueViews(
        colour,
        np.zeros((count, 2, 24, 24), np.float16),
        rotation.astype(np.float32),
        category.astype(np.int64),
    )


def training(config=CONFIG, views=None, pretrained=None):
    return ColourTraining(views or toy_views(), NETWORK, config, torch.device("cpu"), pretrained)


@pytest.fixture(scope="module")
def pool():
    return ModelPool.procedural({"can": range(2), "mug": range(1)})


def test_views_of_objects_are_labelled_relative_to_the_viewing_ray(pool):
    views = simulated_cue_views("can", 3, 0, 4, pool=pool)
    assert views.colour.shape == (4, 96, 96, 3)
    assert views.colour.std() > 5.0
    assert views.depth.shape == (4, 2, 24, 24)
    assert set(views.category.tolist()) == {3}
    np.testing.assert_allclose(np.linalg.det(views.rotation), 1.0, atol=1e-5)
    again = simulated_cue_views("can", 3, 0, 4, pool=pool)
    np.testing.assert_array_equal(views.colour, again.colour)


def test_view_files_are_made_once_and_read_again(tmp_path, monkeypatch):
    few = ModelPool.procedural({"can": range(1)})
    monkeypatch.setattr(ModelPool, "for_category", lambda *args, **options: few)
    file = ViewFile(tmp_path / "can.npz", "can", 1, 0, 2, range(1))
    assert list(make_view_files([file], 1)) == [file]
    written = file.path.stat().st_mtime_ns
    list(make_view_files([file], 1))
    assert file.path.stat().st_mtime_ns == written
    views = CueViews.load(file.path)
    assert len(CueViews.joined([views, views])) == 4
    for damaged in (b"x", b""):
        file.path.write_bytes(damaged)
        with pytest.raises(FrameError, match="not a readable file of training views"):
            CueViews.load(file.path)


def test_views_of_clutter_are_of_the_categories_and_of_none(tmp_path):
    names = ("mug", "can", "bottle", "bowl", "camera", "laptop")
    views = clutter_cue_views(names, 3, 12, model_seeds=range(2))
    assert len(views) == 12
    none = views.category == NO_CATEGORY
    assert 0 < none.sum() < 12
    assert set(views.category[~none].tolist()) <= set(range(6))
    np.testing.assert_array_equal(views.rotation[none], np.eye(3)[None].repeat(none.sum(), axis=0))
    assert np.abs(views.rotation[~none] - np.eye(3)).max(axis=(1, 2)).min() > 0.01
    file = ClutterViewFile(tmp_path / "clutter.npz", names, 3, 12, range(2))
    file.make()
    np.testing.assert_array_equal(CueViews.load(file.path).colour, views.colour)


def test_a_roll_turns_picture_and_rotation_alike():
    colour = torch.zeros(64, 96, 96, 3, dtype=torch.uint8)
    colour[:, 44:52, 78:86] = 255
    depth = torch.zeros(64, 2, 24, 24)
    depth[:, 1, 11:13, 19:21] = 1.0
    amount = replace(STILL, roll_deg=40.0)
    rotation = torch.eye(3).expand(64, -1, -1)
    image, grid, turned = augmented(
        colour, depth, rotation, amount, torch.Generator().manual_seed(0)
    )
    for picture, size in ((image[..., 0], 96), (grid[:, 1], 24)):
        at = torch.arange(size) - 0.5 * (size - 1)
        mass = (picture - picture.amin(dim=(1, 2), keepdim=True)).clamp(min=0.0)
        mass = mass * (mass > 0.5 * mass.amax(dim=(1, 2), keepdim=True))
        weight = mass.sum(dim=(1, 2))
        x = (mass.sum(dim=1) * at).sum(dim=1) / weight / size
        y = (mass.sum(dim=2) * at).sum(dim=1) / weight / size
        expected = 0.35 * turned[:, :2, 0]
        # Views are shifted by up to 0.04 as well.
        assert float((torch.stack([x, y], dim=1) - expected).abs().max()) < 0.09
    assert float(turned[:, 1, 0].max()) > 0.3
    assert float(turned[:, 1, 0].min()) < -0.3


def test_light_is_changed_only_as_asked():
    colour = torch.zeros(200, 96, 96, 3, dtype=torch.uint8)
    colour[..., 0] = 150
    depth = torch.ones(200, 2, 24, 24)
    eye = torch.eye(3).expand(200, -1, -1)
    amount = replace(STILL, grey=0.5, flat=0.25)
    image, grid, rotation = augmented(colour, depth, eye, amount, torch.Generator().manual_seed(0))
    middle = image[:, 40:56, 40:56].mean(dim=(1, 2))
    grey = middle[:, 0] - middle[:, 1] < 30.0
    assert 0.35 < float(grey.float().mean()) < 0.65
    assert 0.12 < float((grid.amax(dim=(1, 2, 3)) == 0.0).float().mean()) < 0.4
    torch.testing.assert_close(rotation, eye)


def test_rivals_contain_the_flips_and_keep_away_from_the_truth():
    generator = torch.Generator().manual_seed(0)
    true = so3_exp(torch.randn(50, 3, generator=generator))
    rivals = rival_rotations(true, 12, generator)
    assert rivals.shape == (50, 18, 3, 3)
    relative = rivals[:, :1].transpose(-1, -2) @ rivals
    angle = torch.rad2deg(torch.acos(((relative.diagonal(dim1=-1, dim2=-2).sum(-1) - 1.0) / 2.0)
                                     .clamp(-1.0, 1.0)))  # fmt: skip
    torch.testing.assert_close(angle[:, 1:4], torch.full((50, 3), 180.0), atol=0.2, rtol=0.0)
    torch.testing.assert_close(angle[:, 4:6], torch.full((50, 2), 90.0), atol=0.2, rtol=0.0)
    assert float(angle[:, 1:10].min()) > 15.0
    up = relative[..., 1, 1]
    assert float(up[:, 6:10].min()) > 0.5
    assert float(up[:, 10:14].max()) < -0.5
    from_truth = true.transpose(-1, -2) @ rivals[:, 0]
    assert float((from_truth - torch.eye(3)).abs().max()) < 0.6


def test_a_little_training_finds_which_end_is_up_and_where_the_front_is():
    losses = []
    config = replace(CONFIG, steps=100, learning_rate=5e-3, augmentation=STILL)
    run = training(config)
    network = run.run(None, lambda step, loss: losses.append(loss["rotation"]))
    calibrate_colour(network, run.views)
    found = validate_colour(network, run.views)
    assert losses[-1] < 0.8 * losses[0]
    assert found["can"]["category_accuracy"] > 0.9
    assert found["can"]["end_up_accuracy"] > 0.9
    assert "front_accuracy" not in found["can"]
    assert found["camera"]["front_accuracy"] > 0.9
    assert found["camera"]["front_nats"] > math.log(0.5)


def test_a_little_training_finds_what_is_of_no_category():
    """Green things are of none; of these, no rotation is learned."""
    views = toy_views(32)
    none = np.arange(32) % 4 == 3
    views.colour[none] = (20, 230, 20)
    views.category[none] = NO_CATEGORY
    views.rotation[none] = np.nan
    config = replace(CONFIG, steps=60, learning_rate=5e-3, augmentation=STILL)
    run = training(config, views)
    network = run.run()
    calibrate_colour(network, views)
    found = validate_colour(network, views)
    assert found["none"]["known_share"] < 0.2
    assert min(found[x]["known_share"] for x in ("can", "camera")) > 0.75
    assert found["can"]["category_accuracy"] > 0.75


def test_an_interrupted_training_continues_as_if_it_had_not_been(tmp_path):
    straight = training().run()
    path = tmp_path / "colour.ckpt"
    interrupted = training()
    original = interrupted._train_step

    def until_step_20():
        if interrupted.step == 20:
            raise KeyboardInterrupt
        return original()

    interrupted._train_step = until_step_20
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(path)
    resumed = training().run(path)
    for name, value in straight.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "colour.ckpt"
    training(replace(CONFIG, steps=10)).run(path)
    with pytest.raises(WeightsError, match="is of other settings: delete it"):
        training(replace(CONFIG, steps=10, rivals=9)).run(path)


def test_pretrained_weights_are_the_start_and_learn_slower():
    def run(rate):
        config = replace(CONFIG, steps=1, pretrained_rate=rate, weight_decay=0.0)
        found = training(config, pretrained=pretrained)
        found.run()
        weights = found.network.trunk.stages.state_dict()
        return {k: weights[k] for k in pretrained if "project.weight" in k}

    with torch.random.fork_rng():
        torch.manual_seed(3)
        pretrained = ImageTrunk(1, NETWORK.width).stages.state_dict()
    frozen, slow, fast = run(0.0), run(0.1), run(1.0)
    for name, value in frozen.items():
        torch.testing.assert_close(value, pretrained[name], rtol=0.0, atol=0.0)
    # The first step of Adam is as long as the learning rate.
    for name, value in fast.items():
        moved = (slow[name] - frozen[name]).abs().max() / (value - frozen[name]).abs().max()
        assert float(moved) == pytest.approx(0.1, rel=0.02)


def test_a_pretrained_training_continues_from_its_checkpoint(tmp_path):
    config = replace(CONFIG, steps=2, batch=2, checkpoint_every=2)
    path = tmp_path / "colour.ckpt"
    start = ImageTrunk(1, NETWORK.width).stages.state_dict()
    first = training(config, pretrained=start).run(path)
    other = ImageTrunk(1, NETWORK.width).stages.state_dict()
    again = training(config, pretrained=other).run(path)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0.0, atol=0.0)


def test_the_temperature_makes_scores_honest():
    generator = torch.Generator().manual_seed(0)
    logits = 2.0 * torch.randn(4000, 4, generator=generator)
    target = torch.distributions.Categorical(logits=logits)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = target.sample()
    assert _temperature(3.0 * logits, drawn) == pytest.approx(3.0, rel=0.1)
