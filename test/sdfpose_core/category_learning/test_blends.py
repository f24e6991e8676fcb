"""Shapes between those of a decoder."""

import numpy as np
import pytest
import torch

from sdfpose_core.category_learning.blends import blended_models
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.training_shapes import procedural_codes
from sdfpose_core.shapes.solids import from_mesh
from sdfpose_core.weights import weights_file


@pytest.fixture(scope="module")
def decoder() -> SdfDecoder:
    return SdfDecoder.load(weights_file("can", "decoder"))


def test_blends_are_solids_between_two_shapes(decoder):
    codes = procedural_codes("can", decoder, 3)
    done = []
    options = {"category": "tin", "diagonal_m": 0.2, "size_log_sd": 0.1}
    found = blended_models(decoder, codes, 3, progress=done.append, **options)
    assert done == [1, 2, 3]
    assert [x.name for x in found] == ["blend~0", "blend~1", "blend~2"]
    for model in found:
        assert model.category == "tin"
        assert from_mesh(model.vertices, model.faces).volume() > 0.0
        assert 0.1 < model.diagonal_m < 0.4
        np.testing.assert_allclose(model.vertices.min(0), -model.vertices.max(0), atol=1e-9)
    again = blended_models(decoder, codes, 1, **options)
    np.testing.assert_array_equal(again[0].vertices, found[0].vertices)


def test_what_decodes_to_nothing_is_left_out(decoder):
    codes = 1e3 * torch.ones(2, len(decoder.code_mean))
    codes[1] *= -1.0
    options = {"category": "tin", "diagonal_m": 0.2, "size_log_sd": 0.1}
    assert len(blended_models(decoder, codes, 1, **options)) <= 1
    assert not blended_models(decoder, codes[:1], 5, **options)
