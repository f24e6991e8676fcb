from __future__ import annotations

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.graph.arguments import parameter_arguments
from sdfpose_ros.graph.topics import input_remaps, result_remaps

TEXTS = (
    "/data/run #3/what?/a%20b",
    'it\'s "quoted"',
    "back\\slash\\U0001",
    "a: b, [c] {d} & *e !f |g >h @i `j",
    "- list",
    "  blank  ",
    "12",
    "1.5",
    "true",
    "null",
    "~",
    "",
    "$(find pkg) ${HOME}",
    "x:=y",
    "Größe-箱-📦",
    "two\nlines\tand\x7f\x85\u2028",
)


@pytest.fixture
def read():
    """Gives the values of parameters that a node gets."""
    context = Context()

    def read(**values):
        rclpy.init(args=["--ros-args", *parameter_arguments(**values)], context=context)
        node = Node("reader", context=context, start_parameter_services=False)
        found = {k: node.declare_parameter(k, v).value for k, v in values.items()}
        node.destroy_node()
        return found

    yield read
    context.try_shutdown()


def test_values_arrive_as_they_are(read):
    texts = {f"text_{i}": x for i, x in enumerate(TEXTS)}
    numbers = {"whole": 3, "half": 0.5, "tiny": 1e-7, "large": 1e20, "two": 2.0, "yes": True}
    assert read(**texts, **numbers, all=list(TEXTS)) == {**texts, **numbers, "all": list(TEXTS)}


def test_an_empty_list_is_skipped():
    assert parameter_arguments(topics=[], bag="") == ["-p", 'bag:=""']


def test_a_name_that_is_no_text_is_refused():
    with pytest.raises(ConfigurationError, match="is not valid UTF-8"):
        parameter_arguments(bag="caf\udce9")


@pytest.mark.parametrize("name", ["/camera", "camera/", "/a/b_2", "~/x", "/", ""])
def test_names_become_topics(name):
    assert input_remaps(name)[:2] == ["-r", f"~/colour:={name.rstrip('/')}/colour"]


@pytest.mark.parametrize("name", ["my camera", "/2nd", "/a//b", "/a:=/b", "/a#b", "/größe", "a.b"])
def test_what_is_no_name_is_refused(name):
    for remaps in (input_remaps, result_remaps):
        with pytest.raises(ConfigurationError, match="is no name of a node or namespace"):
            remaps(name)
