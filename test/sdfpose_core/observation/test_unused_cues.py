"""What is said of cues that are not used."""

from __future__ import annotations

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.frame import Instance, RgbdFrame
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.observation.unused_cues import unused_cues

UP = np.array([0.0, -0.8, -0.6])
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def frame(colour=NOISE, up=None):
    return RgbdFrame(
        colour=colour,
        depth=np.ones((48, 64), np.float32),
        mask=np.zeros((48, 64), np.uint16),
        camera=PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5),
        up=up,
    )


def instance(mask_id=1, colour=NOISE, up=None, category="can"):
    pixels = np.stack(np.meshgrid(np.arange(20, 30), np.arange(15, 25)), axis=-1).reshape(-1, 2)
    points = np.column_stack([0.01 * pixels, np.ones(100)]).astype(np.float32)
    return Instance(
        mask_id, category, 1.0, points, pixels.astype(np.int32), FreeSpace.unknown(), 100,
        up=up, colour=colour,
    )  # fmt: skip


def test_where_everything_is_used_nothing_is_said():
    used = instance(up=UP.astype(np.float32))
    assert unused_cues(frame(up=UP), [used], colour=True) == []
    assert unused_cues(frame(), [instance()], colour=True) == []
    assert unused_cues(frame(up=UP), [], colour=True) == []


@pytest.mark.parametrize("own", [None, np.array([0.0, -1.0, 0.0], np.float32)])
def test_a_direction_up_that_an_instance_does_not_have_is_told(own):
    (told,) = unused_cues(frame(up=UP), [instance(up=own)], colour=True)
    assert told.kind == "gravity"
    assert "(0.00, -0.80, -0.60)" in told.text


@pytest.mark.parametrize("level", [0, 255])
def test_blank_colour_is_told_once_with_its_mask_ids(level):
    blank = np.full_like(NOISE, level)
    several = [instance(i, blank, category=x) for i in (7, 2) for x in ("can", "mug")]
    (told,) = unused_cues(frame(blank), [*several, instance(3)], colour=True)
    assert "around mask id 2, 7: colour is not used there" in told.text
    assert unused_cues(frame(blank), several, colour=False) == []


def test_stored_crops_are_looked_at_and_instances_without_colour_are_not():
    blank = np.zeros_like(NOISE)
    crop = ColourCrop.around(blank, instance().pixels)
    (told,) = unused_cues(frame(), [instance(5, crop), instance(6, None)], colour=True)
    assert "mask id 5:" in told.text
