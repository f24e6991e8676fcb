"""The pose node with packs beside those of the package."""

from __future__ import annotations

import pytest
from own_pack import own_pack

from sdfpose_core.errors import CategoryError, ConfigurationError, PackError
from sdfpose_ros.pose.pose_node import PoseNode


def start(graph, fakes, *parameters):
    graph.start(*(part for x in parameters for part in ("-p", x)))
    return PoseNode(lambda *_: fakes.StubTracker(), context=graph.context)


def test_labels_may_name_categories_of_packs(graph, fakes, tmp_path):
    pack = own_pack(tmp_path)
    node = start(graph, fakes, f"weights_dirs:=['{pack}']", "category:=kettle")
    assert node.node_state == "active"
    node.destroy_node()


def test_without_its_pack_a_category_is_unknown(graph, fakes):
    with pytest.raises((CategoryError, ConfigurationError), match="unknown category 'kettle'"):
        start(graph, fakes, "category:=kettle")


def test_packs_that_cannot_be_used_end_the_start(graph, fakes, tmp_path):
    with pytest.raises(PackError, match=f"{tmp_path}: no pack found"):
        start(graph, fakes, f"weights_dirs:=['{tmp_path}']")


def test_the_former_parameter_is_not_ignored(graph, fakes, tmp_path):
    with pytest.raises(ConfigurationError, match=r"weights_dirs: .*weights_dir.*string_array"):
        start(graph, fakes, f"weights_dir:={tmp_path}")
