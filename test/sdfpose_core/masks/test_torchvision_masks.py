"""torchvision is optional: a fake stands in for its detector."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sdfpose_core.masks.errors import MaskBackendError
from sdfpose_core.masks.torchvision_masks import TorchvisionMasks

COCO = ["__background__", "person", "bottle", "cup", "bowl", "laptop", "wine glass"]
STATE = {"scale": torch.ones(1)}
COLOUR = np.zeros((30, 40, 3), dtype=np.uint8)


class FakeNetwork(torch.nn.Module):
    """Finds what it was told to, whatever it sees."""

    found: dict

    def __init__(self, **options):
        super().__init__()
        self.options = options
        self.scale = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        assert images[0].shape == (3, *COLOUR.shape[:2])
        assert images[0].dtype == torch.float32
        assert not self.training
        return [self.found]


TRAINED = SimpleNamespace(
    meta={"categories": COCO}, url="https://weights.example/maskrcnn-1a2b3c4d.pth"
)


@pytest.fixture
def detection(monkeypatch):
    """torchvision.models.detection."""
    made = []

    def make(**options):
        made.append(FakeNetwork(**options))
        return made[-1]

    module = SimpleNamespace(
        MaskRCNN_ResNet50_FPN_V2_Weights=SimpleNamespace(COCO_V1=TRAINED),
        maskrcnn_resnet50_fpn_v2=make,
        made=made,
    )
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", module)

    def download(url, **options):
        assert url == TRAINED.url
        assert options["check_hash"]
        assert options["weights_only"]
        return STATE

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", download)
    return module


def finds(monkeypatch, *items):
    """Let the network find instances of (COCO name, score, columns)."""
    masks = torch.zeros(len(items), 1, *COLOUR.shape[:2])
    for mask, (_, _, columns) in zip(masks, items, strict=True):
        mask[0, 5:25, columns] = 0.8
    found = {
        "labels": torch.tensor([COCO.index(name) for name, *_ in items], dtype=torch.int64),
        "scores": torch.tensor([score for _, score, _ in items]),
        "masks": masks,
    }
    monkeypatch.setattr(FakeNetwork, "found", found, raising=False)


def test_coco_names_become_categories(detection, monkeypatch):
    finds(
        monkeypatch,
        ("person", 0.99, slice(0, 40)),
        ("cup", 0.9, slice(0, 10)),
        ("bottle", 0.8, slice(5, 20)),
        ("laptop", 0.7, slice(25, 32)),
        ("bowl", 0.6, slice(33, 40)),
        ("wine glass", 0.6, slice(33, 40)),
    )
    result = TorchvisionMasks(threshold=0.3, device="cpu", min_pixels=1).segment(COLOUR)
    named = {x.category: i for i, x in result.labels.items()}
    assert set(named) == {"mug", "bottle", "laptop", "bowl"}
    assert (result.ids == named["mug"])[5:25, :10].all()
    assert (result.ids == named["bottle"]).sum() == 20 * 10
    assert result.labels[named["mug"]].score == pytest.approx(0.9)
    assert detection.made[0].options["box_score_thresh"] == 0.3
    assert detection.made[0].options["weights_backbone"] is None
    assert detection.made[0].scale.item() == 1.0


def test_an_image_without_instances_has_an_empty_mask(detection, monkeypatch):
    finds(monkeypatch)
    result = TorchvisionMasks(device="cpu").segment(COLOUR)
    assert not result.ids.any()
    assert not result.labels


def test_ids_stay_until_a_reset(detection, monkeypatch):
    finds(monkeypatch, ("cup", 0.9, slice(0, 10)))
    masks = TorchvisionMasks(device="cpu", min_pixels=1)
    first = set(masks.segment(COLOUR).labels)
    assert set(masks.segment(COLOUR).labels) == first
    masks.reset()
    assert set(masks.segment(COLOUR).labels) != first


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_can_be_a_file(detection, monkeypatch, tmp_path, suffix):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", pytest.fail)
    path = tmp_path / f"weights{suffix}"
    save_file(STATE, path) if suffix == ".safetensors" else torch.save(STATE, path)
    TorchvisionMasks(weights=path, device="cpu")
    assert detection.made[0].scale.item() == 1.0


class RunsCode:
    def __reduce__(self):
        return (pytest.fail, ("code of a weights file was run",))


@pytest.mark.parametrize("content", ["missing", "damaged", "code"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_files_that_cannot_be_read_are_named(detection, tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    if content == "damaged":
        path.write_bytes(b"no weights")
    elif content == "code":
        torch.save({"scale": RunsCode()}, path)
    with pytest.raises(MaskBackendError, match=f"weights{suffix}.*expected a readable file"):
        TorchvisionMasks(weights=path, device="cpu")


def test_weights_of_another_network_are_refused(detection, tmp_path):
    save_file({"other": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(MaskBackendError, match="weights of another network"):
        TorchvisionMasks(weights=tmp_path / "other.safetensors", device="cpu")


@pytest.mark.parametrize("fault", [URLError("no route"), RuntimeError("invalid hash value")])
def test_without_a_connection_it_says_where_weights_belong(detection, monkeypatch, tmp_path, fault):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(MaskBackendError) as caught:
        TorchvisionMasks(device="cpu")
    for part in (
        "maskrcnn-1a2b3c4d.pth",
        str(tmp_path / "checkpoints"),
        "parameter weights",
        fault.args[0],
    ):
        assert part in str(caught.value)


def test_without_torchvision_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.detection", None)
    with pytest.raises(MaskBackendError, match="pip install torchvision"):
        TorchvisionMasks()
