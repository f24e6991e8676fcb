"""The script that trains the recognition network."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from sdfpose_core.recognition.network import RecognitionNetwork
from sdfpose_core.shapes.families import FAMILIES
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "train_recognition.py"

TINY = {
    "true_masks": 1,
    "network_masks": 1,
    "empty": 0,
    "views_per_file": 2,
    "models_per_file": 1,
    "validation_views": 1,
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
    *figures, time = train()
    assert [x["validation"] for x in figures] == ["true_masks", "network_masks", "empty"]
    assert set(figures[2]) == {"validation", "none_taken"}
    assert time["minutes"] >= time["views_minutes"]
    network = RecognitionNetwork.load(tmp_path / "weights" / "recognition.safetensors")
    assert network.config.categories == tuple(FAMILIES)
    assert len(list((tmp_path / "work" / "recognition").glob("*.npz"))) == 5
    assert train() == [*figures, pytest.approx(time, abs=1.0)]
    other = {**TINY["training"], "learning_rate": 0.1}
    assert "recognition.ckpt: is of other settings: delete it" in train(training=other)


def test_a_wrong_key_is_named(train):
    assert "unknown key 'hole' (did you mean 'holes'?)" in train(
        training={"augmentation": {"hole": 0.1}}
    )


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("train_recognition", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "train_recognition", module)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_configuration_is_the_default(script):
    assert read_configuration(script.CONFIG, script.Settings) == script.Settings()


def test_no_two_files_share_models_or_scenes(script, tmp_path):
    settings = script.Settings()
    files = script.training_files(settings, tmp_path, tmp_path / "masks.safetensors")
    files += script.validation_files(settings, tmp_path, tmp_path / "masks.safetensors").values()
    trained, held_out = files[:-3], files[-3:]
    assert len(trained) == settings.true_masks + settings.network_masks + settings.empty
    assert len({x.path for x in files}) == len({x.seed for x in files}) == len(files)
    seeds = [i for x in trained for i in x.model_seeds]
    assert len(set(seeds)) == len(seeds)
    assert not set(seeds) & {i for x in held_out for i in x.model_seeds}
    assert sum(x.network for x in trained) == settings.network_masks + settings.empty
