"""`sdfpose learn --scan`: from a recording to a mesh that can be learned from."""

import numpy as np
import pytest
from simulated_scans import scan_frames

from sdfpose_core.cli.main import main
from sdfpose_core.datasets.folder_writing import write_frame
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.mesh_files import read_mesh


@pytest.fixture(scope="module")
def model():
    return sample_model("mug", 5)


@pytest.fixture(scope="module")
def recording(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "blue mug"
    for i, x in enumerate(scan_frames(model, 8, width=320)):
        write_frame(folder / f"{i:02d}", x)
    return folder


def learn(tmp_path, *arguments):
    return main(["learn", "jug", "--out", str(tmp_path / "pack"), "--align-only", *arguments])


def test_a_recording_becomes_a_model(recording, model, tmp_path, capsys):
    assert learn(tmp_path, "--scan", str(recording)) == 0
    printed = capsys.readouterr().out
    scans = tmp_path / "pack.work" / "scans"
    assert f"look at {scans / 'blue_mug.png'}" in printed
    assert "measured camera poses of 8 images" in printed
    assert "used blue_mug" in printed
    assert (tmp_path / "pack.work" / "alignment.png").is_file()
    assert (scans / "blue_mug.png").is_file()
    vertices, _ = read_mesh(scans / "blue_mug.ply")
    np.testing.assert_allclose(np.ptp(vertices[:, 1]), model.dimensions_m[1], atol=0.005)

    before = (scans / "blue_mug.ply").stat().st_mtime_ns
    assert learn(tmp_path, "--scan", str(recording)) == 0
    assert "measured camera poses of 8 images" in capsys.readouterr().out
    assert (scans / "blue_mug.ply").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to learn from: give --meshes, --scan, or both"),
        (("--meshes", ".", "--masks", "network"), "--masks has no effect without recordings"),
        (("--meshes", ".", "--world", "base"), "--world has no effect without recordings"),
        (("--scan", "a/mug.mcap", "b/mug"), "has the same name as"),
        (("--scan", "missing"), "missing: cannot be read"),
    ],
)
def test_bad_input(arguments, message, tmp_path, capsys):
    assert learn(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "pack").exists()
