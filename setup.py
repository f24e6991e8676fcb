"""Parts that pyproject.toml cannot express: version from package.xml, files of share/sdfpose.

The messages are a distribution of their own, packaging/interfaces.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

from setuptools import Distribution, setup

ROOT = Path(__file__).resolve().parent
# What colcon installs as well (CMakeLists.txt).
SHARED = ("config", "foxglove", "launch", "rviz")
FILES: dict[str, list[str]] = {}
for file in sorted(x.relative_to(ROOT) for name in SHARED for x in (ROOT / name).rglob("*.*")):
    if "__pycache__" not in file.parts:
        FILES.setdefault(f"share/sdfpose/{file.parent}", []).append(str(file))


class DataDistribution(Distribution):
    def has_data(self) -> bool:
        """Called by editable installs, which leave the data files out otherwise."""
        return bool(self.data_files)


setup(
    data_files=list(FILES.items()),
    distclass=DataDistribution,
    version=ET.parse(ROOT / "package.xml").findtext("version"),
)
