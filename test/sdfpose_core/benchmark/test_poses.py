"""Cases of the benchmark of poses."""

import pytest

from sdfpose_core.benchmark import poses


@pytest.mark.parametrize("colour", [False, True])
def test_cases_have_colour_where_it_is_asked_for(monkeypatch, colour):
    monkeypatch.setattr(poses, "MODELS", 1)
    monkeypatch.setattr(poses, "_DISTRACTORS", 1)
    (case,) = poses.synthetic_cases("can", 1, 0, colour=colour)
    assert (case.instance.colour is not None) is colour
