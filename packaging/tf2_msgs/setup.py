"""Build tf2_msgs for machines with ROS 2 from wheels, which lack it.

All its interfaces are built: in a workspace on top of such an environment, packages that are built
against the complete tf2_msgs may load these libraries.
"""

import sys
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rosidl_build import interfaces  # noqa: E402

setup(
    name="sdfpose-tf2-msgs",
    version="0.1.0",
    description="tf2_msgs for machines with ROS 2 from wheels",
    packages=[],
    **interfaces(HERE, "tf2_msgs"),
)
