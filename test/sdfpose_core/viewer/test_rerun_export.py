"""Files for Rerun, which are read back with its own reader."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import replace

import cv2
import numpy as np
import pytest
from simple_estimates import make_alternative, make_estimate

from sdfpose_core.categories import default_categories
from sdfpose_core.cli.arguments import view as command
from sdfpose_core.datasets.folder_writing import write_frame
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.viewer.packages import ViewerError
from sdfpose_core.viewer.rerun_export import export_rerun
from sdfpose_core.viewer.scene import covariance_ellipsoid
from sdfpose_core.viewer.views import FrameView, ObjectView

CATEGORIES = default_categories()
CAMERA = PinholeCamera(64, 48, 60.0, 61.0, 31.5, 23.5)
COUNT = 6

with_rerun = pytest.mark.skipif(
    importlib.util.find_spec("rerun") is None,
    reason="rerun-sdk is not installed: pip install 'sdfpose[rerun]'",
)


def make_frame(number):
    size = CAMERA.height, CAMERA.width
    depth = np.full(size, 0.8, np.float32)
    depth[0] = 0.0
    colour = np.full((*size, 3), 20 * number, np.uint8)
    return RgbdFrame(colour, depth, np.zeros(size, np.uint16), CAMERA)


def make_object(number, object_id=5):
    """A mug that moves by a centimetre; a new surface with every third image."""
    estimate = replace(
        make_estimate(at=(0.01 * number, 0.0, 0.8), side=0.1),
        covariance=np.diag([4e-6, 1e-6, 9e-6, 0.0, 0.0, 0.0]),
        alternatives=(make_alternative(),),
    )
    return ObjectView(object_id, estimate, "tracked", revision=1 + number // 3)


class Images:
    """A recording whose last image has no object."""

    times_s = tuple(0.5 * i for i in range(COUNT))

    def view(self, number):
        objects = [make_object(number)] if number < COUNT - 1 else []
        return FrameView(f"image {number}", objects, make_frame(number), None, 0.1 * number)

    def close(self):
        pass


def read_back(path):
    """The rows of a file by entity and component: pairs of image number, None if it is static."""
    from rerun.chunk import RrdReader

    rows = {}
    for chunk in RrdReader(str(path)).stream():
        batch = chunk.to_record_batch()
        table = {x.name: batch[x.name] for x in batch.schema if x.name != "time"}
        if "time" in batch.schema.names:
            table["time"] = batch["time"].cast("int64")  # nanoseconds
        numbers = table["image"].to_pylist() if "image" in table else [None] * chunk.num_rows
        for name, values in ((name, x.to_pylist()) for name, x in table.items()):
            pairs = [(n, x) for n, x in zip(numbers, values, strict=True) if x is not None]
            rows.setdefault((chunk.entity_path, name.rpartition(":")[2]), []).extend(pairs)
    return {
        key: sorted(pairs, key=lambda x: -1 if x[0] is None else x[0])
        for key, pairs in rows.items()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install 'sdfpose[rerun]'")
    path = tmp_path_factory.mktemp("rerun") / "run.rrd"
    assert export_rerun(Images(), path, CATEGORIES) == COUNT
    return read_back(path)


def numbers(written, entity, component):
    return [number for number, _ in written[entity, component]]


def test_images_are_written_with_their_times_and_intrinsics(written):
    every = list(range(COUNT))
    assert numbers(written, "/scene/camera/colour", "blob") == every
    assert numbers(written, "/scene/camera/depth", "blob") == every
    assert numbers(written, "/scene/camera", "image_from_camera") == [0], "they do not change"
    matrix = np.reshape(written["/scene/camera", "image_from_camera"][0][1], (3, 3)).T
    assert np.allclose(matrix, CAMERA.matrix)
    times_ns = [x for _, x in written["/scene/camera/colour", "time"]]
    assert np.allclose(np.multiply(1e-9, times_ns), Images.times_s)
    (blob,) = written["/scene/camera/depth", "blob"][0][1]
    depth = cv2.imdecode(np.array(blob, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (depth[1:] == 800).all()
    assert (depth[0] == 0).all()
    assert written["/scene/camera/depth", "meter"][0][1] == [1000.0]
    (blob,) = written["/scene/camera/colour", "blob"][3][1]
    colour = cv2.imdecode(np.array(blob, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(colour.astype(int) - 60).max() < 3


def test_objects_have_pose_box_axes_surface_and_ellipsoid(written):
    seen = list(range(COUNT - 1))
    name = "/scene/objects/5"
    places = [x[0] for _, x in written[name, "translation"]]
    assert np.allclose(places, [(0.01 * i, 0.0, 0.8) for i in seen])
    estimate = make_object(0).estimate
    rotation = np.reshape(written[name, "mat3x3"][0][1], (3, 3)).T
    assert np.allclose(rotation, estimate.rotation, atol=1e-6)
    assert numbers(written, name, "axis_length") == seen
    assert np.allclose(written[f"{name}/box", "half_sizes"][0][1], 0.05)
    assert written[f"{name}/box", "labels"][0][1] == ["mug 5  87 %"]
    assert numbers(written, f"{name}/surface", "vertex_positions") == [0, 3], "once a revision"
    _, vertices = written[f"{name}/surface", "vertex_positions"][0]
    assert np.allclose(vertices, estimate.vertices)
    radii = written[f"{name}/uncertainty", "half_sizes"][0][1][0]
    assert np.allclose(radii, covariance_ellipsoid(estimate.covariance).radii_m)
    assert numbers(written, "/scene/alternatives/5", "labels") == seen
    assert written["/scene/alternatives/5", "labels"][0][1] == ["or bowl 25 %"]


def test_what_is_gone_is_cleared_and_the_plots_go_on(written):
    assert numbers(written, "/scene/objects/5", "is_recursive") == [COUNT - 1]
    assert numbers(written, "/scene/alternatives/5", "is_recursive") == [COUNT - 1]
    assert numbers(written, "/plots/confidence/5", "scalars") == list(range(COUNT - 1))
    latencies = [x[0] for _, x in written["/plots/latency_ms", "scalars"]]
    assert np.allclose(latencies, [100.0 * i for i in range(COUNT)])


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return command.run(parser.parse_args(["view", *map(str, arguments)]))


@with_rerun
def test_the_command_writes_a_file_without_a_viewer(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sdfpose_core.cli.viewing.require_viser", lambda: pytest.fail("opened"))
    write_frame(tmp_path / "frames" / "0", make_frame(1), [])
    assert run(tmp_path / "frames", "--rrd", tmp_path / "run.rrd") == 0
    assert "1 image; show it with 'rerun" in capsys.readouterr().out
    assert numbers(read_back(tmp_path / "run.rrd"), "/scene/camera/colour", "blob") == [0]


def test_without_rerun_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    write_frame(tmp_path / "frames" / "0", make_frame(1), [])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ViewerError, match=r"need the package rerun-sdk.*pip install \"rerun-sdk"):
        run(tmp_path / "frames", "--rrd", tmp_path / "run.rrd")
    assert not (tmp_path / "run.rrd").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rrd", "run.mcap"), r"expected a name that ends in \.rrd"),
        (("--rrd", "run.rrd", "--port", "8080"), "have no effect with --rrd"),
        (("--rrd", "run.rrd", "--play"), "have no effect with --rrd"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path, *arguments)
