"""What the commands hand to the nodes."""

from __future__ import annotations

import argparse
import importlib

import pytest

from sdfpose_core.cli.main import main
from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.cli import camera, demo, evaluate_live, node, play, record, simulate
from sdfpose_ros.evaluation.demo import DemoError


@pytest.fixture
def call(monkeypatch):
    """Run a command; gives the arguments of the main function that it calls."""

    def call(command, target, *arguments):
        given = []
        module = importlib.import_module(f"sdfpose_ros.{target}")
        monkeypatch.setattr(module, "main", lambda args: given.extend(args) or 7)
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        name = command.__name__.rsplit(".", 1)[-1].replace("_", "-")
        assert command.run(parser.parse_args([name, *arguments])) == 7
        assert given[0] == "--ros-args"
        return " ".join(given[1:])

    return call


def test_the_users_own_remaps_come_before_the_cameras(call):
    arguments = call(node, "pose.pose_node", "--camera", "/left/", "--ros-args", "-r", "~/mask:=/m")
    assert arguments.startswith("-r ~/mask:=/m -r ~/colour:=/left/colour ")


def test_the_node_makes_masks_on_demand(call):
    arguments = call(node, "pose.pose_node", "--masks", "tabletop", "--ros-args", "-p", "x:=1")
    assert arguments.startswith('-p masks:="tabletop" -p x:=1 -r ~/colour:=/camera/colour ')


def test_simulate_sets_rate_seed_and_loop(call):
    arguments = call(
        simulate, "playback.camera_node", "--rate", "3", "--once", "--ros-args", "-p", "x:=1"
    )
    assert arguments == "-p rate_hz:=3.0 -p seed:=0 -p loop:=false -p x:=1"


def test_several_cameras_have_the_last_parts_of_their_namespaces_as_names(call):
    arguments = call(node, "pose.pose_node", "--camera", "/rig/left", "/rig/right/")
    assert '-p cameras:=["left", "right"]' in arguments
    assert "-r ~/left/colour:=/rig/left/colour" in arguments
    assert "-r ~/right/labels:=/rig/right/labels" in arguments
    assert call(simulate, "playback.camera_node", "--cameras", "2").endswith("-p cameras:=2")


def test_camera_sets_only_what_is_given(call, monkeypatch):
    monkeypatch.setattr(camera, "require_package", lambda _: None)
    target = "cameras.camera_driver_node"
    assert call(camera, target, "oak") == (
        '-p camera:="oak" -p serial_number:="" -p wait_for_camera:=false'
    )
    arguments = call(
        camera, target, "realsense", "--serial", "0123", "--width", "848", "--height", "480",
        "--rate", "60", "--exposure", "8000", "--laser-power", "1", "--filters", "spatial",
        "temporal", "--wait", "--ros-args", "-p", "x:=1",
    )  # fmt: skip
    assert arguments == (
        '-p camera:="realsense" -p serial_number:="0123" -p wait_for_camera:=true -p width:=848 '
        "-p height:=480 -p rate_hz:=60.0 -p exposure_us:=8000 -p laser_power:=1.0 "
        "-p spatial_filter:=true -p temporal_filter:=true -p x:=1"
    )


def test_camera_plays_a_recording(call, monkeypatch):
    monkeypatch.setattr(camera, "require_package", lambda _: None)
    target = "cameras.camera_driver_node"
    arguments = call(camera, target, "realsense", "--bag", "run.bag", "--loop")
    assert '-p bag:="run.bag" -p loop:=true' in arguments
    with pytest.raises(ConfigurationError, match="--loop has no effect without --bag"):
        call(camera, target, "realsense", "--loop")


def test_play_tells_bags_from_frame_folders(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.mcap").touch()
    folder = str(tmp_path)
    assert call(play, "playback.camera_node", folder, folder, "--loop") == (
        f'-p folders:=["{folder}", "{folder}"] -p rate_hz:=2.0 -p loop:=true'
    )
    with_topics = call(play, "playback.player_node", "demo.mcap", "--topics", "/a", "/b")
    assert with_topics.endswith('-p topics:=["/a", "/b"]')
    expected = (
        '-p bag:="demo.mcap" -p rate:=0.5 -p clock:=true -p lockstep:=false -p wait_s:=0.0 '
        '-p results:="/sdfpose/objects" -p loop:=false -p raw:=false'
    )
    assert call(play, "playback.player_node", "demo.mcap", "--rate", "0.5", "--clock") == expected
    (tmp_path / "metadata.yaml").touch()
    assert call(play, "playback.player_node", folder).startswith(f'-p bag:="{folder}"')


def test_evaluate_live_connects_camera_and_node(call):
    arguments = call(evaluate_live, "evaluation.evaluator_node", "--node", "/eye")
    assert "-r ~/ground_truth:=/camera/ground_truth" in arguments
    assert "-r ~/objects:=/eye/objects" in arguments


def test_record_connects_camera_and_node(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = call(
        record, "recording.recorder_node", "a.mcap", "--camera", "/eye", "--node", "/poses",
        "--colour", "jpeg", "--depth", "rvl", "--seconds", "3", "--topics", "/notes",
        "--ros-args", "-r", "~/depth:=/d",
    )  # fmt: skip
    assert arguments.startswith(
        '-p path:="a.mcap" -p duration_s:=3.0 -p colour_codec:="jpeg" -p depth_codec:="rvl" '
        '-p jpeg_quality:=95 -p topics:=["/notes"] -r ~/depth:=/d -r ~/colour:=/eye/colour '
    )
    assert "-r ~/imu:=/eye/imu" in arguments
    assert "-r ~/meshes:=/poses/meshes" in arguments


def test_middleware_settings_of_the_user_are_left(call, monkeypatch):
    import os

    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "mine.xml")
    call(node, "pose.pose_node")
    assert os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] == "mine.xml"
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE")
    call(node, "pose.pose_node", "--network")
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in os.environ
    call(node, "pose.pose_node")
    assert os.environ["FASTDDS_DEFAULT_PROFILES_FILE"].endswith("fastdds_shm.xml")


@pytest.fixture
def run_demo(monkeypatch, tmp_path):
    """Run the demo with other modules in place of its processes."""
    from sdfpose_ros.graph.process_group import ProcessGroup

    start = ProcessGroup.start_module
    arguments = {}

    def run(*options, **modules):
        def start_other(group, name, module, given, **options):
            arguments[name] = given
            text = modules.get(name, "import time; time.sleep(60)")
            (tmp_path / f"{name}_module.py").write_text(text)
            return start(group, name, f"{name}_module", [], **options)

        monkeypatch.setattr(ProcessGroup, "start_module", start_other)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        parser = argparse.ArgumentParser()
        demo.add_parser(parser.add_subparsers())
        out = tmp_path / "out"
        line = ["demo", "--out", str(out), "--seconds", "5", *options]
        return demo.run(parser.parse_args(line)), arguments

    return run


def test_the_demo_with_the_viewer_stays_until_the_viewer_ends(run_demo, monkeypatch, capsys):
    monkeypatch.setattr("sdfpose_core.cli.viewing.require_viser", lambda: None)
    status, arguments = run_demo("--view", evaluator="", viewer="import time; time.sleep(2)")
    assert status == 0
    assert "~/objects:=/sdfpose/objects" in arguments["viewer"]
    printed = capsys.readouterr().out
    assert "viewer: open http://127.0.0.1:" in printed
    assert printed.endswith("viewer: Ctrl-C ends it\n")


@pytest.mark.parametrize("status", [0, 1])
def test_the_demo_ends_with_the_evaluator_and_has_its_status(run_demo, tmp_path, status):
    stale = tmp_path / "out" / "mug_9.ply"
    stale.parent.mkdir()
    stale.touch()
    got, arguments = run_demo(evaluator=f"import sys; sys.exit({status})")
    assert got == status
    assert not stale.exists()
    assert "duration_s:=5.0" in arguments["evaluator"]
    assert (
        'categories:=["bottle", "bowl", "camera", "can", "laptop", "mug"]' in arguments["evaluator"]
    )
    assert "~/colour:=/camera/colour" in arguments["node"]


def test_the_demo_says_what_it_has_written_and_what_to_open(run_demo, tmp_path, capsys):
    out = tmp_path / "out"
    names = ["overlay.png", "objects.json", "demo.mcap", "can_1.ply", "mug_2.ply"]
    run_demo(evaluator=f"from pathlib import Path\nfor x in {names}: Path(r'{out}', x).touch()")
    holds, look = capsys.readouterr().out.splitlines()[-2:]
    assert holds == (
        f"demo: {out} holds overlay.png, objects.json, demo.mcap, 2 meshes (can_1.ply, ...)"
    )
    assert f"{out / 'overlay.png'}" in look
    assert look.endswith(f"sdfpose view {out}")


@pytest.mark.parametrize("name", ["node", "camera", "evaluator"])
def test_a_process_that_dies_ends_the_demo_with_its_last_words(run_demo, name):
    text = "import sys; print('the reason', file=sys.stderr); sys.exit(5)"
    with pytest.raises(DemoError, match=rf"'{name}' ended with status 5(.|\n)*the reason"):
        run_demo(**{name: text})


@pytest.mark.parametrize(
    "command",
    [
        "simulate --rate 0",
        "simulate --rate nan",
        "simulate --seed -1",
        "play DIR --rate 0",
        "play DIR --wait -1",
        "play DIR/nowhere",
        "play EMPTY",
        "bench node --json EMPTY",
        "record FILE.bag",
        "record FILE/x.mcap",
        "record DIR/x.mcap --seconds -1",
        "record DIR/x.mcap --jpeg-quality 0",
        "record DIR/x.mcap --camera 9x",
        "demo --seconds 0",
        "demo --rate inf",
        "demo --domain-id 233",
        "demo --out FILE",
        "evaluate-live --seconds -1",
        "evaluate-live --out FILE",
        "bench node --objects 0",
        "bench node --rate 0",
        "bench node --json DIR",
        "bench node --logs FILE",
        "bench speed --json DIR",
        "bench speed --threads -1",
    ],
)
def test_what_is_wrong_is_reported_before_the_work(command, tmp_path, capsys):
    (tmp_path / "file").touch()
    words = command.replace("DIR", str(tmp_path)).replace("FILE", str(tmp_path / "file"))
    assert main([x.replace("EMPTY", "") for x in words.split()]) == 2
    message = capsys.readouterr().err
    assert "error: " in message
    assert "Traceback" not in message
