import sys

import pytest
import torch
from own_pack import own_pack

from sdfpose_core.cli.main import main
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.weights import MASKS_FILE

FILES = ["mug_decoder.onnx", "mug_decoder_jacobian.onnx", "mug_encoder.onnx"]


def names(folder):
    return sorted(x.name for x in folder.iterdir())


@pytest.fixture
def weights(tmp_path):
    """Decoders, without encoders, of categories that the package does not know."""
    for name in ("kettle", "vase"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            decoder = SdfDecoder(DecoderConfig(code_length=4, width=8, hidden_layers=2))
        own_pack(tmp_path / "weights", name, {"decoder": decoder})
    return tmp_path / "weights"


def error_of(capsys, *arguments):
    """The one line that a command ends with."""
    assert main(["export", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("sdfpose: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_shipped_category(tmp_path, capsys):
    out = tmp_path / "new" / "onnx"
    assert main(["export", str(out), "--category", "mug"]) == 0
    assert names(out) == FILES
    captured = capsys.readouterr()
    assert captured.err == ""
    rows = [x.replace("│", " ").split() for x in captured.out.splitlines() if ".onnx" in x]
    assert [x[0] for x in rows] == FILES
    for name, kib, deviation, allowed in rows:
        assert float(kib) == pytest.approx((out / name).stat().st_size / 1024, abs=0.5)
        assert 0.0 < float(deviation) <= float(allowed) <= 1e-3


def test_the_mask_network_is_exported_with_all_categories(tmp_path, weights, capsys, monkeypatch):
    network = MaskNetwork(MaskNetworkConfig(widths=(4, 6), blocks=(1, 1), free=1))
    network.save(weights / MASKS_FILE, "any")
    monkeypatch.setattr("sdfpose_core.packs.collection.SHIPPED", weights)
    out = tmp_path / "out"
    assert main(["export", str(out), "--encoder", "none"]) == 0
    assert names(out) == [
        "kettle_decoder.onnx",
        "kettle_decoder_jacobian.onnx",
        "masks.onnx",
        "vase_decoder.onnx",
        "vase_decoder_jacobian.onnx",
    ]
    assert "masks.onnx" in capsys.readouterr().out


def test_one_category_of_a_folder_without_encoders(tmp_path, weights, capsys):
    out = tmp_path / "out"
    assert main(["export", str(out), "--weights", str(weights), "--category", "vase"]) == 0
    assert "vase: has no encoder; only the decoder is exported" in capsys.readouterr().err
    assert names(out) == ["vase_decoder.onnx", "vase_decoder_jacobian.onnx"]


def test_a_folder_without_weights(tmp_path, capsys):
    said = error_of(capsys, tmp_path / "out", "--weights", tmp_path)
    assert f"{tmp_path}: no pack found: expected a folder with category.yaml" in said


def test_an_opset_that_is_not_there(tmp_path, capsys):
    said = error_of(capsys, tmp_path / "out", "--category", "mug", "--opset", 99)
    assert "opset 99: expected 14 to 20" in said


def test_a_folder_that_cannot_be_made(tmp_path, weights, capsys):
    file = tmp_path / "file"
    file.write_text("")
    said = error_of(capsys, file / "out", "--weights", weights, "--encoder", "none")
    assert f"{file / 'out'}: cannot be written" in said


def test_the_extra_is_not_installed(tmp_path, weights, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = error_of(capsys, tmp_path / "out", "--weights", weights, "--encoder", "none")
    assert said.endswith("pip install onnx onnxruntime\n")
