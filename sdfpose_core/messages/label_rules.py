"""Parsing of the parameters that assign categories to mask ids."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdfpose_core.categories import Categories
from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["nameable_categories", "parse_label_rules", "set_label_rule"]

_ID = re.compile(r"[0-9]{1,5}")


def parse_label_rules(
    category: str, mask_categories: Sequence[str], categories: Categories
) -> LabelRules | None:
    """Parse the parameters `category` and `mask_categories`; return None if both are empty.

    Raises:
        ConfigurationError: an entry is not of the form ``id:category``, or the category is unknown.
    """
    by_id: dict[int, str] = {}
    for entry in mask_categories:
        mask_id, separator, name = (part.strip() for part in entry.partition(":"))
        if not separator or not _ID.fullmatch(mask_id) or not 0 < int(mask_id) < 65536:
            raise ConfigurationError(
                f"parameter mask_categories: entry '{entry}': expected 'id:category' with an id "
                "from 1 to 65535, for example '1:mug'"
            )
        if int(mask_id) in by_id:
            raise ConfigurationError(f"parameter mask_categories: id {mask_id} is given twice")
        by_id[int(mask_id)] = _known("mask_categories", name, categories)
    default = _known("category", category, categories) if category else None
    return LabelRules(by_id, default) if by_id or default else None


def nameable_categories(rules: LabelRules | None, categories: Categories) -> tuple[str, ...]:
    """The categories that labels can name.

    Args:
        rules: give the labels; None if they come with the images and can name any category.
        categories: all known categories.
    """
    named = None if rules is None else {rules.default, *rules.by_id.values()}
    if named is None or ANY_CATEGORY in named:
        return tuple(categories)
    return tuple(x for x in categories if x in named)


def set_label_rule(
    category: str, mask_categories: Sequence[str], mask_id: int, name: str
) -> tuple[str, tuple[str, ...]]:
    """Change the category of one mask id and return the new parameters.

    Args:
        category: current value of the parameter.
        mask_categories: current, valid value of the parameter.
        mask_id: mask id to change; 0 changes the default of all ids without a rule.
        name: new category; empty removes the rule.
    """
    if mask_id == 0:
        return name, tuple(mask_categories)
    others = [x for x in mask_categories if int(x.partition(":")[0]) != mask_id]
    return category, (*others, *([f"{mask_id}:{name}"] if name else []))


def _known(parameter_name: str, name: str, categories: Categories) -> str:
    if name == ANY_CATEGORY:
        return name
    try:
        return categories[name].name
    except CategoryError as error:
        raise ConfigurationError(f"parameter {parameter_name}: {error}") from error
