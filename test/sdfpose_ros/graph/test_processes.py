from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from sdfpose_ros.graph.process_group import ProcessGroup, ros_child_environment

SLEEPER = "import time\nprint('started', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SLEEPER
FAILING = "import sys\nfor i in range(50): print('line', i)\nsys.exit(3)\n"


@pytest.fixture
def group(tmp_path, monkeypatch):
    for name, text in (("sleeper", SLEEPER), ("stubborn", STUBBORN), ("failing", FAILING)):
        (tmp_path / f"{name}.py").write_text(text)
    environment = ros_child_environment({"PYTHONPATH": str(tmp_path)})
    with ProcessGroup(tmp_path / "log", environment) as group:
        yield group


def test_children_are_ended_when_the_group_is_left(group, wait_until, monkeypatch):
    monkeypatch.setattr("sdfpose_ros.graph.process_group._INTERRUPT_S", 0.3)
    children = [group.start_module(name, name, []) for name in ("sleeper", "stubborn")]
    wait_until(lambda: all("started" in group.log_tail(n) for n in ("sleeper", "stubborn")), "both")
    assert group.ended() == {}
    start = time.monotonic()
    group.stop()
    assert time.monotonic() - start < 3.0
    assert [child.poll() for child in children] == [-signal.SIGINT, -signal.SIGTERM]


def test_an_exception_ends_the_children_too(tmp_path, wait_until):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = ros_child_environment({"PYTHONPATH": str(tmp_path)})
    children = []

    def fail():
        with ProcessGroup(tmp_path / "log", environment) as group:
            children.append(group.start_module("sleeper", "sleeper", []))
            wait_until(lambda: "started" in group.log_tail("sleeper"), "the start")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert children[0].poll() is not None


def test_a_failed_child_leaves_its_status_and_last_lines(group, wait_until):
    group.start_module("failing", "failing", [])
    wait_until(lambda: group.ended() == {"failing": 3}, "the end")
    lines = group.log_tail("failing").splitlines()
    assert lines[-1] == "line 49"
    assert len(lines) == 20
    assert group.last_words("failing") == f"end of its log:\n{group.log_tail('failing')}"


def test_the_last_words_of_a_node_are_its_fatal_message(group, tmp_path):
    group.log_path("node").write_text(
        "[INFO] [1700000000.1] [camera]: opening\n"
        "[FATAL] [1700000000.2] [sdfpose]: no camera: plug one in\n"
        + "".join(f"Warning {i}\n" for i in range(50))
    )
    assert group.last_words("node") == "no camera: plug one in"


def test_a_child_can_import_rclpy_whatever_this_process_inherited(monkeypatch):
    monkeypatch.setenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "1")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    environment = ros_child_environment({"EXTRA": "x"})
    assert environment["EXTRA"] == "x"
    assert "PATH" in environment
    assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" in os.environ
    result = subprocess.run(
        [sys.executable, "-c", "import rclpy; rclpy.init()"], env=environment, check=False
    )
    assert result.returncode == 0
