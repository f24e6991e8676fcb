"""Warnings about inputs that are used all the same, and their count over many frames."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from sdfpose_core.observation.frame import SkippedInstance

__all__ = ["InputWarning", "WarningCounts"]


@dataclass(frozen=True)
class InputWarning:
    """Something wrong with a frame that is used all the same.

    Attributes:
        kind: what repeats in other frames.
        text: the problem, what was expected and what to do.
    """

    kind: Hashable
    text: str


@dataclass
class WarningCounts:
    """Warnings of many frames, counted by kind.

    Attributes:
        frames: number of frames by kind.
        texts: first text of each kind.
    """

    frames: dict[Hashable, int] = field(default_factory=dict)
    texts: dict[Hashable, str] = field(default_factory=dict)

    def add(self, warnings: Iterable[InputWarning]) -> None:
        """Count the warnings of one frame."""
        for x in warnings:
            self.frames[x.kind] = self.frames.get(x.kind, 0) + 1
            self.texts.setdefault(x.kind, x.text)

    def add_skipped(self, skipped: Iterable[SkippedInstance]) -> None:
        """Count the instances without an estimate in one frame, by mask id and category."""
        self.add(InputWarning((x.mask_id, x.category), x.reason) for x in skipped)

    def sentences(self, prefix: str) -> list[str]:
        """Return one sentence per kind: the prefix, the number of frames and the first text."""
        return [
            f"{prefix}: {_frames(count)}: {self.texts[kind]}" for kind, count in self.frames.items()
        ]


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
