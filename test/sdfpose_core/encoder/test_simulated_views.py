"""Files of simulated training views, also of a category that sdfpose does not ship."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.encoder.simulated_views import SimulatedViewFile
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.simulation.instances import ModelPool

MODELS = [sample_model("can", seed) for seed in range(3)]
POOL = partial(ModelPool.with_models, "tin", MODELS, 0, distractors=1)


@pytest.mark.parametrize("symmetry", ["y", "none"])
def test_views_of_a_category_of_ones_own(tmp_path: Path, symmetry):
    tin = replace(default_categories()["can"], name="tin", labels=("tin",), symmetry=symmetry)
    categories = Categories({**default_categories(), "tin": tin})
    file = SimulatedViewFile(tmp_path / "views.npz", "tin", 7, 5, POOL, categories=categories)
    file.make()
    views = file.load()
    assert len(views) == 5
    assert set(views.model) <= {0, 1, 2}
    assert (views.symmetric == (symmetry == "y")).all()
    sizes = np.array([x.diagonal_m for x in MODELS])[views.model]
    np.testing.assert_allclose(views.scale, sizes, rtol=0.35)
    before = file.path.stat().st_mtime_ns
    file.make()
    assert file.path.stat().st_mtime_ns == before
