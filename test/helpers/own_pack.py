"""Packs of categories of one's own, and copies of the shipped ones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sdfpose_core.categories import CATEGORY_FILE, default_categories
from sdfpose_core.packs.pack import Kind, Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.weights import SHIPPED
from sdfpose_core.weights.network import StoredNetwork


def own_pack(
    folder: Path,
    name: str = "kettle",
    networks: dict[Kind, StoredNetwork] | None = None,
    *,
    like: str = "mug",
    encoder: bool = True,
    **changes: Any,
) -> Path:
    """Write a pack of a category that sdfpose does not ship, and return its folder.

    Args:
        folder: parent of the pack.
        name: of the category.
        networks: its networks; by default those of a shipped category.
        like: the shipped category whose entry it has, but for name and labels.
        encoder: whether the pack has the shipped category's encoder.
        changes: of the entry.
    """
    category = replace(default_categories()[like], name=name, nocs_id=0, labels=(name,))
    base = Pack.read(SHIPPED / like)
    if networks:
        return write_pack(folder / name, replace(category, **changes), networks).folder
    base = base if encoder else replace(base, encoder=None)
    return write_pack(folder / name, replace(category, **changes), {}, base).folder


def copied_pack(folder: Path, name: str, *, encoder: bool = True) -> Path:
    """Copy a shipped pack into a folder, with or without its encoder."""
    if encoder:
        return Path(shutil.copytree(SHIPPED / name, folder / name))
    base = replace(Pack.read(SHIPPED / name), encoder=None)
    return write_pack(folder / name, base.category, {}, base).folder


def rewrite_entry(pack: Path, **changes: Any) -> None:
    """Change keys of a pack's ``category.yaml``; those of its section by their names."""
    path = pack / CATEGORY_FILE
    content = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        target = content if key in content else content["category"]
        target[key] = value
    path.write_text(yaml.safe_dump(content))
