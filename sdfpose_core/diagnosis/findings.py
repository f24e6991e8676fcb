"""The result of a check: how bad it is, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level", "worst_level"]

Level = Literal["ok", "warning", "fault"]
"""``ok``; ``warning``, results may suffer; ``fault``, there are no results, or wrong ones."""

_ORDER: tuple[Level, ...] = ("ok", "warning", "fault")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        level: how bad it is.
        name: what was checked, e.g. ``depth unit``.
        text: what was found.
        remedy: what to do; empty if there is nothing to do.
    """

    level: Level
    name: str
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the finding as a JSON object."""
        return {"level": self.level, "name": self.name, "text": self.text, "remedy": self.remedy}


def worst_level(levels: Iterable[Level]) -> Level:
    """Return the worst of some levels; ``ok`` if there is none."""
    return max(levels, key=_ORDER.index, default="ok")
