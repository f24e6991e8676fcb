"""The script that trains a decoder: a family, and a category of one's own from a folder."""

import importlib.util
import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from own_pack import copied_pack
from safetensors.torch import load_file

from sdfpose_core.cli.main import main
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.sdf.loading import load_decoder
from sdfpose_core.sdf.training import codes_file, load_model_codes
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "train_decoder.py"
TINY = {
    "shapes": 4,
    "validation_shapes": 2,
    "samples": {"surface": 600, "uniform": 200, "boundary": 200},
    "training": {
        "steps": 100,
        "shapes_per_step": 4,
        "points_per_shape": 64,
        "gradient_points": 16,
        "checkpoint_every": 50,
        "validate_every": 50,
        "decoder": {"code_length": 4, "width": 32, "hidden_layers": 3},
    },
}
DEEPSDF = TINY | {
    "training": {
        "epochs": 150,
        "shapes_per_step": 4,
        "points_per_shape": 64,
        "learning_rate": 0.005,
        "code_learning_rate": 0.01,
        "halve_every": 50,
        "validate_every": 50,
        "decoder": {"width": 32, "hidden_layers": 4, "skip_at": 2},
    },
}
TIMES = {"dense_64": 900.0, "fast_64": 50.0, "fast_128": 150.0, "paper_dense_64": 6000.0}
TIN = {
    "name": "tin",
    "nocs_id": 0,
    "symmetry": "y",
    "vessel": False,
    "diagonal_m": 0.15,
    "diagonal_log_sd": 0.2,
    "labels": ["tin"],
    "colour": [200, 80, 60],
}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs the script and returns the JSON that it prints."""
    config = tmp_path / "tiny.yaml"

    def run(*arguments, settings=TINY):
        config.write_text(yaml.safe_dump(settings))
        paths = ["--config", config, "--out", tmp_path / "weights", "--work", tmp_path / "work"]
        command = [SCRIPT, *arguments, *paths, "--threads", "1"]
        monkeypatch.setattr(sys, "argv", [str(x) for x in command])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        if ended.value.code != 0:
            return capsys.readouterr().err
        *report, result = capsys.readouterr().out.splitlines()
        return json.loads(result) | {"report": report}

    return run


@pytest.fixture
def script(monkeypatch):
    """Loads a script of the folder `training` as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, SCRIPT.with_name(f"{name}.py"))
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("decoder", ["sdf", "deepsdf"])
def test_the_shipped_configuration_is_the_default(script, decoder):
    module = script("train_decoder")
    kind = {"sdf": module.Settings, "deepsdf": module.DeepSdfSettings}[decoder]
    settings = read_configuration(module.DEFAULT_CONFIGS[decoder], kind)
    every = replace(settings.training, checkpoint_every=kind().training.checkpoint_every)
    assert replace(settings, training=every) == kind()


def test_a_family(train, tmp_path):
    reached = train("can")
    assert reached["shapes"] == 4
    assert 0.0 < reached["surface_error"] < 0.1
    decoder = SdfDecoder.load(tmp_path / "weights" / "can" / "decoder.safetensors")
    assert decoder.code_mean.shape == (4,)
    assert (tmp_path / "work" / "can.decoder.ckpt").is_file()
    assert list((tmp_path / "work" / "tensorboard" / "can.decoder").iterdir())
    train("can")
    again = SdfDecoder.load(tmp_path / "weights" / "can" / "decoder.safetensors")
    assert torch.equal(again.output.weight, decoder.output.weight), "it was resumed at its end"


def test_a_category_of_ones_own_needs_no_code(train, tmp_path, capsys, monkeypatch):
    """A folder of meshes and a few lines of YAML: trained, then measured by the benchmark."""
    for seed in range(4):
        model = sample_model("can", seed)
        normals = np.tile([0.0, 1.0, 0.0], (len(model.vertices), 1))
        write_ply(tmp_path / "tins" / f"{seed}.ply", model.vertices, model.faces, normals)
    (tmp_path / "tins" / "broken.stl").write_text("garbage")
    (tmp_path / "exclude.yaml").write_text("['3']")
    entry = tmp_path / "mine.yaml"
    entry.write_text(yaml.safe_dump({"category": TIN}))
    meshes = ["--meshes", tmp_path / "tins", "--exclude", tmp_path / "exclude.yaml"]
    assert "unknown category 'tinn' (did you mean 'tin'?)" in train("tinn", "--entry", entry)
    reached = train("tin", "--entry", entry, *meshes)
    assert reached["shapes"] == 2
    sizes = [sample_model("can", seed).diagonal_m for seed in (0, 1)]
    assert reached["diagonal_m"] == pytest.approx(np.sqrt(sizes[0] * sizes[1]), abs=1e-4)
    (tmp_path / "bench").mkdir()
    (tmp_path / "tins").rename(tmp_path / "bench" / "tin")
    out = tmp_path / "bench.json"
    command = ["bench", "shapes", "--data", tmp_path / "bench", "--json", out, "--threads", "1"]
    command += ["--category", "tin", "--weights", tmp_path / "weights" / "tin"]
    monkeypatch.setattr("sdfpose_core.cli.bench_shapes.time_meshes", lambda decoders: TIMES)
    capsys.readouterr()
    assert main([str(x) for x in command]) == 0
    tin = json.loads(out.read_text())["per_category"]["tin"]
    assert "procedural" not in tin
    assert tin["meshes"]["n"] == 4
    assert tin["meshes"]["chamfer_median"] < 0.1
    assert "broken.stl" in capsys.readouterr().err


@pytest.fixture
def nocs_models(tmp_path):
    """The CAD models of NOCS: eight cans."""
    for seed in range(8):
        model = sample_model("can", seed)
        normals = np.tile([0.0, 1.0, 0.0], (len(model.vertices), 1))
        folder = tmp_path / "data" / "obj_models" / "train" / "02946921" / f"can{seed}"
        write_ply(folder / "model.ply", model.vertices, model.faces, normals)
    return tmp_path / "data"


def test_the_paper_s_decoder(train, script, tmp_path, nocs_models, capsys, monkeypatch):
    """DeepSDF's network on the models of NOCS without those that SSC-6D removes."""
    (tmp_path / "removed_models").mkdir()
    (tmp_path / "removed_models" / "02946921.txt").write_text("can7\nnobody\n")
    weights = tmp_path / "weights"
    models = nocs_models / "obj_models" / "train" / "02946921"
    arguments = ["--meshes", models, "--exclude", tmp_path / "removed_models"]
    reached = train("can", "--decoder", "deepsdf", *arguments, settings=DEEPSDF)
    assert "excluded can7" in reached["report"]
    assert "warning: the excluded model 'nobody' does not exist" in reached["report"]
    assert reached["shapes"] == 6
    assert reached["surface_error"] < 0.012
    decoder = load_decoder(weights / "can" / "decoder.safetensors")
    assert isinstance(decoder, DeepSdf)
    assert decoder.config.code_length == 16
    assert (tmp_path / "work" / "can.deepsdf.ckpt").exists() is False, "150 steps, none due"
    assert "contains another decoder than 'sdf'" in train("can")

    # Codes of the training serve for the models that it knew; those of the others are fitted.
    trained = load_model_codes(
        codes_file(weights / "codes", "can", weights / "can" / "decoder.safetensors")
    )
    assert len(trained) == 6
    assert "can7" not in trained
    for name in NOCS_CATEGORIES:
        if name != "can":
            copied_pack(weights, name, encoder=False)
    prepare = script("prepare_nocs")
    packs = Packs.beside_shipped([weights])
    prepare.fit_models(nocs_models, packs, tmp_path / "prepared", ["can"])
    assert "can: 6 models have codes of the decoder's training" in capsys.readouterr().out
    path = codes_file(
        tmp_path / "prepared" / "codes", "can", weights / "can" / "decoder.safetensors"
    )
    codes = load_model_codes(path)
    assert list(codes) == [f"can{seed}" for seed in range(8)]
    for name, code in trained.items():
        assert torch.equal(codes[name], code)

    # The benchmark of shapes and the export take it like any other.
    monkeypatch.setattr("sdfpose_core.cli.bench_shapes.time_meshes", lambda decoders: TIMES)
    command = ["bench", "shapes", "--category", "can", "--count", "1", "--threads", "1"]
    command += ["--weights", weights, "--json", tmp_path / "bench.json"]
    assert main([str(x) for x in command]) == 0
    found = json.loads((tmp_path / "bench.json").read_text())["per_category"]["can"]["procedural"]
    assert found["chamfer_median"] < 0.05
    command = ["export", tmp_path / "onnx", "--category", "can", "--weights", weights]
    assert main([*(str(x) for x in command), "--encoder", "none"]) == 0
    assert len(list((tmp_path / "onnx").iterdir())) == 2

    # One frame, decoders of both kinds and code lengths.
    command = ["estimate", "--sample", "--weights", weights, "--encoder", "none"]
    command += ["--out", tmp_path / "estimates", "--json", tmp_path / "estimates.json"]
    assert main([str(x) for x in command]) == 0
    (found,) = json.loads((tmp_path / "estimates.json").read_text())["frames"].values()
    assert len(found) == 6
    (can,) = (x for x in found if x["category"] == "can")
    assert can["trans_err_cm"] < 5.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mug", "--exclude", "x.txt"], "--exclude x.txt: names meshes: expected --meshes DIR"),
        (["mugg"], "unknown category 'mugg' (did you mean 'mug'?)"),
        (["mug", "--meshes", "/nowhere"], "--meshes /nowhere: No such file or directory"),
        (["mug", "--entry", "/nowhere.yaml"], "/nowhere.yaml: cannot be read"),
        (["mug", "--device", "gpu"], "device 'gpu' is unknown"),
    ],
)
def test_bad_arguments(train, arguments, message):
    assert message in train(*arguments)


def test_two_processes_train_what_one_does(train, tmp_path):
    """The shapes of a step are shared, and the gradients averaged."""
    config = tmp_path / "tiny.yaml"
    train("bowl", "--device", "cpu", settings=TINY | {"training": TINY["training"] | {"steps": 10}})
    folder = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", 2, SCRIPT, "bowl", "--config", config]
    command += ["--out", folder, "--work", folder / "work", "--threads", 1, "--device", "cpu"]
    done = subprocess.run(
        [str(x) for x in command], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len([x for x in done.stdout.splitlines() if x.startswith("{")]) == 1
    one = load_file(tmp_path / "weights" / "bowl" / "decoder.safetensors")
    two = load_file(folder / "bowl" / "decoder.safetensors")
    assert one.keys() == two.keys()
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, atol=1e-4, rtol=0.0)
