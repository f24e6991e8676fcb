"""The launch files: their structure everywhere, their run where launch_ros is installed."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdfpose_core.categories import default_categories

ROOT = Path(__file__).parents[3]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
HAS_LAUNCH = all(importlib.util.find_spec(x) for x in ("launch", "launch_ros")) and (
    getattr(importlib.util.find_spec("launch"), "origin", None) is not None
)

EXECUTABLES = {x.stem: x.parent.name for x in ROOT.glob("sdfpose_ros/*/*_node.py")}
OF_OTHER_PACKAGES = {"rviz2", "realsense2_camera_node"}


def keyword_values(tree: ast.AST, name: str) -> list[ast.expr]:
    return [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == name
    ]


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_describes_and_does_nothing(path):
    tree = ast.parse(path.read_text())
    functions = [x.name for x in tree.body if isinstance(x, ast.FunctionDef)]
    assert functions == ["generate_launch_description"]
    for statement in tree.body:
        assert isinstance(statement, (ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.Expr))
    names = {x.id for x in ast.walk(tree) if isinstance(x, ast.Name)}
    assert not names & {"eval", "exec", "open", "subprocess", "os", "__import__"}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_includes_no_other(path):
    """The arguments of an included file would be shown and not all be taken."""
    tree = ast.parse(path.read_text())
    names = {x.id for x in ast.walk(tree) if isinstance(x, ast.Name)}
    assert "IncludeLaunchDescription" not in names
    (table,) = (
        statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ARGUMENTS"
    )
    shown = {ast.literal_eval(key) for key in table.keys}
    taken = {
        ast.literal_eval(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("LaunchConfiguration", "argument")
        and isinstance(node.args[0], ast.Constant)
    }
    assert taken <= shown
    assert {"namespace", "one_machine"} <= shown  # of all nodes


@pytest.mark.parametrize("name", ["camera", "demo", "replay"])
def test_optional_packages_are_looked_for_before_anything_starts(name):
    tree = ast.parse((ROOT / "launch" / f"{name}.launch.py").read_text())
    (function,) = (x for x in tree.body if isinstance(x, ast.FunctionDef))
    (description,) = (x.value for x in function.body if isinstance(x, ast.Return))
    entries = [ast.unparse(x) for x in description.args[0].elts]
    required = [i for i, x in enumerate(entries) if x.startswith("required_package(")]
    assert any("rviz2" in entries[i] for i in required)
    started = [i for i, x in enumerate(entries) if x in ("driver", "pose_node", "shown")]
    assert max(required) < min(started)


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_starts_executables_that_exist(path):
    tree = ast.parse(path.read_text())
    executables = {ast.literal_eval(value) for value in keyword_values(tree, "executable")}
    executables |= {
        ast.literal_eval(call.args[0])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "node"
    }
    assert executables - OF_OTHER_PACKAGES
    assert executables <= EXECUTABLES.keys() | OF_OTHER_PACKAGES
    for name in executables - OF_OTHER_PACKAGES:
        assert hasattr(importlib.import_module(f"sdfpose_ros.{EXECUTABLES[name]}.{name}"), "main")


def test_the_mask_node_starts_only_for_masks_from_a_topic():
    tree = ast.parse((ROOT / "launch" / "camera.launch.py").read_text())
    conditions = {
        ast.literal_eval(call.args[0]): [
            ast.unparse(x.value) for x in call.keywords if x.arg == "condition"
        ]
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "node"
    }
    assert conditions == {
        "mask_node": ["IfCondition(EqualsSubstitution(LaunchConfiguration('masks'), 'topic'))"],
        "pose_node": [],
    }


def test_rviz_shows_the_topics_of_the_demo():
    displays = yaml.safe_load((ROOT / "rviz" / "sdfpose.rviz").read_text())["Visualization Manager"]
    topics = {x["Topic"]["Value"] for x in displays["Displays"] if "Topic" in x}
    assert topics == {"/sdfpose/markers", "/sdfpose/overlay", "/camera/colour"}
    assert displays["Global Options"]["Fixed Frame"] == "camera_optical_frame"


@pytest.fixture(scope="module")
def foxglove() -> dict[str, Any]:
    return json.loads((ROOT / "foxglove" / "sdfpose.json").read_text())


def panels(node: Any) -> Iterator[str]:
    """Ids of the panels of a layout's tree."""
    if isinstance(node, str):
        yield node
    else:
        assert node["direction"] in ("row", "column")
        assert 0 < node["splitPercentage"] < 100
        yield from panels(node["first"])
        yield from panels(node["second"])


def test_foxglove_lays_out_every_panel_once(foxglove):
    assert set(foxglove) == {
        *("configById", "globalVariables", "layout", "playbackConfig", "userNodes")
    }
    assert sorted(panels(foxglove["layout"])) == sorted(foxglove["configById"])
    kinds = {panel.partition("!")[0] for panel in foxglove["configById"]}
    assert kinds == {"3D", "DiagnosticSummary", "Image", "Plot"}


def test_foxglove_shows_the_topics_of_the_demo(foxglove):
    config = foxglove["configById"]
    scene = config["3D!scene"]
    shown = {topic for topic, settings in scene["topics"].items() if settings["visible"]}
    assert shown == {"/tf", "/sdfpose/markers", "/camera/colour"}
    assert scene["topics"]["/camera/colour"]["cameraInfoTopic"] == "/camera/camera_info"
    assert scene["followTf"] == "camera_optical_frame"
    assert config["Image!overlay"]["imageMode"]["imageTopic"] == "/sdfpose/overlay"
    assert config["DiagnosticSummary!health"]["topicToRender"] == "/diagnostics"


def test_foxglove_plots_the_confidence_of_each_category_in_its_colour(foxglove):
    colours = {}
    for path in foxglove["configById"]["Plot!confidence"]["paths"]:
        pattern = r'/sdfpose/objects\.objects\[:\]\{category=="(\w+)"\}\.confidence'
        match = re.fullmatch(pattern, path["value"])
        assert match is not None
        assert path["enabled"]
        colours[match[1]] = tuple(bytes.fromhex(path["color"][1:]))
    assert colours == {name: x.colour for name, x in default_categories().items()}


@pytest.mark.skipif(not HAS_LAUNCH, reason="launch and launch_ros are not installed")
@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_is_loaded_and_its_arguments_are_documented(path):
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(path))
    description = source.try_get_launch_description_without_context()
    arguments = description.get_launch_arguments()
    assert arguments
    for argument in arguments:
        assert argument.description
        assert argument.default_value is not None
    assert len({x.name for x in arguments}) == len(arguments)


@pytest.mark.skipif(not HAS_LAUNCH, reason="launch and launch_ros are not installed")
def test_a_package_that_is_missing_stops_the_launch(monkeypatch, caplog):
    from launch.actions import LogInfo
    from launch.conditions import IfCondition

    from launch import LaunchDescription, LaunchService
    from sdfpose_ros.graph.launch_actions import required_package

    monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)
    check = required_package("no_such_package", "rviz:=false", IfCondition("true"))
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([check, LogInfo(msg="started")]))
    assert service.run() == 1
    told = caplog.text
    assert "no_such_package is not installed" in told
    assert "launch with rviz:=false; nothing was started" in told
    assert "started" not in told.replace("nothing was started", "")
