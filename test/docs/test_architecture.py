"""The page on the architecture lists the subpackages in the order of imports."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("dependencies", ROOT / "test/test_dependencies.py")
assert SPEC is not None
assert SPEC.loader is not None
DEPENDENCIES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(DEPENDENCIES)


@pytest.mark.parametrize("package", DEPENDENCIES.LEVELS)
def test_subpackages_are_listed_by_level(package: str) -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    section = text.split(f"## Subpackages of `{package}`")[1].split("\n## ")[0]
    levels: list[set[str]] = []
    for level, subpackage in re.findall(r"^\| (\d*) ?\| `(\w+)` \|", section, re.MULTILINE):
        if level:
            assert int(level) == len(levels) + 1
            levels.append(set())
        levels[-1].add(subpackage)
    assert tuple(levels) == DEPENDENCIES.LEVELS[package]
