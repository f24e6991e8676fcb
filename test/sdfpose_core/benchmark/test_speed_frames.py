"""The frames on which speed is measured."""

from itertools import islice

import numpy as np
import pytest

from sdfpose_core.benchmark import speed_frames
from sdfpose_core.benchmark.speed_frames import back_and_forth, table_categories, table_frames
from sdfpose_core.categories import default_categories
from sdfpose_core.errors import SdfposeError
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.shapes.families import HELD_OUT_SEED

NAMES = ["bottle", "bowl", "camera", "can", "laptop", "mug"]


def test_categories_come_in_turn():
    assert table_categories(2) == NAMES[:2]
    assert table_categories(8) == [*NAMES, "bottle", "bowl"]


@pytest.mark.parametrize("objects", [1, 8, 16])
def test_every_frame_shows_all_objects(objects):
    frames = table_frames(objects, 3, 0)
    for frame in frames:
        instances, skipped = segment(frame, default_categories())
        assert not skipped
        assert [x.category for x in instances] == table_categories(objects)
        assert min(len(x.points) * x.every**2 for x in instances) > 100
        assert frame.mask.shape == (480, 640)
        assert not frame.mask[[0, -1]].any()
        assert not frame.mask[:, [0, -1]].any()


def test_unseen_models_stand_upright_and_nothing_is_in_the_way(monkeypatch):
    styles, seeds = [], []
    for name, record in (("cluttered_table", styles), ("sample_model", seeds)):
        wrapped = getattr(speed_frames, name)

        def call(*args, wrapped=wrapped, record=record):
            record.append(args[-1])
            return wrapped(*args)

        monkeypatch.setattr(speed_frames, name, call)
    table_frames(3, 1, 5)
    style = styles[0]
    assert (style.occluders, style.held, style.lying, style.upside_down) == (0, 0.0, 0.0, 0.0)
    assert len(set(seeds)) == 3
    assert min(seeds) >= HELD_OUT_SEED


def test_the_seed_draws_the_frames():
    first, again, other = (table_frames(2, 2, x, colour=True) for x in (1, 1, 2))
    assert np.array_equal(first[1].depth, again[1].depth)
    assert np.array_equal(first[1].colour, again[1].colour)
    assert not np.array_equal(first[0].depth, first[1].depth)
    assert not np.array_equal(first[0].depth, other[0].depth)
    assert first[0].colour.any()


def test_tables_on_which_objects_are_hidden_are_refused(monkeypatch):
    monkeypatch.setattr(speed_frames, "_ATTEMPTS", 2)
    monkeypatch.setattr(speed_frames, "_MIN_PIXELS", 100_000)
    with pytest.raises(SdfposeError, match="no scene found in which all 2 objects"):
        table_frames(2, 1, 0)


def test_frames_play_forth_and_back_with_growing_stamps():
    frames = table_frames(1, 3, 0)
    shown = list(islice(back_and_forth(frames), 6))
    found = [next(i for i, y in enumerate(frames) if y.mask is x.mask) for x in shown]
    assert found == [0, 1, 2, 1, 0, 1]
    steps = np.diff([x.stamp_ns for x in shown])
    assert np.abs(steps - 1e9 / 30.0).max() <= 1.0
    assert len(list(islice(back_and_forth(frames[:1]), 3))) == 3
