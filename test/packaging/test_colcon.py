"""What colcon builds and installs: CMake's whole package, with ROS 2 from wheels as underlay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("config", "foxglove", "launch", "rviz")
SOURCES = (*SHARED, "action", "msg", "srv", "packaging", "sdfpose_core", "sdfpose_ros")
# What a ROS 2 installation sets, and what the wheels set for the children of a process.
UNSEEN = ("CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
TOOLS = ("cmake", "make", "gcc", "g++")

MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
if not Path(sys.prefix, "share/rosidl_default_generators/cmake").is_dir():
    MISSING.append("ROS 2 generators in this environment")

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"without {', '.join(MISSING)}")


def run(*command: object, **environment: str) -> str:
    """Output of a command that sees the wheels as underlay, and no other ROS 2."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSEEN}
    result = subprocess.run(
        [str(x) for x in command],
        cwd=sys.prefix,  # Python must not import from the checkout.
        env={**kept, "AMENT_PREFIX_PATH": sys.prefix, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, "\n".join(result.stdout.splitlines()[-40:])
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefix into which the package was built as colcon does it."""
    scratch = tmp_path_factory.mktemp("colcon")
    source, build, prefix = scratch / "source", scratch / "build", scratch / "install"
    # A copy: CMake exports no targets that refer to an environment inside the source directory.
    source.mkdir()
    for file in ("CMakeLists.txt", "package.xml"):
        shutil.copy(ROOT / file, source)
    for folder in SOURCES:
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__", "build")
        )
    run(
        "cmake",
        *("-S", source, "-B", build),
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DCMAKE_PREFIX_PATH={sys.prefix}",
        f"-DCMAKE_PROJECT_INCLUDE={source}/packaging/wheel_route.cmake",
        f"-DPython3_EXECUTABLE={sys.executable}",
        # What is tested does not depend on the compiler's optimisation, which takes its time.
        *("-DCMAKE_C_FLAGS=-O0", "-DCMAKE_CXX_FLAGS=-O0"),
    )
    run("cmake", "--build", build, "--parallel", os.cpu_count() or 1)
    run("cmake", "--install", build)
    return prefix


def executables() -> dict[str, str]:
    config = ConfigParser()
    config.read(ROOT / "packaging/ros_installation/sdfpose_ros.cfg")
    lines = config["options.entry_points"]["console_scripts"].split("\n")
    return dict(line.split(" = ") for line in lines if line)


def test_ros2_finds_the_package(installed: Path) -> None:
    resources = installed / "share/ament_index/resource_index"
    assert (resources / "packages/sdfpose").is_file()
    assert (installed / "share/sdfpose/package.xml").is_file()
    interfaces = (resources / "rosidl_interfaces/sdfpose").read_text().split()
    there = {
        f"{kind}/{x.name}"
        for kind in ("action", "msg", "srv")
        for x in (ROOT / kind).glob(f"*.{kind}")
    }
    assert there <= set(interfaces)


@pytest.mark.parametrize("folder", SHARED)
def test_shared_files_are_installed(installed: Path, folder: str) -> None:
    def files(parent: Path) -> set[Path]:
        return {
            x.relative_to(parent)
            for x in (parent / folder).rglob("*")
            if x.is_file() and x.suffix != ".pyc"
        }

    assert files(installed / "share/sdfpose") == files(ROOT)


def test_ros2_run_finds_every_executable(installed: Path) -> None:
    folder = installed / "lib/sdfpose"
    assert {x.name for x in folder.iterdir()} == set(executables())
    assert all(os.access(x, os.X_OK) for x in folder.iterdir())
    assert os.access(installed / "bin/sdfpose", os.X_OK)


def test_executables_and_interfaces_are_those_installed(installed: Path) -> None:
    (packages,) = installed.glob("lib/python*/site-packages")
    modules = ["sdfpose.msg", "sdfpose_core"]
    modules += [target.partition(":")[0] for target in executables().values()]
    code = (
        "from importlib import import_module\n"
        f"for name in {modules}:\n"
        "    print(import_module(name).__file__)\n"
        "from rclpy.serialization import serialize_message\n"
        "from sdfpose.msg import SdfObject\n"
        "serialize_message(SdfObject())\n"
    )
    output = run(
        sys.executable,
        *("-c", code),
        PYTHONPATH=str(packages),
        LD_LIBRARY_PATH=str(installed / "lib"),
    )
    files = output.splitlines()
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(packages) for file in files)
