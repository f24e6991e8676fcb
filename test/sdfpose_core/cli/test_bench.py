"""The command `sdfpose bench`."""

import json

import pytest
import trimesh

from sdfpose_core.cli.main import main

TIMES = {"dense_64": 900.0, "fast_64": 50.0, "fast_128": 150.0, "paper_dense_64": 6000.0}
FIGURES = {
    "n",
    "chamfer_mean",
    "chamfer_median",
    "chamfer_view_median",
    "fscore",
    "normal_consistency",
    "volume_iou",
}


@pytest.fixture(autouse=True)
def no_timing(monkeypatch):
    monkeypatch.setattr("sdfpose_core.cli.bench_shapes.time_meshes", lambda decoders: TIMES)


@pytest.fixture
def data(tmp_path):
    can = tmp_path / "data" / "meshes" / "can"
    can.mkdir(parents=True)
    solid = trimesh.creation.cylinder(0.033, 0.12, sections=48)
    solid.apply_transform(trimesh.transformations.rotation_matrix(1.5707963, [1, 0, 0]))
    solid.export(can / "plain.obj")
    (can / "points.obj").write_text("v 0 0 0\nv 1 0 0\n")
    solid.apply_scale(1000.0).export(can / "millimetres.obj")
    return tmp_path / "data"


def test_shapes(tmp_path, data, capsys):
    out = tmp_path / "new" / "bench.json"
    command = ["bench", "shapes", "--data", str(data), "--json", str(out), "--threads", "1"]
    assert main([*command, "--category", "can", "--count", "1"]) == 0
    document = json.loads(out.read_text())
    assert document["mesh_ms"] == TIMES
    can = document["per_category"]["can"]
    assert set(can["procedural"]) == FIGURES
    assert set(can["meshes"]) == FIGURES | {"per_mesh"}
    assert can["procedural"]["n"] == 1
    assert can["meshes"]["n"] == 1
    plain = can["meshes"]["per_mesh"]["plain"]
    assert plain["chamfer"] == can["meshes"]["chamfer_median"] < 0.01
    assert plain["volume_iou"] > 0.9
    assert can["meshes"]["chamfer_view_median"] < 0.03
    assert 0.0 < can["grad_norm_err"] < 0.08
    assert 0.0 < can["weights_mib"] < 2.0
    assert document["mean"]["procedural"] == can["procedural"]
    output = capsys.readouterr()
    assert "120 times as long" in output.out
    assert "points.obj: has no faces" in output.err
    assert "millimetres.obj: the bounding-box diagonal is 152 m" in output.err


def test_a_category_of_useless_meshes_alone(tmp_path, data, capsys):
    (data / "meshes" / "can" / "plain.obj").unlink()
    out = tmp_path / "bench.json"
    command = ["bench", "shapes", "--data", str(data), "--json", str(out), "--threads", "1"]
    assert main([*command, "--category", "can", "--count", "1"]) == 0
    assert "meshes" not in json.loads(out.read_text())["per_category"]["can"]
    assert "skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--category", "mugg"], "did you mean 'mug'"),
        (["--count", "0"], "argument --count: '0'"),
        (
            ["--data", "/nowhere"],
            "--data /nowhere: No such file or directory: expected a folder with",
        ),
        (["--weights", "/nowhere"], "/nowhere: No such file or directory"),
        (["--device", "gpu"], "device 'gpu' is unknown"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    assert main(["bench", "shapes", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_meshes(tmp_path, capsys):
    assert main(["bench", "shapes", "--data", str(tmp_path), "--category", "can"]) == 2
    assert "no mesh of can: expected files such as" in capsys.readouterr().err
