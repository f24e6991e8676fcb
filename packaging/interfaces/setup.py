"""Build the messages, services and actions of sdfpose, and nothing else.

They are a distribution of their own, so that a machine can read the results of a pose node without
torch and Open3D. The definitions are those at the top level of the checkout.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from setuptools import setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from rosidl_build import interfaces  # noqa: E402

setup(
    name="sdfpose-interfaces",
    version=ET.parse(ROOT / "package.xml").findtext("version"),
    description="ROS 2 messages, services and actions of sdfpose",
    license="MIT",
    packages=[],
    **interfaces(ROOT, "sdfpose", cmake_arguments=["-DSDFPOSE_INTERFACES_ONLY=ON"]),
)
