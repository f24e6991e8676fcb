"""Checks of ROS 2 and its shared memory."""

from __future__ import annotations

import importlib.util
import math
import os

import pytest

from sdfpose_ros.diagnosis import environment
from sdfpose_ros.diagnosis.environment import environment_findings, shared_memory_finding

MIB = 2**20


@pytest.fixture(autouse=True)
def own_variables(monkeypatch):
    """The checks set the middleware of their process up: not that of the tests."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_this_ros_can_be_used():
    findings = environment_findings()
    assert [x.name for x in findings] == ["ROS 2", "shared memory"]
    assert findings[0].level == "ok"
    assert "site-packages" in findings[0].text or "/opt/ros" in findings[0].text


def test_without_ros_that_is_all_that_is_said(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        environment.importlib.util,
        "find_spec",
        lambda name: None if name == "rclpy" else found(name),
    )
    (finding,) = environment_findings()
    assert finding.level == "warning"
    assert "not installed" in finding.text
    assert "make setup" in finding.remedy


def test_a_ros_that_cannot_be_used_is_a_fault(monkeypatch):
    os.environ["ROS_DOMAIN_ID"] = "999"
    finding = environment_findings()[0]
    assert finding.level == "fault"
    assert "ROS_DOMAIN_ID is '999'" in finding.text


@pytest.mark.parametrize(
    ("free", "segment", "size", "level", "text"),
    [
        (8192 * MIB, 64 * MIB, None, "ok", "segment of 64 MiB"),
        (math.inf, 64 * MIB, None, "ok", "segment of 64 MiB"),
        (64 * MIB, 10 * MIB, None, "warning", "64 MiB free"),  # a container of Docker
        (4 * MIB, 10 * MIB, None, "fault", "no segment can be allocated"),
        (8192 * MIB, MIB // 2, None, "warning", "images of 640x480 pixels get lost"),
        (8192 * MIB, MIB // 2, (640, 480), "fault", "images of 640x480 pixels get lost"),
        (8192 * MIB, 10 * MIB, (1280, 720), "ok", "10 MiB"),
        (8192 * MIB, 10 * MIB, (1920, 1080), "fault", "1920x1080"),
    ],
)
def test_small_shared_memory_is_named(free, segment, size, level, text):
    finding = shared_memory_finding(free, segment, size)
    assert finding.level == level
    assert text in finding.text
    assert bool(finding.remedy) == (level != "ok")


def test_the_segment_that_is_asked_for_is_enough():
    remedy = shared_memory_finding(8192 * MIB, MIB, (1920, 1080)).remedy
    assert "at least 16 MiB" in remedy
    assert shared_memory_finding(8192 * MIB, 16 * MIB, (1920, 1080)).level == "ok"


def test_another_middleware_has_no_such_memory():
    os.environ["RMW_IMPLEMENTATION"] = "rmw_cyclonedds_cpp"
    assert "not checked" in environment.check_shared_memory().text
