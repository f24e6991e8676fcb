"""`sdfpose detect`: a client of a real node."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from pose_bench import Bench

from sdfpose_core.cli.main import main
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.shapes.mesh_files import read_mesh
from sdfpose_ros.live.look import LookOptions, look, region_of
from sdfpose_ros.live.session import LiveError


@pytest.fixture
def bench(fakes, graph, wait_until):
    return Bench(fakes, graph, wait_until)


@pytest.fixture
def images(bench, fakes):
    """Images of two objects, as long as a test runs."""
    over = threading.Event()

    def send():
        while not over.wait(0.05):
            bench.send(fakes.make_frame())

    thread = threading.Thread(target=send)
    thread.start()
    yield
    over.set()
    thread.join()


def options(**changes):
    values = {
        "node": "/sdfpose", "camera": "/camera", "masks": None, "categories": (),
        "min_confidence": 0.0, "region": None, "views": 2, "timeout_s": 5.0, "meshes": None,
    }  # fmt: skip
    return LookOptions(**(values | changes))


def test_a_running_node_is_asked(images, tmp_path):
    found = look(options(meshes=tmp_path / "meshes"), tmp_path)
    assert found["frame_id"] == "optical"
    assert found["views"] >= 2
    (one,) = found["objects"]
    assert np.shape(one["R"]) == (3, 3)
    assert np.shape(one["covariance"]) == (6, 6)
    vertices, _ = read_mesh(Path(one["mesh"]))
    assert len(vertices)


def test_the_command_prints_and_its_status_tells_whether_there_is_an_object(images, capsys):
    assert main(["detect", "--node", "/sdfpose", "--min-confidence", "0", "--json", "-"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["objects"]
    assert "cm in optical" in output.err
    assert main(["detect", "--node", "/sdfpose", "--category", "laptop"]) == 1
    assert "not wanted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"masks": "network"}, ConfigurationError, "--masks has no effect on a running node"),
        ({"categories": ("kettle",)}, LiveError, "kettle: expected some of"),
        ({"timeout_s": 0.2}, LiveError, "no image was processed within 0.2 s"),
    ],
)
def test_what_fails_is_told(bench, tmp_path, changes, error, told):
    with pytest.raises(error, match=told):
        look(options(**changes), tmp_path)


def test_a_node_that_is_not_there_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("sdfpose_ros.live.look._FIND_S", 0.5)
    with pytest.raises(LiveError, match="there is no pose node /nobody"):
        look(options(node="/nobody"), tmp_path)


def test_a_region_is_a_frame_and_six_numbers():
    assert region_of(["base", *"123456"]) == ("base", [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    with pytest.raises(ConfigurationError, match="six coordinates in metres"):
        region_of(["base", *"12345x"])
