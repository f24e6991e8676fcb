"""The recipes in `docs/segmentation.md`: their shared step runs, and the others are Python."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sdfpose_core.categories import default_categories

PAGE = Path(__file__).resolve().parents[2] / "docs/segmentation.md"
SHARED, *RECIPES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def test_recipes_are_python_and_define_the_function_of_the_guide() -> None:
    assert len(RECIPES) == 3
    for recipe in RECIPES:
        compile(recipe, str(PAGE), "exec")
        assert "def network(pixels):" in recipe
        assert "return combined(" in recipe


def test_the_shared_step_makes_ids_and_labels() -> None:
    names: dict[str, object] = {}
    exec(SHARED, names)  # noqa: S102
    categories = names["CATEGORIES"]
    assert isinstance(categories, dict)
    assert set(categories.values()) == {*default_categories(), "any"}
    masks = np.zeros((3, 4, 6), np.float32)
    masks[0, :, :4], masks[1, :, 3:], masks[2] = 1.0, 1.0, 1.0
    combined = names["combined"]
    assert callable(combined)
    ids, found = combined((4, 6), masks, ["cup", "bowl", "person"], np.array([0.9, 0.5, 0.7]))
    np.testing.assert_array_equal(ids[0], [1, 1, 1, 1, 2, 2])
    assert ids.dtype == np.uint16
    assert found == {1: ("mug", 0.9), 2: ("bowl", 0.5)}
    ids, found = combined((4, 6), [], [], [])
    assert not ids.any()
    assert not found
