"""The script that trains encoders, with the encoder `ssc6d`."""

import importlib.util
import json
import runpy
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml
from own_pack import own_pack

from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.views import Views
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.training import load_codes
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "pretrain.py"
NETWORK = {"points": 32, "image_size": 24, "width": 8}
TINY = {
    "shapes": 2,
    "validation_views": 4,
    "training": {
        "steps": 3,
        "batch": 2,
        "model_points": 16,
        "round_views": 4,
        "checkpoint_every": 2,
        "encoder": NETWORK,
    },
}

FAST = {
    "shapes": 2,
    "views": 4,
    "validation_views": 3,
    "training": {
        "steps": 3,
        "batch": 2,
        "checkpoint_every": 2,
        "encoder": {
            "points": 32,
            "patches": 4,
            "patch_points": 4,
            "width": 16,
            "layers": 1,
            "heads": 2,
        },
    },
}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs the script and returns the JSON that it prints, or its error."""
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY))
    decoder = SdfDecoder(DecoderConfig(code_length=5, width=16, hidden_layers=2))
    own_pack(tmp_path / "weights", "can", {"decoder": decoder}, like="can")
    pool = ModelPool.for_category
    monkeypatch.setattr(
        ModelPool, "for_category", lambda name, seeds: pool(name, seeds[:2], distractors=1)
    )

    def run(*arguments):
        paths = ["--weights", tmp_path / "weights", "--work", tmp_path / "work"]
        command = [SCRIPT, "can", *paths, *arguments, "--device", "cpu", "--threads", "1"]
        monkeypatch.setattr(sys, "argv", [str(x) for x in command])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        if ended.value.code != 0:
            return capsys.readouterr().err
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return partial(run, "--config", config)


def test_ssc6d(train, tmp_path):
    reached = train("--encoder", "ssc6d")
    assert reached["category"] == "can"
    assert reached["distance_cm"] > 0.0
    path = tmp_path / "weights" / "can" / "encoder.safetensors"
    assert Ssc6dEncoder.load(path).config == Ssc6dConfig(code_length=5, **NETWORK)
    assert (tmp_path / "work" / "can.ssc6d.ckpt").is_file()
    (codes,) = (tmp_path / "work").glob("can.*.codes.safetensors")
    assert load_codes(codes).shape == (2, 5)


def test_fast(train, tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(FAST))
    reached = train("--encoder", "fast")
    assert reached["trans_cm"] > 0.0
    path = tmp_path / "weights" / "can" / "encoder.safetensors"
    assert FastEncoder.load(path).config.code_length == 5
    assert len(Views.load(tmp_path / "work" / "can.views.npz")) == 4
    assert len(Views.load(tmp_path / "work" / "can.validation.npz")) == 3
    assert train("--encoder", "fast")["trans_cm"] == reached["trans_cm"]


def test_speed_is_measured_without_training(train, tmp_path):
    figures = train("--encoder", "ssc6d", "--profile", "1")
    assert figures["workers"] == 0
    assert figures["loader_views_per_s"] > 0.0
    assert figures["steps_per_s"] > 0.0
    assert 0.0 <= figures["waiting_share"] <= 1.0
    assert not (tmp_path / "weights" / "can" / "encoder.safetensors").exists()
    assert "--profile: only for --encoder ssc6d" in train("--profile", "1")


def test_the_other_encoders_weights_are_left_alone(train, tmp_path):
    path = tmp_path / "weights" / "can" / "encoder.safetensors"
    pack = Pack.read(path.parent)
    encoder = FastEncoder(FastEncoderConfig(width=16, heads=2, layers=1), 0.2)
    write_pack(pack.folder, pack.category, {"encoder": encoder}, pack)
    content = path.read_bytes()
    assert "contains another encoder than 'ssc6d'" in train("--encoder", "ssc6d")
    assert path.read_bytes() == content


def test_the_shipped_configurations_are_the_defaults(monkeypatch):
    spec = importlib.util.spec_from_file_location("pretrain", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pretrain", script)
    spec.loader.exec_module(script)
    for encoder, settings in (("fast", script.Settings), ("ssc6d", script.Ssc6dSettings)):
        read = read_configuration(script.DEFAULT_CONFIGS[encoder], settings)
        default = settings()
        assert replace(read, training=default.training) == default
        every = replace(read.training, checkpoint_every=default.training.checkpoint_every)
        assert every == default.training
