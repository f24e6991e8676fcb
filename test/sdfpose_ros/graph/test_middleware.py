"""Shared memory for images: what the profile passes, and what is said where it is too small."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from types import SimpleNamespace

import pytest
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sdfpose_ros.graph import middleware
from sdfpose_ros.graph.middleware import (
    one_machine_environment,
    profile_variable,
    shared_memory_hint,
    shared_memory_segment,
)
from sdfpose_ros.graph.process_group import ros_child_environment

MIB = 2**20


@pytest.mark.parametrize(
    ("free_mib", "profile", "segment_mib"),
    [(20_000, "fastdds_shm.xml", 64), (60, "fastdds_shm_small.xml", 10)],
)
def test_the_segment_fits_into_the_shared_memory(monkeypatch, free_mib, profile, segment_mib):
    usage = SimpleNamespace(free=free_mib * MIB)
    monkeypatch.setattr(middleware.shutil, "disk_usage", lambda _: usage)
    environment = one_machine_environment()
    path = environment["FASTDDS_DEFAULT_PROFILES_FILE"]
    assert environment["FASTRTPS_DEFAULT_PROFILES_FILE"] == path
    assert path == str(files("sdfpose_ros") / profile)
    monkeypatch.setenv(profile_variable(), path)
    assert shared_memory_segment() == segment_mib * MIB


@pytest.mark.parametrize(
    "content", [None, "", "<profiles/>", "<a><segment_size>x</segment_size></a>"]
)
def test_without_a_usable_profile_the_segment_is_the_default_one(monkeypatch, tmp_path, content):
    path = tmp_path / "profile.xml"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(profile_variable(), str(path))
    assert shared_memory_segment() == 512 * 1024
    monkeypatch.delenv(profile_variable())
    assert shared_memory_segment() == 512 * 1024


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("lyrical", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_profile_is_in_the_variable_that_the_distribution_reads(
    monkeypatch, distribution, variable
):
    monkeypatch.setattr(middleware, "ros_distribution", lambda: distribution)
    assert profile_variable() == variable


def test_the_middleware_uses_the_profile(tmp_path):
    """Its segment of shared memory has the size that the profile says."""
    program = """
import os, sys
from pathlib import Path
import rclpy
from sdfpose_ros.graph.middleware import shared_memory_segment
there = set(Path("/dev/shm").iterdir())
rclpy.init()
node = rclpy.create_node("here")
sizes = [x.stat().st_size for x in set(Path("/dev/shm").iterdir()) - there if x.exists()]
sys.exit(0 if any(x >= shared_memory_segment() for x in sizes) else 1)
"""
    environment = ros_child_environment(one_machine_environment())
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path)
    assert done.returncode == 0


def test_the_hint_names_the_size_of_the_images_and_of_the_segment(monkeypatch):
    monkeypatch.setenv(profile_variable(), str(files("sdfpose_ros") / "fastdds_shm_small.xml"))
    text = shared_memory_hint((3840, 2160))
    assert "3840x2160 pixels takes up to 31.6 MiB, and the segment" in text
    assert "has 10 MiB here: expected at least 64 MiB here and in the driver" in text
    assert "it has 10 MiB" in shared_memory_hint(None)


_DRIVER = """
import array, sys, time
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

rclpy.init()
node = Node("driver")
sent = []
for name, size in (("colour", 3), ("depth", 2), ("mask", 1)):
    image = Image(width=3840, height=2160, step=3840 * size)
    image.data = array.array("B", bytes(3840 * 2160 * size))
    sent.append((node.create_publisher(Image, "/large/" + name, 10), image))
while True:
    for publisher, image in sent:
        publisher.publish(image)
    time.sleep(0.5)
"""


def test_images_of_4k_arrive_with_depth_and_mask(graph, wait_until):
    if shared_memory_segment() < 64 * MIB:
        pytest.skip("/dev/shm has too little room for the segment of 4K images")
    graph.start()
    listener = Node("listener", context=graph.context)
    received: Counter[str] = Counter()
    profile = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    for name in ("colour", "depth", "mask"):

        def take(message: Image, name: str = name) -> None:
            assert len(message.data) == message.height * message.step
            received[name] += 1

        listener.create_subscription(Image, f"/large/{name}", take, profile)
    graph.spin(listener)
    driver = subprocess.Popen([sys.executable, "-c", _DRIVER], env=os.environ)
    try:
        wait_until(
            lambda: len(received) == 3 and min(received.values()) >= 2, "images of each topic"
        )
    finally:
        driver.terminate()
        driver.wait(10.0)
