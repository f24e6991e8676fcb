"""The benchmark of the node, on a graph of its own."""

from __future__ import annotations

import dataclasses

import pytest

from sdfpose_core.errors import ConfigurationError
from sdfpose_ros.evaluation.node_benchmark import (
    BenchmarkError,
    NodeBenchmark,
    account,
    benchmark_node,
)

SMALL = NodeBenchmark(
    log_dir=None, objects=1, rate_hz=5.0, seconds=2.0, warm_up_s=1.0, width=320,
    node_arguments=("-p", "threads:=1"),
)  # fmt: skip


def test_every_frame_of_a_small_graph_is_accounted_for(tmp_path):
    told: list[str] = []
    found = benchmark_node(dataclasses.replace(SMALL, log_dir=tmp_path, load=1), told.append)
    assert found["objects"] == 1
    assert found["load"] == 1
    assert 0.0 < found["first_result_s"] < 60.0
    assert found["input_hz"] == pytest.approx(5.0, abs=1.5)
    assert 0.0 < found["output_hz"] <= found["input_hz"] + 0.5
    assert 0.0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]
    assert found["cpu_percent"] > 0.0
    assert found["rss_mib"] > 50.0
    assert found["processed"] > 0
    assert found["unaccounted"] == 0
    assert found["lost"] >= 0  # best effort on a busy machine
    assert len(told) == 2


def test_the_node_makes_the_masks_of_a_camera_without_a_detector(tmp_path):
    """The camera waits for nobody who reads its masks: it has none."""
    options = dataclasses.replace(SMALL, log_dir=tmp_path, masks="tabletop")
    found = benchmark_node(options, lambda line: None)
    assert found["masks"] == "tabletop"
    assert found["processed"] > 0
    assert found["unaccounted"] == 0


def test_frames_that_were_lost_are_told_from_those_without_an_account():
    health = {
        "device": "cpu",
        "messages received on /camera/colour": "97",
        "messages unmatched on /camera/colour": "3",
        "messages queued on /camera/colour": "1",
        "frames processed": "80",
        "frames failed": "1",
        "frames dropped": "6",
        "frames ignored": "2",
        "frames rejected": "1",
        "frames waiting for camera info": "1",
    }
    assert account(100, health) == {"processed": 80, "dropped": 15, "lost": 3, "unaccounted": 2}


def test_a_node_that_cannot_start_ends_the_benchmark_with_its_words(tmp_path):
    options = dataclasses.replace(SMALL, log_dir=tmp_path, node_arguments=("-p", "device:=warp"))
    with pytest.raises(BenchmarkError, match=r"(?s)'node' ended with status 1.*warp"):
        benchmark_node(options, lambda line: None)


@pytest.mark.parametrize("objects", [0, 7])
def test_more_objects_than_the_table_has_are_refused(tmp_path, objects):
    options = dataclasses.replace(SMALL, log_dir=tmp_path, objects=objects)
    with pytest.raises(ConfigurationError, match=f"{objects} objects: expected 1 to 6"):
        benchmark_node(options, lambda line: None)
