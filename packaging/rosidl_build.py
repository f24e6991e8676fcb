"""ROS 2 messages as part of a wheel: setuptools drives the package's own CMakeLists.txt.

With a ROS 2 installation colcon builds the messages. Where ROS 2 comes from wheels, there is no
colcon, and `setup(**interfaces(...))` does it: the generators are found in the environment that
pip installs into, CMake builds and installs into a staging directory, and what is needed at run
time goes into the wheel, in editable installs too. The libraries come to lie in the environment's
``lib``, where the ROS 2 wheels look for theirs.

``SDFPOSE_INTERFACES`` in the environment decides what happens where there are no generators:
``auto`` (default) leaves the messages out with a notice, ``required`` stops with an error, ``off``
leaves them out even where they could be built.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuptools import Distribution
from setuptools.errors import BaseError

# setuptools' own copy of distutils, which it must have been imported before.
from distutils.command.install_data import install_data  # isort: skip

__all__ = ["interfaces"]

_GENERATORS = "ros-kilted-rosidl-default-generators"
_TOOLS = ("cmake", "make", "gcc", "g++")
# What CMake reads of a package. It is handed a copy: CMake refuses to export targets that refer to
# an environment inside the source directory, which is where a checkout's .venv lies.
_SOURCES = ("CMakeLists.txt", "package.xml", "msg", "srv")
_HERE = Path(__file__).resolve().parent


class InterfaceError(BaseError):
    """The messages cannot be built."""


def interfaces(source: Path, package: str, cmake_arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Arguments of `setup` that make the messages of a CMake package part of the wheel.

    Args:
        source: directory of the package's CMakeLists.txt.
        package: its name, which is that of the generated Python package.
        cmake_arguments: for its configuration.

    Returns:
        Keyword arguments; none where the messages are left out.

    Raises:
        InterfaceError: they are required, and this environment has no generators.
    """
    wish = os.environ.get("SDFPOSE_INTERFACES", "auto")
    if wish not in ("auto", "required", "off"):
        raise InterfaceError(f"SDFPOSE_INTERFACES is '{wish}': expected auto, required or off")
    if wish == "off":
        return {}
    prefix = Path(sys.prefix)
    if not (prefix / "share/rosidl_default_generators/cmake").is_dir():
        problem = (
            f"the messages of '{package}' cannot be built: {prefix} has no ROS 2 generators. "
            f"Install packaging/requirements.txt there first ({_GENERATORS} and its like); "
            "on a ROS 2 installation build with colcon instead"
        )
        if wish == "required":
            raise InterfaceError(problem)
        print(f"NOTICE: {problem}. Going on without them.", file=sys.stderr)
        return {}

    class InstallInterfaces(_InstallInterfaces):
        cmake_source = source
        cmake_package = package
        cmake_options = tuple(cmake_arguments)

    return {"distclass": _InterfaceDistribution, "cmdclass": {"install_data": InstallInterfaces}}


class _InterfaceDistribution(Distribution):
    """A distribution with compiled parts that `install_data` brings."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data_files(self) -> bool:
        return True

    def has_data(self) -> bool:
        """The name under which an editable install asks whether to run `install_data`."""
        return True


class _InstallInterfaces(install_data):
    """Builds with CMake and copies what is needed at run time into the wheel."""

    cmake_source: Path
    cmake_package: str
    cmake_options: tuple[str, ...]

    def run(self) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing:
            raise InterfaceError(
                f"the messages of '{self.cmake_package}' cannot be built: "
                f"{', '.join(missing)} not found on PATH"
            )
        with tempfile.TemporaryDirectory(prefix=f"{self.cmake_package}-interfaces-") as scratch:
            staging = Path(scratch, "staging")
            _build(self.cmake_source, self.cmake_options, Path(scratch), staging)
            self._collect(staging)

    def _collect(self, staging: Path) -> None:
        """Copies libraries and resources to the wheel's data, the Python package to its root."""
        data = Path(self.install_dir)
        share = f"share/{self.cmake_package}"
        for pattern in (
            "lib/lib*.so",
            f"{share}/package.xml",
            f"{share}/msg/*",
            f"{share}/srv/*",
            "share/ament_index/resource_index/*/*",
        ):
            for file in sorted(staging.glob(pattern)):
                self._put(file, data / file.relative_to(staging))
        # Below lib/pythonX.Y, wherever this Python's installation scheme puts its packages.
        (python_package,) = (
            init.parent for init in staging.rglob(f"*-packages/{self.cmake_package}/__init__.py")
        )
        root = Path(self.get_finalized_command("install").install_lib)
        for module in sorted(python_package.rglob("*")):
            if module.suffix in (".py", ".so"):
                self._put(module, root / module.relative_to(python_package.parent))

    def _put(self, source: Path, target: Path) -> None:
        self.mkpath(str(target.parent))
        self.copy_file(str(source), str(target))
        self.outfiles.append(str(target))


def _build(source: Path, options: Sequence[str], scratch: Path, staging: Path) -> None:
    """Configures, builds and installs a CMake package into a staging directory."""
    copy, build = scratch / "source", scratch / "build"
    copy.mkdir()
    for name in _SOURCES:
        if (source / name).is_dir():
            shutil.copytree(source / name, copy / name)
        elif (source / name).exists():
            shutil.copy(source / name, copy)
    python = Path(sys.prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    definitions = {
        "BUILD_TESTING": "OFF",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": staging,
        "CMAKE_PREFIX_PATH": sys.prefix,
        "CMAKE_PROJECT_INCLUDE": _HERE / "wheel_route.cmake",
        "Python3_EXECUTABLE": python,
    }
    _cmake("-S", copy, "-B", build, *(f"-D{k}={v}" for k, v in definitions.items()), *options)
    _cmake("--build", build, "--parallel", os.cpu_count() or 1)
    _cmake("--install", build)


def _cmake(*arguments: object) -> None:
    """Runs CMake, which sees this environment's packages and ROS 2 resources."""
    # An isolated build hides the packages from Python by means of PYTHONPATH.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["AMENT_PREFIX_PATH"] = sys.prefix
    command = ["cmake", *map(str, arguments)]
    result = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    print(result.stdout)
    if result.returncode:
        last = "\n".join(result.stdout.splitlines()[-30:])
        raise InterfaceError(f"'{' '.join(command)}' failed:\n{last}")
