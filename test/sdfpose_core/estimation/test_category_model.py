"""The networks of several categories, asked at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sdfpose_core.categories import default_categories
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.estimation.category_model import CategoryModel, JointModel

CPU = torch.device("cpu")


def rng_of(instance):
    return np.random.default_rng(instance.mask_id)


def seen(mask_id):
    """An instance of which an encoder `fast` is given all that it wants."""
    rng = np.random.default_rng(100 + mask_id)
    points = np.array([0.1, 0.0, 0.8]) + rng.normal(scale=0.04, size=(300, 3))
    return SimpleNamespace(mask_id=mask_id, points=points.astype(np.float32), support=None)


@pytest.fixture(scope="module")
def models():
    return {
        x: CategoryModel.load(default_categories()[x], "fast", None, CPU)
        for x in ("bowl", "can", "mug")
    }


@pytest.mark.parametrize("names", [("mug",), ("mug", "bowl"), ("can", "mug", "bowl")])
def test_what_was_said_comes_in_the_order_of_the_groups(models, names):
    groups = [(models[x], [seen(2 * i), seen(2 * i + 1)][: 1 + i]) for i, x in enumerate(names)]
    said = JointModel(list(models.values())).encode(groups, rng_of)
    for (model, group), one in zip(groups, said, strict=True):
        alone = model.encode(group, [rng_of(x) for x in group])
        assert isinstance(alone, Encoding)
        torch.testing.assert_close(one.codes, alone.codes, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            one.similarity.translation, alone.similarity.translation, rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(one.logits, alone.logits, rtol=1e-3, atol=1e-3)


def test_categories_without_a_network_have_nothing_to_say():
    model = CategoryModel.load(default_categories()["can"], "none", None, CPU)
    assert JointModel([model]).encode([(model, [seen(1)])], rng_of) == [None]
