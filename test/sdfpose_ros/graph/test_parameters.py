from __future__ import annotations

import dataclasses

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.label_rules import nameable_categories, parse_label_rules
from sdfpose_ros.evaluation.parameters import EvaluatorNodeParameters
from sdfpose_ros.graph import parameters as p
from sdfpose_ros.masks.parameters import MaskNodeParameters
from sdfpose_ros.playback.parameters import CameraNodeParameters, PlayerNodeParameters
from sdfpose_ros.pose.parameters import PoseNodeParameters

TABLES = (
    PoseNodeParameters,
    MaskNodeParameters,
    CameraNodeParameters,
    PlayerNodeParameters,
    EvaluatorNodeParameters,
)


@pytest.fixture
def declare(graph):
    def declare(table, *arguments):
        ros = [part for value in arguments for part in ("-p", value)]
        graph.start(*ros)
        node = Node("parameters", context=graph.context)
        try:
            return p.declare(node, table), node
        finally:
            graph.stop = lambda: (node.destroy_node(), graph.context.try_shutdown())

    return declare


@pytest.mark.parametrize("table", TABLES)
def test_defaults_are_declared_and_described(declare, table):
    values, node = declare(table)
    assert values == table()
    for field in dataclasses.fields(table):
        descriptor = node.describe_parameter(field.name)
        assert descriptor.description.endswith(".")
        assert descriptor.read_only == (field.metadata["change"] == "never")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("arguments", [(), ("mask_categories:=[]",)])
def test_every_parameter_has_a_value(declare, table, arguments):
    """One without hides all of them from ros2 param dump, rqt and Foxglove."""
    _, node = declare(table, *arguments)
    names = [*node._parameters]
    assert {x.name for x in dataclasses.fields(table)} <= set(names)
    values = node.get_parameters(names)
    assert all(x.type_ is not Parameter.Type.NOT_SET for x in values)
    lists = [x.name for x in dataclasses.fields(table) if isinstance(x.default, tuple)]
    for name in lists:
        value = node.get_parameter(name)
        assert (value.type_, list(value.value)) == (Parameter.Type.STRING_ARRAY, [])
        assert node.describe_parameter(name).type == Parameter.Type.STRING_ARRAY.value
        read_only = node.describe_parameter(name).read_only
        result = node.set_parameters([Parameter(name, Parameter.Type.STRING_ARRAY, ["1:mug"])])
        assert result[0].successful != read_only
        assert not node.set_parameters([Parameter(name, Parameter.Type.INTEGER, 1)])[0].successful


def test_values_come_from_the_command_line(declare):
    values, _ = declare(
        PoseNodeParameters, "mask_categories:=['1:mug','2:bowl']", "slop_s:=0.5", "queue_size:=3"
    )
    assert values.mask_categories == ("1:mug", "2:bowl")
    assert (values.slop_s, values.queue_size) == (0.5, 3)


def test_a_word_that_yaml_takes_for_a_boolean_is_a_string_in_quotes(declare):
    values, _ = declare(PoseNodeParameters, "gravity_frame:='on'")
    assert values.gravity_frame == "on"


def test_a_former_name_still_sets_its_parameter(declare, capfd):
    values, node = declare(PoseNodeParameters, "wait_for_trials:=true")
    assert values.wait_for_verification
    assert not node.has_parameter("wait_for_trials")
    assert "wait_for_trials was renamed to wait_for_verification" in capfd.readouterr().err


def test_a_former_name_has_the_type_of_its_parameter(declare):
    with pytest.raises(ConfigurationError, match=r"parameter wait_for_verification: .*type bool"):
        declare(PoseNodeParameters, "wait_for_trials:=3")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("queue_size:=0", "parameter queue_size: .*expected a value from 1 to 1000"),
        ("queue_size:=many", "parameter queue_size: .*expected type integer"),
        ("slop_s:=1", "parameter slop_s: .*expected type double .*decimal point"),
        ("slop_s:=.nan", "parameter slop_s: "),
        ("colour:=off", "parameter colour: .*expected type string .*write \"'off'\""),
        ("colour:=dark", "parameter colour: 'dark': expected one of auto, none"),
        ("category_trust:=1.5", "parameter category_trust: .*expected a value from 0.0 to 1.0"),
        ("refine:=sfd", "parameter refine: 'sfd': expected one of sdf, icp, none"),
        ("mask_categories:=mug", "parameter mask_categories: .*expected type string_array"),
    ],
)
def test_wrong_values_name_the_parameter(declare, argument, message):
    with pytest.raises(ConfigurationError, match=message):
        declare(PoseNodeParameters, argument)


def test_the_shipped_file_holds_the_defaults():
    from pathlib import Path

    import yaml

    path = Path(__file__).parents[3] / "config" / "sdfpose.yaml"
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    expected = {k: v for k, v in dataclasses.asdict(PoseNodeParameters()).items() if v != ()}
    assert values == expected


@pytest.mark.parametrize(
    ("namespace", "prefix"),
    [("/", "sdfpose"), ("", "sdfpose"), ("/left", "sdfpose/left"), ("/a/b", "sdfpose/a/b")],
)
def test_the_frame_prefix_tells_namespaces_apart(namespace, prefix):
    assert p.default_frame_prefix(namespace) == prefix


def test_label_rules_are_parsed():
    rules = parse_label_rules("can", ["1:mug", " 20 : bowl "], default_categories())
    assert rules is not None
    assert rules.by_id == {1: "mug", 20: "bowl"}
    assert rules.default == "can"
    assert parse_label_rules("", [], default_categories()) is None


def test_which_categories_labels_can_name():
    known = default_categories()
    assert nameable_categories(None, known) == tuple(known)
    rules = parse_label_rules("mug", ["1:bowl", "2:bowl"], known)
    assert nameable_categories(rules, known) == ("bowl", "mug")
    assert nameable_categories(parse_label_rules("", ["7:can"], known), known) == ("can",)
    assert nameable_categories(parse_label_rules("mug", ["1:any"], known), known) == tuple(known)


@pytest.mark.parametrize(
    ("category", "entries", "message"),
    [
        ("", ["mug"], "mask_categories: entry 'mug': expected 'id:category'"),
        ("", ["0:mug"], "entry '0:mug': .* from 1 to 65535"),
        ("", ["-1:mug"], "entry '-1:mug'"),
        ("", ["99999:mug"], "entry '99999:mug'"),
        ("", ["9" * 5000 + ":mug"], "entry '9+:mug'"),  # more digits than int takes
        ("", ["1:mug", "1:can"], "id 1 is given twice"),
        ("", ["1:muk"], r"mask_categories: unknown category 'muk' \(did you mean 'mug'\?\)"),
        ("spoon", [], "parameter category: unknown category 'spoon'"),
    ],
)
def test_wrong_label_rules_name_the_entry(category, entries, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_label_rules(category, entries, default_categories())
