"""The generated reference pages: parameters, commands, messages and services.

``python -m sdfpose_ros.reference docs/reference`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdfpose_ros.reference.commands import commands_page
from sdfpose_ros.reference.messages import messages_page
from sdfpose_ros.reference.parameters import parameters_page

__all__ = ["PAGES", "write_pages"]

PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "messages.md": messages_page,
    "parameters.md": parameters_page,
}
"""The function that makes each page, by file name."""


def write_pages(folder: Path) -> list[Path]:
    """Write all pages into a folder, which is created if missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in PAGES.items():
        path = folder / name
        path.write_text(make(), encoding="utf-8")
        paths.append(path)
    return paths
