"""`sdfpose live` with stand-ins for its processes, and once with the real ones."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from mcap.reader import make_reader
from own_pack import own_pack

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.execution import execute
from sdfpose_core.errors import SdfposeError
from sdfpose_core.viewer.opening import open_recording
from sdfpose_ros.cli import live
from sdfpose_ros.graph.process_group import ProcessGroup
from sdfpose_ros.live import session
from sdfpose_ros.live.session import LiveError

SLEEP = "import time; time.sleep(60)"

SUBSCRIBES = """
import rclpy
from sdfpose.msg import SdfObjectArray
rclpy.init()
node = rclpy.create_node("stand_in")
node.create_subscription(SdfObjectArray, "/sdfpose/meshes", lambda _: None, 1)
rclpy.spin(node)
"""

REPORTS = """
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
rclpy.init()
node = rclpy.create_node("stand_in")
publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
status = DiagnosticStatus(name="sdfpose: pose estimation", message="{message}")
status.values = [KeyValue(key="frames submitted", value="{submitted}")]
node.create_timer(0.1, lambda: publisher.publish(DiagnosticArray(status=[status])))
rclpy.spin(node)
"""


def run(*arguments):
    parser = argparse.ArgumentParser()
    live.add_parser(parser.add_subparsers())
    return live.run(parser.parse_args(["live", *map(str, arguments)]))


@pytest.fixture(autouse=True)
def logs(monkeypatch, tmp_path):
    """After an error the logs stay, but not beyond the tests."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def stand_ins(monkeypatch, tmp_path):
    """Run other modules in place of the processes; gives the arguments of each."""
    start = ProcessGroup.start_module
    arguments, children = {}, {}

    def prepare(**modules):
        def start_other(group, name, module, given, **options):
            arguments[name] = given
            (tmp_path / f"{name}_module.py").write_text(modules.get(name, SLEEP))
            children[name] = start(group, name, f"{name}_module", [], **options)
            return children[name]

        monkeypatch.setattr(ProcessGroup, "start_module", start_other)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return arguments, children

    return prepare


def interrupt_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_an_interrupt_ends_all_processes_and_the_recording_is_whole(
    stand_ins, tmp_path, capsys, logs
):
    arguments, children = stand_ins()
    record = tmp_path / "run.mcap"
    before = signal.getsignal(signal.SIGINT)
    interrupt_after(3.0)
    assert run("--no-viewer", "--record", record, "--json", tmp_path / "live.json") == 1
    assert arguments.keys() == {"node", "camera"}
    assert all(x.returncode is not None for x in children.values())
    assert signal.getsignal(signal.SIGINT) == before
    with record.open("rb") as file:
        topics = {x.topic for x in make_reader(file).get_summary().channels.values()}
    assert {"/camera/colour", "/camera/depth", "/sdfpose/objects", "/sdfpose/meshes"} <= topics
    assert json.loads((tmp_path / "live.json").read_text()) == {
        "objects": 0,
        "results_hz": None,
        "first_result_s": None,
        "latency_ms": None,
    }
    assert "none with an object" in capsys.readouterr().out
    assert list(logs.iterdir()) == []


def test_masks_are_made_by_the_mask_node(stand_ins):
    arguments, _ = stand_ins()
    interrupt_after(2.0)
    run("--no-viewer", "--masks", "tabletop", "--category", "any")
    node, masks = " ".join(arguments["node"]), " ".join(arguments["masks"])
    assert "~/mask:=/sdfpose_masks/mask" in node
    assert "~/mask:=/sdfpose_masks/mask" in masks
    assert "~/colour:=/camera/colour" in masks
    assert 'backend:="tabletop"' in masks
    assert 'category:="any"' in node


def test_packs_reach_the_nodes(stand_ins, tmp_path):
    pack = own_pack(tmp_path)
    arguments, _ = stand_ins()
    interrupt_after(2.0)
    run("--no-viewer", "--masks", "tabletop", "--category", "kettle", "--weights", str(pack))
    node, masks = " ".join(arguments["node"]), " ".join(arguments["masks"])
    assert 'category:="kettle"' in node
    for text in (node, masks):
        assert f'weights_dirs:=["{pack}"]' in text


def test_the_viewer_gets_the_topics_of_both(stand_ins, monkeypatch, capsys):
    monkeypatch.setattr("sdfpose_core.cli.viewing.require_viser", lambda: None)
    arguments, _ = stand_ins(viewer=SUBSCRIBES)
    listens = session._Session._viewer_listens

    def watched(self):
        there = listens(self)
        if there:
            interrupt_after(0.3)
        return there

    monkeypatch.setattr(session._Session, "_viewer_listens", watched)
    run("--camera", "simulated")
    viewer = " ".join(arguments["viewer"])
    assert "~/colour:=/camera/colour" in viewer
    assert "~/objects:=/sdfpose/objects" in viewer
    assert 'host:="127.0.0.1"' in viewer
    assert "viewer: open http://127.0.0.1:" in capsys.readouterr().out


def test_the_address_is_told_when_the_viewer_is_there(stand_ins, monkeypatch, capsys):
    monkeypatch.setattr("sdfpose_core.cli.viewing.require_viser", lambda: None)
    stand_ins()
    interrupt_after(2.0)
    run("--camera", "simulated")
    assert "viewer: open" not in capsys.readouterr().out


def test_a_node_that_has_nothing_to_do_is_not_waited_for_long(stand_ins, monkeypatch):
    message = "waiting for the first complete frame"
    stand_ins(node=REPORTS.format(message=message, submitted=0))
    monkeypatch.setattr(session, "_STALL_S", 0.5)
    with pytest.raises(LiveError, match=f"no result: the pose node .* says '{message}'"):
        run("--no-viewer", "--seconds", "1")


@pytest.mark.parametrize(
    ("message", "submitted"),
    [("unconfigured", 0), ("processing a frame for 100 s", 1)],
)
def test_a_node_that_loads_or_computes_is_waited_for(stand_ins, monkeypatch, message, submitted):
    stand_ins(node=REPORTS.format(message=message, submitted=submitted))
    monkeypatch.setattr(session, "_STALL_S", 0.1)
    interrupt_after(4.0)
    assert run("--no-viewer", "--seconds", "1") == 1


def test_a_process_that_fails_is_told_with_the_end_of_its_log(stand_ins, logs):
    _, children = stand_ins(node="raise SystemExit('no weights here')")
    with pytest.raises(LiveError, match=r"'node' ended with status 1[\s\S]*no weights here"):
        run("--no-viewer")
    assert all(x.returncode is not None for x in children.values())
    assert list(logs.glob("*/node.log"))


def test_without_its_viewer_the_session_goes_on(stand_ins, monkeypatch, capsys):
    monkeypatch.setattr("sdfpose_core.cli.viewing.require_viser", lambda: None)
    _, children = stand_ins(viewer="raise SystemExit('no page here')")
    interrupt_after(3.0)
    assert run("--camera", "simulated") == 1, "there was no result"
    assert children["viewer"].returncode == 1
    assert children["node"].returncode in (130, -signal.SIGINT, 1)
    told = capsys.readouterr().out
    assert told.count("the viewer ended with status 1, the others go on") == 1
    assert "no page here" in told


def test_a_camera_that_is_not_there_is_told(stand_ins, monkeypatch):
    stand_ins()
    monkeypatch.setattr(session, "_SEARCH_S", 0.5)
    with pytest.raises(LiveError, match="no camera in the namespace /nowhere"):
        run("--no-viewer", "--camera", "topic:/nowhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--record", "run.bag"), "expected a name that ends in .mcap"),
        (("--no-viewer", "--port", "8080"), "--host and --port have no effect"),
        (("--category", "teapot"), "teapot"),
        (("--weights", "."), "no pack found"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SdfposeError, match=message):
        run(*arguments)


def test_neither_the_command_nor_the_viewer_loads_torch():
    """Both are waited for before the first picture, and share the cores with the pose node."""
    modules = "sdfpose_ros.cli.live, sdfpose_ros.live.session, sdfpose_ros.viewer.viewer_node"
    check = f"import sys, {modules}; sys.exit(bool(sys.modules.keys() & {{'torch', 'open3d'}}))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.timeout(600)
def test_a_simulated_camera_gives_objects(tmp_path):
    record, document = tmp_path / "run.mcap", tmp_path / "live.json"
    arguments = ("--no-viewer", "--seconds", "4", "--rate", "3", "--json", document)
    assert execute("sdfpose", lambda: run(*arguments, "--record", record)) == 0
    found = json.loads(document.read_text())
    assert 1 <= found["objects"] <= 6
    assert found["results_hz"] is None or found["results_hz"] > 0.0
    assert found["first_result_s"] > 0.0
    assert 0.0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]
    recording = open_recording(record, default_categories())
    views = [recording.view(i) for i in range(len(recording.times_s))]
    recording.close()
    assert any(x.frame is not None and x.objects for x in views)
    surfaces = [len(y.estimate.vertices) for x in views for y in x.objects]
    assert max(surfaces) > 100
