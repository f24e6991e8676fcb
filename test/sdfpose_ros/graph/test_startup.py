"""Starts and ends of the processes of nodes."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.graph import middleware, startup
from sdfpose_ros.graph.process_group import ros_child_environment

NODES = {
    "camera": "sdfpose_ros.playback.camera_node",
    "evaluator": "sdfpose_ros.evaluation.evaluator_node",
    "recorder": "sdfpose_ros.recording.recorder_node",
    "mask": "sdfpose_ros.masks.mask_node",
    "player": "sdfpose_ros.playback.player_node",
    "pose": "sdfpose_ros.pose.pose_node",
}
FOREIGN = "import importlib\nimportlib.import_module('._rclpy_pybind11', package='rclpy')\n"
"""What rclpy of another Python version does: its compiled part has another name."""


@pytest.fixture(autouse=True)
def _no_other_ros(monkeypatch):
    for name in (*startup._SOURCED, middleware.ONE_MACHINE):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def foreign(tmp_path):
    """The folder of a sourced rclpy of another Python version."""
    package = tmp_path / "jazzy/lib/python3.99/site-packages/rclpy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FOREIGN)
    return package.parent


def test_this_environment_is_usable():
    startup.check_ros()


def test_ros_of_another_python_is_one_sentence(foreign, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(foreign))
    monkeypatch.setattr(startup, "_location", lambda name: foreign)
    with pytest.raises(
        ConfigurationError, match=r"rclpy of .* is for Python 3\.99, but .* is"
    ) as e:
        startup.check_ros()
    assert "put 'env -u PYTHONPATH' before the command" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("command", ["node", "demo"])
def test_commands_say_that_ros_of_another_python_is_sourced(command, foreign, tmp_path):
    root = Path(startup.__file__).parents[2]
    environment = ros_child_environment({"PYTHONPATH": f"{foreign}{os.pathsep}{root}"})
    done = subprocess.run(
        [sys.executable, "-m", "sdfpose_core.cli.main", command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"sdfpose: error: rclpy of {foreign} is for Python 3.99")


def test_a_missing_ros_is_one_sentence(monkeypatch):
    monkeypatch.setattr(startup, "_location", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"ROS 2 is not installed for .*: source a ROS 2"):
        startup.check_ros()


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ("rclpy.node", ImportError("libx.so"), r"rclpy of .* cannot be loaded: .*libx\.so"),
        ("rclpy.node", AttributeError("x"), r"rclpy of .* cannot be loaded: AttributeError"),
        ("sdfpose.msg", ModuleNotFoundError("x"), r"messages of sdfpose .*--no-build-isolation"),
        ("sdfpose.srv", ModuleNotFoundError("x"), r"messages of sdfpose .*colcon"),
        ("rclpy.type_support", RuntimeError("a\nb"), r"messages of sdfpose .*RuntimeError: a b:"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(monkeypatch, module, error, message):
    load = importlib.import_module

    def fail(name, package=None):
        if name == module:
            raise error
        return load(name, package)

    monkeypatch.setattr(startup.importlib, "import_module", fail)
    with pytest.raises(ConfigurationError, match=message):
        startup.check_ros()


def test_a_message_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    monkeypatch.delitem(sys.modules, NODES["evaluator"], raising=False)
    with pytest.raises(ConfigurationError, match=r"evaluator_node cannot be loaded: .*tf2_msgs"):
        startup.start_node(NODES["evaluator"], [])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(
    not Path(sys.prefix, "share/ament_index/resource_index/rmw_typesupport").is_dir(),
    reason="ROS 2 is not from wheels",
)
def test_a_middleware_that_the_wheels_lack_is_one_sentence(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_other_cpp")
    with pytest.raises(ConfigurationError, match=r"is 'rmw_other_cpp', .* rmw_fastrtps_cpp.*unset"):
        startup.check_ros()
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    startup.check_ros()


@pytest.mark.parametrize("domain", ["abc", "233", "-1", "1.0"])
def test_a_wrong_domain_is_one_sentence(monkeypatch, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    with pytest.raises(ConfigurationError, match=f"ROS_DOMAIN_ID is '{domain}': expected an int"):
        startup.check_ros()


def test_executables_share_memory_unless_the_user_says_otherwise(monkeypatch):
    names = list(middleware.one_machine_environment())
    for wish, expected in (("", True), ("true", True), ("false", False), ("False", False)):
        for name in names:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(middleware.ONE_MACHINE, wish)
        middleware.prepare_middleware()
        assert [name in os.environ for name in names] == [expected] * len(names)
    monkeypatch.setenv(middleware.ONE_MACHINE, "true")
    monkeypatch.setenv(names[0], "mine.xml")
    middleware.prepare_middleware()
    assert os.environ[names[0]] == "mine.xml"
    monkeypatch.setenv(middleware.ONE_MACHINE, "perhaps")
    with pytest.raises(ConfigurationError, match="expected true or false"):
        middleware.prepare_middleware()


def test_a_domain_in_use_is_not_taken(monkeypatch, tmp_path):
    port = 7400 + 250 * 42
    table = tmp_path / "udp"
    lines = [f"  {i}: 00000000:{port + i:04X} 00000000:0000 07 ..." for i in (0, 10)]
    table.write_text("\n".join(["  sl  local_address rem_address", *lines, ""]))
    monkeypatch.setattr(middleware, "_SOCKETS", (table, tmp_path / "not there"))
    assert middleware._used_domains() == {42}
    monkeypatch.setattr(middleware, "_LAST_DOMAIN", 42)
    assert all(middleware.free_domain() != 42 for _ in range(200))
    monkeypatch.setattr(middleware, "_used_domains", lambda: range(1, 43))
    with pytest.raises(ConfigurationError, match="all ROS domains from 1 to 42 are in use"):
        middleware.free_domain()


def test_the_domain_of_a_running_node_is_in_use(graph):
    from rclpy.node import Node

    graph.start()
    node = Node("there", context=graph.context)
    assert int(os.environ["ROS_DOMAIN_ID"]) in middleware._used_domains()
    node.destroy_node()


WRONG = [
    ("pose", "-p slop_s:=abc", "parameter slop_s: .*expected type double"),
    ("pose", "-p category:=spoon", "parameter category: unknown category 'spoon'"),
    ("pose", "-p mask_categories:=[1,2]", "parameter mask_categories: .*type string_array"),
    ("pose", "-p use_sim_time:=abc", "use_sim_time"),
    ("mask", "-p backend:=x", "parameter backend: 'x': expected one of"),
    ("mask", "-p classes:=['x'] -p backend:=detections", "parameter "),
    (
        "mask",
        "-p qos_overrides./sdfpose_mask/colour.subscription.reliability:=x",
        "qos_overrides./sdfpose_mask/colour.subscription: ",
    ),
    ("camera", "-p rate_hz:=10", "parameter rate_hz: .*decimal point"),
    ("camera", "-p categories:=[spoon]", "parameter categories: spoon: expected some of"),
    ("player", "-p bag:=/none", "/none"),
    ("player", "-p rate:=0.0", "parameter rate: .*expected a value from"),
    ("evaluator", "-p duration_s:=x", "parameter duration_s: "),
    ("evaluator", "-p output_dir:=/proc/x", "parameter output_dir: /proc/x: "),
    ("recorder", "-p path:=/proc/x.mcap", "/proc/x.mcap: cannot be written: "),
    ("recorder", "-p path:=x.mcap -p depth_codec:=jpeg", "parameter depth_codec: 'jpeg'"),
    ("mask", "-p bad", "Couldn't parse parameter override rule"),
    ("mask", "--params-file /none.yaml", "Couldn't parse params file"),
    ("mask", "--log-level foo", "Couldn't parse log level"),
    ("mask", "-r __node:=1-2", "Couldn't parse remap rule"),
    ("mask", "--bogus", "unknown arguments"),
]

# One process imports all nodes and forks a child for each case, which saves the imports.
SCRIPT = """
import importlib, json, os, signal, sys
from sdfpose_ros.graph import startup
for module in json.loads(sys.argv[1]).values():
    importlib.import_module(module)
answers = []
for module, arguments in json.loads(sys.argv[2]):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1), os.dup2(write, 2), os.close(read)
        signal.alarm(60)
        startup.end_process(startup.run_executable(module, ["--ros-args", *arguments]))
    os.close(write)
    text = os.fdopen(read).read()
    answers.append((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text))
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    """Exit status and output of each of the wrong starts."""
    cases = [(NODES[node], arguments.split()) for node, arguments, _ in WRONG]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(NODES), json.dumps(cases)],
        env=ros_child_environment({}),
        capture_output=True,
        text=True,
        timeout=200.0,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", range(len(WRONG)), ids=[" ".join(x[:2]) for x in WRONG])
def test_a_wrong_setting_is_one_fatal_line_of_every_node(answers, case):
    status, text = answers[case]
    assert status == 1, text
    assert "Traceback" not in text
    (fatal,) = [line for line in text.splitlines() if "[FATAL]" in line]
    assert re.search(WRONG[case][2], fatal), fatal
    others = [x for x in text.splitlines() if x != fatal]
    assert all("[rcl]" in x for x in others), text  # rcl itself tells of arguments


# A signal that arrives just before a long sleep is only handled after it, hence short ones.
SLOW_IMPORT = """
print('imports', flush=True)
import time
for _ in range(600):
    time.sleep(0.1)
"""
SLOW_NODE = """
import time
from sdfpose_ros.graph.process import run_node
def make():
    print('starts', flush=True)
    for _ in range(600):
        time.sleep(0.1)
def main(args):
    return run_node(make, args)
"""
BUSY_NODE = """
import multiprocessing, threading, time
from rclpy.node import Node
from sdfpose_ros.graph.process import run_node
class Busy(Node):
    def __init__(self):
        super().__init__('busy')
        threading.Thread(target=time.sleep, args=(60,)).start()
        self.queue = multiprocessing.get_context('spawn').Queue()  # with semaphores
        child = multiprocessing.get_context('spawn').Process(target=time.sleep, args=(60,))
        child.start()
        self.create_timer(0.01, lambda: print('spins', child.pid, flush=True))
def main(args):
    return run_node(Busy, args)
"""


@pytest.fixture
def process(tmp_path):
    """Runs a module as a node; gives the process once it has printed its first line."""
    children = []

    def start(text):
        (tmp_path / "some_node.py").write_text(text)
        environment = ros_child_environment({"PYTHONPATH": str(tmp_path)})
        child = subprocess.Popen(
            [sys.executable, "-m", "sdfpose_ros.graph.startup", "some_node"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child, child.stdout.readline()

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("text", [SLOW_IMPORT, SLOW_NODE], ids=["imports", "is made"])
def test_an_interrupt_while_a_node_starts_ends_it_silently(process, text):
    child, first = process(text)
    assert first
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=20.0)
    assert (child.returncode, errors) == (0, "")


def test_a_process_with_a_busy_thread_ends_when_it_is_interrupted(process):
    """And so do its own processes."""
    child, first = process(BUSY_NODE)
    helper = int(first.split()[1])
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        time.sleep(0.05)
    _, errors = child.communicate(timeout=20.0)
    assert child.returncode == 0
    assert errors == ""
    state = Path(f"/proc/{helper}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_end_during_a_flush_keeps_its_status():
    """A signal handler may interrupt a flush, and must not flush again."""
    program = """
import sys
from sdfpose_ros.graph.startup import end_process
class Flushing:
    def flush(self):
        raise RuntimeError("reentrant call inside <_io.BufferedWriter>")
sys.stdout = Flushing()
end_process(0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
