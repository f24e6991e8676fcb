"""The script that trains the mask network."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "train_masks.py"

TINY = {
    "views": {"files": 2, "views_per_file": 1, "models_per_file": 1, "held_out": 1},
    "network": {"widths": [4, 6], "blocks": [1, 1], "free": 1},
    "stages": [
        {"steps": 2, "batch": 2, "checkpoint_every": 1, "losses": {"pixels": 64}},
        {"steps": 1, "batch": 1, "checkpoint_every": 1, "losses": {"pixels": 64, "background": 64}},
    ],
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
    assert figures["validation"] == "held-out models"
    assert 0.0 <= figures["iou75"] <= figures["iou50"] <= 1.0
    assert time["minutes"] >= time["views_minutes"]
    network = MaskNetwork.load(tmp_path / "weights" / "masks.safetensors")
    assert network.config.widths == (4, 6)
    assert len(list((tmp_path / "work" / "masks").glob("*.npy"))) == 3
    assert train() == [figures, pytest.approx(time, abs=1.0)]
    first, second = TINY["stages"]
    assert "is of other settings: delete it" in train(stages=[first, {**second, "seed": 5}])
    (tmp_path / "work" / "masks.1.ckpt").unlink()
    assert "masks.2.ckpt: is of other settings" in train(stages=[{**first, "seed": 5}, second])
    assert "stages is empty: expected at least one training" in train(stages=[])


def test_a_wrong_key_is_named(train):
    assert "unknown key 'widht' (did you mean 'widths'?)" in train(network={"widht": [4, 6]})


def test_the_shipped_configuration_is_the_default(monkeypatch):
    spec = importlib.util.spec_from_file_location("train_masks", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_masks", script)
    spec.loader.exec_module(script)
    assert read_configuration(script.CONFIG, script.Settings) == script.Settings()
