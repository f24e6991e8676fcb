"""What setuptools, CMake, rosdep and the code say of the package has to agree."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE_XML = ET.parse(ROOT / "package.xml").getroot()
CMAKE = (ROOT / "CMakeLists.txt").read_text()

SHARED = ("config", "foxglove", "launch", "rviz")
"""Directories that every installation puts into share/sdfpose."""

PINS = {
    "requirements.txt": "ros",
    "requirements-oldest.txt": "ros",
    "requirements-kilted.txt": "ros-kilted",
}
"""Pins of whole environments, and the extra with their wheels of ROS 2."""

# Modules whose distribution has another name.
DISTRIBUTIONS = {
    "backports": "backports.zstd",
    "cv2": "opencv-python-headless",
    "open3d": "open3d-cpu",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}


# Standard library of type checkers, and of Python 3.14.
NEWER = {"_typeshed", "compression"}


def imports(package: str) -> Iterator[tuple[str, Path]]:
    """Top-level names of the modules that a package's files import, standard library left out."""
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names | NEWER:
                    yield top, file.relative_to(ROOT)


def distribution(module: str) -> str:
    """Name of the distribution that brings a module."""
    return canonicalize_name(DISTRIBUTIONS.get(module, module))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(entry).name) for entry in requirements}


def test_the_version_is_that_of_package_xml() -> None:
    said = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    assert said == PACKAGE_XML.findtext("version")


@pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(),
    reason="only git knows which files belong to the packages",
)
def test_the_wheel_and_the_source_distribution_hold_all_data(tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    run(
        *(sys.executable, "setup.py", "--quiet"),
        *("egg_info", "--egg-base", tmp_path),
        *("build_py", "--build-lib", tmp_path / "lib"),
        *("install_data", "--install-dir", tmp_path / "data"),
    )
    wanted = set(run("git", "ls-files", "sdfpose_core", "sdfpose_ros").split())
    assert "sdfpose_core/samples/tabletop/depth.png" in wanted
    assert {x for x in wanted if not (tmp_path / "lib" / x).is_file()} == set()
    sources = set((tmp_path / "sdfpose.egg-info/SOURCES.txt").read_text().split())
    assert wanted <= sources
    shared = set(run("git", "ls-files", *SHARED).split())
    assert {x for x in shared if not (tmp_path / "data/share/sdfpose" / x).is_file()} == set()
    assert shared <= sources


@pytest.mark.parametrize("kind", ["action", "msg", "srv"])
def test_cmake_generates_every_interface(kind: str) -> None:
    there = {f"{kind}/{file.name}" for file in (ROOT / kind).glob(f"*.{kind}")}
    assert set(re.findall(rf'"({kind}/\w+\.{kind})"', CMAKE)) == there


@pytest.mark.parametrize(
    "file",
    [
        "README.md",
        "docs/getting-started/with-ros.md",
        "packaging/README.md",
        "packaging/Containerfile",
    ],
)
def test_what_rosdep_lacks_is_installed_by_the_lines_of_the_documentation(file: str) -> None:
    """Beside a ROS 2 installation, pip installs what package.xml cannot name."""
    text = (ROOT / file).read_text(encoding="utf-8")
    lines = text[text.index("python3 -m venv --system-site-packages") :]
    lines = lines[: lines.index("colcon build")].replace("$open3d>", "open3d-cpu>")
    found = {}
    for quoted in re.findall(r"""["']([\w.-]+>=[^"']*?)(?:; python[^"]*)?["']""", lines):
        requirement = Requirement(quoted)
        found[canonicalize_name(requirement.name)] = requirement.specifier
    packages = {(x.text or "").removeprefix("python3-") for x in PACKAGE_XML.iter("exec_depend")}
    known = {"opencv": "opencv-python-headless", "skimage": "scikit-image", "yaml": "pyyaml"}
    by_rosdep = {canonicalize_name(known.get(x, x)) for x in packages} | {"open3d"}
    wanted = {
        name: requirement.specifier
        for requirement in map(Requirement, PROJECT["dependencies"])
        if (name := canonicalize_name(requirement.name)) not in by_rosdep
    }
    assert {k: v for k, v in found.items() if k != "viser"} == wanted


def test_pins_hold_the_wheels_of_one_distribution() -> None:
    """pip would let one overwrite the files of the other."""
    for file in (*PINS, "requirements-interfaces.txt"):
        text = (ROOT / "packaging" / file).read_text()
        assert len(set(re.findall(r"^ros-(\w+)-rclpy==", text, flags=re.MULTILINE))) == 1, file


def test_packages_of_the_messages_are_declared() -> None:
    used = {
        match
        for file in (ROOT / "msg").glob("*.msg")
        for match in re.findall(r"^(\w+)/\w+", file.read_text(), flags=re.MULTILINE)
    }
    dependencies = re.search(r"DEPENDENCIES ([\w ]+)", CMAKE)
    assert dependencies is not None
    assert set(dependencies[1].split()) == used
    assert used <= {element.text for element in PACKAGE_XML.iter("depend")}


@pytest.mark.parametrize("package", ["sdfpose_core", "sdfpose_ros"])
def test_directories_with_modules_are_packages(package: str) -> None:
    folders = {file.parent for file in (ROOT / package).rglob("*.py")}
    missing = [str(x.relative_to(ROOT)) for x in folders if not (x / "__init__.py").is_file()]
    assert not missing


def test_cmake_installs_directories_that_are_there() -> None:
    match = re.search(r"install\(DIRECTORY ([\w ]+) DESTINATION share", CMAKE)
    assert match is not None
    assert match[1].split() == list(SHARED)
    for directory in match[1].split():
        assert any((ROOT / directory).iterdir()), f"nothing to install in {directory}/"


def test_core_imports_only_declared_distributions_and_no_ros() -> None:
    declared = names(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["pytorch3d"])
    undeclared = {
        (module, str(file))
        for module, file in imports("sdfpose_core")
        if module != "sdfpose_core" and distribution(module) not in declared
    }
    assert not undeclared


def test_ros_package_imports_only_what_package_xml_declares() -> None:
    pip = names(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["ros"])
    kinds = ("depend", "exec_depend")
    declared = {element.text for kind in kinds for element in PACKAGE_XML.iter(kind)}
    undeclared = {
        (module, str(file))
        for module, file in imports("sdfpose_ros")
        if module not in declared | {"sdfpose", "sdfpose_core", "sdfpose_ros"}
        and distribution(module) not in pip
    }
    assert not undeclared


def test_both_routes_have_the_same_commands() -> None:
    groups: dict[str, dict[str, str]] = {}
    for file in (ROOT / "packaging/ros_installation").glob("*.cfg"):
        config = configparser.ConfigParser()
        config.read(file)
        for group, entries in config["options.entry_points"].items():
            pairs = dict(re.split(r"\s*=\s*", line) for line in entries.split("\n") if line)
            groups.setdefault(group, {}).update(pairs)
    scripts = groups.pop("console_scripts")
    assert groups == PROJECT["entry-points"]
    assert PROJECT["scripts"].items() <= scripts.items()
    files = set(ROOT.glob("sdfpose_ros/*/*_node.py")) - set(ROOT.glob("sdfpose_ros/cli/*"))
    executables = dict(scripts.items() - PROJECT["scripts"].items())
    assert executables == {x.stem: f"sdfpose_ros.cli.executables:{x.stem}" for x in files}


@pytest.mark.parametrize("group", ["sdfpose.benchmarks", "sdfpose.commands"])
def test_commands_are_modules_with_the_two_functions(group: str) -> None:
    pytest.importorskip("rclpy")
    for module in PROJECT["entry-points"][group].values():
        command = importlib.import_module(module)
        assert callable(command.add_parser), module
        assert callable(command.run), module


def test_the_citation_has_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PACKAGE_XML.findtext("version")
    assert citation["license"] == PACKAGE_XML.findtext("license")


def test_the_tools_of_the_documentation_are_pinned_within_their_ranges() -> None:
    lines = (ROOT / "packaging/requirements-docs.txt").read_text().splitlines()
    pins = [Requirement(y) for x in lines if (y := x.partition("#")[0].strip())]
    for entry in PROJECT["optional-dependencies"]["docs"]:
        wanted = Requirement(entry)
        found = [x for x in pins if canonicalize_name(x.name) == canonicalize_name(wanted.name)]
        assert found, f"{wanted.name} is not pinned: run `make lock`"
        for pin in found:
            (specifier,) = pin.specifier
            assert wanted.specifier.contains(specifier.version), f"{pin}: run `make lock`"


@pytest.mark.parametrize(("file", "ros"), PINS.items())
def test_every_requirement_is_pinned_within_its_range(file: str, ros: str) -> None:
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "packaging" / file).read_text().splitlines():
        if entry := line.partition("#")[0].strip():
            pin = Requirement(entry)
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    wanted = [
        Requirement(entry)
        for entries in (
            PROJECT["dependencies"],
            *(
                PROJECT["optional-dependencies"][extra]
                for extra in (ros, "training", "export", "viewer", "test")
            ),
        )
        for entry in entries
    ]
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        found = pins.get(canonicalize_name(requirement.name))
        assert found, f"{requirement.name} is not pinned: run `make lock`"
        for pin in found:
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert requirement.specifier.contains(specifier.version), (
                f"{pin} is not within {requirement}: run `make lock`"
            )
