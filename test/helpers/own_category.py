"""A table of categories with one of the user's own, which has no models and no weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sdfpose_core import categories


@contextlib.contextmanager
def own_category(
    monkeypatch: pytest.MonkeyPatch, folder: Path, name: str = "kettle"
) -> Iterator[str]:
    """Add a category to the default table."""
    table = yaml.safe_load(Path(categories.__file__).with_name("categories.yaml").read_text())
    table[name] = table["mug"] | {"nocs_id": 0, "labels": [name]}
    path = folder / "categories.yaml"
    path.write_text(yaml.safe_dump(table, sort_keys=False))
    with monkeypatch.context() as patch:
        patch.setattr(categories, "_DEFAULT_FILE", path)
        categories.default_categories.cache_clear()
        try:
            yield name
        finally:
            categories.default_categories.cache_clear()
