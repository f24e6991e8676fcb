"""Which part may import which: dependencies run one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LEVELS = (
    {"errors", "files"},
    {
        "alignment",
        "camera",
        "categories",
        "checkpoint",
        "configuration",
        "device",
        "distributed",
        "muon",
        "neighbours",
        "pickles",
        "similarity",
        "support",
        "weights",
    },
    {"free_space"},
    {"frame", "meshes"},
    {"messages", "segmentation", "shapes"},
    {"datasets", "masks", "sdf", "simulation"},
    {"encoder", "refine"},
    {"confidence", "evaluation"},
    {"observation", "onnx_graphs", "report", "search"},
    {"category_model", "drawing", "export", "portrait"},
    {"findings", "known_shapes"},
    {"detection", "pursuit"},
    {"estimator"},
    {"selfsup", "tracking"},
    {"tracker"},
    {"benchmark", "replay"},
    {"cli"},
)
"""Modules and subpackages of sdfpose_core, lowest first; each imports its own level and lower."""

ROS = {"rclpy", "sdfpose", "sdfpose_ros", "cv_bridge", "message_filters", "launch"}


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def core_files() -> list[Path]:
    return sorted((ROOT / "sdfpose_core").rglob("*.py"))


def part_of(path: Path) -> str:
    """Name of the module or subpackage of sdfpose_core that a file belongs to."""
    return path.relative_to(ROOT / "sdfpose_core").parts[0].removesuffix(".py")


def test_every_part_has_a_level() -> None:
    parts = {part_of(x) for x in core_files()} - {"__init__"}
    assert parts == set().union(*LEVELS)


@pytest.mark.parametrize("path", core_files(), ids=lambda x: str(x.relative_to(ROOT)))
def test_dependencies_run_downward(path: Path) -> None:
    part = part_of(path)
    level = next((i for i, names in enumerate(LEVELS) if part in names), len(LEVELS))
    allowed = set().union(*LEVELS[: level + 1])
    for name in imports(path):
        package, _, rest = name.partition(".")
        assert package not in ROS, f"{path} imports {name}: the core library knows no ROS"
        assert package != "training", f"{path} imports {name}: scripts use the library"
        if package == "sdfpose_core" and rest:
            target = rest.split(".")[0]
            assert target in allowed, f"{part} imports {target}, which is above it"
