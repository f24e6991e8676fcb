"""Environments with ROS 2 of several distributions, or with messages of another release."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.diagnosis.environment import environment_findings
from sdfpose_ros.graph import interfaces, ros_distribution, startup

OWN = Path(sys.prefix)


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    """The variables of this process without those of an installation."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("AMENT_PREFIX_PATH", "ROS_DISTRO"):
        os.environ.pop(name, None)


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    """Makes the folder of packages of this Python, with some wheels of ROS 2."""

    def make(*names):
        for name in names:
            (tmp_path / f"{name}.dist-info").mkdir()
        monkeypatch.setattr(ros_distribution.sysconfig, "get_path", lambda name: str(tmp_path))

    return make


def source(monkeypatch, *prefixes, name):
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(map(str, prefixes)))
    monkeypatch.setenv("ROS_DISTRO", name)


def test_wheels_name_their_distribution(site_packages):
    site_packages("ros_rclpy-7.1.6", "ros_jazzy_rclpy-7.1.6", "ros_jazzy_ament_cmake-2.5.4")
    assert ros_distribution.wheel_distributions() == ["jazzy"]
    assert ros_distribution.ros_distribution() == "jazzy"


def test_wheels_of_two_distributions_are_one_sentence(site_packages):
    site_packages("ros_jazzy_rclpy-7.1.6", "ros_kilted_ament_cmake-2.7.3")
    with pytest.raises(ConfigurationError) as error:
        startup.check_ros()
    text = str(error.value)
    assert "has the ROS 2 wheels of jazzy and kilted, which overwrite each other's files" in text
    assert "DISTRO=kilted" in text
    assert "\n" not in text


def test_a_sourced_ros_of_another_distribution_is_one_sentence(site_packages, monkeypatch):
    site_packages("ros_jazzy_rclpy-7.1.6")
    source(monkeypatch, "/opt/ros/lyrical", name="lyrical")
    with pytest.raises(ConfigurationError) as error:
        startup.check_ros()
    text = str(error.value)
    assert f"ROS 2 lyrical is sourced, but {OWN} has the wheels of ROS 2 jazzy" in text
    assert "-u AMENT_PREFIX_PATH" in text
    assert environment_findings()[0].text == text


def test_two_sourced_installations_are_one_sentence(site_packages, monkeypatch):
    site_packages()
    source(monkeypatch, "/ws/install/a", "/opt/ros/kilted", "/opt/ros/jazzy", name="jazzy")
    with pytest.raises(ConfigurationError, match="ROS 2 jazzy and kilted are sourced together"):
        startup.check_ros()


@pytest.mark.parametrize("prefixes", [(), (OWN,)], ids=["hidden by make", "wheels as underlay"])
def test_a_name_without_an_installation_is_no_fault(site_packages, monkeypatch, prefixes):
    site_packages("ros_jazzy_rclpy-7.1.6")
    source(monkeypatch, *prefixes, name="kilted")
    startup.check_ros()
    assert ros_distribution.ros_distribution() == "jazzy"


def test_an_installation_beside_its_own_wheels_is_no_fault(site_packages, monkeypatch):
    site_packages("ros_jazzy_rclpy-7.1.6")
    source(monkeypatch, "/opt/ros/jazzy", name="jazzy")
    startup.check_ros()


@pytest.fixture
def earlier(tmp_path):
    """A workspace whose SdfObject has another definition, and that lacks an action."""
    import sdfpose

    package = Path(sdfpose.__file__).parent
    prefix = next(x for x in package.parents if (x / "share/sdfpose/msg").is_dir())
    shutil.copytree(prefix / "share/sdfpose", tmp_path / "share/sdfpose")
    description = tmp_path / "share/sdfpose/msg/SdfObject.json"
    if not description.is_file():
        pytest.skip("these messages were built without their hashes")
    content = json.loads(description.read_text())
    content["type_hashes"][0]["hash_string"] = "RIHS01_" + 64 * "0"
    description.write_text(json.dumps(content))
    (tmp_path / "share/sdfpose/action/DetectObjects.json").unlink()
    return tmp_path / "lib/python3/site-packages/sdfpose"


def test_other_messages_are_named(earlier):
    assert interfaces.differing_interfaces(earlier) == ["action/DetectObjects", "msg/SdfObject"]


def test_messages_of_an_earlier_release_are_one_sentence(earlier, monkeypatch):
    locate = startup._location
    monkeypatch.setattr(
        startup, "_location", lambda x: earlier.parent if x == "sdfpose" else locate(x)
    )
    monkeypatch.setattr(startup, "_check_python", lambda package: None)
    with pytest.raises(ConfigurationError) as error:
        startup.check_ros()
    text = str(error.value)
    assert "are not those of this release (action/DetectObjects, msg/SdfObject differ)" in text
    assert "./packaging/interfaces" in text
    assert "colcon" in text
    assert environment_findings()[0].text == text


def test_messages_without_hashes_are_not_judged(tmp_path):
    (tmp_path / "share/sdfpose/msg").mkdir(parents=True)
    assert interfaces.differing_interfaces(tmp_path / "lib/sdfpose") == []
    assert interfaces.differing_interfaces(Path("/nowhere/lib/sdfpose")) == []
