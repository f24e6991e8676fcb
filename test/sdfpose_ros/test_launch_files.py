"""The launch files: their structure everywhere, their run where launch_ros is installed."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
HAS_LAUNCH = all(importlib.util.find_spec(x) for x in ("launch", "launch_ros")) and (
    getattr(importlib.util.find_spec("launch"), "origin", None) is not None
)

EXECUTABLES = {"pose_node", "camera_node", "player_node", "evaluator_node"}


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
def test_a_launch_file_starts_executables_that_exist(path):
    values = keyword_values(ast.parse(path.read_text()), "executable")
    executables = {ast.literal_eval(value) for value in values}
    assert executables <= EXECUTABLES | {"rviz2"}
    for name in executables - {"rviz2"}:
        assert hasattr(importlib.import_module(f"sdfpose_ros.{name}"), "main")


def test_rviz_shows_the_topics_of_the_demo():
    displays = yaml.safe_load((ROOT / "rviz" / "sdfpose.rviz").read_text())["Visualization Manager"]
    topics = {x["Topic"]["Value"] for x in displays["Displays"] if "Topic" in x}
    assert topics == {"/sdfpose/markers", "/sdfpose/overlay", "/camera/colour"}
    assert displays["Global Options"]["Fixed Frame"] == "camera_optical_frame"


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
