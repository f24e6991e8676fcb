"""How many views of clutter there are: files, models, scenes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_core.mask_training.view_settings import ClutterViews
from sdfpose_core.simulation.clutter import CLUTTER, EMPTY


def test_no_two_files_share_models_or_scenes():
    settings = ClutterViews()
    trained = settings.training_files(Path("x"))
    held_out = settings.held_out_file(Path("x"))
    files = [*trained, held_out]
    assert len(trained) == settings.files
    assert len({x.path for x in files}) == len({x.seed for x in files}) == len(files)
    seeds = [i for x in trained for i in x.model_seeds]
    assert len(set(seeds)) == len(seeds) == settings.files * settings.models_per_file
    assert not set(seeds) & set(held_out.model_seeds)
    assert {x.count for x in trained} == {settings.views_per_file}
    assert (held_out.count, held_out.style) == (settings.held_out, CLUTTER)


def test_one_in_so_many_files_shows_rooms_without_objects():
    files = ClutterViews(files=7, empty_every=3).training_files(Path("x"))
    assert [x.style is EMPTY for x in files] == [i in (2, 5) for i in range(7)]


@pytest.mark.parametrize(
    "name", ["files", "views_per_file", "models_per_file", "empty_every", "held_out"]
)
def test_settings_that_are_too_small_are_refused(name):
    with pytest.raises(ConfigurationError, match=f"{name} is 0: expected at least 1"):
        ClutterViews(**{name: 0})
