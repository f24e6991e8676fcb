import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sdfpose_core.errors import WeightsError
from sdfpose_core.weights import (
    SHIPPED,
    read_weights,
    weights_category,
    weights_file,
    write_weights,
)

SETTINGS = {"width": 3, "layers": 2}


def tensors():
    return {"w": torch.linspace(-1, 1, 12).view(3, 4).T, "count": torch.tensor([3, 4])}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights" / "decoder.safetensors"
    write_weights(path, "decoder", "mug", SETTINGS, tensors())
    return path


def test_what_is_written_is_read(path):
    settings, read = read_weights(path, "decoder")
    assert settings == SETTINGS
    assert torch.equal(read["w"], tensors()["w"])
    assert torch.equal(read["count"], tensors()["count"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o044 == 0o044


def test_half_precision_is_a_matter_of_the_file(tmp_path):
    path = tmp_path / "x.safetensors"
    write_weights(path, "encoder", "mug", SETTINGS, tensors(), dtype=torch.float16)
    assert safetensors.torch.load_file(path)["w"].dtype == torch.float16
    _, read = read_weights(path, "encoder")
    assert read["w"].dtype == torch.float32
    assert read["count"].dtype == torch.int64
    torch.testing.assert_close(read["w"], tensors()["w"], atol=1e-3, rtol=0)


def test_names_of_files(tmp_path):
    assert weights_file("mug", "decoder") == SHIPPED / "mug" / "decoder.safetensors"
    assert weights_file("mug", "encoder", tmp_path) == tmp_path / "mug" / "encoder.safetensors"
    assert weights_file("mug", "encoder", str(tmp_path)).parent == tmp_path / "mug"


def test_the_header_says_what_the_file_is(path):
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert header["format"] == "sdfpose/1"
    assert header["category"] == weights_category(path, "decoder") == "mug"
    assert json.loads(header["settings"]) == SETTINGS


def test_a_missing_file(tmp_path):
    with pytest.raises(
        WeightsError, match=r"mug\.decoder\.safetensors: no such weights file; expected the decoder"
    ):
        read_weights(tmp_path / "mug.decoder.safetensors", "decoder")
    with pytest.raises(WeightsError, match="no such weights file"):
        read_weights(tmp_path, "decoder")


@pytest.mark.parametrize("damage", ["empty", "truncated", "overwritten"])
def test_a_damaged_file(path, damage):
    content = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "truncated": content[:-8],
            "overwritten": b"\xff" * 16 + content[16:],
        }[damage]
    )
    with pytest.raises(
        WeightsError,
        match=r"decoder\.safetensors: damaged, not a readable safetensors file \(.*res",
    ):
        read_weights(path, "decoder")


def test_another_kind_of_network(path):
    with pytest.raises(WeightsError, match=r"contains 'sdfpose/1 decoder': expected 'sdfpose/1 e"):
        read_weights(path, "encoder")


def test_a_file_from_elsewhere(tmp_path):
    path = tmp_path / "mug.decoder.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(
        WeightsError, match="contains 'no format of no kind': expected 'sdfpose/1 d"
    ):
        read_weights(path, "decoder")


@pytest.mark.parametrize("settings", [None, "{"])
def test_a_header_without_settings(tmp_path, settings):
    path = tmp_path / "mug.decoder.safetensors"
    header = {"format": "sdfpose/1", "kind": "decoder"}
    if settings is not None:
        header["settings"] = settings
    safetensors.torch.save_file({"w": torch.zeros(2)}, path, metadata=header)
    with pytest.raises(WeightsError, match=r"safetensors: the header has no readable settings"):
        read_weights(path, "decoder")


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    write_bytes = Path.write_bytes

    def full_disk(file, content):
        write_bytes(file, content[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_weights(path, "decoder", "mug", {}, {})
    assert read_weights(path, "decoder")[0] == SETTINGS
    assert [p.name for p in path.parent.iterdir()] == [path.name]
