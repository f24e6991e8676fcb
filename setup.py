"""Parts that pyproject.toml cannot express: version from package.xml, messages built by CMake."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from setuptools import setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "packaging"))

from rosidl_build import interfaces  # noqa: E402

# What colcon installs as well (CMakeLists.txt).
SHARED = ("config", "foxglove", "launch", "rviz")
FILES: dict[str, list[str]] = {}
for file in sorted(x.relative_to(ROOT) for name in SHARED for x in (ROOT / name).rglob("*.*")):
    if "__pycache__" not in file.parts:
        FILES.setdefault(f"share/sdfpose/{file.parent}", []).append(str(file))

setup(
    data_files=list(FILES.items()),
    version=ET.parse(ROOT / "package.xml").findtext("version"),
    **interfaces(ROOT, "sdfpose", cmake_arguments=["-DSDFPOSE_INTERFACES_ONLY=ON"]),
)
