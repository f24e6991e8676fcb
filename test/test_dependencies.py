"""The order of the subpackages: which may import which."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CORE = (
    {"errors", "samples"},
    {"device", "processes", "storage"},
    {"categories"},
    {"geometry", "learning", "shapes", "weights"},
    {"cameras", "observation", "packs", "sdf"},
    {"masks", "messages", "refine", "scene"},
    {"datasets", "grasping"},
    {"diagnosis", "simulation"},
    {"encoder", "evaluation"},
    {"cues", "mask_training"},
    {"recognition"},
    {"estimation", "export", "visualisation"},
    {"selfsup", "tracking"},
    {"viewer"},
    {"benchmark", "replay"},
    {"category_learning", "scanning"},
    {"cli"},
)
"""Subpackages of sdfpose_core, lowest first. Each imports itself and those of lower levels."""

ROS = (
    {"stand_ins"},
    {"graph"},
    {"cameras", "diagnosis", "evaluation", "masks", "playback", "pose", "recording", "viewer"},
    {"live", "planning_scene"},
    {"cli", "reference"},
)
"""Subpackages of sdfpose_ros, in the same order."""

LEVELS = {"sdfpose_core": CORE, "sdfpose_ros": ROS}

ROS_PACKAGES = {"rclpy", "sdfpose", "sdfpose_ros", "cv_bridge", "message_filters", "launch"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def source_files() -> list[Path]:
    return sorted(x for package in LEVELS for x in (ROOT / package).rglob("*.py"))


def subpackage_of(path: Path) -> str:
    """Name of the folder, or of the module at the package's root, that a file belongs to."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def level_of(package: str, subpackage: str) -> int:
    """Number of a subpackage's level; the package itself stands above all."""
    levels = LEVELS[package]
    return next(
        (i for i, subpackages in enumerate(levels) if subpackage in subpackages), len(levels)
    )


@pytest.mark.parametrize("package", LEVELS)
def test_every_subpackage_has_a_level(package: str) -> None:
    subpackages = {subpackage_of(x) for x in source_files() if x.is_relative_to(ROOT / package)} - {
        "__init__"
    }
    assert subpackages == set().union(*LEVELS[package])


@pytest.mark.parametrize("package", LEVELS)
def test_the_readme_lists_the_levels(package: str) -> None:
    text = (ROOT / "README.md").read_text()
    (table,) = re.findall(rf"\| `{package}/` \| \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    cells = [row.split("|")[1] for row in table.splitlines()]
    assert [set(re.findall(r"`(\w+)`", x)) for x in cells] == list(LEVELS[package])


@pytest.mark.parametrize("path", source_files(), ids=lambda x: str(x.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    package, subpackage = path.relative_to(ROOT).parts[0], subpackage_of(path)
    subpackages = set().union(*LEVELS[package])
    level = level_of(package, subpackage)
    for name in imports(path):
        root, *rest = name.split(".")
        assert root != "training", f"{path} imports {name}: scripts use the library"
        if package == "sdfpose_core":
            assert root not in ROS_PACKAGES, f"{path} imports {name}: the core library knows no ROS"
        if root == package and rest and rest[0] in subpackages - {subpackage}:
            assert level_of(package, rest[0]) < level, (
                f"{subpackage} imports {rest[0]}, not below it"
            )


def test_only_shared_vocabulary_lies_at_the_roots() -> None:
    at_the_root = {x.name for package in LEVELS for x in (ROOT / package).glob("*.py")}
    assert at_the_root == {"__init__.py", "categories.py", "device.py", "errors.py", "processes.py"}
