"""Parts that pyproject.toml cannot express: version from package.xml, messages built by CMake."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from setuptools import setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "packaging"))

from rosidl_build import interfaces  # noqa: E402

setup(
    version=ET.parse(ROOT / "package.xml").findtext("version"),
    **interfaces(ROOT, "sdfpose", cmake_arguments=["-DSDFPOSE_INTERFACES_ONLY=ON"]),
)
