"""Categories of the classes that detectors and segmentation networks report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sdfpose_core.categories import Categories
from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.messages.errors import LabelsError
from sdfpose_core.observation.segmentation import ANY_CATEGORY

__all__ = ["ClassTable", "parse_classes"]


@dataclass(frozen=True)
class ClassTable:
    """Categories of classes.

    Attributes:
        chosen: category by class id or class name, from the parameter ``classes``.
        categories: all known categories. Their labels, and ``any``, need no entry in `chosen`.
        names: class name by class id, from a vision_msgs/LabelInfo.
    """

    chosen: Mapping[str, str]
    categories: Categories
    names: Mapping[str, str] = field(default_factory=dict)

    def category(self, *keys: str) -> str | None:
        """Find the category of a class; None if it is of no category.

        Args:
            keys: what is known of the class: its id, its name, or both.
        """
        known = [*keys, *(self.names[x] for x in keys if x in self.names)]
        for key in known:
            if key in self.chosen:
                return self.chosen[key]
        for key in known:
            if key.strip().lower() == ANY_CATEGORY:
                return ANY_CATEGORY
            category = self.categories.by_label(key)
            if category is not None:
                return category.name
        return None

    def by_id(self) -> dict[int, str]:
        """Return the category of each class id that has one."""
        ids = {x for x in self.chosen if x.isdecimal()} | set(self.names)
        found = {int(x): self.category(x) for x in ids}
        return {x: category for x, category in sorted(found.items()) if category is not None}

    def with_names(self, message: Any, topic: str) -> ClassTable:
        """Return a table that also has the class names of a vision_msgs/LabelInfo.

        Raises:
            LabelsError: a class id has two names.
        """
        names: dict[str, str] = {}
        for entry in message.class_map:
            known = names.setdefault(str(entry.class_id), entry.class_name)
            if known != entry.class_name:
                raise LabelsError(
                    topic,
                    f"class id {entry.class_id} is '{known}' and '{entry.class_name}'",
                    "one name for each class id",
                )
        return replace(self, names=names)


def parse_classes(entries: Sequence[str], categories: Categories) -> dict[str, str]:
    """Parse the parameter ``classes`` into a category per class.

    Args:
        entries: entries of the form ``class:category``.
        categories: all known categories.

    Raises:
        ConfigurationError: an entry has another form, or names an unknown category.
    """
    found: dict[str, str] = {}
    for entry in entries:
        name, separator, category = (part.strip() for part in entry.rpartition(":"))
        if not separator or not name:
            raise ConfigurationError(
                f"parameter classes: entry '{entry}': expected 'class:category', for example "
                "'41:mug'"
            )
        if name in found:
            raise ConfigurationError(
                f"parameter classes: class {name} is given twice: expected one category per class"
            )
        try:
            found[name] = category if category == ANY_CATEGORY else categories[category].name
        except CategoryError as error:
            raise ConfigurationError(f"parameter classes: {error}") from error
    return found
