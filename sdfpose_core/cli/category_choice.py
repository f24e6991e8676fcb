"""Choice of the categories that a command can use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.weights import weights_file

__all__ = ["usable_categories"]


def usable_categories(
    categories: Categories,
    requested: Iterable[str] | None,
    problems: list[str],
    *,
    family: bool = False,
    networks: Sequence[str] = ("decoder",),
    weights: Path | None = None,
) -> list[str]:
    """Choose the categories that a command works on; skip those that it cannot use, by name.

    Args:
        categories: known categories.
        requested: names that the user gave; None for all.
        problems: receives a message for each skipped category.
        family: whether a category needs a procedural family.
        networks: kinds of networks that a category needs, ``decoder`` and ``encoder``.
        weights: folder of the networks; None for the shipped ones.

    Raises:
        CategoryError: a requested category is unknown.
        ConfigurationError: no category can be used.
    """
    usable = []
    for name in dict.fromkeys(categories[x].name for x in requested or categories):
        missing = [x for x in networks if not weights_file(name, x, weights).is_file()]
        if family and name not in FAMILIES:
            problems.append(f"category '{name}' has no procedural models; skipped")
        elif missing:
            file = weights_file(name, missing[0], weights)
            problems.append(f"category '{name}' has no {missing[0]} ({file}); skipped")
        else:
            usable.append(name)
    if not usable:
        raise ConfigurationError(f"no category can be used: {'; '.join(problems)}")
    return usable
