"""The script that trains the colour network."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
import yaml

from sdfpose_core.cues.efficientnet import ImageTrunk
from sdfpose_core.cues.network import ColourCues
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "train_colour.py"

TINY = {
    "files": 1,
    "views_per_file": 2,
    "models_per_file": 1,
    "clutter_files": 1,
    "clutter_views": 2,
    "validation_views": 2,
    "training": {"steps": 2, "batch": 2, "rivals": 3, "checkpoint_every": 1},
}


def published_tensors(stem):
    """Tensors of a file of EfficientNet-Lite0 with this first convolution."""
    layers = {
        "expand": "_expand_conv", "expand_norm": "_bn0", "spatial": "_depthwise_conv",
        "spatial_norm": "_bn1", "project": "_project_conv", "project_norm": "_bn2",
    }  # fmt: skip
    found = {}
    for name, value in ImageTrunk(1).stages.state_dict().items():
        first, *rest = name.split(".")
        if first == "blocks":
            rest[1] = layers[rest[1]]
        renamed = {"stem": "_conv_stem", "norm": "_bn0", "blocks": "_blocks"}[first]
        found[".".join([renamed, *rest])] = value
    return {**found, "_conv_stem.weight": stem}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs the script and returns the JSON lines that it prints, or its error."""
    config = tmp_path / "tiny.yaml"
    pool = ModelPool.procedural(dict.fromkeys(FAMILIES, range(1)))
    monkeypatch.setattr(ModelPool, "for_category", lambda *args, **options: pool)

    def run(*arguments, **settings):
        config.write_text(yaml.safe_dump({**TINY, **settings}))
        paths = ["--out", tmp_path / "weights", "--work", tmp_path / "work", "--config", config]
        command = [SCRIPT, *paths, "--device", "cpu", "--threads", "1", *arguments]
        monkeypatch.setattr(sys, "argv", [str(x) for x in command])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        output = capsys.readouterr()
        if ended.value.code != 0:
            return output.err
        return [json.loads(x) for x in output.out.splitlines() if x.startswith("{")]

    return run


def test_one_network_learns_all_categories(train, tmp_path):
    *figures, time = train()
    figures = [x for x in figures if x["category"] != "none"]
    assert [x["category"] for x in figures] == list(FAMILIES)
    assert all(0.0 <= x["end_up_accuracy"] <= 1.0 for x in figures)
    assert [x["category"] for x in figures if "front_accuracy" in x] == ["camera", "laptop", "mug"]
    assert time["minutes"] >= time["views_minutes"]
    network = ColourCues.load(tmp_path / "weights" / "colour.safetensors")
    assert network.config.categories == tuple(FAMILIES)
    assert network.config.symmetric == ("bottle", "bowl", "can")
    assert len(list((tmp_path / "work" / "colour").glob("*.npz"))) == 14
    *again, later = train()
    assert [x for x in again if x["category"] != "none"] == figures
    assert later == pytest.approx(time, abs=1.0)


def test_the_network_starts_from_pretrained_features(train, tmp_path):
    file = tmp_path / "efficientnet.pth"
    stem = ImageTrunk(1).stages.stem.weight.detach()
    torch.save(published_tensors(stem), file)
    train("--pretrained", file)
    file.unlink()
    network = ColourCues.load(tmp_path / "weights" / "colour.safetensors")
    assert float((network.trunk.stages.stem.weight - stem).abs().max()) < 0.01


def test_an_unusable_pretrained_file_is_named_before_any_work(train, tmp_path):
    assert str(tmp_path / "nowhere.pth") in train("--pretrained", tmp_path / "nowhere.pth")
    assert not (tmp_path / "work").exists()


def test_the_shipped_configuration_is_the_default(monkeypatch):
    spec = importlib.util.spec_from_file_location("train_colour", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_colour", script)
    spec.loader.exec_module(script)
    assert read_configuration(script.CONFIG, script.Settings) == script.Settings()


def test_a_folder_without_meshes_is_named(train, tmp_path):
    assert "--validate" in train("--validate", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no mesh of bottle" in train("--meshes", tmp_path / "empty")
