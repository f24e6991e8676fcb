"""Files that worker processes make, or fail to make."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Written:
    path: Path

    def make(self) -> None:
        self.path.touch()


@dataclass(frozen=True)
class Killed(Written):
    def make(self) -> None:
        os._exit(9)


@dataclass(frozen=True)
class Failed(Written):
    def make(self) -> None:
        raise OSError(28, "No space left on device")


@dataclass(frozen=True)
class Slow(Written):
    """Takes for ever."""

    def make(self) -> None:
        super().make()
        time.sleep(600.0)
