"""The script that trains the recognition network."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
import yaml

from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.recognition.network import RecognitionNetwork
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import MASKS_FILE

SCRIPT = Path(__file__).parents[2] / "training" / "train_recognition.py"

CONFIGS = SCRIPT.parents[1] / "config" / "training"
CONFIG_NAMES = "masks.yaml", "recognition.yaml"

TINY = {
    "views": {"files": 1, "views_per_file": 2, "models_per_file": 1, "held_out": 1},
    "widths": [6, 8],
    "training": {"steps": 2, "batch": 2, "checkpoint_every": 1},
}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs the script and returns the JSON lines that it prints, or its error."""
    config = tmp_path / "tiny.yaml"

    def run(**settings):
        config.write_text(yaml.safe_dump({**TINY, **settings}))
        paths = ["--out", tmp_path / "weights", "--work", tmp_path / "work", "--config", config]
        command = [SCRIPT, *paths, "--device", "cpu", "--threads", "1"]
        monkeypatch.setattr(sys, "argv", [str(x) for x in command])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        output = capsys.readouterr()
        if ended.value.code != 0:
            return output.err
        return [json.loads(x) for x in output.out.splitlines() if x.startswith("{")]

    return run


def test_the_network_is_trained_and_judged(train, tmp_path):
    figures, time = train()
    # The only held-out image has the true masks.
    assert figures["validation"] == "true masks with errors"
    assert time["minutes"] >= time["views_minutes"]
    network = RecognitionNetwork.load(tmp_path / "weights" / "recognition.safetensors")
    assert network.config.categories == tuple(FAMILIES)
    assert network.config.widths == (6, 8)
    (crops,) = (tmp_path / "work").glob("recognition.????????")
    for folder in (tmp_path / "work" / "masks", crops):
        names = sorted(x.name for x in folder.iterdir())
        assert names == ["000.npy", "held_out.npy"]
    assert train() == [figures, pytest.approx(time, abs=1.0)]
    other = {**TINY["training"], "learning_rate": 0.1}
    assert "recognition.ckpt: is of other settings: delete it" in train(training=other)


def test_a_wrong_key_is_named(train):
    assert "unknown key 'hole' (did you mean 'holes'?)" in train(
        training={"augmentation": {"hole": 0.1}}
    )


def test_the_shipped_configuration_is_the_default(monkeypatch):
    spec = importlib.util.spec_from_file_location("train_recognition", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_recognition", script)
    spec.loader.exec_module(script)
    assert read_configuration(script.CONFIG, script.Settings) == script.Settings()


def test_both_trainings_use_the_same_views():
    views = [yaml.safe_load((CONFIGS / x).read_text())["views"] for x in CONFIG_NAMES]
    assert views[0] == views[1]


def test_crops_of_masks_of_other_weights_are_not_used(train, tmp_path):
    train()
    torch.manual_seed(1)
    MaskNetwork(MaskNetworkConfig((4, 6), (1, 1))).save(tmp_path / "weights" / MASKS_FILE, "any")
    (tmp_path / "work" / "recognition.ckpt").unlink()
    train()
    assert len([*(tmp_path / "work").glob("recognition.????????")]) == 2
