"""The networks of several categories, queried in one pass."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from own_pack import own_pack

from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.estimation.category_model import CategoryModel, CategoryModels
from sdfpose_core.packs.collection import Packs

CPU = torch.device("cpu")


def rng_of(instance):
    return np.random.default_rng(instance.mask_id)


def seen(mask_id):
    """An instance with what an encoder `fast` takes."""
    rng = np.random.default_rng(100 + mask_id)
    points = np.array([0.1, 0.0, 0.8]) + rng.normal(scale=0.04, size=(300, 3))
    return SimpleNamespace(mask_id=mask_id, points=points.astype(np.float32), support=None)


@pytest.fixture(scope="module")
def models():
    return CategoryModels(Packs.beside_shipped(), "fast", CPU)


@pytest.mark.parametrize("names", [("mug",), ("mug", "bowl"), ("can", "mug", "bowl")])
def test_encodings_come_in_the_order_of_the_groups(models, names):
    for name in ("bowl", "can", "mug"):
        models[name]
    groups = [(models[x], [seen(2 * i), seen(2 * i + 1)][: 1 + i]) for i, x in enumerate(names)]
    encodings = models.encode(groups, rng_of)
    for (model, group), joint in zip(groups, encodings, strict=True):
        alone = model.encode(group, [rng_of(x) for x in group])
        assert isinstance(alone, Encoding)
        torch.testing.assert_close(joint.codes, alone.codes, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            joint.similarity.translation, alone.similarity.translation, rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(joint.logits, alone.logits, rtol=1e-3, atol=1e-3)


def test_a_category_that_is_loaded_later_joins_the_others():
    models = CategoryModels(Packs.beside_shipped(), "fast", CPU)
    can = [(models["can"], [seen(1)])]
    (before,) = models.encode(can, rng_of)
    mug = [(models["mug"], [seen(2)])]
    after, _ = models.encode(can + mug, rng_of)
    assert models.loaded == ("can", "mug")
    torch.testing.assert_close(after.codes, before.codes, rtol=1e-3, atol=1e-4)


def test_given_models_are_queried_with_their_present_weights():
    """Training changes them under the estimator."""
    given = CategoryModel.load(Packs.beside_shipped()["can"], "fast", CPU)
    models = CategoryModels(Packs.beside_shipped(), "fast", CPU, given=[given])
    assert models.given
    assert models["can"] is given
    (before,) = models.encode([(given, [seen(1)])], rng_of)
    with torch.no_grad():
        given.encoder.shape_head.bias += 1.0
    (after,) = models.encode([(given, [seen(1)])], rng_of)
    assert not torch.allclose(before.codes, after.codes)


def test_a_pack_without_an_encoder_beside_others(tmp_path):
    """The others are still one network."""
    packs = Packs.beside_shipped([own_pack(tmp_path, encoder=False)])
    models = CategoryModels(packs, "fast", CPU)
    groups = [(models[x], [seen(i)]) for i, x in enumerate(("mug", "kettle", "can"))]
    mug, kettle, can = models.encode(groups, rng_of)
    assert kettle is None
    for encoding, (model, group) in ((mug, groups[0]), (can, groups[2])):
        alone = model.encode(group, [rng_of(x) for x in group])
        torch.testing.assert_close(encoding.codes, alone.codes, rtol=1e-3, atol=1e-4)
    assert models["kettle"].encoder is None


def test_models_without_an_encoder_have_no_encoding():
    models = CategoryModels(Packs.beside_shipped(), "none", CPU)
    assert models.encode([(models["can"], [seen(1)])], rng_of) == [None]
    assert models.encode([], rng_of) == []
